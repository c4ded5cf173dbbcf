"""Feeds of several zstd frames, which can be decompressed at once, beside the same feed as one frame.

`python -m bench.frames FEED THREADS` decompresses a feed to nowhere, as the reader of a run does.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import zstandard

from bench.measure import Sample, in_turn, measured, ratio, spread, walls
from bench.report import Figure, Part
from bench.workbench import Workbench, compressed
from etl.declare.location import Source
from etl.source.feed import open_feed

AGAINST_ONE = 1.05
"""Several frames take at most this many times as long as one, on any number of cores."""

THREADS = 2
"""What is measured beside the default."""

MEBIBYTE = 1 << 20
LAYOUTS = {"pzstd": 8 * MEBIBYTE, "seekable": 2 * MEBIBYTE}
"""The frames that `pzstd -3` cuts, and usual ones of the seekable format, in bytes of plain text."""


def frames(bench: Workbench) -> Part:
    """Measure `zstd -dc`, runs on one frame and on several, and decompression by itself, in turn."""
    plain = bench.feed()
    one = compressed(plain)
    feeds = {layout: _in_frames(plain, layout) for layout in LAYOUTS}
    many = {f"{layout}{by}": (feeds[layout], threads) for layout in LAYOUTS for by, threads in _BY.items()}
    samples = in_turn(
        {
            "zstd": lambda: bench.run_zstd(one),
            "one": lambda: _run(bench, one),
            **{name: partial(_run, bench, feed, threads) for name, (feed, threads) in many.items()},
            "alone": lambda: _decompress(bench, feeds["pzstd"], 1),
            "alone, threads": lambda: _decompress(bench, feeds["pzstd"], THREADS),
        },
        bench.runs,
    )
    runs = {name: samples[name] for name in ("one", *many)}
    peaks = {
        name: spread(bench.checked(sample, bench.records)["peak_memory_bytes"] / 1e6 for sample in taken)
        for name, taken in runs.items()
    }
    size = plain.stat().st_size / 1e9
    return Part(
        f"Frames: {bench.records:,} records, {size:.2f} GB, as one zstd frame and as several",
        [
            Figure("zstd -dc, one frame", walls(samples["zstd"]), "s"),
            *(Figure(f"etl, {name}", walls(taken), "s") for name, taken in runs.items()),
            *(
                Figure(
                    f"etl, {name} / one", ratio(runs[name], runs["one"]),
                    at_most=AGAINST_ONE if threads is None else None,
                )
                for name, (_, threads) in many.items()
            ),
            *(Figure(f"etl, {name}: CPU", spread(s.cpu for s in runs[name]), "s") for name in runs),
            *(Figure(f"etl, {name}: memory", peak, "MB") for name, peak in peaks.items()),
            Figure("decompression alone, by the reader", walls(samples["alone"]), "s"),
            Figure(f"decompression alone, {THREADS} threads", walls(samples["alone, threads"]), "s"),
            Figure("threads / reader", ratio(samples["alone, threads"], samples["alone"])),
        ],
        ["zstd -dc FEED.zst > /dev/null", bench.shown("FEED.zst"), f"... --threads {THREADS}"],
    )  # fmt: skip


_BY = {"": None, f", {THREADS} threads": THREADS}


def _run(bench: Workbench, feed: Path, threads: int | None = None) -> Sample:
    database = bench.scratch / "frames.db"
    more = [] if threads is None else ["--threads", str(threads)]
    try:
        command = [bench.etl, *bench.arguments(str(feed), database), *more]
        return measured(command, bench.scratch, bench.env)
    finally:
        database.unlink(missing_ok=True)


def _decompress(bench: Workbench, feed: Path, threads: int) -> Sample:
    command = [sys.executable, "-m", "bench.frames", str(feed), str(threads)]
    return measured(command, Path(__file__).parents[1], bench.env)


def _in_frames(plain: Path, layout: str) -> Path:
    """Return a feed compressed as `zstd -3` does it, in frames."""
    packed = plain.with_name(f"{plain.stem}-{layout}{plain.suffix}.zst")
    if not packed.exists():
        print(f"compressing {packed}", file=sys.stderr, flush=True)
        part = packed.with_suffix(".part")
        sizes = []
        with plain.open("rb") as source, part.open("wb") as target:
            while data := source.read(LAYOUTS[layout]):
                # pzstd writes no sizes of contents, but checksums.
                frame = zstandard.ZstdCompressor(write_checksum=True, write_content_size=layout != "pzstd")
                stream = frame.compressobj(len(data) if layout != "pzstd" else -1)
                block = stream.compress(data) + stream.flush()
                if layout == "pzstd":
                    target.write(_skippable(0, struct.pack("<I", len(block))))
                target.write(block)
                sizes.append((len(block), len(data)))
            if layout == "seekable":
                target.write(_seek_table(sizes))
        part.replace(packed)
    return packed


def _skippable(kind: int, data: bytes) -> bytes:
    """Return a frame that decoders pass over (RFC 8878, 3.1.2)."""
    return struct.pack("<II", 0x184D2A50 + kind, len(data)) + data


def _seek_table(sizes: Sequence[tuple[int, int]]) -> bytes:
    """Return what ends a file in zstd's seekable format (its contrib/seekable_format)."""
    entries = b"".join(struct.pack("<II", *pair) for pair in sizes)
    return _skippable(0xE, entries + struct.pack("<IBI", len(sizes), 0, 0x8F92EAB1))


def main(feed: str, threads: str) -> None:
    buffer = memoryview(bytearray(3 * MEBIBYTE))
    with open_feed(Source(feed), threads=int(threads)) as opened:
        assert opened is not None
        while opened.readinto(buffer):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
