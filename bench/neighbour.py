"""A run against `zstd -dc` that has what a run's decompressor has beside it: a core that scans memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import CommandFailed, Sample, cpu_ratio, disk_notes, in_turn, ratio, walls
from bench.report import Figure, Part
from bench.speed import AGAINST_ZSTD, fewer_noted
from bench.workbench import ROOT, Workbench, compressed
from etl.engine.plan import cores

AGAINST_FLOOR = 1.05
"""A run takes at most this many times as long as decompression does with a scan of memory beside it."""


def neighbour(bench: Workbench) -> Part:
    """Measure `zstd -dc` alone, the same while all cores but one are scanning, and a run, in turn."""
    plain = bench.feed()
    packed = compressed(plain)

    def zstd_beside() -> Sample:
        with neighbours(plain):
            return bench.run_zstd(packed)

    samples = in_turn(
        {
            "alone": lambda: bench.run_zstd(packed),
            "etl": lambda: bench.run_etl(str(packed)),
            "floor": zstd_beside,
        },
        bench.runs,
    )
    for sample in samples["etl"]:
        bench.checked(sample, bench.records)
    alone, floor, etl = samples["alone"], samples["floor"], samples["etl"]
    return Part(
        f"Beside a scan of memory, on {cores() - 1} of {cores()} cores: {bench.records:,} records",
        [
            Figure("zstd -dc, alone", walls(alone), "s"),
            Figure("zstd -dc, beside it", walls(floor), "s"),
            Figure("etl, compressed, alone", walls(etl), "s"),
            Figure("etl alone / zstd -dc beside it", ratio(etl, floor), at_most=AGAINST_FLOOR),
            Figure("etl alone / zstd -dc alone", ratio(etl, alone), at_most=AGAINST_ZSTD),
            Figure("zstd -dc beside it / zstd -dc alone", ratio(floor, alone)),
            Figure("etl alone / zstd -dc beside it: CPU", cpu_ratio(etl, floor)),
        ],
        ["python -m bench.scanner FEED &    # the neighbour", "zstd -dc FEED.zst > /dev/null"],
        [
            *disk_notes({"zstd -dc alone": alone, "zstd -dc beside it": floor, "etl": etl}),
            *fewer_noted(bench),
        ],
    )


@contextmanager
def neighbours(plain: Path) -> Iterator[None]:
    """Have all cores but one scan the beginning of a feed.

    Raises:
        CommandFailed: they do not.
    """
    command = [sys.executable, "-m", "bench.scanner", str(plain)]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(cores() - 1)
    ]
    try:
        for process in running:
            assert process.stdout is not None
            if not process.stdout.readline():  # it says when it has begun
                raise CommandFailed(f"{' '.join(command)}: it has ended")
        yield
    finally:
        for process in running:
            process.kill()
            process.communicate()
