"""A plain file with one worker, two, and four: what a further process adds."""

from __future__ import annotations

from functools import partial

from bench.measure import in_turn, megabytes_a_second, ratio, walls
from bench.report import Figure, Part
from bench.speed import fewer_noted
from bench.workbench import Workbench
from etl.engine.plan import cores

COUNTS = (1, 2, 4)


def workers(bench: Workbench) -> Part:
    """Measure runs over the plain file, which no decompressor limits."""
    plain = bench.feed()
    size = plain.stat().st_size
    samples = in_turn(
        {
            str(count): partial(bench.run_etl, str(plain), more=("--workers", str(count)))
            for count in COUNTS
        },
        bench.runs,
    )
    for found in samples.values():
        for sample in found:
            bench.checked(sample, bench.records)
    one = samples[str(COUNTS[0])]
    return Part(
        f"Workers, on {cores()} cores: {bench.records:,} records, {size / 1e9:.2f} GB, plain",
        [
            *(Figure(f"--workers {name}", walls(found), "s") for name, found in samples.items()),
            *(
                Figure(f"--workers {name}", megabytes_a_second(found, size), "MB/s")
                for name, found in samples.items()
            ),
            *(
                Figure(f"--workers {count}: times as fast as with 1", ratio(one, samples[str(count)]))
                for count in COUNTS[1:]
            ),
        ],
        [f"{bench.shown('FEED')} --workers N"],
        fewer_noted(bench),
    )
