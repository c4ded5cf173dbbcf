"""Whole processes, measured: wall time, CPU time and context switches, start-up included."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from etl.engine.memory import proportional_bytes

_SAMPLING = 0.02
"""How often memory is looked at, in seconds."""

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
    memory: int = 0
    """The most bytes that all of them had together, if that was watched."""


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
    watch: bool = False,
    at_most: float | None = None,
) -> Sample:
    """Run a command to its end and return what it took.

    With `discard` its output goes to /dev/null. The output of `feeder`, which is not measured, is its
    standard input. With `watch` its memory is looked at all the time, which takes some of its own.

    Raises:
        CommandFailed: its exit status is not 0, or it took more than `at_most` seconds and was killed.
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
        with _killed(process.pid, at_most), _watched(process.pid, watch) as memory:
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
            memory=max(memory),
        )


@contextmanager
def _killed(pid: int, seconds: float | None) -> Iterator[None]:
    """Kill a process if it is still there after so many seconds."""
    timer = threading.Timer(seconds or 0, os.kill, (pid, 9))
    if seconds is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _watched(pid: int, watch: bool) -> Iterator[list[int]]:
    """Yield a list to which the memory of a process and all its descendants is added all the time."""
    seen, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(_SAMPLING):
            seen.append(proportional_bytes(_family(pid)))

    watcher = threading.Thread(target=look, daemon=True)
    if watch:
        watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        if watch:
            watcher.join()


def _family(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants (proc(5), `children`); none where there is no /proc."""
    yield pid
    children: list[str] = []
    with suppress(OSError):  # it, or one of its threads, has ended
        for thread in os.listdir(f"/proc/{pid}/task"):
            children += Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
    for child in children:
        yield from _family(int(child))


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


def cpu_a_gigabyte(samples: Iterable[Sample], size: int) -> Spread:
    """Return the spread of the CPU seconds for a billion of `size` bytes."""
    return spread(sample.cpu / (size / 1e9) for sample in samples)


def cpu_ratio(these: Sequence[Sample], those: Sequence[Sample]) -> Spread:
    """Return the spread of the ratios of CPU times, pair by pair."""
    return spread(a.cpu / b.cpu for a, b in zip(these, those, strict=True))


def megabytes_a_second(samples: Iterable[Sample], size: int) -> Spread:
    """Return the spread of the rates at which `size` bytes went through."""
    return spread(size / 1e6 / sample.wall for sample in samples)


def switches_a_second(samples: Iterable[Sample]) -> Spread:
    """Return the spread of the rates of voluntary context switches."""
    return spread(sample.switches / sample.wall for sample in samples)


def disk_notes(samples: Mapping[str, Sequence[Sample]]) -> list[str]:
    """Say where the page cache did not hold a feed, so that the disk was measured too."""
    most = {name: max(sample.disk for sample in found) for name, found in samples.items()}
    return [
        f"{name}: up to {disk / 1e9:.2f} GB of a run came from the disk, not from the page cache"
        for name, disk in most.items()
        if disk > 10e6
    ]
