"""Run every system in turn, round after round, each right after a `zstd -dc` of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench.measure import CommandFailed, Sample, measured
from bench.peers.answers import fault, right_rows, rows_of
from bench.peers.table import SMALL, ZSTD, Group, System
from bench.workbench import Workbench, compressed
from pipelines.deals.sample import HEAD_EPOCH

HERE = Path(__file__).with_name("systems")

AT_MOST = 600.0
"""A system that takes more seconds than this has failed."""

_VERSIONS = """
import importlib.metadata as m, json, sys
print(json.dumps({d.metadata["Name"]: d.version for d in m.distributions()}))
"""


@dataclass
class Taken:
    """What a system took: seconds a round, beside those of the `zstd -dc` before it."""

    name: str
    reads: str
    version: str = ""
    megabytes: float = 0
    """Of JSON in the feed it was given, in millions of bytes, however that was spelled."""
    beside: float = 0
    """The same of the feed that `zstd -dc` was given."""
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    zstd: list[float] = field(default_factory=list)
    memory: int = 0
    """The most bytes that its processes had together; looked at in a round that is not timed."""
    written: int = 0
    """Bytes of its output."""
    rows: int = 0
    fault: str = ""
    """What is wrong with its rows, or why there are none."""

    @property
    def out(self) -> bool:
        """Whether it is not there or failed, so that it is not run again."""
        return self.fault.startswith(("not ", "failed"))


class Rounds:
    """The feeds, the right answers, and where the systems are installed."""

    def __init__(self, bench: Workbench, python: Path, wallets: Sequence[str]) -> None:
        """Make the feeds; `python` is that of the environment of the other systems."""
        self.bench = bench
        self.python = python.absolute()
        self.wallets = list(wallets)
        self.installed = self._installed()
        self._env = {name: value for name, value in bench.env.items() if not name.startswith("PYTHON")}
        self._right: dict[tuple[int, tuple[str, ...]], pa.Table] = {}
        self.zstd = Taken(ZSTD.name, ZSTD.reads, self._version(ZSTD))
        self.zstd.megabytes = self.zstd.beside = self._feed(ZSTD)[1].stat().st_size / 1e6

    def group(self, group: Group) -> dict[str, Any]:
        """Return what the systems of a group took; one that fails is not run again."""
        taken = {system: self._begun(system) for system in group.systems}
        for number in range(self.bench.runs + 1):
            for system, found in taken.items():
                if not found.out:
                    say(f"{group.name}, round {number} of {self.bench.runs}: {system.label}")
                    self._once(group, system, found, counted=number > 0)
        systems = [asdict(found) for found in taken.values()]
        return {"name": group.name, "title": group.title, "systems": systems}

    def _begun(self, system: System) -> Taken:
        version = self._version(system)
        size = self._feed(system)[1].stat().st_size / 1e6
        missing = "" if version else "not available" if "pipeline " in system.needs else "not installed"
        return Taken(system.name, system.reads, version, size, self.zstd.megabytes, fault=missing)

    def _once(self, group: Group, system: System, taken: Taken, counted: bool) -> None:
        zstd = self._run(ZSTD, [], None, counted)
        output = self.bench.scratch / "output"
        wallets = list(group.wallets) or self.wallets
        if group.every or system.writes == "JSON lines":
            wallets = []
        try:
            sample = self._run(system, wallets, output, counted)
            if not counted or not group.every:
                taken.fault = taken.fault or self._fault(system, wallets, output, taken)
        except CommandFailed as error:
            taken.fault = f"failed: {error}"
            say(taken.fault)
            return
        finally:
            if output.is_dir():
                shutil.rmtree(output)
            for file in output.parent.glob("output*"):
                file.unlink()
        if not counted:
            self.zstd.memory, taken.memory = zstd.memory, sample.memory
            return
        for entry, found in ((self.zstd, zstd), (taken, sample)):
            entry.seconds.append(found.wall)
            entry.cpu.append(found.cpu)
            entry.zstd.append(zstd.wall)

    def _run(self, system: System, wallets: list[str], output: Path | None, counted: bool) -> Sample:
        feed, _ = self._feed(system)
        fill = {"feed": feed, "output": output, "etl": self.bench.etl, "python": self.python}
        command: list[str] = []
        for part in system.command:
            if part == "WALLETS":
                command += wallets
            elif part == "CLIENTS":
                command += (text for wallet in wallets for text in ("--client", wallet))
            else:
                command.append(part.format(**fill, here=HERE, epoch=HEAD_EPOCH))
        ours = command[0] == self.bench.etl
        sample = measured(
            command,
            self.bench.scratch,
            self.bench.env if ours else self._env,
            discard=system.writes == "nothing",
            watch=not counted,
            at_most=AT_MOST,
        )
        if system.writes == "lines" and output is not None:
            output.write_bytes(sample.output)
        return sample

    def _fault(self, system: System, wallets: list[str], output: Path, taken: Taken) -> str:
        """Check the rows; an output that is a whole document again is only counted."""
        files = [file for file in output.rglob("*") if file.is_file()] if output.is_dir() else [output]
        taken.written = sum(file.stat().st_size for file in files if file.exists())
        if system.writes == "JSON lines":
            with output.open("rb") as file:
                taken.rows = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
            expected = self._records(system)
            return "" if taken.rows == expected else f"{taken.rows:,} lines of {expected:,}"
        try:
            found = rows_of(system.writes, output)
        except ValueError as error:
            return f"failed: {error}"
        taken.rows = found.num_rows
        return fault(found, self._right_rows(system, wallets))

    def _right_rows(self, system: System, wallets: list[str]) -> pa.Table:
        key = self._records(system), tuple(wallets)
        if key not in self._right:
            say("reading the right rows")
            self._right[key] = right_rows(self._feed(system)[1], wallets)
        return self._right[key]

    def _records(self, system: System) -> int:
        return max(1, self.bench.records // SMALL) if system.small else self.bench.records

    def _feed(self, system: System) -> tuple[Path, Path]:
        """Return the feed that a system reads, and the plain object that has the same records."""
        plain = self.bench.feed(self._records(system))
        if system.reads in (".zst", "plain"):
            return compressed(plain) if system.reads == ".zst" else plain, plain
        lines = self.bench.feed(self._records(system), lines=True)
        return compressed(lines) if system.reads == "lines .zst" else lines, plain

    # What is installed -----------------------------------------------------------------------------

    def _installed(self) -> dict[str, str]:
        if not self.python.is_file():
            return {}
        done = subprocess.run([self.python, "-c", _VERSIONS], capture_output=True, text=True, check=True)
        found: dict[str, str] = json.loads(done.stdout)
        return found

    def _version(self, system: System) -> str:
        """Return the version of what a system needs; nothing if it is not there."""
        kind, _, name = system.needs.rpartition(" ")
        if kind == "$":
            path = shutil.which(name)
            if path is None:
                return ""
            done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            words = done.stdout.replace(",", " ").replace("jq-", "").split()
            return next((word.strip("v") for word in words if word.strip("v")[:1].isdigit()), "?")
        if name and kind != "pipeline":
            return self.installed.get(name, "")
        if kind == "pipeline":
            helped = [self.bench.etl, "run", name, "--help"]
            done = subprocess.run(helped, env=self.bench.env, capture_output=True, text=True, check=False)
            if done.returncode:
                return ""
        return "this one"


def say(text: str) -> None:
    """Say on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)
