"""What cannot be trusted is refused: status 65, one line that says where, and nothing is changed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Completed, Etl, load_each
from tests.support.databases import Database, Tables

from .checks import assert_accounts_balance, assert_refused
from .feeds import (
    OTHER,
    OURS,
    Record,
    as_array,
    as_lines,
    as_object,
    as_reply,
    deal,
    expected,
    small,
    without,
)

Loads = dict[str, tuple[Completed, Database]]

OBJECT = as_object(small())
REPLY = as_reply(OBJECT)


def with_one_bad(bad: bytes, key: str = "77") -> tuple[bytes, int]:
    """An object with a bad member between good ones, and where the member begins."""
    first, last = as_object([("5", deal(Label="é")), ("6", deal(OTHER))]), as_object([("8", deal())])
    head = first[:-1] + b","
    return head + f'"{key}":'.encode() + bad + b"," + last[1:], len(head)


def offset_in(message: str) -> int:
    """The byte offset that a message names."""
    found = re.search(r"\bbyte ([0-9,]+)", message)
    assert found, message
    return int(found[1].replace(",", ""))


def json_error(document: bytes) -> int:
    """The byte offset at which Python's parser gives up."""
    text = document.decode()
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads(text)
    return len(text[: caught.value.pos].encode())


# Feeds that are refused --------------------------------------------------------------------------------

ERROR = '"error":{"code":-32000,"message":"actor \\"f05\\" not found"}'
SAID = 'actor "f05" not found'
BAD = as_object([*small(), ("3", deal(OTHER, Label="BAD"))])

UNUSABLE = {
    "empty file": (b"", "empty"),
    "BOM only": (b"\xef\xbb\xbf", "empty"),
    "not JSON": (b"<html><body>503 Service Unavailable</body></html>", "byte 0"),
    "null": (b"null", "no record"),
    "another document": (b'{"status":"ok","deals":[1,2,3]}', "no record"),
    "error reply": (f'{{"jsonrpc":"2.0",{ERROR},"id":0}}'.encode(), SAID),
    "error reply, result null": (as_reply(b"null", "", f",{ERROR}"), SAID),
    "error reply, result empty": (as_reply(b"{}", f"{ERROR},", ""), SAID),
    "error after the records": (as_reply(OBJECT, "", f",{ERROR}"), SAID),
    "error before the records": (as_reply(OBJECT, f"{ERROR},", ""), SAID),
    "result null": (as_reply(b"null"), "no record"),
    "bad UTF-8 in ours": (as_object([("1", deal(Label="BAD"))]).replace(b"BAD", b"\xc3("), "UTF-8"),
    "bad UTF-8 in another's": (BAD.replace(b"BAD", b"\xff"), "UTF-8"),
    "bad UTF-8 in a line": (as_lines([("3", deal(OTHER, Label="\udc00"))]), "UTF-8"),
    "UTF-16": (OBJECT.decode().encode("utf-16"), "UTF-16"),
    "UTF-16, the other way": (OBJECT.decode().encode("utf-16-be"), "UTF-16"),
    "UTF-32": (OBJECT.decode().encode("utf-32"), "UTF-32"),
    "UTF-16, no BOM": (OBJECT.decode().encode("utf-16-le"), "UTF-16"),
}  # fmt: skip

GOOD = json.dumps(deal()).encode()

# One record between others; Python's parser says where it is wrong.
MALFORMED = {
    "no colon": GOOD.replace(b'"Client":', b'"Client"'),
    "no value": GOOD.replace(b'"PieceSize": 34359738368', b'"PieceSize": '),
    "bad literal in another's": GOOD.replace(b"true", b"True").replace(OURS[0].encode(), b"f07"),
    "raw newline in a string": GOOD.replace(b"mAXCg5AIg", b"a\nb"),
    "two values": GOOD + b" {}",
}
PYTHONIC = {"minus infinity": b"-Infinity"}  # json.loads takes them
SEPARATORS = {"two commas": b", ,", "blanks only": b"  "}
JUNK = {"a letter": b" x", "the same again": OBJECT}
TRAILING = {"object": OBJECT[:-1] + b",}", "array": as_array(small())[:-1] + b", ]"}
TRUNCATED = {
    f"{shape}, {share:.0%}": document[: int(len(document) * share)]
    for shape, document in {"object": OBJECT, "reply": REPLY}.items()
    for share in (0.02, 0.5, 0.95, 0.9999)
}

REFUSED = (
    {name: document for name, (document, _) in UNUSABLE.items()}
    | {f"malformed: {name}": with_one_bad(bad)[0] for name, bad in MALFORMED.items()}
    | {name: with_one_bad(GOOD.replace(b"34359738368", bad))[0] for name, bad in PYTHONIC.items()}
    | {
        f"separator: {name}": as_object([("1", deal())])[:-1] + bad + as_object([("2", deal())])[1:]
        for name, bad in SEPARATORS.items()
    }
    | {f"junk: {name}": REPLY + junk for name, junk in JUNK.items()}
    | {f"trailing comma: {name}": document for name, document in TRAILING.items()}
    | {f"truncated: {name}": document for name, document in TRUNCATED.items()}
)


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory, loaded_once: Path) -> Loads:
    return load_each(tmp_path_factory, REFUSED, start=loaded_once)


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_is_no_sound_feed(loads: Loads, loaded_once: Path, name: str) -> None:
    completed, database = loads[name]
    message = assert_refused(completed, 65, database, Database(loaded_once).dump())
    assert message.startswith(f"{database.path.with_name('feed')}: ")


@pytest.mark.parametrize(("name", "said"), [(name, said) for name, (_, said) in UNUSABLE.items()])
def test_says_why_it_is_no_feed(loads: Loads, name: str, said: str) -> None:
    assert said in loads[name][0].message


EXACT = [name for name in REFUSED if name.startswith(("malformed", "separator"))]


@pytest.mark.parametrize("name", EXACT)
def test_names_the_byte_at_which_a_document_goes_wrong(loads: Loads, name: str) -> None:
    assert offset_in(loads[name][0].message) == json_error(REFUSED[name])


@pytest.mark.parametrize(("name", "bad"), PYTHONIC.items())
def test_what_only_python_calls_json_is_malformed(loads: Loads, name: str, bad: bytes) -> None:
    assert offset_in(loads[name][0].message) == REFUSED[name].index(bad)


@pytest.mark.parametrize(("name", "junk"), JUNK.items())
def test_names_the_byte_at_which_junk_begins(loads: Loads, name: str, junk: bytes) -> None:
    offset = offset_in(loads[f"junk: {name}"][0].message)
    assert offset == len(REPLY) + len(junk) - len(junk.lstrip())


@pytest.mark.parametrize(("name", "document"), TRAILING.items())
def test_names_the_place_of_a_trailing_comma(loads: Loads, name: str, document: bytes) -> None:
    offset = offset_in(loads[f"trailing comma: {name}"][0].message)
    assert document.rindex(b",") <= offset < len(document)


@pytest.mark.parametrize("document", [b"{}", b" [ ] ", as_reply(b"{}")])
def test_a_feed_without_records_is_refused_unless_allowed(
    etl: Etl, database: Database, before: object, document: bytes
) -> None:
    source = etl.file(document)
    message = assert_refused(etl.load("--source", source), 65, database, before)
    assert "no records" in message
    report = etl.loaded(document, "--allow-empty")
    assert (report["status"], report["records"], report["matched"]) == ("succeeded", 0, 0)
    assert database.dump() == before


def test_a_record_may_have_the_key_error(etl: Etl, database: Database) -> None:
    """Only a reply can be an error, not a feed with a member of that name."""
    report = etl.loaded(as_object([("error", deal()), ("1", deal())]))
    assert (report["records"], report["matched"], report["rejected"]) == (2, 1, 1)  # it is no deal id
    report = etl.loaded(as_object([("error", deal(OTHER))]))
    assert (report["records"], report["matched"], report["rejected"]) == (1, 0, 0)
    completed = etl.load("--source", etl.file(b'{"error":{"State":{}}}'), "--allow-empty")
    assert completed.status == 65
    assert "no record found" in completed.message


@pytest.mark.parametrize("name", ["empty file", "error reply, result empty"])
def test_allow_empty_does_not_allow_what_is_no_feed(
    etl: Etl, database: Database, before: object, name: str
) -> None:
    source = etl.file(UNUSABLE[name][0])
    assert_refused(etl.load("--source", source, "--allow-empty"), 65, database, before)


def test_no_matches_is_no_error(etl: Etl, database: Database) -> None:
    report = etl.loaded(as_object(small()[1:]))
    assert (report["status"], report["records"], report["matched"]) == ("succeeded", 1, 0)
    assert database.deals() == {}


def test_a_bad_second_source_spoils_the_first(etl: Etl, database: Database, before: object) -> None:
    good, bad = etl.file(as_object([("88", deal())]), "good"), etl.file(OBJECT[:-1], "bad")
    message = assert_refused(etl.load("--source", good, "--source", bad), 65, database, before)
    assert str(bad) in message


# Salvage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no colon", "bad literal in another's"])
def test_salvage_skips_a_malformed_record_and_keeps_the_rest(
    etl: Etl, database: Database, name: str
) -> None:
    document, offset = with_one_bad(MALFORMED[name])
    report = etl.loaded(document, "--on-error", "salvage")
    good, _ = with_one_bad(json.dumps(deal(OTHER)).encode())
    wanted = expected(good)
    assert database.deals() == wanted.rows
    assert (report["records"], report["matched"], report["rejected"]) == (4, wanted.matched, 1)
    assert_accounts_balance(report)
    (reject,) = database.rows("etl_rejects")
    assert reject["byte_offset"] == offset
    assert offset_in(reject["reason"]) == json_error(document)
    assert document[offset:].startswith(reject["raw"])


def test_salvage_skips_a_malformed_line(etl: Etl, database: Database) -> None:
    first, last = as_lines([("1", deal())]), as_lines([("2", deal())])
    report = etl.loaded(
        first + b'{"DealID": 5, "Proposal": {"Client": "f01\n' + last, "--on-error", "salvage"
    )
    assert (report["matched"], report["rejected"]) == (2, 1)
    assert database.deals() == expected(first + last).rows


def test_salvage_does_not_accept_a_truncated_document(etl: Etl, database: Database, before: object) -> None:
    source = etl.file(OBJECT[:-1])
    assert_refused(etl.load("--source", source, "--on-error", "salvage"), 65, database, before)


# Records that are JSON, but not deals --------------------------------------------------------------------

NOT_A_DEAL: dict[str, tuple[str, Record]] = {
    "PieceSize a string": ("1", deal(PieceSize="34359738368")),
    "PieceSize a fraction": ("1", deal(PieceSize=1.5)),
    "PieceSize over 64 bits": ("1", deal(PieceSize=2**63)),
    "StartEpoch of 30 digits": ("1", deal(StartEpoch=10**29)),
    "VerifiedDeal a number": ("1", deal(VerifiedDeal=1)),
    "VerifiedDeal null": ("1", deal(VerifiedDeal=None)),
    "Label a number": ("1", deal(Label=7)),
    "PieceCID a string": ("1", deal(PieceCID="baga")),
    "price a number": ("1", deal(StoragePricePerEpoch=12)),
    "price no digits": ("1", deal(StoragePricePerEpoch="1.5e3")),
    "State an array": ("1", deal() | {"State": []}),
    "State missing": ("1", without(deal(), "State")),
    "SlashEpoch missing": ("1", without(deal(), "State", "SlashEpoch")),
    "Provider missing": ("1", without(deal(), "Proposal", "Provider")),
    "EndEpoch missing": ("1", without(deal(), "Proposal", "EndEpoch")),
    "Label a lone surrogate": ("1", deal(Label="\ud83d")),
    "id empty": ("", deal()),
    "id a fraction": ("1.5", deal()),
    "id negative": ("-1", deal()),
    "id with a blank": (" 1", deal()),
    "id over 64 bits": (str(2**63), deal()),
    "id a lone surrogate": ("\udc00", deal()),
    "id NUL": ("\x00", deal()),
}


def test_deals_that_are_not_valid_are_rejected_one_by_one_and_the_rest_kept(
    etl: Etl, database: Database
) -> None:
    good = [("101", deal()), ("102", deal(OURS[1], Label="after"))]
    pairs = [good[0], *NOT_A_DEAL.values(), good[1]]
    document = as_object(pairs, ensure_ascii=True)
    report = etl.loaded(document, "--rejects", "rejects.jsonl")
    assert database.deals() == expected(as_object(good)).rows
    rejects = database.rows("etl_rejects")
    for reject, (key, _) in zip(rejects, NOT_A_DEAL.values(), strict=True):
        assert reject["key"] == key or key in ("\udc00", "\0")  # which not every database keeps
        assert document[reject["byte_offset"] :].startswith(json.dumps(key).encode())
        assert document[reject["byte_offset"] :].startswith(reject["raw"])
        assert reject["reason"]
    assert (report["records"], report["rejected"]) == (len(pairs), len(NOT_A_DEAL))
    assert_accounts_balance(report)
    lines = (etl.directory / "rejects.jsonl").read_text().splitlines()
    assert [json.loads(line)["offset"] for line in lines] == [r["byte_offset"] for r in rejects]


def test_a_key_that_is_no_text_is_rejected(etl: Etl, database: Database) -> None:
    document = as_object([("\ud800", deal()), ("1", deal())], ensure_ascii=True)
    report = etl.loaded(document)
    assert (report["matched"], report["rejected"]) == (1, 1)
    (reject,) = database.rows("etl_rejects")
    assert reject["byte_offset"] == 1


def test_ids_that_are_no_ids_are_rejected_in_lines_too(etl: Etl, database: Database) -> None:
    ids: list[Any] = [None, "NaN", 1.0, True, [], -1, 2**63, 10**30, "01", {"a": 1}]
    records = [without(deal(), "State") | {"State": deal()["State"], "DealID": bad} for bad in ids]
    document = b"\n".join(json.dumps(record).encode() for record in [*records, deal()])
    report = etl.loaded(document + b"\n" + as_lines([("3", deal())]))
    assert (report["matched"], report["rejected"]) == (1, len(ids) + 1)
    assert list(database.deals()) == [3]


def test_what_is_wrong_with_deals_of_others_does_not_matter(etl: Etl, database: Database) -> None:
    foreign: list[tuple[str, Any]] = [
        ("NaN", deal(OTHER)),
        ("1", deal(OTHER, PieceSize="x", Label="\ud83d")),
        ("2", deal(OTHER, EndEpoch=10**30)),
        ("3", {}),
        ("4", None),
        ("5", {"Proposal": None, "State": 1e300}),
        ("6", [OTHER]),
        ("7", {"Client": OURS[0], "Proposal": {"Client": OTHER}}),
        ("\ud800", deal(OTHER)),
    ]
    document = as_object([("8", deal()), *foreign, ("9", deal())], ensure_ascii=True)
    document = document.replace(b'"State":1e+300', b'"State":1e400')
    report = etl.loaded(document)
    assert (report["records"], report["matched"], report["rejected"]) == (11, 2, 0)
    assert list(database.deals()) == [8, 9]


def test_a_record_of_ours_whose_client_is_not_where_it_should_be_is_rejected(
    etl: Etl, database: Database
) -> None:
    """Nobody knows whose it is, but it has one of our wallets: it must not go unseen."""
    ours = deal()
    misfits: list[tuple[str, Any]] = [
        ("1", [OURS[0]]),
        ("2", deal() | {"Proposal": [ours["Proposal"]]}),
        ("3", deal([OURS[1]])),  # type: ignore[arg-type]
        ("4", deal({"ID": OURS[0]})),  # type: ignore[arg-type]
        ("5", {"Client": OURS[0], "State": ours["State"]}),
        ("6", without(deal(Owner=OURS[1]), "Proposal", "Client")),
        ("7", deal() | {"Proposal": None, "Deal": ours["Proposal"]}),
        ("8", {OURS[0]: ours["State"]}),
        ("9", OURS[0]),
    ]
    others: list[tuple[str, Any]] = [
        ("21", deal([OTHER])),  # type: ignore[arg-type]
        ("22", deal(OTHER, Label=OURS[0], PieceSize="x")),
    ]
    pairs = [("101", deal()), *misfits, *others, ("102", deal(OURS[1]))]
    for number, document in enumerate(
        [as_object(pairs), as_array(pairs[:1] + pairs[2:8]), as_lines(pairs[2:8])]
    ):
        for workers in ("1", "2"):
            env = {"ETL_CHUNK_BYTES": "700"} if workers == "2" else {}
            report = etl.loaded(document, "--workers", workers, env=env)
            seen = (report["records"], report["matched"], report["rejected"])
            assert seen == ((13, 2, 9), (7, 1, 6), (6, 0, 6))[number]
            assert_accounts_balance(report)
    first = [row for row in database.rows("etl_rejects") if row["run_id"] == 1]
    assert [row["key"] for row in first] == [key for key, _ in misfits]
    assert "$.Proposal" in first[1]["reason"]
    assert "$.Proposal.Client" in first[2]["reason"]


UNUSED = {
    "a lone surrogate": r'"\ud800"',
    "a pair the wrong way round": r'{"a":["\udc00\ud800"]}',
    "a name that is no text": r'{"\ud83d":1,"\udc00":2}',
    "a NUL": r'"a\u0000b"',
    "numbers beyond any type": "[1e400,-1e400,123456789012345678901234567890,1e-400]",
    "depth": "[" * 400 + "]" * 400,
    "an empty name, and names twice": '{"":1,"":2,"Client":[],"Client":{}}',
}


@pytest.mark.parametrize("shape", ["object", "array", "lines"])
def test_what_nobody_uses_may_be_anything_that_is_json(etl: Etl, tables: Tables, shape: str) -> None:
    """The same rows as without it, in SQLite and in PostgreSQL, which holds no NUL."""
    shapes: dict[str, Any] = {"object": as_object, "array": as_array, "lines": as_lines}
    pairs = [(str(number), deal(OURS[number % 2], Label=f"é{number}")) for number in range(len(UNUSED))]
    odd = [
        (key, {**record, "Proposal": {**record["Proposal"], "Note": f"«{name}»"}, "Note": f"«{name}»"})
        for (key, record), name in zip(pairs, UNUSED, strict=True)
    ]
    document = shapes[shape](odd)
    for name, value in UNUSED.items():
        document = document.replace(f'"«{name}»"'.encode(), value.encode())
    report = etl.loaded(document, "--database", tables.url)
    assert (report["matched"], report["rejected"]) == (len(UNUSED), 0)
    assert tables.deals() == expected(as_object(pairs)).rows


def test_numbers_beyond_any_type_are_fine_in_members_that_are_ignored(etl: Etl, database: Database) -> None:
    odd = {"Huge": 123456789012345678901234567890, "Far": "1e400"}
    pairs = [("1", deal(more=odd)), ("2", deal(OTHER, more=odd)), ("3", deal(OURS[1], more=odd))]
    document = as_object(pairs, ensure_ascii=True).replace(b'"1e400"', b"1e400")
    report = etl.loaded(document)
    assert (report["records"], report["matched"], report["rejected"]) == (3, 2, 0)
    assert database.deals() == expected(document).rows


@pytest.mark.parametrize("where", ["first", "between"])
def test_a_record_nested_too_deeply_is_rejected_and_the_rest_kept(
    etl: Etl, database: Database, where: str
) -> None:
    deep = (
        json.dumps(deal(more={"Deep": "DEEP"})).encode().replace(b'"DEEP"', b"[" * 50_000 + b"]" * 50_000)
    )
    document, offset = with_one_bad(deep)
    if where == "first":
        document, offset = b'{"77":' + deep + b"," + with_one_bad(GOOD)[0][1:], 1
    report = etl.loaded(document)
    deals = database.deals()
    assert {5, 8} <= deals.keys()
    assert report["rejected"] == 1
    (reject,) = database.rows("etl_rejects")
    assert reject["byte_offset"] == offset
    assert "deep" in reject["reason"]
    assert document[offset : offset + 1000] == reject["raw"]


@pytest.mark.parametrize("shape", ["object", "last in the object", "lines"])
def test_a_record_over_the_size_limit_is_rejected_and_the_rest_kept(
    etl: Etl, database: Database, shape: str
) -> None:
    good = [("1", deal()), ("3", deal(OTHER)), ("4", deal())]
    pairs = list(good)
    pairs.insert(3 if shape.startswith("last") else 1, ("2", deal(Label="x" * 50_000)))
    render = {"lines": as_lines, "array": as_array}.get(shape, as_object)
    document = render(pairs)
    report = etl.loaded(document, env={"ETL_RECORD_BYTES": "8192"})
    assert (report["records"], report["matched"], report["rejected"]) == (4, 2, 1)
    assert_accounts_balance(report)
    assert database.deals() == expected(as_object(good)).rows
    (reject,) = database.rows("etl_rejects")
    assert document[reject["byte_offset"] :].lstrip().startswith(reject["raw"].lstrip())
    assert b"x" * 100 in reject["raw"]


# How much is tolerated -----------------------------------------------------------------------------------


def test_on_error_fail_stops_at_the_first_reject(etl: Etl, database: Database, before: object) -> None:
    document, offset = with_one_bad(GOOD, key="NaN")
    completed = etl.load("--source", etl.file(document), "--on-error", "fail")
    message = assert_refused(completed, 65, database, before)
    assert offset_in(message) == offset
    assert completed.report["status"] == "failed"
    assert completed.report["error"] == message


def test_more_rejects_than_allowed_fail_the_run(etl: Etl, database: Database, before: object) -> None:
    pairs = [("1", deal()), ("NaN", deal()), ("x", deal()), ("y", deal())]
    source = etl.file(as_object(pairs))
    assert (
        etl.load("--source", source, "--max-rejects", "3", "--database", "sqlite:///other.db").status == 0
    )
    message = assert_refused(etl.load("--source", source, "--max-rejects", "2"), 65, database, before)
    assert offset_in(message) == as_object(pairs).index(b'"y"')


def test_max_rejects_zero_allows_none(etl: Etl, database: Database, before: object) -> None:
    source = etl.file(as_object([("NaN", deal())]))
    assert_refused(etl.load("--source", source, "--max-rejects", "0"), 65, database, before)


def test_rejects_are_told_of_unless_quiet(etl: Etl) -> None:
    source = etl.file(as_object([("NaN", deal()), ("1", deal())]))
    completed = etl("run", "deals", "--source", source, "--client", OURS[0])
    assert completed.status == 0
    assert "1 rejected" in completed.stderr


def test_a_failed_run_hands_out_no_values_of_the_feed(etl: Etl, database: Database, before: object) -> None:
    canary = "canary-6d1f"
    records = [deal(Label=canary, PieceSize=canary), deal(Label=canary, Provider=[canary])]
    source = etl.file(as_object([(canary, records[0]), ("7", records[1])]))
    completed = etl.load("--source", source, "--on-error", "fail", "-v")
    message = assert_refused(completed, 65, database, before)
    assert canary not in message + completed.stdout
    assert not any(canary in str(run) for run in database.rows("etl_runs"))


def test_of_rejects_no_more_is_kept_than_their_beginnings_and_by_their_owner_alone(
    etl: Etl, database: Database
) -> None:
    """A feed whose keys are long and not numbers must not fill the disk, nor the memory."""
    pairs = [(f"{number} {'x' * 100_000}", deal(Label="y" * 100_000)) for number in range(50)]
    file = etl.directory / "rejects.jsonl"
    source = etl.file(as_object([*pairs, ("1", deal())]))
    completed = etl.load("--source", source, "--rejects", file, umask=0)
    assert completed.report["rejected"] == 50
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_size < 50 * 3000
    for number, reject in enumerate(database.rows("etl_rejects")):
        assert reject["key"] == pairs[number][0][:1000]
        assert len(reject["raw"]) == 1000
        assert len(reject["reason"]) < 200


HOSTILE = [
    "quotes '\" ` ; --", "'); DROP TABLE deals; --", "\\", "\\.", "a\n\\.\nb", "\\N", "a,b", "\r\n", "\r",
    "\t", "", " ", "null", "NULL", '""', "{}", "%s %(x)s :x ?", "\x01\x1f\x7f", "\ufeff\u2028\uffff", "é😀",
    "x" * 1_000_000,
]  # fmt: skip


def test_hostile_texts_are_kept_as_they_are(etl: Etl, tables: Tables) -> None:
    """Whatever they look like to SQL, to COPY or to CSV."""
    pairs = [
        (str(n), deal(Label=text, Provider=text, PieceCID={"/": text})) for n, text in enumerate(HOSTILE)
    ]
    document = as_object(pairs)
    etl.loaded(document, "--database", tables.url)
    assert tables.deals() == expected(document).rows
    kept = tables.deals()
    assert [kept[number]["label"] for number in range(len(HOSTILE))] == HOSTILE
