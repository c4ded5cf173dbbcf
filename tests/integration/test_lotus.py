"""The client of a Lotus node, against a server that answers as one does, or does not."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import repeat

import pytest
import urllib3

from etl.errors import ConfigurationError, EtlError, MalformedFeed, ReplyError, SourceUnavailable
from pipelines.deals.address import parse
from pipelines.deals.lotus import REPLY_LIMIT, Lotus, deals_request
from tests.support.lotus_node import Answer, Asked, Node, error, result

WALLET = parse("f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za")
TOKEN = "eyJhbGciOiJIUzI1NiJ9.canary-_.~+/=="
HEAD, GENESIS, LOOKUP = "Filecoin.ChainHead", "Filecoin.ChainGetGenesis", "Filecoin.StateLookupID"


@pytest.fixture
def node() -> Iterator[Node]:
    with Node() as node:
        yield node


def refusal(kind: type[EtlError], ask: Callable[[], object]) -> str:
    """What is said when a question fails: one printable line, of a sane length, without the token."""
    with pytest.raises(kind) as caught:
        ask()
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None
    message = caught.value.message
    assert message.isprintable()
    assert len(message) <= 501
    assert "canary" not in message
    return message


# Answers -----------------------------------------------------------------------------------------------


def test_the_head_is_the_height_of_the_heaviest_tipset(node: Node) -> None:
    node.head = 2**40
    assert Lotus(node.url).head() == 2**40
    assert node.requests == [Asked(HEAD, [], None)]


def test_genesis_is_an_aware_time(node: Node) -> None:
    assert Lotus(node.url).genesis() == datetime(2020, 8, 24, 22, 0, tzinfo=UTC)
    assert node.requests == [Asked(GENESIS, [], None)]


def test_an_address_is_looked_up_at_the_head(node: Node) -> None:
    node.accounts[WALLET.text] = "f01234"
    assert Lotus(node.url).id_of(WALLET) == "f01234"
    assert Lotus(node.url).id_of(parse("t077")) == "t077"
    assert node.requests[0] == Asked(LOOKUP, [WALLET.text, None], None)


def test_the_token_goes_with_every_question(node: Node) -> None:
    node.token = TOKEN
    lotus = Lotus(node.url, TOKEN)
    lotus.head()
    lotus.genesis()
    assert {asked.authorization for asked in node.requests} == {f"Bearer {TOKEN}"}
    assert "canary" not in repr(lotus)


def test_an_empty_token_is_none(node: Node) -> None:
    Lotus(node.url, "").head()
    assert node.requests[0].authorization is None


def test_unknown_members_and_a_null_error_do_not_matter(node: Node) -> None:
    node.answers[HEAD] = Answer(b' {"id":null,"error":null,"more":[{}],"result":{"Height":5,"Key":"x"}}\n')
    assert Lotus(node.url).head() == 5


def test_a_redirect_is_followed(node: Node) -> None:
    with Node() as other:
        other.head = 7
        node.answers[HEAD] = Answer(repeat(b"moved"), 307, headers={"Location": other.url})
        assert Lotus(node.url).head() == 7
        assert other.requests == [Asked(HEAD, [], None)]


def test_the_token_is_not_told_to_another_server(node: Node) -> None:
    with Node() as other:
        node.answers[HEAD] = Answer(status=307, headers={"Location": f"{other.url}?canary"})
        Lotus(node.url, TOKEN).head()
        assert other.requests == [Asked(HEAD, [], None)]


def test_redirects_end_after_the_fifth(node: Node) -> None:
    node.answers[HEAD] = Answer(status=308, headers={"Location": "/rpc/v1"})
    assert "more than 5 redirects" in refusal(SourceUnavailable, Lotus(node.url, TOKEN).head)
    assert node.requests == [Asked(HEAD, [], f"Bearer {TOKEN}")] * 6


def test_deals_are_asked_for_by_a_request_to_be_streamed(node: Node) -> None:
    node.token = TOKEN
    node.deals = json.dumps({str(number): {"Proposal": {}} for number in range(20_000)}).encode()
    url, headers, body = deals_request(node.url, TOKEN)
    with urllib3.PoolManager() as pool:
        response = pool.request("POST", url, headers=headers, body=body)
    assert url == node.url
    assert response.json()["result"] == json.loads(node.deals)
    assert node.requests == [Asked("Filecoin.StateMarketDeals", [None], f"Bearer {TOKEN}")]
    assert "Authorization" not in deals_request(node.url, None)[1]


# Failures ----------------------------------------------------------------------------------------------


def test_an_unknown_address_is_the_nodes_error(node: Node) -> None:
    said = refusal(ReplyError, lambda: Lotus(node.url).id_of(WALLET))
    assert said == (
        f"{node.url}: {LOOKUP}: error 1: resolution lookup failed ({WALLET.text}):"
        f" resolve address {WALLET.text}: actor not found"
    )


@pytest.mark.parametrize("status", [200, 400, 500])
def test_an_error_counts_before_the_status(node: Node, status: int) -> None:
    node.answers[HEAD] = error("method 'Filecoin.ChainHead' not found", -32601, status)
    said = refusal(ReplyError, Lotus(node.url).head)
    assert said.endswith(f"{HEAD}: error -32601: method 'Filecoin.ChainHead' not found")


def test_an_error_counts_before_any_result(node: Node) -> None:
    node.answers[HEAD] = Answer(b'{"result":null,"error":{"code":1,"message":"busy","data":[]}}')
    assert refusal(ReplyError, Lotus(node.url).head).endswith("error 1: busy")


def test_what_a_node_says_is_made_harmless(node: Node) -> None:
    node.answers[HEAD] = error(f"a\nb\r\n\tc\x1b[2J\u202e\0 {TOKEN} " + "x" * 100_000)
    said = refusal(ReplyError, Lotus(node.url, TOKEN).head)
    assert r"error 1: a b c\x1b[2J\u202e\x00 (token) xxx" in said
    assert said.endswith("x…")


@pytest.mark.parametrize(("token", "why"), [(TOKEN, "was refused"), (None, "none was given")])
@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_wrong_or_missing(node: Node, status: int, token: str | None, why: str) -> None:
    node.answers[HEAD] = error("missing permission", 1, status)
    said = refusal(SourceUnavailable, Lotus(node.url, token).head)
    assert "token" in said
    assert why in said


def test_a_node_that_wants_another_token(node: Node) -> None:
    node.token = "another"
    assert "was refused" in refusal(SourceUnavailable, Lotus(node.url, TOKEN).head)
    assert "none was given" in refusal(SourceUnavailable, Lotus(node.url).head)


@pytest.mark.parametrize("status", [201, 404, 429, 502, 503])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"result":{"Height":5}}', b'{"error":"gone"}'])
def test_a_status_other_than_200(node: Node, status: int, body: bytes) -> None:
    node.answers[HEAD] = Answer(body, status, headers={"Retry-After": "1"})
    said = refusal(SourceUnavailable, Lotus(node.url).head)
    assert said == f"{node.url}: {HEAD}: HTTP status {status}"
    assert node.methods() == [HEAD]


GOOD = b'{"jsonrpc":"2.0","result":{"Height":5,"Cids":null},"id":1}'


@pytest.mark.parametrize(
    "body",
    [
        *(GOOD[:length] for length in range(len(GOOD))),
        GOOD + b"}",
        GOOD.replace(b"5", b'"5"'),
        GOOD.replace(b"5", b"5.0"),
        GOOD.replace(b"5", b"-1"),
        GOOD.replace(b"5", b"true"),
        GOOD.replace(b"5", b"null"),
        GOOD.replace(b"5", b"9223372036854775808"),
        GOOD.replace(b"5", b"9" * 10_000),
        GOOD.replace(b"Height", b"height"),
        GOOD.replace(b"null", b'"\xff'),
        b'{"error":{"code":1,"message":"\xff"}}',
        b'{"error":{"code":1,"message":"\\ud800"}}',
        b'{"error":{"code":%b,"message":""}}' % (b"9" * 10_000),
        b'{"error":{"message":"no code"}}',
        b'{"error":"gone"}',
        b'{"result":null}',
        b'{"result":[]}',
        b"{}",
        b"null",
        b"[%b]" % GOOD,
        b"[" * 1_000_000,
        b'{"result":' + b'{"a":' * 1_000_000,
        b"\x1f\x8b\x08\x00",
        GOOD.decode().encode("utf-16"),
        b"<!DOCTYPE html><title>canary</title>",
    ],
    ids=lambda body: ascii(body[-24:]),
)
def test_a_reply_that_is_none(node: Node, body: bytes) -> None:
    node.answers[HEAD] = Answer(body)
    said = refusal(MalformedFeed, Lotus(node.url).head)
    assert said.startswith(f"{node.url}: {HEAD}: not the reply expected: ")


@pytest.mark.parametrize(
    "blocks",
    [
        None,
        [],
        [{}],
        [{"Timestamp": "1598306400"}],
        [{"Timestamp": 1598306400.5}],
        [{"Timestamp": -1}],
        [{"Timestamp": 2**62}],
    ],
)
def test_a_genesis_that_is_no_time(node: Node, blocks: object) -> None:
    node.answers[GENESIS] = result({"Blocks": blocks, "Height": 0})
    assert "not the reply expected" in refusal(MalformedFeed, Lotus(node.url).genesis)


def test_the_last_time_of_the_calendar_is_one(node: Node) -> None:
    node.genesis = 253402300799
    assert Lotus(node.url).genesis() == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (None, "Expected `str`"),
        (1234, "Expected `str`"),
        *((text, "not an ID address") for text in ("", "1234", "f01234 ", TOKEN, TOKEN * 9, WALLET.text)),
    ],
)
def test_a_lookup_that_gives_no_id_address(node: Node, found: object, why: str) -> None:
    node.answers[LOOKUP] = result(found)
    assert why in refusal(MalformedFeed, lambda: Lotus(node.url, TOKEN).id_of(WALLET))


def test_a_node_of_another_network_than_the_address(node: Node) -> None:
    node.accounts[WALLET.text] = "t01234"
    said = refusal(ConfigurationError, lambda: Lotus(node.url).id_of(WALLET))
    assert "another network" in said
    assert WALLET.text in said


def test_a_reply_may_be_long_but_not_longer(node: Node) -> None:
    node.answers[HEAD] = Answer(GOOD.ljust(REPLY_LIMIT))
    assert Lotus(node.url).head() == 5
    node.answers[HEAD] = Answer(GOOD.ljust(REPLY_LIMIT + 1))
    assert "longer than 16,777,216 bytes" in refusal(MalformedFeed, Lotus(node.url).head)


@pytest.mark.parametrize(("status", "kind"), [(200, MalformedFeed), (500, SourceUnavailable)])
def test_a_reply_without_end_is_left(node: Node, status: int, kind: type[EtlError]) -> None:
    node.answers[HEAD] = Answer(repeat(b" " * 65_536), status)
    refusal(kind, Lotus(node.url).head)


@pytest.mark.parametrize("body", [b"", GOOD[:20], GOOD])
@pytest.mark.parametrize("status", [200, 500])
def test_a_transfer_that_breaks_off(node: Node, body: bytes, status: int) -> None:
    node.answers[HEAD] = Answer(body, status, cut=True)
    assert "IncompleteRead" in refusal(SourceUnavailable, Lotus(node.url).head)


def test_a_node_that_hangs_up_is_not_asked_again() -> None:
    def hang_up() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        done = pool.submit(hang_up)
        lotus = Lotus(f"http://127.0.0.1:{server.getsockname()[1]}/", TOKEN)
        said = refusal(SourceUnavailable, lotus.head)
        done.result()
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert "onnection" in said


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "user:canary@127.0.0.1:{port}"])
def test_a_node_that_is_not_there(host: str) -> None:
    port = closed_port()
    url = f"http://{host.format(port=port)}/rpc/v1?token=canary#canary"
    said = refusal(SourceUnavailable, Lotus(url, TOKEN).head)
    assert said.startswith(f"http://127.0.0.1:{port}/rpc/v1: {HEAD}: ")
    assert "Connection refused" in said


@pytest.mark.parametrize("host", ["canary" + "x" * 60, "[::1]canary", "a..canary"])
def test_a_host_that_cannot_be(host: str) -> None:
    with pytest.raises((SourceUnavailable, ConfigurationError)):
        Lotus(f"http://{host}/").head()


@pytest.mark.parametrize(
    "location",
    ["", "ftp://x/", "http://[::1/", "http://\x80/", "http://127.0.0.1:{port}/?t=canary"],
)
def test_redirects_that_lead_nowhere(node: Node, location: str) -> None:
    location = location.format(port=closed_port())
    node.answers[HEAD] = Answer(status=308, headers={"Location": location})
    refusal(SourceUnavailable, Lotus(node.url).head)
    assert len(node.requests) == 1


# Settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "/ip4/1.2.3.4/tcp/1234/http",
        "/dns/node.example/tcp/1234/http",
        "eyJ.canary:/ip4/1.2.3.4/tcp/1234/http",
        "ws://user:canary@127.0.0.1:1234/rpc/v1",
        "eyJ.canary",
        "",
        "127.0.0.1:1234",
        "http:///canary",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:70000/",
        "http://127.0.0.1:canary/",
        "http://[::1/",
        "http://127.0.0.1/\n",
        "http://127.0.0.1/ x",
        " http://127.0.0.1/",
        "http://127.0.0.1/\x1b[2J",
        "http://knoten\u202e/",
    ],
)
def test_what_is_no_url_is_refused_and_not_shown(url: str) -> None:
    for use in (lambda: Lotus(url), lambda: deals_request(url, None)):
        said = refusal(ConfigurationError, use)
        assert "http://127.0.0.1:1234/rpc/v1" in said
        assert ("multiaddr" in said) == ("/tcp/" in url)


@pytest.mark.parametrize("token", ["canary\n", "Bearer canary", "canary\r\nX: y", "canäry", "=canary", " "])
def test_a_token_that_can_be_none_is_refused_and_not_shown(token: str) -> None:
    for use in (lambda: Lotus("http://x/", token), lambda: deals_request("http://x/", token)):
        said = refusal(ConfigurationError, use)
        assert "token" in said
