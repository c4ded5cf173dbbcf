"""The memory and the time that runs take for ever larger inputs: one must not grow, the other no faster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.measure import CommandFailed, spread
from bench.report import Figure, Part
from bench.workbench import Workbench, compressed

MEGABYTES = 300
"""The most that a run takes, all its processes together."""

GROWTH = 1.1
"""The largest input takes at most this many times the memory of the smallest, and its time for a byte."""

TIMES = (1, 4, 16)
"""How often the records are repeated: they are 1 GB."""


@dataclass(frozen=True)
class Run:
    """One run."""

    kind: str
    gigabytes: float
    seconds: float
    cpu: float
    peak: float
    """Megabytes."""

    @property
    def name(self) -> str:
        """The input."""
        return f"{self.kind}, {self.gigabytes:.1f} GB"


def memory(bench: Workbench) -> Part:
    """Measure the peak of the proportional set sizes, and the time, for plain and compressed inputs.

    The inputs are the same records over and over, put together in a pipe; compressed, every piece is a
    frame of its own. So deals repeat, which costs no memory: few are wanted.
    """
    region, records = bench.region()
    marks = [bench.mark(name, data) for name, data in (("open", b"{"), ("comma", b","), ("close", b"}"))]
    runs = []
    for kind in ("plain", "compressed"):
        pieces = [region, *marks] if kind == "plain" else list(map(compressed, (region, *marks)))
        for times in TIMES:
            sample = bench.run_etl("-", feeder=["cat", *map(str, _document(pieces, times))])
            peak = bench.checked(sample, times * records)["peak_memory_bytes"]
            if not peak:
                raise CommandFailed("memory cannot be measured here: there is no /proc")
            size = times * region.stat().st_size / 1e9
            runs.append(Run(kind, size, sample.wall, sample.cpu, peak / 1e6))
    return Part(
        "Ever larger inputs, through a pipe: memory of all processes together, at the peak, and time",
        figures(runs),
        [f"cat OPEN REGION COMMA REGION ... CLOSE | {bench.shown('-')}"],
    )


def figures(runs: list[Run]) -> list[Figure]:
    """Return what runs took, and the largest of a kind beside the smallest."""
    found = [Figure(f"{run.name}: memory", spread([run.peak]), "MB", at_most=MEGABYTES) for run in runs]
    found += [Figure(f"{run.name}: time", spread([run.seconds]), "s") for run in runs]
    found += [Figure(f"{run.name}: time a GB", spread([run.seconds / run.gigabytes]), "s") for run in runs]
    found += [Figure(f"{run.name}: CPU a GB", spread([run.cpu / run.gigabytes]), "s") for run in runs]
    for kind in dict.fromkeys(run.kind for run in runs):
        least, *_, most = (run for run in runs if run.kind == kind)
        growth = most.peak / least.peak
        longer = most.seconds / most.gigabytes / (least.seconds / least.gigabytes)
        beside = f"{most.gigabytes:.1f} GB / {least.gigabytes:.1f} GB"
        found += [
            Figure(f"{kind}, {beside}: memory", spread([growth]), at_most=GROWTH),
            Figure(f"{kind}, {beside}: time a GB", spread([longer]), at_most=GROWTH),
        ]
    return found


def _document(pieces: list[Path], times: int) -> list[Path]:
    """Return the files that make one document of the records so many times."""
    region, opening, comma, closing = pieces
    return [opening, region, *[comma, region] * (times - 1), closing]
