"""The real command `etl`, started in a directory of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.feeds import HEAD, OURS
from tests.support.databases import Database, Tables
from tests.support.effort import THOROUGH
from tests.support.prefork import Forked, server
from tests.support.processes import children, until

_NOT_INHERITED = ("ETL_", "DATABASE_", "LOTUS_", "MARKET_DEAL_URL", "XDG_CONFIG_HOME", "HOME", "COLUMNS")
_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "TZ")
"""Variables by which interpreters and libraries go when they start, and not later."""


@dataclass(frozen=True)
class Completed:
    """What a command left behind when it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """The object that `--json` printed."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report

    @property
    def message(self) -> str:
        """The one line that says why the command failed."""
        lines = self.stderr.splitlines()
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("etl: ")
        return lines[0].removeprefix("etl: ")


class Running:
    """A command that was started and not yet waited for."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked) -> None:
        self._process = process
        self.pid = process.pid
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self.poll, self.wait, self.communicate = process.poll, process.wait, process.communicate
        self.send_signal, self.terminate, self.kill = (
            process.send_signal,
            process.terminate,
            process.kill,
        )

    @property
    def returncode(self) -> int | None:
        """The exit status, or minus a signal's number; None if nobody has waited for the end."""
        return self._process.returncode

    def done(self, input: bytes | None = None, timeout: float = 30) -> Completed:
        """Wait for the end."""
        stdout, stderr = self.communicate(input, timeout)
        assert self.returncode is not None
        return Completed(self.returncode, stdout.decode(), stderr.decode())


def _path_of(environment: Mapping[str, str]) -> list[str]:
    return environment.get("PYTHONPATH", "").split(os.pathsep)


def _may_be_forked(environment: Mapping[str, str], settings: Mapping[str, Any]) -> bool:
    """Say whether a fork of an interpreter that is there makes no difference.

    A thorough suite starts every command anew.
    """

    def at_start(variables: Mapping[str, str]) -> dict[str, str]:
        return {
            name: value
            for name, value in variables.items()
            if name.startswith(_AT_START) and name != "PYTHONPATH"  # which is heeded later, too
        }

    return (
        sys.platform == "linux"
        and not THOROUGH
        and settings.keys() <= {"stdin", "start_new_session"}
        and at_start(environment) == at_start(os.environ)
        and not any(Path(folder, "sitecustomize.py").exists() for folder in _path_of(environment))
    )


class Etl:
    """Runs the command in one directory; whatever still runs at the end of the test is killed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[Running] = []

    def start(
        self,
        *args: str | Path,
        env: dict[str, str] | None = None,
        module: bool = True,
        anew: bool = False,
        **settings: Any,
    ) -> Running:
        """Start `etl` with arguments: by `python -m etl`, or by its script if not as a `module`.

        Where that makes no difference, it is a fork of a process that has all libraries, unless it shall
        be started `anew`; `settings` are those of `subprocess.Popen`.
        """
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        home = str(self.directory / "home")
        environment = inherited | {"HOME": home, "XDG_CONFIG_HOME": home} | (env or {})
        settings.setdefault("stdin", subprocess.DEVNULL)
        if module and not anew and _may_be_forked(environment, settings):
            streams = (settings["stdin"], subprocess.PIPE, subprocess.PIPE)
            new_session = settings.get("start_new_session", False)
            return self.keep(
                server().start([*map(str, args)], self.directory, environment, streams, new_session)
            )
        command = [sys.executable, "-m", "etl"] if module else [str(Path(sys.executable).with_name("etl"))]
        return self.keep(
            subprocess.Popen(
                [*command, *map(str, args)], cwd=self.directory, env=environment,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings,
            )
        )  # fmt: skip

    def keep(self, process: subprocess.Popen[bytes] | Forked) -> Running:
        """Have a process killed at the end of the test, if it still runs."""
        self._started.append(Running(process))
        return self._started[-1]

    def __call__(
        self,
        *args: str | Path,
        input: bytes | None = None,
        env: dict[str, str] | None = None,
        timeout: float = 30,
        **settings: Any,
    ) -> Completed:
        """Run `etl` with arguments to its end."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        completed = self.start(*args, env=env, stdin=stdin, **settings).done(input, timeout)
        assert "Traceback" not in completed.stderr, completed.stderr
        return completed

    def loading(self, *args: str | Path, head: int = HEAD) -> list[str | Path]:
        """The arguments that run the pipeline `deals` for our wallets."""
        named = [part for client in OURS for part in ("--client", client)]
        return ["run", "deals", "--json", "-q", "--head-epoch", str(head), *named, *args]

    def load(self, *args: str | Path, head: int = HEAD, **settings: Any) -> Completed:
        """Run the pipeline `deals` for our wallets."""
        return self(*self.loading(*args, head=head), **settings)

    def loaded(self, document: bytes, *args: str | Path, **settings: Any) -> dict[str, Any]:
        """Load a document with success and return the report."""
        completed = self.load("--source", self.file(document), *args, **settings)
        assert (completed.status, completed.stderr) == (0, "")
        return completed.report

    def file(self, document: bytes, name: str = "feed") -> Path:
        """Write a file beside what the command reads and writes."""
        path = self.directory / name
        path.write_bytes(document)
        return path

    def close(self) -> None:
        """Kill what still runs."""
        for running in self._started:
            if running.poll() is None:
                for pid in [*children(running.pid), running.pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            running.communicate()


def load_each(
    factory: pytest.TempPathFactory, documents: Mapping[str, bytes], *args: str, start: Path | None = None
) -> dict[str, tuple[Completed, Database]]:
    """Load documents, each in a directory of its own, a few at a time to save time.

    Each starts with a copy of the database `start`, if one is given.
    """

    def load(item: tuple[str, bytes]) -> tuple[Completed, Database]:
        command = Etl(directories[item[0]])
        database = Database(command.directory / "deals.db")
        if start is not None:
            database.path.write_bytes(start.read_bytes())
        try:
            source = command.file(item[1])
            return command.start(*command.loading("--source", source, *args)).done(), database
        finally:
            command.close()

    directories = {name: factory.mktemp("each") for name in documents}
    with ThreadPoolExecutor(3) as pool:
        return dict(zip(documents, pool.map(load, documents.items()), strict=True))


@contextlib.contextmanager
def under_way(etl: Etl, tables: Tables, document: bytes, *args: str) -> Iterator[Running]:
    """A run that has begun, holds the lock and waits for the rest of its feed: see `let_end`."""
    before = len(tables.rows("etl_runs"))
    command = etl.loading("--source", "-", "--database", tables.url, *args)
    running = etl.start(*command, stdin=subprocess.PIPE)
    assert running.stdin is not None
    running.stdin.write(document[: len(document) // 2])
    running.stdin.flush()
    until(lambda: len(tables.rows("etl_runs")) > before)
    yield running


def let_end(running: Running, document: bytes) -> Completed:
    """Send the rest of the feed of a run that is `under_way`."""
    return running.done(document[len(document) // 2 :])
