"""A neighbour that scans memory as a run's workers do, until it is killed: `bench.scanner FEED`.

What a run's decompressor has beside it is not just a core that is busy, but one that reads memory: the two
share caches and the way to memory, and a loop of Python's would leave both alone.
"""

from __future__ import annotations

import sys

from bench.workbench import RARE
from etl.records.prefilter import RawFilter

BUFFER_BYTES = 256 << 20
"""How much is scanned over and over: no cache holds it."""

CHUNK_BYTES = 1 << 19
"""How much is looked at in one go."""


def main(feed: str) -> None:
    """Scan the beginning of a plain feed forever; says so on standard output once it has begun."""
    with open(feed, "rb") as file:
        data = memoryview(file.read(BUFFER_BYTES))
    raw_filter = RawFilter(RARE)
    raw_filter.candidates(data[:CHUNK_BYTES])
    print("scanning", flush=True)
    while True:
        for at in range(0, len(data), CHUNK_BYTES):
            raw_filter.candidates(data[at : at + CHUNK_BYTES])


if __name__ == "__main__":
    main(*sys.argv[1:])
