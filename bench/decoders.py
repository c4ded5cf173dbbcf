"""Feeds compressed by gzip and LZ4: a run against the command, and against etl's own decoder alone."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path

from bench.measure import Sample, in_turn, measured, megabytes_a_second, ratio, walls
from bench.report import Figure, Part
from bench.workbench import REGION_RECORDS, ROOT, Workbench
from etl.source.feed import Source, open_feed

CODECS = {"gz": "gzip", "lz4": "lz4"}
"""The ends of their files' names, and the commands."""

BOUND = 1.15
"""A run that is bound by its decoder takes at most this many times as long as that alone."""

_BUFFER = 3 << 20


def decoders(bench: Workbench) -> Part:
    """Measure runs and decoders in turn, over a feed of a gigabyte at most."""
    records = min(bench.records, REGION_RECORDS)
    plain = bench.feed(records)
    size = plain.stat().st_size
    figures, notes = [], []
    for suffix, command in CODECS.items():
        file = bench.recompressed(plain, suffix)
        commands = {"decoder": partial(_decoder, bench, file), "etl": partial(bench.run_etl, str(file))}
        if shutil.which(command) is None:
            notes.append(f"The command {command} is not on the PATH.")
        else:
            commands["command"] = partial(_command, bench, command, file)
        samples = in_turn(commands, bench.runs)
        for sample in samples["etl"]:
            bench.checked(sample, records)
        etl, decoder = samples["etl"], samples["decoder"]
        if "command" in samples:
            figures.append(Figure(f"{command} -dc", walls(samples["command"]), "s"))
        figures += [
            Figure(f"{command}: etl's decoder alone", walls(decoder), "s"),
            Figure(f"{command}: etl", walls(etl), "s"),
            Figure(f"{command}: etl", megabytes_a_second(etl, size), "MB/s"),
            Figure(f"{command}: etl / its decoder alone", ratio(etl, decoder), at_most=BOUND),
        ]
        if "command" in samples:
            figures.append(Figure(f"{command}: etl / {command} -dc", ratio(etl, samples["command"])))
    return Part(
        f"Other compressions: {records:,} records, {size / 1e9:.2f} GB",
        figures,
        ["gzip -dc FEED.gz > /dev/null", "lz4 -dc FEED.lz4 > /dev/null", bench.shown("FEED.gz")],
        notes,
    )


def _command(bench: Workbench, command: str, file: Path) -> Sample:
    return measured([command, "-dc", str(file)], bench.scratch, bench.env, discard=True)


def _decoder(bench: Workbench, file: Path) -> Sample:
    env = {**bench.env, "PYTHONPATH": str(ROOT)}
    return measured([sys.executable, "-m", "bench.decoders", str(file)], bench.scratch, env)


def main(file: str) -> None:
    """Decompress a file as a run's reader does, to nowhere."""
    buffer = memoryview(bytearray(_BUFFER))
    with open_feed(Source(file)) as feed:
        assert feed is not None
        while feed.readinto(buffer):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
