"""Many records wanted: every one into Parquet, and those of some large clients into SQLite."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.measure import (
    CommandFailed,
    Sample,
    cpu_a_gigabyte,
    disk_notes,
    in_turn,
    megabytes_a_second,
    ratio,
    spread,
    walls,
)
from bench.report import Figure, Part
from bench.workbench import DENSE, REGION_RECORDS, Workbench, compressed

EVERY_MEGABYTES = 250
"""At least so many MB/s of raw JSON go into Parquet where every record is wanted."""

STAGED_MEGABYTES = 600
"""At least so many into SQLite's staging, where some large clients' are: from the start to its end."""


def dense(bench: Workbench) -> Part:
    """Measure runs over a compressed feed of a gigabyte at most, and `zstd -dc`, in turn."""
    records = min(bench.records, REGION_RECORDS)
    plain = bench.feed(records)
    packed = str(compressed(plain))
    size = plain.stat().st_size
    samples = in_turn(
        {
            "zstd": lambda: bench.run_zstd(compressed(plain)),
            "every": partial(bench.run_market, packed),
            "staged": partial(bench.run_staged, packed, DENSE),
            "whole": partial(bench.run_etl, packed, wallets=DENSE),
        },
        bench.runs,
    )
    zstd, every, staged, whole = samples.values()
    reports = [_checked(bench, taken, records) for taken in (every, staged, whole)]
    if reports[0]["matched"] != records:
        raise CommandFailed(f"{reports[0]['matched']:,} of {records:,} records are in the Parquet file")
    share = reports[2]["matched"] / records
    peaks = [report["peak_memory_bytes"] / 1e6 for report in reports]
    named = ("every record to Parquet", every), ("to SQLite's staging", staged), ("to SQLite, whole", whole)
    targets = {"every record to Parquet": EVERY_MEGABYTES, "to SQLite's staging": STAGED_MEGABYTES}
    return Part(
        f"Many records wanted: {records:,} records, {size / 1e9:.2f} GB, compressed;"
        f" into SQLite {reports[2]['matched']:,} ({share:.0%}) of them",
        [
            Figure("zstd -dc", walls(zstd), "s"),
            *(Figure(name, walls(taken), "s") for name, taken in named),
            *(
                Figure(name, megabytes_a_second(taken, size), "MB/s", at_least=targets.get(name))
                for name, taken in named
            ),
            *(Figure(f"{name} / zstd -dc", ratio(taken, zstd)) for name, taken in named),
            *(Figure(f"{name}: CPU per GB", cpu_a_gigabyte(taken, size), "s") for name, taken in named),
            *(
                Figure(f"{name}: peak memory", spread([peak]), "MB")
                for (name, _), peak in zip(named, peaks, strict=True)
            ),
        ],
        [
            bench.shown_market("FEED.zst"),
            f"python -m bench.staged {' '.join(bench.arguments('FEED.zst', 'FRESH.db', DENSE)[2:])}",
            bench.shown("FEED.zst", DENSE),
        ],
        disk_notes(samples),
    )


def _checked(bench: Workbench, taken: list[Sample], records: int) -> dict[str, Any]:
    """Return the report of the run that took most memory."""
    reports = [bench.checked(sample, records) for sample in taken]
    return max(reports, key=lambda report: int(report["peak_memory_bytes"]))
