"""From the staged records to the tables, in sets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from etl.pipeline import Selection, Statement
from pipelines.deals.chain import time_of
from pipelines.deals.tables import FEED_COLUMNS, changes, deals, staging


def merge(run_id: int, selection: Selection) -> list[Statement]:
    """Return the steps that bring `deals` up to the staged records, and every change into the history."""
    epoch = selection.head_epoch
    assert epoch is not None
    now = datetime.now(UTC)
    return [
        Statement(sa.schema.CreateIndex(sa.Index("staging_deal_ids", staging.c.deal_id))),
        Statement(_drop_duplicates(), counts="duplicates"),
        Statement(_note_changes(run_id, epoch, now)),
        Statement(_update(run_id, epoch, now), counts="updated"),
        Statement(_insert(run_id, epoch, now), counts="inserted"),
        Statement(_note_inserted(run_id, epoch, now)),
    ]


def _drop_duplicates() -> sa.Delete:
    """Of a deal that stands in the feed more than once, the last record holds."""
    later = staging.alias("later")
    return sa.delete(staging).where(
        sa.exists().where(later.c.deal_id == staging.c.deal_id, later.c.position > staging.c.position)
    )


def _note_changes(run_id: int, epoch: int, now: datetime) -> sa.Insert:
    """Every known deal whose state changes, into the history."""
    found = (
        sa.select(
            deals.c.id, deals.c.state, staging.c.state,
            *_literals(epoch, run_id, now),
        )
        .join_from(staging, deals, staging.c.deal_id == deals.c.deal_id)
        .where(deals.c.state != staging.c.state)
        .order_by(staging.c.position)
    )  # fmt: skip
    return _into_history(found)


def _update(run_id: int, epoch: int, now: datetime) -> sa.Update:
    """Every known deal that differs from its record in any column."""
    became_active = sa.and_(staging.c.state == "active", deals.c.state != "active")
    return (
        sa.update(deals)
        .where(
            deals.c.deal_id == staging.c.deal_id,
            sa.or_(*(deals.c[name].is_distinct_from(staging.c[name]) for name in FEED_COLUMNS)),
        )
        .values(
            {name: staging.c[name] for name in FEED_COLUMNS}
            | {
                "last_verified_at": sa.case(
                    (became_active, _time(time_of(epoch))), else_=deals.c.last_verified_at
                ),
                "updated_at": now,
                "run_id": run_id,
            }
        )
    )


def _insert(run_id: int, epoch: int, now: datetime) -> sa.Insert:
    """Every deal that is not known yet, in the order of the feed."""
    columns = ["deal_id", *FEED_COLUMNS]
    verified_at = sa.case((staging.c.state == "active", _time(time_of(epoch))), else_=sa.null())
    unknown = (
        sa.select(
            *(staging.c[name] for name in columns), verified_at,
            _time(now), _time(now), sa.literal(run_id, sa.BigInteger),
        )
        .where(~sa.exists().where(deals.c.deal_id == staging.c.deal_id))
        .order_by(staging.c.position)
    )  # fmt: skip
    columns += ["last_verified_at", "created_at", "updated_at", "run_id"]
    return sa.insert(deals).from_select(columns, unknown)


def _note_inserted(run_id: int, epoch: int, now: datetime) -> sa.Insert:
    """Every new deal's first state, into the history: only a new one has none there."""
    found = (
        sa.select(
            deals.c.id, sa.null(), deals.c.state,
            *_literals(epoch, run_id, now),
        )
        .where(
            deals.c.run_id == run_id,
            deals.c.created_at == now,
            ~sa.exists().where(changes.c.deals_id == deals.c.id),
        )
        .order_by(deals.c.id)
    )  # fmt: skip
    return _into_history(found)


def _into_history(found: sa.Select[tuple[object, ...]]) -> sa.Insert:
    names = ["deals_id", "previous_state", "new_state", "epoch", "run_id", "changed_at"]
    return sa.insert(changes).from_select(names, found)


def _literals(epoch: int, run_id: int, now: datetime) -> tuple[sa.ColumnElement[Any], ...]:
    return sa.literal(epoch, sa.BigInteger), sa.literal(run_id, sa.BigInteger), _time(now)


def _time(value: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(value, sa.DateTime(timezone=True))


def overview(_selection: Selection) -> sa.Select[tuple[str, int, int]]:
    """Return how many deals the database holds in each state, and of how many wallets."""
    return (
        sa.select(
            deals.c.state,
            sa.func.count().label("deals"),
            sa.func.count(sa.distinct(deals.c.client_id)).label("wallets"),
        )
        .group_by(deals.c.state)
        .order_by(deals.c.state)
    )
