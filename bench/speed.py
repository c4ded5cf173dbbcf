"""Whole runs against `zstd -dc`: time, CPU time, and context switches."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure import Sample, Spread, in_turn, ratio, spread, walls
from bench.report import Figure, Part, cores
from bench.workbench import Workbench, compressed, neighbours

AGAINST_ZSTD = 1.5
"""A run takes at most this many times as long as `zstd -dc`."""

RECORDS = 8_000_000
"""The feed that the targets are for."""

PLAIN_AGAINST_COMPRESSED = 1.0
"""The plain file takes at most as long as the compressed one."""


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
    notes = _disk_notes({"zstd -dc": zstd, "etl, compressed": etl, "etl, plain": etl_plain})
    if bench.records < RECORDS:
        notes.append(f"The targets are for {RECORDS:,} records: start-up counts, and weighs more here.")
    return Part(
        f"Speed: {bench.records:,} records, {size / 1e9:.2f} GB ({packed.stat().st_size / 1e9:.2f} GB"
        f" compressed), {matched:,} of them wanted",
        [
            Figure("zstd -dc", walls(zstd), "s"),
            Figure("etl, compressed", walls(etl), "s"),
            Figure("etl, plain", walls(etl_plain), "s"),
            Figure("etl, compressed / zstd -dc", ratio(etl, zstd), at_most=AGAINST_ZSTD),
            Figure("etl, plain / etl, compressed", ratio(etl_plain, etl), at_most=PLAIN_AGAINST_COMPRESSED),
            Figure("etl, plain / zstd -dc", ratio(etl_plain, zstd)),
            Figure("zstd -dc: CPU per GB", _cpu(zstd, size), "s"),
            Figure("etl, compressed: CPU per GB", _cpu(etl, size), "s"),
            Figure("etl, plain: CPU per GB", _cpu(etl_plain, size), "s"),
            Figure(
                "etl, compressed / zstd -dc: CPU",
                spread(a.cpu / b.cpu for a, b in zip(etl, zstd, strict=True)),
            ),
            Figure("etl, compressed: voluntary switches a second", _switches(etl)),
            Figure("etl, plain: voluntary switches a second", _switches(etl_plain)),
        ],
        ["zstd -dc FEED.zst > /dev/null", bench.shown("FEED.zst"), bench.shown("FEED")],
        notes,
    )


def neighbour(bench: Workbench) -> Part:
    """Measure the same while all cores but one are kept busy by others."""
    packed = compressed(bench.feed())

    def zstd_beside() -> Sample:
        with neighbours():
            return bench.run_zstd(packed)

    def etl_beside() -> Sample:
        with neighbours():
            return bench.run_etl(str(packed))

    samples = in_turn(
        {"zstd": zstd_beside, "beside": etl_beside, "alone": lambda: bench.run_etl(str(packed))},
        bench.runs,
    )
    zstd, beside, alone = samples["zstd"], samples["beside"], samples["alone"]
    return Part(
        f"Beside a busy neighbour: {cores() - 1} of {cores()} cores are kept busy",
        [
            Figure("zstd -dc, beside it", walls(zstd), "s"),
            Figure("etl, compressed, beside it", walls(beside), "s"),
            Figure("etl, compressed, alone", walls(alone), "s"),
            Figure("etl beside it / zstd -dc beside it", ratio(beside, zstd)),
            Figure("etl alone / zstd -dc beside it", ratio(alone, zstd)),
        ],
        ["python -c 'while True: pass' &    # the neighbour"],
        _disk_notes({"zstd -dc": zstd, "etl beside it": beside, "etl alone": alone}),
    )


def _cpu(samples: Sequence[Sample], size: int) -> Spread:
    return spread(sample.cpu / (size / 1e9) for sample in samples)


def _switches(samples: Sequence[Sample]) -> Spread:
    return spread(sample.switches / sample.wall for sample in samples)


def _disk_notes(samples: dict[str, list[Sample]]) -> list[str]:
    """Say where the page cache did not hold a feed, so that the disk was measured too."""
    most = {name: max(sample.disk for sample in found) for name, found in samples.items()}
    return [
        f"{name}: up to {disk / 1e9:.2f} GB of a run came from the disk, not from the page cache"
        for name, disk in most.items()
        if disk > 10e6
    ]
