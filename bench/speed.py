"""Few records wanted: whole runs against `zstd -dc`, by time, CPU time, and context switches."""

from __future__ import annotations

from bench.measure import cpu_a_gigabyte, cpu_ratio, disk_notes, in_turn, ratio, switches_a_second, walls
from bench.report import Figure, Part
from bench.workbench import Workbench, compressed

AGAINST_ZSTD = 1.3
"""A run takes at most this many times as long as `zstd -dc`."""

PLAIN_AGAINST_ZSTD = 0.7
"""The same of one over the plain file, which nobody decompresses."""

SWITCHES_A_SECOND = 500
"""How often all processes of a run together may wait for each other."""

RECORDS = 8_000_000
"""The feed that the targets are for."""


def speed(bench: Workbench) -> Part:
    """Measure runs from the compressed and the plain file, and `zstd -dc`, in turn."""
    plain = bench.feed()
    packed = compressed(plain)
    samples = in_turn(
        {
            "zstd": lambda: bench.run_zstd(packed),
            "packed": lambda: bench.run_etl(str(packed)),
            "plain": lambda: bench.run_etl(str(plain)),
        },
        bench.runs,
    )
    for sample in samples["packed"] + samples["plain"]:
        report = bench.checked(sample, bench.records)
    matched = report["matched"]
    size = plain.stat().st_size
    zstd, etl, etl_plain = samples["zstd"], samples["packed"], samples["plain"]
    return Part(
        f"Few records wanted: {bench.records:,} records, {size / 1e9:.2f} GB"
        f" ({packed.stat().st_size / 1e9:.2f} GB compressed), {matched:,} of them wanted",
        [
            Figure("zstd -dc", walls(zstd), "s"),
            Figure("etl, compressed", walls(etl), "s"),
            Figure("etl, plain", walls(etl_plain), "s"),
            Figure("etl, compressed / zstd -dc", ratio(etl, zstd), at_most=AGAINST_ZSTD),
            Figure("etl, plain / zstd -dc", ratio(etl_plain, zstd), at_most=PLAIN_AGAINST_ZSTD),
            Figure("etl, plain / etl, compressed", ratio(etl_plain, etl)),
            Figure("zstd -dc: CPU per GB", cpu_a_gigabyte(zstd, size), "s"),
            Figure("etl, compressed: CPU per GB", cpu_a_gigabyte(etl, size), "s"),
            Figure("etl, plain: CPU per GB", cpu_a_gigabyte(etl_plain, size), "s"),
            Figure("etl, compressed / zstd -dc: CPU", cpu_ratio(etl, zstd)),
            *(
                Figure(
                    f"etl, {kind}: voluntary switches a second",
                    switches_a_second(taken),
                    at_most=SWITCHES_A_SECOND,
                )
                for kind, taken in (("compressed", etl), ("plain", etl_plain))
            ),
        ],
        ["zstd -dc FEED.zst > /dev/null", bench.shown("FEED.zst"), bench.shown("FEED")],
        [
            *disk_notes({"zstd -dc": zstd, "etl, compressed": etl, "etl, plain": etl_plain}),
            *fewer_noted(bench),
        ],
    )


def fewer_noted(bench: Workbench) -> list[str]:
    """Say so where a feed is smaller than the one that targets are for."""
    if bench.records >= RECORDS:
        return []
    return [f"The targets are for {RECORDS:,} records: start-up counts, and weighs more here."]
