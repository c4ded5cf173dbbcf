"""The parts of a run, each by itself: the raw filter, the parser, the decoder, the bulk insert.

Each benchmark notes how its seconds a round become a figure of the report (`bench.micro`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from pytest_benchmark.fixture import BenchmarkFixture

from etl.database.bulk_inserts import BulkInserts
from etl.database.target import Target
from etl.records.chunks import ChunkParser
from etl.records.prefilter import RawFilter
from etl.records.wanted import Wanted
from etl.shape.layout import Container, Layout, last_boundary
from etl.shape.scanner import Scanner
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.record import Deal, to_row
from pipelines.deals.sample import HEAD_EPOCH, TRACKED, SampleSettings, documents
from pipelines.deals.selection import Tracked
from pipelines.deals.tables import staging

CHUNK_BYTES = 1 << 20
LAYOUT = Layout(Container.OBJECT, (), 1, ("Proposal", "State", "DealID"))
ROWS = 20_000

PREFILTER_NANOSECONDS = 161
DECODE_MICROSECONDS = 2


def chunk(match_share: float) -> bytes:
    """Return about 1 MiB of whole records, of which a share belongs to the tracked wallets."""
    settings = SampleSettings(records=2 * CHUNK_BYTES // 400, match_share=match_share)
    data = b"".join(documents(settings))[LAYOUT.start :]
    return data[: last_boundary(LAYOUT.boundary(), data, 0, CHUNK_BYTES)]


def note(
    benchmark: BenchmarkFixture, figure: str, unit: str, amount: float, factor: float = 0,
    at_most: float | None = None,
) -> None:  # fmt: skip
    """Say what a round's seconds mean: with a factor, units of time for one; without, a rate."""
    benchmark.extra_info.update(
        figure=figure, unit=unit, amount=amount, factor=factor, rate=not factor, at_most=at_most
    )


def others(count: int) -> list[str]:
    """Return wallets that look like a feed's, and own none of its deals."""
    taken = set(re.findall(r'"(?:Client|Provider)":"(f0\d+)"', chunk(0).decode()))
    numbers = random.Random(1).sample(range(1_000, 3_500_000), count + len(taken))
    return [wallet for wallet in (f"f0{number}" for number in numbers) if wallet not in taken][:count]


def parser(wallets: list[str]) -> ChunkParser:
    """Return a parser that wants these wallets."""
    return ChunkParser(Wanted(PIPELINE, Tracked(frozenset(wallets), HEAD_EPOCH)), LAYOUT)


@pytest.mark.parametrize("count", [1, 3, 100, 10_000])
def test_prefilter(benchmark: BenchmarkFixture, count: int) -> None:
    data = memoryview(chunk(0))
    raw_filter = RawFilter(others(count))
    records = len(LAYOUT.boundary().findall(data)) + 1
    found = benchmark(raw_filter.candidates, data)
    assert len(found) < records / 10  # the sample's awkward labels hold escapes
    note(benchmark, f"raw filter, a record, {count:,} wanted", "ns", records, 1e9, PREFILTER_NANOSECONDS)


def test_parse_without_a_match(benchmark: BenchmarkFixture) -> None:
    data = chunk(0)
    parsed = benchmark(parser(others(3)).parse, data, 1)
    assert parsed.records > 2_000
    assert not parsed.rows
    note(benchmark, "parser, no match", "GB/s", len(data) / 1e9)


def test_parse_where_all_match(benchmark: BenchmarkFixture) -> None:
    data = chunk(1)
    parsed = benchmark(parser(list(TRACKED)).parse, data, 1)
    assert parsed.records == len(parsed.rows) > 2_000
    note(benchmark, "chunk to rows where all match, a record", "us", len(parsed.rows), 1e6)


def test_decode(benchmark: BenchmarkFixture) -> None:
    data = chunk(1)
    scanner = Scanner()
    scanner.feed(data)
    begins = [0, *(comma + 1 for comma in scanner.separators)]
    records = [data[a:b] for a, b in zip(begins, [*scanner.separators, len(data)], strict=True)]
    members = [(record[1 : record.index(b'"', 1)].decode(), record.split(b":", 1)[1]) for record in records]
    decode = msgspec.json.Decoder(Deal).decode
    selection = Tracked(frozenset(TRACKED), HEAD_EPOCH)

    def rows() -> list[tuple[Any, ...]]:
        return [to_row(key, decode(value), selection) for key, value in members]

    assert len(benchmark(rows)) == len(members)
    note(benchmark, "decoder and row alone, a record", "us", len(members), 1e6, DECODE_MICROSECONDS)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    """A connection to an SQLite file, as the writer has it."""
    engine = Target(f"sqlite:///{tmp_path}/micro.db").database.engine()
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize("batch", [100, 500, 1_000, 5_000, 20_000])
def test_insert(benchmark: BenchmarkFixture, connection: sa.Connection, batch: int) -> None:
    row = parser(list(TRACKED)).parse(chunk(1), 1).rows[0]
    rows = [(position, *row[1:]) for position in range(ROWS)]
    parts = [msgspec.msgpack.encode(rows[start : start + batch]) for start in range(0, ROWS, batch)]
    loader = BulkInserts(connection, staging, batch)

    def clear() -> None:
        with connection.begin():
            connection.execute(loader.table.delete())

    def insert() -> None:  # as the writer stages what has come together
        for part in parts:
            with connection.begin():
                loader.load([part])

    benchmark.pedantic(insert, setup=clear, rounds=7, warmup_rounds=1)  # type: ignore[no-untyped-call]
    note(benchmark, f"bulk insert into SQLite, {batch:,} rows a batch", "row/s", ROWS)
