"""The record of runs and of what they rejected: the tables `etl_runs` and `etl_rejects`.

A run's row is there from its start, as failed and interrupted, so that a run that is killed in any way
has told the truth. The transaction that merges its records turns it to succeeded.
"""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import sqlalchemy as sa

from etl.database.access import IDENTITY
from etl.database.schema import Schema, copies, namespace_of
from etl.declare.location import Version
from etl.ledger.report import RunReport
from etl.records.found import Reject

INTERRUPTED = "interrupted: the run did not come to its end"

metadata = sa.MetaData()

runs = sa.Table(
    "etl_runs",
    metadata,
    sa.Column("run_id", IDENTITY, primary_key=True),
    sa.Column("pipeline", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("finished_at", sa.DateTime(timezone=True)),
    sa.Column("seconds", sa.Double),
    sa.Column("head_epoch", sa.BigInteger),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("matched", sa.BigInteger, nullable=False),
    sa.Column("inserted", sa.BigInteger, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Column("unchanged", sa.BigInteger, nullable=False),
    sa.Column("duplicates", sa.BigInteger, nullable=False),
    sa.Column("expired", sa.BigInteger, nullable=False),
    sa.Column("rejected", sa.BigInteger, nullable=False),
    sa.Column("bytes_read", sa.BigInteger, nullable=False),
    sa.Column("bytes_decoded", sa.BigInteger, nullable=False),
    sa.Column("peak_memory_bytes", sa.BigInteger, nullable=False),
)

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

SCHEMA = Schema("etl", metadata, copies(runs, rejects))


def begin(connection: sa.Connection, report: RunReport) -> int:
    """Add the run's row, as interrupted, and return its id."""
    values = dataclasses.asdict(report) | {"status": "failed", "error": INTERRUPTED}
    del values["run_id"]
    key = connection.execute(runs.insert().values(values)).inserted_primary_key
    assert key is not None
    run_id: int = key[0]
    return run_id


def record(connection: sa.Connection, report: RunReport) -> None:
    """Bring the run's row up to the report; never that of a run that was committed."""
    values = dataclasses.asdict(report)
    del values["run_id"]
    unfinished = sa.and_(runs.c.run_id == report.run_id, runs.c.status == "failed")
    connection.execute(runs.update().where(unfinished).values(values))


def was_committed(connection: sa.Connection, run_id: int | None) -> bool:
    """Say whether a run's end was committed, where its connection broke before it could be told."""
    status = connection.execute(sa.select(runs.c.status).where(runs.c.run_id == run_id)).scalar()
    return status == "succeeded"


def overtaken(connection: sa.Connection, pipeline: str, run_id: int) -> bool:
    """Say whether a later run of the pipeline was committed, while this one had lost its lock."""
    later = (runs.c.pipeline == pipeline, runs.c.run_id > run_id, runs.c.status == "succeeded")
    return connection.execute(sa.select(runs.c.run_id).where(*later).limit(1)).first() is not None


def recall(connection: sa.Connection, report: RunReport) -> None:
    """Bring the report up to the run's row."""
    row = connection.execute(sa.select(runs).where(runs.c.run_id == report.run_id)).one()
    for name, value in row._mapping.items():
        setattr(report, name, value.replace(tzinfo=UTC) if isinstance(value, datetime) else value)


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
    """Note what a run has seen the whole of; `fingerprint` is of what it asked."""
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


def latest_runs(count: int) -> sa.Select[tuple[object, ...]]:
    """Return the query for the latest runs, the latest first."""
    return sa.select(runs).order_by(runs.c.run_id.desc()).limit(count)


def rejects_of(run_id: int | None) -> sa.Select[tuple[object, ...]]:
    """Return the query for the rejects of a run (None: of the latest run that has any)."""
    wanted = run_id if run_id is not None else sa.select(sa.func.max(rejects.c.run_id)).scalar_subquery()
    return sa.select(rejects).where(rejects.c.run_id == wanted).order_by(rejects.c.sequence)
