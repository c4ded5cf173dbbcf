"""Which wallets a run is for: named, in a file or in the table; by ID or by an address to be looked up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b32encode
from collections import Counter
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support import lotus_node as lotus
from tests.support.command import Completed, Etl
from tests.support.databases import Database
from tests.support.lotus_node import Node
from tests.support.processes import until
from tests.support.web_server import Web, answer_with

from .feeds import OTHER, OURS, as_object, as_pretty, deal

RUN = ("run", "deals", "-q")
DOCUMENT = as_object([("1", deal(OURS[0])), ("2", deal(OURS[1])), ("3", deal(OTHER))])
LOOKUP = "Filecoin.StateLookupID"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.canary"


def robust(number: int) -> str:
    """The address of a key."""
    key = number.to_bytes(20, "big")
    checked = key + blake2b(b"\1" + key, digest_size=4).digest()
    return "f1" + b32encode(checked).decode().rstrip("=").lower()


KEY = "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za"
BLS = "f3vvmn62lofvhjd2ugzca6sof2j2ubwok6cj4xxbfzz4yuxfkgobpihhd2thlanmsh3w2ptld2gqkn2jvlss4a"
ETHEREUM = "f410faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaonc6iji"


@pytest.fixture
def feed(etl: Etl) -> Path:
    return etl.file(DOCUMENT)


def clients(database: Database) -> set[str]:
    """Whose deals a run has found."""
    return {row["client_id"] for row in database.rows("deals")}


def wallets(database: Database) -> dict[str, str | None]:
    """The table of tracked wallets."""
    return {row["id"]: row["address"] for row in database.rows("wallets")}


def remembered(database: Database) -> dict[str, str]:
    """The robust addresses that were looked up for runs."""
    return {row["address"]: row["id"] for row in database.rows("wallet_addresses")}


def assert_done(completed: Completed) -> None:
    assert (completed.status, completed.stderr) == (0, "")


def refused(completed: Completed, *said: str, status: int = 78) -> None:
    """Refused, by default as a wrong configuration, for a reason."""
    assert completed.status == status, completed.stderr
    assert [text for text in said if text not in completed.message] == []


# Named -------------------------------------------------------------------------------------------------


def test_clients_are_named_one_by_one(etl: Etl, database: Database, feed: Path) -> None:
    assert_done(etl(*RUN, "--source", feed, "--client", OURS[0], "--client", OTHER, "--client", OTHER))
    assert clients(database) == {OURS[0], OTHER}
    assert (wallets(database), remembered(database)) == ({}, {})


def test_the_environment_names_clients(etl: Etl, database: Database, feed: Path) -> None:
    assert_done(etl(*RUN, "--source", feed, env={"ETL_CLIENT": f"{OURS[0]}\n{OURS[1]} "}))
    assert clients(database) == set(OURS)


def test_addresses_of_test_networks_are_fine(etl: Etl, database: Database) -> None:
    source = etl.file(as_object([("1", deal("t01000")), ("2", deal("f01000"))]))
    assert_done(etl(*RUN, "--source", source, "--client", "t01000"))
    assert clients(database) == {"t01000"}


@pytest.mark.parametrize(
    ("feeds", "wallet", "warned"),
    [("f", "t", True), ("t", "f", True), ("f", "f", False), ("t", "t", False)],
)
def test_wallets_of_another_network_than_the_feeds_are_warned_of_when_nothing_matched(
    etl: Etl, feeds: str, wallet: str, warned: bool
) -> None:
    records = [(str(n), deal(f"{feeds}0100{n}", Provider=f"{feeds}0123")) for n in range(3)]
    compact, spaced = etl.file(as_object(records)), etl.file(as_pretty(records), "spaced")
    for source in (compact, spaced):
        completed = etl("run", "deals", "--source", source, "--client", f"{wallet}07")
        assert completed.status == 0
        *warnings, _ = completed.stderr.splitlines()
        assert len(warnings) == warned
        assert all("no wallet was found, for the feed is of" in line for line in warnings)
    found = etl("run", "deals", "--source", compact, "--client", f"{feeds}01001")
    assert len(found.stderr.splitlines()) == 1


def test_a_clock_before_the_chain_is_refused_unless_the_head_is_named(etl: Etl, feed: Path) -> None:
    early = (
        "import datetime, sys; import pipelines.deals.selection as s; from etl.command.cli import main\n"
    )
    early += "class Clock(datetime.datetime):\n    now = classmethod(lambda c, z: c.fromtimestamp(12, z))\n"
    early += "s.datetime = Clock; sys.argv[0] = 'etl'; main()"
    command = [sys.executable, "-c", early, *RUN, "--source", str(feed), "--client", OURS[0]]
    where = {"cwd": etl.directory, "env": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
    refusing = subprocess.run(command, capture_output=True, text=True, timeout=30, **where)  # type: ignore[call-overload]
    assert refusing.returncode == 78
    assert refusing.stderr == (
        "etl: by this machine's clock it is 1970-01-01T00:00:12+00:00, before the chain began:"
        " set the clock, or name the head (--head-epoch) or a node to ask for it (--lotus-api)\n"
    )
    named = subprocess.run([*command, "--head-epoch", "1"], timeout=30, **where)  # type: ignore[call-overload]
    assert named.returncode == 0


def test_without_any_wallet_a_run_is_refused_and_makes_no_database(
    etl: Etl, database: Database, feed: Path
) -> None:
    refused(etl(*RUN, "--source", feed), "wallets", "--client")
    (etl.directory / "clients").write_text("# nobody\n\n")
    refused(etl(*RUN, "--source", feed, "--clients-file", "clients"), "wallets", "--client")
    assert not database.path.exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (KEY.replace("jxf", "jxg"), "the checksum does not match"),
        (KEY[:-1], "wrong length"),
        ("x01000", "unknown network"),
        ("f51000", "unknown protocol"),
        ("f001000", "leading zeros"),
        ("f01O00", "not a number"),
        ("", "there is no address"),
        ("t01000", "a feed has only one"),
    ],
)
def test_an_address_that_is_none_is_refused_with_the_reason(
    etl: Etl, database: Database, feed: Path, node: Node, address: str, said: str
) -> None:
    to_node = ("--lotus-api", node.url)
    named = ("--client", OURS[0], "--client", address)
    refused(etl(*RUN, "--source", feed, *named, *to_node), address, said)
    refused(etl("wallets", "add", *to_node, OURS[0], "--", address), address, said)
    assert not database.path.exists()
    assert node.requests == []


# In a file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        f"# ours\n\n  {OURS[0]}\t# the first\n\nf05\n#{OTHER}\n{OURS[0]}\n{OURS[1]}".encode(),
        f"\ufeff{OURS[0]}\r\n\r\n{OURS[1]}\r\n".encode(),
        f"\ufeff# café\r{OURS[1]}\r{OURS[0]}".encode(),
    ],
    ids=["comments", "BOM, CRLF", "BOM, CR"],
)
def test_a_file_of_clients_may_come_from_any_editor(
    etl: Etl, database: Database, feed: Path, content: bytes
) -> None:
    (etl.directory / "clients").write_bytes(content)
    assert_done(etl(*RUN, "--source", feed, env={"ETL_CLIENTS_FILE": "clients"}))
    assert clients(database) == set(OURS)


def test_a_file_of_clients_adds_to_those_that_are_named(etl: Etl, database: Database, feed: Path) -> None:
    (etl.directory / "clients").write_text(OURS[0])
    assert_done(etl(*RUN, "--source", feed, "--clients-file", "clients", "--client", OURS[1]))
    assert clients(database) == set(OURS)


def test_ten_thousand_wallets_in_a_file_are_all_found(etl: Etl, database: Database) -> None:
    ours = [f"f0{number}" for number in range(1_000_000, 1_070_000, 7)]
    strangers = [f"f0{number}" for number in range(1_000_003, 1_070_000, 70)]
    pairs = [(str(number), deal(client)) for number, client in enumerate(ours[::5] + strangers)]
    (etl.directory / "clients").write_text("\n".join(ours))
    assert_done(etl(*RUN, "--source", etl.file(as_object(pairs)), "--clients-file", "clients"))
    assert len(ours) == 10_000
    assert Counter(row["client_id"] for row in database.rows("deals")) == Counter(ours[::5])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, ["clients", "No such file"]),
        (b"f01000\n\xff\n", ["clients", "UTF-8"]),
        (b"f01000\nf01000 f01001\n", ["f01000 f01001", "not a number"]),
        (b'{"f01000": 1}', ['{"f01000": 1}', "unknown network"]),
        (b"f01000\nt01001\n", ["f01000", "t01001", "a feed has only one"]),
    ],
    ids=["missing", "not text", "two in a line", "JSON", "two networks"],
)
def test_a_file_of_clients_that_is_none_is_refused(
    etl: Etl, database: Database, feed: Path, content: bytes | None, said: list[str]
) -> None:
    if content is not None:
        (etl.directory / "clients").write_bytes(content)
    refused(etl(*RUN, "--source", feed, "--clients-file", "clients"), *said)
    assert not database.path.exists()


# In the table ------------------------------------------------------------------------------------------


def test_the_table_wallets_counts_where_no_client_is_named(
    etl: Etl, database: Database, feed: Path
) -> None:
    added = etl("wallets", "add", OURS[1], "f05", "f05")
    assert (added.status, added.stdout, added.stderr) == (0, "", "2 added, 0 already there\n")
    assert etl("wallets", "add", "f05", "f06").stderr == "1 added, 1 already there\n"
    assert etl("wallets", "list").stdout.split() == sorted([OURS[1], "f05", "f06"])
    assert etl("wallets", "remove", "f05", "f0999").stderr == "1 removed\n"
    assert etl("wallets", "list").stdout.split() == sorted([OURS[1], "f06"])
    assert_done(etl(*RUN, "--source", feed))
    assert clients(database) == {OURS[1]}
    assert_done(etl(*RUN, "--source", feed, "--client", OURS[0]))
    assert clients(database) == set(OURS)


def test_wallets_of_two_networks_cannot_be_tracked_together(etl: Etl, database: Database) -> None:
    assert etl("wallets", "add", "f01").status == 0
    refused(etl("wallets", "add", "f02", "t03"), "f02", "t03", "a feed has only one")
    refused(etl("wallets", "add", "t03"), "f01", "t03", "a feed has only one")
    assert wallets(database) == {"f01": None}


def test_wallets_are_added_and_removed_by_any_address(
    etl: Etl, database: Database, feed: Path, node: Node
) -> None:
    node.accounts |= {KEY: OURS[0], BLS: OURS[1], ETHEREUM: "f05"}
    node.token = TOKEN
    env = {"LOTUS_API": node.url, "LOTUS_TOKEN": TOKEN}
    assert etl("wallets", "add", OURS[1], "f06", env=env).status == 0
    assert node.requests == []  # nothing to ask
    added = etl("wallets", "add", KEY, OURS[0], BLS, ETHEREUM, "--lotus-api", node.url,
                env={"ETL_LOTUS_TOKEN": TOKEN, "LOTUS_API": "/ip4/1.2.3.4/tcp/1234/http"})  # fmt: skip
    assert added.stderr == "2 added, 1 already there\n"
    assert sorted(node.methods()) == [LOOKUP] * 3
    assert wallets(database) == {OURS[0]: KEY, OURS[1]: BLS, "f05": ETHEREUM, "f06": None}
    listed = etl("wallets", "list").stdout.splitlines()
    assert listed == [f"{OURS[0]} {KEY}", f"{OURS[1]} {BLS}", f"f05 {ETHEREUM}", "f06"]
    again = etl("wallets", "add", KEY, BLS)  # without a node: they are known
    assert again.stderr == "0 added, 2 already there\n"
    assert_done(etl(*RUN, "--source", feed))
    assert clients(database) == set(OURS)
    assert etl("wallets", "remove", KEY, "f05").stderr == "2 removed\n"
    assert wallets(database) == {OURS[1]: BLS, "f06": None}


@pytest.mark.parametrize("name", ["ETL_LOTUS_API", "LOTUS_API"])
def test_the_environment_names_the_node(etl: Etl, database: Database, node: Node, name: str) -> None:
    node.accounts[KEY] = OURS[0]
    assert etl("wallets", "add", KEY, env={name: node.url}).status == 0
    assert wallets(database) == {OURS[0]: KEY}


# Looked up for a run -----------------------------------------------------------------------------------


def test_a_robust_client_is_looked_up_once_and_not_tracked_by_that(
    etl: Etl, database: Database, feed: Path, node: Node
) -> None:
    node.accounts[KEY] = OURS[0]
    assert etl("wallets", "add", OTHER).status == 0
    run = (*RUN, "--source", feed, "--client", OURS[1], "--client", KEY)
    refused(etl(*run), KEY, "robust", "--lotus-api")
    refused(etl("wallets", "add", KEY), KEY, "robust", "--lotus-api")
    assert clients(database) == set()

    # Only runs that commit remember what they were told.
    assert etl(*run, "--lotus-api", node.url, "--dry-run").status == 0
    failed = etl(*run, "--lotus-api", node.url, "--source", "missing.json")
    assert failed.status == 69
    assert remembered(database) == {}

    assert_done(etl(*run, "--lotus-api", node.url))
    assert clients(database) == set(OURS)
    assert remembered(database) == {KEY: OURS[0]}
    assert wallets(database) == {OTHER: None}
    assert node.methods().count(LOOKUP) == 3

    assert_done(etl(*run))  # needs no node any more
    assert_done(etl(*run, "--lotus-api", node.url))
    assert etl("wallets", "add", KEY).status == 0
    assert node.methods().count(LOOKUP) == 3
    assert wallets(database) == {OTHER: None, OURS[0]: KEY}


def test_robust_addresses_in_a_file_are_looked_up_together(
    etl: Etl, database: Database, node: Node
) -> None:
    keys = {robust(number): f"f0{10_000 + number}" for number in range(1001)}
    node.accounts |= keys
    (etl.directory / "clients").write_text("\n".join(keys))
    source = etl.file(as_object([("1", deal("f010000")), ("2", deal("f011000")), ("3", deal(OTHER))]))
    run = (*RUN, "--source", source, "--clients-file", "clients", "--lotus-api", node.url)
    assert_done(etl(*run))
    assert clients(database) == {"f010000", "f011000"}
    assert remembered(database) == keys
    assert len(node.requests) == len(keys) + 2
    assert_done(etl(*run))
    assert len(node.requests) == len(keys) + 4


def test_runs_that_look_up_the_same_address_at_once_both_succeed(
    etl: Etl, database: Database, web: Web, node: Node
) -> None:
    node.accounts[KEY] = OURS[0]
    body = answer_with(DOCUMENT)

    def answer(request: BaseHTTPRequestHandler) -> None:
        until(lambda: len(node.requests) == 6)
        body(request)

    url = web.serve(answer)
    run = ("run", "deals", "--client", KEY, "--lotus-api", node.url, "--wait-lock", "--source", url)
    first, second = etl.start(*run), etl.start(*run)
    for running in (first, second):
        completed = running.done()
        assert completed.status == 0, completed.stderr
    assert remembered(database) == {KEY: OURS[0]}
    assert clients(database) == {OURS[0]}


def test_what_a_node_says_of_an_address_is_not_taken_for_granted(
    etl: Etl, database: Database, feed: Path, node: Node
) -> None:
    """A node of another network, one that does not know the address, and one that is not there."""
    env = {"LOTUS_API": node.url, "LOTUS_TOKEN": TOKEN}
    run = (*RUN, "--source", feed, "--client", OURS[1], "--client", KEY)
    add = ("wallets", "add", OURS[1], KEY)
    node.accounts[KEY] = "t01000"
    for command in (run, add):
        refused(etl(*command, env=env), KEY, "t01000", "another network")
    assert not database.path.exists()
    del node.accounts[KEY]
    for command in (run, add):
        refused(etl(*command, env=env), LOOKUP, KEY, "actor not found", status=65)
    node.answers[LOOKUP] = lotus.result(KEY)
    refused(etl(*run, env=env), LOOKUP, "not an ID address", status=65)
    node.token = "another"
    refused(etl(*add, env=env), LOOKUP, "the token was refused", status=69)
    with Node() as gone:
        env["LOTUS_API"] = gone.url
    refused(etl(*add, env=env), LOOKUP, "Connection refused", status=69)
    assert (clients(database), wallets(database), remembered(database)) == (set(), {}, {})
    assert TOKEN not in json.dumps(database.rows("etl_runs"))


# Hostile -------------------------------------------------------------------------------------------------

HOSTILE = [
    "f01000'); DROP TABLE deals; --",
    'f0"1000',
    "f01000\n",
    "f01000\x1b[2J",
    "%s",
    "*",
    "f0" + "9" * 100_000,
]


WAYS = ["option", "file", "table", "wallets add"]
# In a file a newline ends an address.
HOSTILE_WAYS = [(name, how) for name in HOSTILE for how in WAYS if how != "file" or name == name.strip()]


@pytest.mark.parametrize(("name", "how"), HOSTILE_WAYS, ids=lambda text: ascii(text[:12]))
def test_a_wallet_that_is_no_address_is_refused_in_one_plain_line(
    etl: Etl, database: Database, feed: Path, name: str, how: str
) -> None:
    assert etl("wallets", "add", OURS[0]).status == 0
    before = database.dump()
    if how == "table":
        database.insert("wallets", {"id": name})
    args: dict[str, tuple[str | Path, ...]] = {
        "option": (*RUN, "--source", feed, "--client", name),
        "file": (*RUN, "--source", feed, "--clients-file", etl.file(name.encode(), "clients")),
        "table": (*RUN, "--source", feed),
        "wallets add": ("wallets", "add", name),
    }
    completed = etl(*args[how])
    assert completed.status == 78
    assert completed.message.isprintable()
    assert len(completed.message) < 500
    if how != "table":
        assert database.dump() == before
