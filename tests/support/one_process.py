"""One feed scanned in this process, without a fork, a queue or a database."""

from __future__ import annotations

import io

from etl.engine.scan import scan
from etl.errors import EmptyFeed
from etl.records.found import Parsed
from etl.records.wanted import Wanted
from etl.source.feed import Counted, Feed, compression
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.selection import Tracked
from tests.acceptance.feeds import HEAD, OURS

WANTED = Wanted(PIPELINE, Tracked(frozenset(OURS), HEAD))
SLAB_BYTES = 1 << 16


def feed_of(stream: bytes) -> Feed:
    """A feed of these bytes, compressed or not."""
    return Feed(Counted(io.BytesIO(stream), b""), compression(stream[:4]), len(stream))


def read(stream: bytes, chunk_bytes: int = SLAB_BYTES) -> Parsed:
    """What a feed holds; raises an `EtlError` if it is not sound."""
    found = Parsed()
    try:
        batches = scan(feed_of(stream), WANTED, chunk_bytes=chunk_bytes, record_bytes=SLAB_BYTES)
    except EmptyFeed:
        return found
    for batch in batches:
        found.records += batch.records
        found.rows += [row for part in batch.parts for row in part if not isinstance(row, int)]
        found.rejects += batch.rejects
    return found
