"""Whole processes, measured: wall time, CPU time and context switches, start-up included."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512
"""The unit of `ru_inblock` (getrusage(2), on Linux)."""


class CommandFailed(Exception):
    """A measured command did not do what it should; the message says which, and why."""


@dataclass(frozen=True)
class Sample:
    """One run of a process and all its descendants."""

    wall: float
    """Seconds from before its start until it was waited for."""
    cpu: float
    """Seconds of user and system time."""
    switches: int
    """Voluntary context switches: how often it waited."""
    disk: int
    """Bytes that were not in the page cache."""
    output: bytes
    """Its standard output, unless that was discarded."""


@dataclass(frozen=True)
class Spread:
    """The median of several values, and how far they reach."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Return the median and the range of at least one value."""
    known = list(values)
    return Spread(statistics.median(known), min(known), max(known))


def measured(
    command: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    discard: bool = False,
    feeder: Sequence[str] | None = None,
) -> Sample:
    """Run a command to its end and return what it took.

    With `discard` its output goes to /dev/null. The output of `feeder`, which is not measured, is its
    standard input.

    Raises:
        CommandFailed: its exit status is not 0.
    """
    source = None
    if feeder is not None:
        source = subprocess.Popen(feeder, stdout=subprocess.PIPE, cwd=cwd)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if source is None else source.stdout,
            stdout=subprocess.DEVNULL if discard else output,
            stderr=errors,
            cwd=cwd,
            env=env,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if source is not None and source.stdout is not None:
            source.stdout.close()
            source.wait()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise CommandFailed(f"{' '.join(command)}: exit status {process.returncode}: {last[0]}")
        return Sample(
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            switches=usage.ru_nvcsw,
            disk=usage.ru_inblock * _BLOCK,
            output=output.read(),
        )


def in_turn(commands: Mapping[str, Callable[[], Sample]], runs: int) -> dict[str, list[Sample]]:
    """Run every command once, then every one again, and so on; the first time round is not counted.

    The n-th samples were taken one right after the other, so that their ratio is fair even where the
    machine's speed wanders.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            sample = command()
            if number:
                samples[name].append(sample)
    return samples


def walls(samples: Iterable[Sample]) -> Spread:
    """Return the spread of the wall times."""
    return spread(sample.wall for sample in samples)


def ratio(these: Sequence[Sample], those: Sequence[Sample]) -> Spread:
    """Return the spread of the ratios of wall times, pair by pair."""
    return spread(a.wall / b.wall for a, b in zip(these, those, strict=True))
