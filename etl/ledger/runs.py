"""The record of runs and of what they rejected: the tables `etl_runs` and `etl_rejects`.

A run's row is there from its start, as failed and interrupted, so that the row of a run that is killed in
any way is right. The transaction that merges its records turns it to succeeded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from etl.database.access import IDENTITY
from etl.database.schema import Schema, add_columns, copies, namespace_of, required_columns
from etl.declare.location import Version
from etl.ledger.report import COMMON, COUNTS_BEFORE, FIGURES_BEFORE, RunReport
from etl.records.found import Reject

INTERRUPTED = "interrupted: the run did not come to its end"

_KINDS: dict[str, Callable[[str], sa.Column[object]]] = {
    "run_id": lambda name: sa.Column(name, IDENTITY, primary_key=True),
    "pipeline": lambda name: sa.Column(name, sa.Text, nullable=False),
    "source": lambda name: sa.Column(name, sa.Text, nullable=False),
    "status": lambda name: sa.Column(name, sa.Text, nullable=False),
    "error": lambda name: sa.Column(name, sa.Text),
    "started_at": lambda name: sa.Column(name, sa.DateTime(timezone=True), nullable=False),
    "finished_at": lambda name: sa.Column(name, sa.DateTime(timezone=True)),
    "seconds": lambda name: sa.Column(name, sa.Double),
}
"""The columns of `etl_runs` that are no counts."""


def _figure(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger)


def _count(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _runs_table(
    metadata: sa.MetaData, figures: Collection[str] = (), counts: Collection[str] = ()
) -> sa.Table:
    """Return the table `etl_runs` with the columns of a pipeline's own figures and counts."""
    columns: list[sa.Column[object]] = []
    for name in COMMON:
        if name == FIGURES_BEFORE:
            columns += map(_figure, figures)
        if name == COUNTS_BEFORE:
            columns += map(_count, counts)
        columns.append(_KINDS.get(name, _count)(name))
    return sa.Table("etl_runs", metadata, *columns)


metadata = sa.MetaData()

runs = _runs_table(metadata)
"""The columns that the runs of every pipeline have."""

versions = sa.Table(
    "etl_sources",
    metadata,
    sa.Column("pipeline", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("etag", sa.Text),
    sa.Column("last_modified", sa.Text),
    sa.Column("size", sa.BigInteger),
    sa.Column("run_id", sa.ForeignKey(runs.c.run_id), nullable=False),
)
"""What the server of a feed said of it when a run last saw the whole of it, and what was asked of it."""

rejects = sa.Table(
    "etl_rejects",
    metadata,
    sa.Column("run_id", sa.ForeignKey(runs.c.run_id), primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("byte_offset", sa.BigInteger, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
)

_FURTHER = {runs.name: sa.BigInteger()}
"""Beside these columns, `etl_runs` has those of the figures of all pipelines that ran here."""

SCHEMA = Schema("etl", metadata, copies(runs, rejects), further=_FURTHER)
"""For commands that only read the ledger, whichever pipelines have written to it."""


def schema_for(report: RunReport) -> Schema:
    """Return the ledger's tables; where they are not there yet, they are made with a pipeline's figures."""
    made = sa.MetaData()
    _runs_table(made, report.figures, report.counts)
    for table in (versions, rejects):
        table.to_metadata(made)
    return Schema("etl", made, SCHEMA.first, further=_FURTHER)


def begin(connection: sa.Connection, report: RunReport) -> int:
    """Add the run's row, as interrupted, and return its id.

    Columns for the pipeline's figures come to be when it first runs in a database that another pipeline
    has made; of other pipelines' figures, those that cannot be null are 0.
    """
    members = report.members()
    names = set(_names(connection))
    foreign: list[str] = []
    if names != members.keys():
        counts = {name: "NOT NULL DEFAULT 0" for name in report.counts}
        missing = {name: f"BIGINT {counts.get(name, '')}" for name in members if name not in names}
        add_columns(connection, runs.name, missing)
        foreign = [name for name in required_columns(connection, runs.name) if name not in members]
    table = _runs_table(sa.MetaData(), report.figures, (*report.counts, *foreign))
    values = members | {"status": "failed", "error": INTERRUPTED} | dict.fromkeys(foreign, 0)
    del values["run_id"]
    key = connection.execute(table.insert().values(values)).inserted_primary_key
    assert key is not None
    run_id: int = key[0]
    return run_id


def record(connection: sa.Connection, report: RunReport) -> None:
    """Bring the run's row up to the report; never that of a run that was committed."""
    table = _table_of(report)
    values = report.members()
    del values["run_id"]
    unfinished = sa.and_(table.c.run_id == report.run_id, table.c.status == "failed")
    connection.execute(table.update().where(unfinished).values(values))


def _table_of(report: RunReport) -> sa.Table:
    return _runs_table(sa.MetaData(), report.figures, report.counts)


def _names(connection: sa.Connection) -> list[str]:
    """Return the names of the columns that `etl_runs` has, which depend on what pipelines ran."""
    return list(connection.execute(sa.select(sa.text("*")).select_from(runs).where(sa.false())).keys())


def was_committed(connection: sa.Connection, run_id: int | None) -> bool:
    """Say whether a run was committed, where its connection broke before the answer to the commit came."""
    status = connection.execute(sa.select(runs.c.status).where(runs.c.run_id == run_id)).scalar()
    return status == "succeeded"


def overtaken(connection: sa.Connection, pipeline: str, run_id: int) -> bool:
    """Say whether a later run of the pipeline was committed, while this one had lost its lock."""
    later = (runs.c.pipeline == pipeline, runs.c.run_id > run_id, runs.c.status == "succeeded")
    return connection.execute(sa.select(runs.c.run_id).where(*later).limit(1)).first() is not None


def recall(connection: sa.Connection, report: RunReport) -> None:
    """Bring the report up to the run's row."""
    table = _table_of(report)
    row = connection.execute(sa.select(table).where(table.c.run_id == report.run_id)).one()
    report.restore(
        {
            name: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
            for name, value in row._mapping.items()
        }
    )


def record_rejects(connection: sa.Connection, run_id: int, found: list[Reject]) -> None:
    """Add what a run rejected, in the order of the feed."""
    if found:
        rows = [
            {
                "run_id": run_id, "sequence": sequence, "byte_offset": reject.offset,
                "key": reject.key, "reason": reject.reason, "raw": reject.raw,
            }
            for sequence, reject in enumerate(found)
        ]  # fmt: skip
        connection.execute(rejects.insert(), rows)


def known_version(
    connection: sa.Connection, pipeline: str, source: str, fingerprint: str
) -> Version | None:
    """Return the version of a feed that a run which asked the same of it has seen the whole of, if any."""
    seen = sa.and_(_feed_of(pipeline, source), versions.c.fingerprint == fingerprint)
    query = sa.select(versions.c.etag, versions.c.last_modified, versions.c.size).where(seen)
    row = connection.execute(query).first()
    return Version(*row) if row else None


def remember_version(
    connection: sa.Connection, pipeline: str, source: str, fingerprint: str, version: Version, run_id: int
) -> None:
    """Note the version of a feed that a run has read to its end; `fingerprint` is of what it asked for."""
    connection.execute(sa.delete(versions).where(_feed_of(pipeline, source)))
    row = {"pipeline": pipeline, "source": source, "fingerprint": fingerprint, "run_id": run_id}
    connection.execute(sa.insert(versions).values(row | dataclasses.asdict(version)))


def _feed_of(pipeline: str, source: str) -> sa.ColumnElement[bool]:
    return sa.and_(versions.c.pipeline == pipeline, versions.c.source == source)


def run_at_work(connection: sa.Connection, pipeline: str, but: int | None = None) -> str:
    """Return what is known of the run, other than `but`, that holds the lock, to be added to a sentence."""
    unfinished = (runs.c.pipeline == pipeline, runs.c.error == INTERRUPTED)
    query = sa.select(runs.c.run_id, runs.c.started_at).where(*unfinished).order_by(runs.c.run_id.desc())
    if but is not None:
        query = query.where(runs.c.run_id != but)
    with connection.begin():  # whoever waits must not hold what SQLite has locked for it to read
        known = sa.inspect(connection).has_table(runs.name, namespace_of(connection))
        row = connection.execute(query.limit(1)).first() if known else None
    return f": run {row.run_id}, since {row.started_at:%Y-%m-%d %H:%M:%S} UTC" if row else ""


def latest_runs(connection: sa.Connection, count: int) -> sa.Select[Any]:
    """Return the query for the latest runs, the latest first, with the figures of all pipelines."""
    columns: list[Any] = [
        runs.c[name] if name in runs.c else sa.column(name) for name in _names(connection)
    ]
    query: sa.Select[Any] = sa.select(*columns)
    return query.select_from(runs).order_by(runs.c.run_id.desc()).limit(count)


def rejects_of(_connection: sa.Connection, run_id: int | None) -> sa.Select[tuple[object, ...]]:
    """Return the query for the rejects of a run (None: of the latest run that has any)."""
    wanted = run_id if run_id is not None else sa.select(sa.func.max(rejects.c.run_id)).scalar_subquery()
    return sa.select(rejects).where(rejects.c.run_id == wanted).order_by(rejects.c.sequence)
