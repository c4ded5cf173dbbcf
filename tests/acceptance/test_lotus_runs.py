"""Runs that ask a Lotus node: for the head, the network's beginning, and the deals themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path

import pytest

from tests.support import lotus_node as lotus
from tests.support.command import Completed, Etl
from tests.support.databases import Database
from tests.support.lotus_node import Answer, Asked, Node

from .checks import assert_loaded, assert_refused
from .feeds import HEAD, OURS, as_object, as_reply, awkward, deal, expected

CHAIN_HEAD, GENESIS = "Filecoin.ChainHead", "Filecoin.ChainGetGenesis"
LOOKUP, DEALS = "Filecoin.StateLookupID", "Filecoin.StateMarketDeals"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.canary-_.~+/=="
KEY = "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za"
DOCUMENT = as_object(awkward())
OURS_NAMED = ("--client", OURS[0], "--client", OURS[1])


@pytest.fixture
def node(node: Node) -> Node:
    """A node that has deals and wants a token."""
    node.deals = DOCUMENT
    node.token = TOKEN
    return node


def run(etl: Etl, node: Node, *args: str | Path, **env: str) -> Completed:
    """Run for our wallets, with the node and its token in the environment."""
    settings = {"LOTUS_API": node.url, "LOTUS_TOKEN": TOKEN} | env
    return etl("run", "deals", "-q", "--json", "--workers", "1", *OURS_NAMED, *args, env=settings)


# The head and genesis ----------------------------------------------------------------------------------


def test_the_head_and_the_networks_beginning_are_the_nodes(
    etl: Etl, database: Database, node: Node
) -> None:
    node.head, node.genesis = 1_234_567, 1_667_326_380
    feed = etl.file(as_object([("1", deal(StartEpoch=1_000_000, EndEpoch=1_234_567))]))
    completed = run(etl, node, "--source", feed)
    assert (completed.status, completed.report["head_epoch"]) == (0, 1_234_567)
    assert sorted(node.methods()) == sorted([CHAIN_HEAD, GENESIS])
    (row,) = database.rows("deals")
    assert row["state"] == "active"
    then = datetime.fromtimestamp(1_667_326_380, UTC) + timedelta(seconds=30) * 1_234_567
    assert datetime.fromisoformat(row["last_verified_at"]).replace(tzinfo=UTC) == then

    node.head += 1
    assert run(etl, node, "--source", feed).report["expired"] == 1
    (row,) = database.rows("deals")
    assert row["state"] == "expired"


def test_a_head_that_is_named_holds_over_the_nodes_and_that_over_the_clocks(
    etl: Etl, database: Database, node: Node
) -> None:
    node.genesis = 1_667_326_380
    feed = etl.file(as_object([("1", deal())]))
    assert run(etl, node, "--source", feed, "--head-epoch", "4000000").report["head_epoch"] == 4_000_000
    assert node.methods() == [GENESIS]
    (row,) = database.rows("deals")
    then = datetime.fromtimestamp(1_667_326_380, UTC) + timedelta(seconds=30) * 4_000_000
    assert datetime.fromisoformat(row["last_verified_at"]).replace(tzinfo=UTC) == then
    assert run(etl, node, "--source", feed).report["head_epoch"] == node.head
    by_clock = run(etl, node, "--source", feed, LOTUS_API="").report["head_epoch"]
    now = (datetime.now(UTC) - datetime.fromtimestamp(1_598_306_400, UTC)) // timedelta(seconds=30)
    assert now - 10 <= by_clock <= now


@pytest.mark.parametrize(
    "env",
    [
        {"ETL_LOTUS_API": "{url}", "ETL_LOTUS_TOKEN": TOKEN, "LOTUS_API": "nonsense", "LOTUS_TOKEN": "x"},
        {"LOTUS_API": "{url}", "ETL_LOTUS_TOKEN": TOKEN},
        {"ETL_LOTUS_API": "{url}", "LOTUS_TOKEN": TOKEN},
    ],
    ids=lambda env: " ".join(env),
)
def test_the_environment_names_the_node_and_the_token(etl: Etl, node: Node, env: dict[str, str]) -> None:
    settings = {name: value.format(url=node.url) for name, value in env.items()}
    completed = etl("run", "deals", "-q", *OURS_NAMED, "--source", "lotus", env=settings)
    assert (completed.status, completed.stderr) == (0, "")
    assert {asked.authorization for asked in node.requests} == {f"Bearer {TOKEN}"}


# The deals ---------------------------------------------------------------------------------------------


def test_the_deals_of_a_node_give_the_rows_that_a_file_gives(
    etl: Etl, database: Database, node: Node
) -> None:
    completed = run(etl, node, "--source", "lotus")
    assert (completed.status, completed.stderr) == (0, "")
    assert_loaded(completed.report, database, expected(DOCUMENT))
    assert completed.report["source"] == node.url
    assert completed.report["bytes_decoded"] == len(as_reply(DOCUMENT, after=',"id":1')) + 1
    assert node.requests[-1] == Asked(DEALS, [None], f"Bearer {TOKEN}")
    assert sorted(node.methods()) == sorted([CHAIN_HEAD, GENESIS, DEALS])
    from_file = etl.load("--source", etl.file(DOCUMENT), "--database", "sqlite:///by-file.db")
    assert from_file.status == 0
    assert Database(etl.directory / "by-file.db").deals() == database.deals()
    again = run(etl, node, "--source", "lotus", "--head-epoch", str(HEAD))  # a POST: always read
    assert again.report["unchanged"] == len(database.deals())


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"LOTUS_API": ""}, "--lotus-api"),
        ({"LOTUS_API": f"{TOKEN}:/ip4/1.2.3.4/tcp/1234/http"}, "multiaddr"),
        ({"LOTUS_API": f"ws://user:{TOKEN}@127.0.0.1/rpc/v1"}, "http(s) URL"),
        ({"LOTUS_TOKEN": f"Bearer {TOKEN}"}, "token"),
    ],
    ids=["none", "multiaddr", "WebSocket", "no token"],
)
@pytest.mark.parametrize("source", ["lotus", "feed"])
def test_a_node_that_cannot_be_asked_is_a_wrong_configuration(
    etl: Etl, database: Database, node: Node, env: dict[str, str], said: str, source: str
) -> None:
    etl.file(DOCUMENT)
    completed = run(etl, node, "--source", source, "-v", **env)
    if (source, said) == ("feed", "--lotus-api"):
        assert completed.status == 0
        return
    assert completed.status == 78
    assert said in completed.message
    assert "canary" not in completed.stdout + completed.stderr
    assert not database.path.exists()
    assert node.requests == []


# Failures ----------------------------------------------------------------------------------------------

CUT = as_reply(DOCUMENT)[:2000]

PLANNING = {
    "error": (lotus.error("busy"), 65, "error 1: busy"),
    "error 500": (lotus.error("no such method", -32601, 500), 65, "error -32601: no such method"),
    "status 500": (Answer(b"<html>", 500), 69, "HTTP status 500"),
    "status 401": (Answer(status=401), 69, "the token was refused"),
    "garbage": (Answer(b"<!DOCTYPE html>"), 65, "not the reply expected"),
    "cut": (Answer(b'{"result":{"Hei', cut=True), 69, "IncompleteRead"),
}

READING = {
    "error": (lotus.error("busy"), 65, "the reply is an error: busy (code 1)"),
    "error, null": (Answer(b'{"result":null,"error":{"code":1,"message":"busy"}}'), 65, "busy"),
    "error, no deals": (Answer(b'{"error":{"code":1,"message":"busy"},"result":{}}'), 65, "busy"),
    "error after all": (Answer(as_reply(DOCUMENT, after=',"error":{"code":1}')), 65, "error"),
    "error after none": (Answer(b'{"result":{},"error":{"code":1,"message":"busy"}}'), 65, "busy"),
    "long error": (lotus.error(f"a\nb\x1b[2J\0 {TOKEN} " + "x" * 5000), 65, r"a b\x1b[2J\x00 (token) xxx"),
    "error 500": (lotus.error("no such method", -32601, 500), 69, "HTTP status 500"),
    "status 401": (Answer(status=401), 69, "HTTP status 401"),
    "garbage": (Answer(b"<!DOCTYPE html>"), 65, "not well-formed"),
    "nothing": (Answer(b""), 65, "empty"),
    "null": (Answer(b'{"jsonrpc":"2.0","result":null,"id":1}'), 65, "no record"),
    "cut": (Answer(CUT, cut=True), 69, "the transfer broke"),
    "cut, well-formed": (Answer(as_reply(DOCUMENT), cut=True), 69, "the transfer broke"),
    "ends early": (Answer(CUT), 65, "truncated"),
}


def assert_failed(completed: Completed, status: int, said: str, database: Database, before: object) -> str:
    """A run has failed for a reason, said so in every place, and told no secret; return what it said."""
    message = assert_refused(completed, status, database, before)
    report = completed.report
    assert (report["status"], report["error"]) == ("failed", message)
    assert report["run_id"] == database.last_run()["run_id"]
    assert said in message
    assert message.isprintable()
    assert len(message) < 700
    assert "canary" not in completed.stdout + completed.stderr
    assert b"canary" not in database.path.read_bytes()
    return message


def test_whatever_goes_wrong_with_a_question_fails_the_run(
    etl: Etl, database: Database, node: Node, before: object
) -> None:
    feed = etl.file(DOCUMENT)
    asked = {CHAIN_HEAD: OURS[0], GENESIS: OURS[0], LOOKUP: KEY}
    cases = [(name, method) for number, name in enumerate(PLANNING) for method in asked
             if name == "error" or method == list(asked)[number % 3]]  # fmt: skip
    for name, method in cases:
        node.answers = {method: PLANNING[name][0]}
        completed = run(etl, node, "--source", feed, "--client", asked[method])
        message = assert_failed(completed, *PLANNING[name][1:], database, before)
        assert message.startswith(f"{node.url}: {method}: ")
    node.answers = {}
    completed = run(etl, node, "--source", feed, LOTUS_TOKEN="canary")
    message = assert_failed(completed, 69, "the token was refused", database, before)
    assert message.startswith(node.url)


@pytest.mark.parametrize("name", READING)
def test_deals_that_do_not_come_whole_change_nothing(
    etl: Etl, database: Database, node: Node, before: object, name: str
) -> None:
    answer, status, said = READING[name]
    node.answers[DEALS] = answer
    completed = run(etl, node, "--source", "lotus", "--allow-empty", "--max-rejects", "1000")
    message = assert_failed(completed, status, said, database, before)
    assert message.startswith(f"{node.url}: ")


def test_no_deals_at_all_are_an_error_unless_they_are_allowed(
    etl: Etl, database: Database, node: Node, before: object
) -> None:
    node.deals = b"{}"
    assert_failed(run(etl, node, "--source", "lotus"), 65, "no records", database, before)
    allowed = run(etl, node, "--source", "lotus", "--allow-empty")
    assert (allowed.status, allowed.report["records"]) == (0, 0)


def test_a_node_that_never_ends_its_reply_is_left(
    etl: Etl, database: Database, node: Node, before: object
) -> None:
    node.answers[CHAIN_HEAD] = Answer(repeat(b" " * 65_536))
    completed = run(etl, node, "--source", "lotus")
    assert_failed(completed, 65, "longer than", database, before)


def test_token_and_password_are_kept_to_themselves(etl: Etl, database: Database, node: Node) -> None:
    """In success and failure, with all that is ever printed."""
    url = node.url.replace("http://", "http://user:canary@") + "?token=canary#canary"
    lotus_run = ("run", "deals", "-v", *OURS_NAMED, "--source", "lotus", "--lotus-api", url)
    outputs = []
    for method, answer, status, form in (
        (DEALS, None, 0, "text"),
        (DEALS, Answer(status=403), 69, "json"),
        (DEALS, lotus.error(f"what is {TOKEN}?"), 65, "json"),
        (DEALS, Answer(CUT, cut=True), 69, "text"),
        (GENESIS, lotus.error(f"what is {TOKEN}?"), 65, "text"),
    ):
        node.answers = {} if answer is None else {method: answer}
        completed = etl(*lotus_run, "--log-format", form, env={"LOTUS_TOKEN": TOKEN})
        assert completed.status == status, completed.stderr
        outputs.append(completed.stdout + completed.stderr)
    node.answers = {}
    explained = etl(*lotus_run, "--explain", env={"LOTUS_TOKEN": TOKEN})
    assert explained.status == 0
    outputs += [explained.stdout, explained.stderr, etl("history", "--json").stdout]
    assert len(database.rows("etl_runs")) == 5
    assert {asked.authorization for asked in node.requests} == {f"Bearer {TOKEN}"}
    assert "canary" not in "".join(outputs)
    assert b"canary" not in database.path.read_bytes()
