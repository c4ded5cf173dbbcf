"""The life of deals in the database: proposals that others insert, what the chain says, and time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.command import Etl
from tests.support.databases import Tables, moment
from tests.support.twin.deals import plain_row

from .checks import HEAD_TIME, assert_accounts_balance, history
from .feeds import HEAD, OURS, Pairs, as_object, deal

AHEAD = HEAD + 1000
"""An epoch that the head has not reached yet."""

UNSEALED = {"SectorStartEpoch": -1, "LastUpdatedEpoch": -1}


def proposal(state: str, deal_id: int | None, piece: str, **values: Any) -> dict[str, Any]:
    """A deal as whoever made it has inserted it."""
    return {
        "state": state, "deal_id": deal_id, "client_id": "t0100", "provider": "t05", "piece_cid": piece,
        "start_epoch": AHEAD, "end_epoch": AHEAD + 1000,
    } | values  # fmt: skip


def on_chain(piece: str, **values: Any) -> dict[str, Any]:
    """A record of an active deal like `proposal`."""
    known: dict[str, Any] = {"Provider": "t05", "StartEpoch": AHEAD, "EndEpoch": AHEAD + 1000}
    return deal("t0100", **{"PieceCID": {"/": piece}} | known | values)


LOCAL = (
    proposal("active", 1, "one"),
    proposal("published", 2, "two"),
    proposal("proposed", None, "three"),
    proposal("active", 4, "four", start_epoch=100, end_epoch=200),
    proposal("active", None, "five", start_epoch=100, end_epoch=200),
    proposal("published", 6, "six", start_epoch=100),
)
FEED: Pairs = [
    ("1", on_chain("one", state={"SlashEpoch": 3_000_000})),
    ("2", on_chain("two")),
    ("3", on_chain("three", state=UNSEALED)),
    ("7", on_chain("seven")),
    ("8", deal("t0101", EndEpoch=200)),
]
RUN = ("run", "deals", "--json", "-q")


def prepared(etl: Etl, tables: Tables, *deals: dict[str, Any], wallet: str = "t0100") -> None:
    """Have the tables made, a wallet tracked, and deals inserted."""
    assert etl("wallets", "add", "--database", tables.url, wallet).status == 0
    tables.insert("deals", *deals)


def run(etl: Etl, tables: Tables, feed: Pairs, *args: str, head: int = HEAD) -> dict[str, Any]:
    """Run for the wallets of the table."""
    source = etl.file(as_object(feed))
    at = ("--source", source, "--database", tables.url, "--head-epoch", str(head))
    completed = etl(*RUN, *at, *args)
    assert (completed.status, completed.stderr) == (0, "")
    assert_accounts_balance(completed.report)
    return completed.report


def states(tables: Tables) -> dict[str, tuple[Any, ...]]:
    """By piece: the deal's id and state."""
    return {row["piece_cid"]: (row["deal_id"], row["state"]) for row in tables.rows("deals")}


def figures(report: dict[str, Any], *names: str) -> list[int]:
    return [report[name] for name in names or ("inserted", "updated", "unchanged", "expired")]


def test_deals_come_to_what_the_chain_and_time_make_of_them(etl: Etl, tables: Tables) -> None:
    prepared(etl, tables, *LOCAL)
    report = run(etl, tables, FEED)
    assert figures(report) == [1, 3, 0, 3]
    assert states(tables) == {
        "one": (1, "slashed"),
        "two": (2, "active"),
        "three": (3, "published"),
        "four": (4, "expired"),
        "five": (None, "expired"),
        "six": (6, "proposal_expired"),
        "seven": (7, "active"),
    }
    for row in tables.rows("deals"):
        verified_at = row["last_verified_at"]
        if row["piece_cid"] in ("two", "seven"):
            assert moment(verified_at) == HEAD_TIME
        else:
            assert verified_at is None
    first = report["run_id"]
    changed = [
        (1, "active", "slashed", HEAD, first),
        (2, "published", "active", HEAD, first),
        (3, "proposed", "published", HEAD, first),
        (4, "active", "expired", HEAD, first),
        (None, "active", "expired", HEAD, first),
        (6, "published", "proposal_expired", HEAD, first),
        (7, None, "active", HEAD, first),
    ]
    assert sorted(history(tables), key=str) == sorted(changed, key=str)

    # Its start passes, and it was not sealed.
    head = AHEAD + 1
    report = run(etl, tables, FEED, head=head)
    assert figures(report) == [0, 0, 4, 1]
    assert states(tables)["three"] == (3, "proposal_expired")
    changed.append((3, "published", "proposal_expired", head, report["run_id"]))
    assert sorted(history(tables), key=str) == sorted(changed, key=str)


def test_running_again_changes_nothing_at_all(etl: Etl, tables: Tables) -> None:
    prepared(etl, tables, *LOCAL)
    run(etl, tables, FEED)
    before = tables.dump()
    for args in ((), ("--limit", "2"), ("--on-error", "salvage"), ("--dry-run",)):
        report = run(etl, tables, FEED, *args)
        assert figures(report, "inserted", "updated", "expired") == [0, 0, 0]
        assert tables.dump() == before


def test_a_deal_that_the_run_of_a_lost_ledger_has_left_is_known_as_any(etl: Etl, tables: Tables) -> None:
    prepared(etl, tables)
    run(etl, tables, [("7", on_chain("seven", EndEpoch=AHEAD))])
    tables.execute("DELETE FROM etl_sources", "DELETE FROM etl_runs")
    before = tables.dump()
    report = run(etl, tables, [("7", on_chain("seven", EndEpoch=AHEAD))])
    assert figures(report) == [0, 0, 1, 0]
    assert tables.dump() == before


@pytest.mark.parametrize("args", [("--limit", "100"), ("--on-error", "salvage")], ids=" ".join)
def test_only_a_run_that_saw_everything_sweeps(etl: Etl, tables: Tables, args: tuple[str, ...]) -> None:
    prepared(etl, tables, *LOCAL)
    report = run(etl, tables, FEED, *args)
    assert figures(report) == [1, 3, 0, 0]
    unswept = {"four": (4, "active"), "five": (None, "active"), "six": (6, "published")}
    assert states(tables).items() >= unswept.items()
    assert figures(run(etl, tables, FEED)) == [0, 0, 4, 3]


def test_a_run_that_fails_sweeps_nothing(etl: Etl, tables: Tables) -> None:
    prepared(etl, tables, *LOCAL)
    before = tables.dump()
    source = etl.file(as_object(FEED)[:-1])
    completed = etl(*RUN, "--source", source, "--database", tables.url, "--head-epoch", str(HEAD))
    assert completed.status == 65
    assert tables.dump() == before


def test_the_sweep_ends_deals_of_wallets_that_are_not_tracked(etl: Etl, tables: Tables) -> None:
    others = [
        proposal("active", None, "a", client_id="t0999", end_epoch=HEAD - 1),
        proposal("active", None, "b", client_id="t0999", end_epoch=HEAD),
        proposal("proposed", None, "c", client_id="t0999", start_epoch=HEAD - 1),
        proposal("proposed", None, "d", client_id="t0999", start_epoch=HEAD),
        proposal("proposed", None, "e", client_id="t0999", start_epoch=None, end_epoch=None),
        proposal("rejected", None, "f", client_id="t0999", start_epoch=1, end_epoch=2),
    ]
    prepared(etl, tables, *others)
    assert figures(run(etl, tables, FEED[-1:])) == [0, 0, 0, 2]
    found = {piece: state for piece, (_, state) in states(tables).items()}
    assert "".join(found) == "abcdef"
    assert list(found.values()) == [
        "expired", "active", "proposal_expired", "proposed", "proposed", "rejected",
    ]  # fmt: skip


def test_equal_proposals_take_equal_deals_in_their_order(etl: Etl, tables: Tables) -> None:
    same = [proposal(state, None, "same") for state in ("proposed", "error", "expired", "published")]
    prepared(etl, tables, *same, proposal("proposed", None, "other"))
    tables.insert("deals", proposal("proposed", None, "same") | {"piece_cid": None})
    feed = [(str(key), on_chain("same")) for key in (30, 9, 200, 11)]
    report = run(etl, tables, [*feed, ("5", on_chain("same", PieceCID=None))])
    rows = tables.rows("deals")
    assert [row["deal_id"] for row in rows[:6]] == [9, 11, None, 30, None, 5]
    assert [(row["deal_id"], row["state"]) for row in rows[6:]] == [(200, "active")]
    assert figures(report) == [1, 4, 0, 0]


def test_a_proposal_that_lacks_nothing_but_its_id_is_updated(etl: Etl, tables: Tables) -> None:
    record = deal(OURS[0])
    prepared(etl, tables, plain_row(record, HEAD), wallet=OURS[0])
    assert figures(run(etl, tables, [("12", record)])) == [0, 1, 0, 0]
    (row,) = tables.rows("deals")
    assert row["deal_id"] == 12
    assert moment(row["last_verified_at"]) == HEAD_TIME
    assert history(tables) == []


def test_a_deal_that_stands_in_the_feed_again_and_again_takes_no_longer_for_it(
    etl: Etl, tables: Tables
) -> None:
    """To compare each record with each other one would take minutes."""
    prepared(etl, tables, wallet=OURS[0])
    feed: Pairs = [("7", deal(Label=str(number))) for number in range(40_000)]
    report = run(etl, tables, feed)
    assert figures(report, "matched", "inserted", "duplicates") == [40_000, 1, 39_999]
    assert tables.deals()[7]["label"] == "39999"
