"""From the staged records to the tables, in sets: one round of the deal's life.

The rules are those of Singularity's deal tracker (its package `dealtracker`):

- A deal that is known by its id takes its record's state, unless that is one that time alone brings
  (`expired`, `proposal_expired`): those come with the sweep.
- A record with an unknown id belongs to a local proposal, if there is one that has no id yet and the same
  client, provider, piece, start and end; of several the k-th belongs to the k-th deal on the chain.
- Any other record is a deal made elsewhere, and inserted.
- The sweep: active deals that have ended expire, and so do proposals that were not sealed by their start.

One epoch, the selection's head, derives and sweeps. Every change of state goes into the history.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from etl.declare.pipeline import Selection
from etl.sink.store import Statement
from pipelines.deals.selection import Tracked
from pipelines.deals.tables import FEED_COLUMNS, addresses, changes, deals

BY_TIME = ("expired", "proposal_expired")
"""The states that a deal comes to by the passing of time alone."""

_AT_ONCE = 1000
"""How many rows of values a statement may have: databases bound the parameters."""

_PROPOSAL = ("client_id", "provider", "piece_cid", "start_epoch", "end_epoch")
"""What tells which proposal a deal on the chain was."""


def merge(run_id: int, selection: Selection, staging: sa.Table) -> list[Statement]:
    """Return the steps that bring `deals` up to the staged records, and every change into the history."""
    assert isinstance(selection, Tracked)
    step = _Merge(run_id, selection, staging)
    index = sa.Index(f"{staging.name}_deal_id", staging.c.deal_id)
    return [
        *step.remember_addresses(),
        Statement(sa.schema.CreateIndex(index)),
        Statement(step.drop_duplicates(), counts="duplicates"),
        Statement(step.adopt_proposals()),
        Statement(step.note_changes()),
        Statement(step.update_known(), counts="updated"),
        Statement(step.insert_unknown(), counts="inserted"),
        Statement(step.note_inserted()),
    ]


def sweep(run_id: int, selection: Selection) -> list[Statement]:
    """Return the steps that end what has ended by the head, whoever's deals they are."""
    assert isinstance(selection, Tracked)
    step = _Step(run_id, selection)
    return [Statement(step.note_swept()), Statement(step.sweep(), counts="expired")]


class _Step:
    """What the statements of one run have in common, and those of its sweep."""

    def __init__(self, run_id: int, selection: Tracked) -> None:
        self._run_id = run_id
        self._head = selection.head_epoch
        self._now = datetime.now(UTC)

    def note_swept(self) -> sa.Insert:
        """Every deal that the sweep will end, into the history."""
        return self._into_history(
            sa.select(deals.c.id, deals.c.state, _ending(), *self._literals())
            .where(self._ended())
            .order_by(deals.c.id)
        )

    def sweep(self) -> sa.Update:
        """End what has ended."""
        return (
            sa.update(deals)
            .where(self._ended())
            .values(state=_ending(), updated_at=self._now, run_id=self._run_id)
        )

    def _ended(self) -> sa.ColumnElement[bool]:
        return sa.or_(
            sa.and_(deals.c.state == "active", deals.c.end_epoch < self._head),
            sa.and_(deals.c.state.in_(["proposed", "published"]), deals.c.start_epoch < self._head),
        )

    def _into_history(self, found: sa.Select[Any]) -> sa.Insert:
        names = ["deals_id", "previous_state", "new_state", "epoch", "run_id", "changed_at"]
        return sa.insert(changes).from_select(names, found)

    def _literals(self) -> tuple[sa.ColumnElement[Any], ...]:
        return (
            sa.literal(self._head, sa.BigInteger),
            sa.literal(self._run_id, sa.BigInteger),
            _time(self._now),
        )


class _Merge(_Step):
    """The statements that merge what is staged."""

    def __init__(self, run_id: int, selection: Tracked, staging: sa.Table) -> None:
        super().__init__(run_id, selection)
        self._staging = staging
        self._resolved = selection.resolved
        self._head_time = _time(selection.head_time)
        # `adopt_proposals` marks the deals that it finds, to tell them from the known, by what no run has
        # for its id (ids come again where the ledger was lost). `update_known` updates them all.
        self._mark = -run_id
        adopted = deals.c.run_id.is_not_distinct_from(self._mark)
        by_time = sa.and_(staging.c.state.in_(BY_TIME), ~adopted)
        self._adopted = adopted
        self._state = sa.case((by_time, deals.c.state), else_=staging.c.state)
        """The state that a deal takes from its record."""

    def remember_addresses(self) -> list[Statement]:
        """What the chain was asked about robust addresses needs not be asked again.

        A run that this one had to wait for may have remembered some of them.
        """
        found = [{"address": address, "id": id_address} for address, id_address in self._resolved]
        statements: list[sa.Executable] = []
        for start in range(0, len(found), _AT_ONCE):
            rows = found[start : start + _AT_ONCE]
            known = addresses.c.address.in_([row["address"] for row in rows])
            statements += [sa.delete(addresses).where(known), sa.insert(addresses).values(rows)]
        return [Statement(statement) for statement in statements]

    def drop_duplicates(self) -> sa.Delete:
        """Of a deal that stands in the feed more than once, the last record holds."""
        staging = self._staging
        # By groups, of which few if any are left: to look for a later record of each would take for ever,
        # if a million of them have one id.
        repeated = (
            sa.select(staging.c.deal_id, sa.func.max(staging.c.position).label("last"))
            .group_by(staging.c.deal_id)
            .having(sa.func.count() > 1)
            .subquery("repeated")
        )
        each = staging.alias("each")
        earlier = (
            sa.select(each.c.position)
            .join_from(repeated, each, each.c.deal_id == repeated.c.deal_id)
            .where(each.c.position < repeated.c.last)
        )
        return sa.delete(staging).where(staging.c.position.in_(earlier))

    def adopt_proposals(self) -> sa.Update:
        """Give local proposals their ids: of equal ones, the k-th its k-th."""
        staging = self._staging
        local, same = deals.alias("local"), deals.alias("same")
        waiting = [local.c.deal_id.is_(None), local.c.state.not_in(BY_TIME)]
        proposals = (
            sa.select(local.c.id, *(local.c[name] for name in _PROPOSAL), _rank(local, local.c.id))
            .where(*waiting)
            .subquery("proposals")
        )
        # Few records, if any, are worth ranking: those that share what an index could hold.
        bounds = ("client_id", "start_epoch", "end_epoch")
        on_chain = (
            sa.select(
                staging.c.deal_id, *(staging.c[name] for name in _PROPOSAL),
                _rank(staging, staging.c.deal_id),
            )
            .where(
                sa.tuple_(*(staging.c[name] for name in bounds)).in_(
                    sa.select(*(local.c[name] for name in bounds)).where(*waiting)
                ),
                ~sa.exists().where(same.c.deal_id == staging.c.deal_id),
            )
            .subquery("on_chain")
        )  # fmt: skip
        equal = [
            proposals.c[name].is_not_distinct_from(on_chain.c[name])
            if name == "piece_cid"
            else proposals.c[name] == on_chain.c[name]
            for name in (*_PROPOSAL, "rank")
        ]
        pairs = (
            sa.select(proposals.c.id, on_chain.c.deal_id)
            .join_from(proposals, on_chain, sa.and_(*equal))
            .subquery("pairs")
        )
        return (
            sa.update(deals)
            .where(deals.c.id == pairs.c.id)
            .values(deal_id=pairs.c.deal_id, run_id=self._mark)
        )

    def note_changes(self) -> sa.Insert:
        """Every known deal whose state changes, into the history."""
        staging = self._staging
        return self._into_history(
            sa.select(deals.c.id, deals.c.state, self._state, *self._literals())
            .join_from(staging, deals, staging.c.deal_id == deals.c.deal_id)
            .where(deals.c.state != self._state)
            .order_by(staging.c.position)
        )

    def update_known(self) -> sa.Update:
        """Every known deal that differs from its record in any column."""
        staging = self._staging
        taken: dict[str, sa.ColumnElement[Any]] = {name: staging.c[name] for name in FEED_COLUMNS}
        taken["state"] = self._state
        became_active = sa.and_(self._state == "active", sa.or_(deals.c.state != "active", self._adopted))
        return (
            sa.update(deals)
            .where(
                deals.c.deal_id == staging.c.deal_id,
                sa.or_(self._adopted, *(deals.c[name].is_distinct_from(taken[name]) for name in taken)),
            )
            .values(
                taken
                | {
                    "last_verified_at": sa.case(
                        (became_active, self._head_time), else_=deals.c.last_verified_at
                    ),
                    "updated_at": self._now,
                    "run_id": self._run_id,
                }
            )
        )

    def insert_unknown(self) -> sa.Insert:
        """Every deal that is not known yet, in no certain order: to sort them would cost a fifth."""
        staging = self._staging
        columns = ["deal_id", *FEED_COLUMNS]
        now = _time(self._now)
        verified_at = sa.case((staging.c.state == "active", self._head_time), else_=sa.null())
        unknown = (
            sa.select(
                *(staging.c[name] for name in columns), verified_at, now, now,
                sa.literal(self._run_id, sa.BigInteger),
            )
            .where(~sa.exists().where(deals.c.deal_id == staging.c.deal_id))
        )  # fmt: skip
        columns += ["last_verified_at", "created_at", "updated_at", "run_id"]
        return sa.insert(deals).from_select(columns, unknown)

    def note_inserted(self) -> sa.Insert:
        """Every new deal's first state, into the history."""
        return self._into_history(
            sa.select(deals.c.id, sa.null(), deals.c.state, *self._literals()).where(
                deals.c.run_id == self._run_id, deals.c.created_at == self._now
            )
        )


def _rank(table: sa.FromClause, order: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """Return a row's number among those with an equal proposal."""
    equal = [table.c[name] for name in _PROPOSAL]
    return sa.func.row_number().over(partition_by=equal, order_by=order).label("rank")


def _ending() -> sa.ColumnElement[str]:
    """Return what a deal becomes that has ended."""
    return sa.case((deals.c.state == "active", "expired"), else_="proposal_expired")


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
