"""The memory that runs take, for ever larger inputs: it must not grow with them."""

from __future__ import annotations

from pathlib import Path

from bench.measure import CommandFailed, spread
from bench.report import Figure, Part
from bench.workbench import Workbench, compressed

MEGABYTES = 300
"""The most that a run takes, all its processes together."""

TIMES = (1, 4, 16)
"""How often the records are repeated: they are 1 GB."""


def memory(bench: Workbench) -> Part:
    """Measure the peak of the proportional set sizes, for plain and compressed inputs.

    The inputs are the same records over and over, put together in a pipe; compressed, every piece is a
    frame of its own. So deals repeat, which costs no memory: few are wanted.
    """
    region, records = bench.region()
    marks = [bench.mark(name, data) for name, data in (("open", b"{"), ("comma", b","), ("close", b"}"))]
    figures = []
    for kind in ("plain", "compressed"):
        pieces = [region, *marks] if kind == "plain" else list(map(compressed, (region, *marks)))
        for times in TIMES:
            sample = bench.run_etl("-", feeder=["cat", *map(str, _document(pieces, times))])
            peak = bench.checked(sample, times * records)["peak_memory_bytes"]
            if not peak:
                raise CommandFailed("memory cannot be measured here: there is no /proc")
            size = times * region.stat().st_size / 1e9
            name = f"{kind}, {size:.1f} GB in {sample.wall:.1f} s"
            figures.append(Figure(name, spread([peak / 1e6]), "MB", at_most=MEGABYTES))
    return Part(
        "Memory: all processes together, by proportional set size, at the peak",
        figures,
        [f"cat OPEN REGION COMMA REGION ... CLOSE | {bench.shown('-')}"],
    )


def _document(pieces: list[Path], times: int) -> list[Path]:
    """Return the files that make one document of the records so many times."""
    region, opening, comma, closing = pieces
    return [opening, region, *[comma, region] * (times - 1), closing]
