"""Ever more wallets, of which the same few deals are found: what a longer list costs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.measure import CommandFailed, in_turn, ratio, walls
from bench.report import Figure, Part
from bench.speed import fewer_noted
from bench.workbench import RARE, Workbench, compressed, others

COUNTS = (1, 10, 100, 1_000, 10_000)

MOST_AGAINST_ONE = 2.0
"""The longest list takes at most this many times as long as one wallet."""


def wallets(bench: Workbench) -> Part:
    """Measure runs over the compressed feed, with lists of which one wallet alone is in it.

    Raises:
        CommandFailed: more deals match where more wallets are wanted.
    """
    packed = str(compressed(bench.feed()))
    files = {count: _list(bench, count) for count in COUNTS}
    samples = in_turn(
        {str(count): partial(bench.run_etl, packed, wallets=file) for count, file in files.items()},
        bench.runs,
    )
    taken = {count: samples[str(count)] for count in COUNTS}
    matched = {bench.checked(s, bench.records)["matched"] for found in taken.values() for s in found}
    if len(matched) != 1:
        raise CommandFailed(f"not the same deals matched, but {sorted(matched)}")
    return Part(
        f"More wallets: {bench.records:,} records, compressed, {matched.pop():,} of them wanted",
        [
            *(Figure(f"wallets: {count:,}", walls(taken[count]), "s") for count in COUNTS),
            *(
                Figure(
                    f"{count:,} / 1",
                    ratio(taken[count], taken[1]),
                    at_most=MOST_AGAINST_ONE if count == COUNTS[-1] else None,
                )
                for count in COUNTS[1:]
            ),
        ],
        ["etl run deals --source FEED.zst --clients-file FILE ..."],
        fewer_noted(bench),
    )


def _list(bench: Workbench, count: int) -> Path:
    """Return a file of so many wallets."""
    file = bench.scratch / f"wallets-{count}"
    file.write_text("\n".join([RARE[0], *others(count - 1)]) + "\n")
    return file
