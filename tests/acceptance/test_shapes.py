"""Every shape a feed may have comes to the same: what `json.loads` and a plain loop find in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.command import Completed, Etl, load_each
from tests.support.databases import Database

from .checks import assert_accounts_balance, assert_loaded, history
from .feeds import (
    HEAD,
    OTHER,
    OURS,
    Pairs,
    as_array,
    as_lines,
    as_object,
    as_pretty,
    as_reply,
    awkward,
    deal,
    escaped,
    expected,
    shuffled,
    small,
    spaced,
    without,
)

RECORDS = awkward()
OBJECT = as_object(RECORDS)
COMPACT_ARRAY = json.dumps(json.loads(as_array(RECORDS)), separators=(",", ":")).encode()

SHAPES = {
    "object": OBJECT,
    "object, ASCII only": as_object(RECORDS, ensure_ascii=True),
    "object, pretty": as_pretty(RECORDS),
    "object with a BOM": b"\xef\xbb\xbf" + OBJECT,
    "object, other key order": as_object([(key, shuffled(record, 1)) for key, record in RECORDS]),
    "object, odd white space": spaced(OBJECT, 2),
    "object, client escaped in part": escaped(OBJECT, ".U.u."),
    "object, client's first letter escaped": escaped(OBJECT, "U......."),
    "reply, id last": as_reply(OBJECT),
    "reply, no error at its end": as_reply(OBJECT, "", ',"id":[{}],"error":null'),
    "reply, odd white space": spaced(as_reply(OBJECT), 3),
    "lines": as_lines(RECORDS),
    "lines, id a string": as_lines(RECORDS, number=False),
    "lines, CRLF, blank ones, no end": as_lines(RECORDS, newline="\r\n\r\n \r\n", end=False),
    "lines with a BOM, odd white space": b"\xef\xbb\xbf"
    + b"\n".join(spaced(line, 4, b" \t\r") for line in as_lines(RECORDS).split(b"\n")),
    "lines, one only": as_lines(RECORDS[1:2]),
    "array": as_array(RECORDS),
    "array, id a string, odd white space": spaced(as_array(RECORDS, number=False), 5),
    "array in a reply": as_reply(COMPACT_ARRAY),
}


Loads = dict[str, tuple[Completed, Database]]


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> Loads:
    return load_each(tmp_path_factory, SHAPES)


@pytest.mark.parametrize("shape", SHAPES)
def test_finds_what_a_plain_loop_finds(loads: Loads, shape: str) -> None:
    document, (completed, database) = SHAPES[shape], loads[shape]
    assert (completed.status, completed.stderr) == (0, "")
    report = completed.report
    assert_loaded(report, database, expected(document))
    assert report["bytes_read"] == report["bytes_decoded"] == len(document)


@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ("reply, odd white space", 1),
        ("reply, id last", 900),
        ("array", 64),
        ("object, pretty", 900),
        ("lines", 64),
    ],
)
def test_finds_the_same_wherever_the_feed_is_cut(
    etl: Etl, database: Database, shape: str, chunk: int
) -> None:
    document = SHAPES[shape]
    report = etl.loaded(document, env={"ETL_CHUNK_BYTES": str(chunk)})
    assert_loaded(report, database, expected(document))


@pytest.mark.parametrize("render", [as_object, as_array, as_lines])
def test_nan_for_an_id_is_rejected_and_the_rest_kept(etl: Etl, database: Database, render: Any) -> None:
    pairs: Pairs = [("7", deal(Label="é")), ("NaN", deal())]
    document = render(pairs) if render is as_object else render(pairs, number=False)
    report = etl.loaded(document, "--rejects", "rejects.jsonl")
    assert_loaded(report, database, expected(document))
    assert (report["records"], report["matched"], report["rejected"]) == (2, 1, 1)
    offset = document.index(b'"NaN"') if render is as_object else document.index(b'{"DealID": "NaN"')
    (reject,) = database.rows("etl_rejects")
    assert document[reject["byte_offset"] :].lstrip().startswith(document[offset : offset + 20])
    assert document[offset:].startswith(reject["raw"].strip()[:400])
    assert "id" in reject["reason"]
    (line,) = (etl.directory / "rejects.jsonl").read_text().splitlines()
    written = json.loads(line)
    assert written["offset"] == reject["byte_offset"]
    assert (written["key"], written["reason"]) == (reject["key"], reject["reason"])
    assert written["raw"].encode() == reject["raw"]


def test_of_records_with_the_same_key_the_last_one_holds(etl: Etl, database: Database) -> None:
    pairs = [*small(), ("3", deal()), ("1", deal(OTHER)), ("3", deal(Label="b")), ("3", deal(Label="c"))]
    document = as_object([*pairs, ("1", deal(Label="last", state={"SlashEpoch": 7}))])
    report = etl.loaded(document, env={"ETL_CHUNK_BYTES": "64"})
    assert_loaded_in_any_order(report, database, document)
    assert report["duplicates"] == 3
    assert [database.deals()[1]["label"], database.deals()[3]["label"]] == ["last", "c"]


def test_of_sources_with_the_same_key_the_last_one_holds(etl: Etl, database: Database) -> None:
    pairs = awkward()
    first = as_object([*pairs, ("99", deal(Label="first"))])
    second = as_lines([("99", deal(Label="second")), *pairs[::-1]])
    third = as_reply(as_object([("100", deal())]))
    paths = [etl.file(document, f"{number}") for number, document in enumerate((first, second, third))]
    completed = etl.load(*(part for path in paths for part in ("--source", path)))
    assert completed.status == 0
    assert_loaded_in_any_order(completed.report, database, first, second, third)
    assert completed.report["bytes_decoded"] == len(first) + len(second) + len(third)
    assert database.deals()[99]["label"] == "second"


def test_the_same_source_twice_counts_every_record_as_duplicate(etl: Etl, database: Database) -> None:
    path = etl.file(OBJECT)
    report = etl.load("--source", path, "--source", path).report
    assert_loaded_in_any_order(report, database, OBJECT, OBJECT)
    assert report["duplicates"] == report["inserted"]


def assert_loaded_in_any_order(report: dict[str, Any], database: Database, *documents: bytes) -> None:
    """As `assert_loaded`, for feeds in which a later record replaces an earlier one."""
    wanted = expected(*documents)
    assert {name: report[name] for name in wanted.figures} == wanted.figures
    assert_accounts_balance(report)
    assert database.deals() == wanted.rows
    changes = [(i, None, row["state"], HEAD, report["run_id"]) for i, row in wanted.rows.items()]
    assert sorted(history(database)) == sorted(changes)


# Again -----------------------------------------------------------------------------------------------


def test_the_same_feed_again_changes_nothing(etl: Etl, database: Database) -> None:
    first = etl.loaded(OBJECT)
    before = database.dump()
    again = etl.loaded(SHAPES["lines"])
    assert database.dump() == before
    assert_accounts_balance(again)
    assert again["unchanged"] == again["matched"] == first["inserted"]
    assert (again["inserted"], again["updated"], again["expired"]) == (0, 0, 0)
    assert [run["status"] for run in database.rows("etl_runs")] == ["succeeded", "succeeded"]


def test_a_changed_deal_is_updated_and_its_change_of_state_recorded(etl: Etl, database: Database) -> None:
    unset = {"SectorStartEpoch": -1}
    first = as_object(
        [
            ("1", deal()),
            ("2", deal(state=unset, StartEpoch=HEAD + 9)),
            ("3", deal()),
            ("4", deal()),
            ("5", deal(OTHER)),
        ]
    )
    second = as_lines(
        [
            ("4", without(deal(), "State", "SectorNumber")),  # a column, but not the state
            ("2", deal(StartEpoch=HEAD + 9)),
            ("1", deal(state={"SlashEpoch": HEAD - 5})),
            ("6", deal(OURS[1])),
            ("3", deal()),
        ]
    )
    one = etl.loaded(first)
    before = {row["deal_id"]: row for row in database.rows("deals")}
    two = etl.loaded(second, head=HEAD + 1)
    figures = {"matched": 5, "inserted": 1, "updated": 3, "unchanged": 1, "duplicates": 0, "expired": 0}
    assert {name: two[name] for name in figures} == figures
    assert database.deals() == expected(first, second).rows
    assert history(database)[:4] == [
        (1, None, "active", HEAD, one["run_id"]),
        (2, None, "published", HEAD, one["run_id"]),
        (3, None, "active", HEAD, one["run_id"]),
        (4, None, "active", HEAD, one["run_id"]),
    ]
    assert sorted(history(database)[4:]) == [
        (1, "active", "slashed", HEAD + 1, two["run_id"]),
        (2, "published", "active", HEAD + 1, two["run_id"]),
        (6, None, "active", HEAD + 1, two["run_id"]),
    ]
    after = {row["deal_id"]: row for row in database.rows("deals")}
    assert after[3] == before[3]
    assert after[2]["last_verified_at"] is not None
    for deal_id in (1, 2, 4):
        assert after[deal_id]["id"] == before[deal_id]["id"]
        assert after[deal_id]["created_at"] == before[deal_id]["created_at"]
        assert after[deal_id]["updated_at"] > before[deal_id]["updated_at"]
        assert after[deal_id]["run_id"] == two["run_id"]
