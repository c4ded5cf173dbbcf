"""A Lotus node, asked by JSON-RPC 2.0 over HTTP.

Methods and shapes are those of Lotus's API v1 (and v0: they agree in these). The node's words are shown to
users, so they are made one printable line; the token is taken out of whatever is said.
"""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from etl.declare.location import Source
from etl.errors import ConfigurationError, EtlError, MalformedFeed, ReplyError, SourceUnavailable, one_line
from etl.redaction import is_like_url, usable
from pipelines.deals.address import Address, parse
from pipelines.deals.record import Int64

REPLY_LIMIT = 16 << 20
"""How long a reply may be, in bytes; a stream of deals is not read here."""

_LAST_SECOND = 253402300799
"""The end of year 9999, where Python's calendar ends."""

_EXAMPLE = "such as http://127.0.0.1:1234/rpc/v1"
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750, section 2.1
_MULTIADDR = re.compile(r"(?:.*:)?/(?:ip4|ip6|dns|dns4|dns6)/")

T = TypeVar("T")
E = TypeVar("E", bound=EtlError)


class _Error(msgspec.Struct):
    """JSON-RPC 2.0, section 5.1."""

    code: Int64
    message: str


class _Reply(msgspec.Struct):
    """The result is left as it is: beside an error it may be anything."""

    error: _Error | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")


class _Block(msgspec.Struct, rename="pascal"):
    timestamp: Annotated[int, msgspec.Meta(ge=0, le=_LAST_SECOND)]


class _Genesis(msgspec.Struct, rename="pascal"):
    blocks: Annotated[list[_Block], msgspec.Meta(min_length=1)]


class _Head(msgspec.Struct, rename="pascal"):
    height: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Lotus:
    """A node; every question is a request of its own.

    Whatever is asked may raise:
        ReplyError: the node answers with an error.
        MalformedFeed: it answers with something else than was asked for.
        SourceUnavailable: it cannot be reached, breaks off, or refuses the token.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        """Prepare to ask; nothing is sent yet.

        Raises:
            ConfigurationError: not an http(s) URL, or no token can look like that.
        """
        self._url = _checked(url)
        self._headers = _headers(token)
        self._token = token

    def head(self) -> int:
        """Return the epoch of the chain's head, as the node sees it."""
        return self._ask("Filecoin.ChainHead", [], _Head).height

    def genesis(self) -> datetime:
        """Return the time of epoch 0 of the node's network."""
        genesis = self._ask("Filecoin.ChainGetGenesis", [], _Genesis)
        return datetime.fromtimestamp(genesis.blocks[0].timestamp, UTC)

    def id_of(self, address: Address) -> str:
        """Return the ID address by which the state at the node's head knows an address.

        Raises:
            ConfigurationError: the node is of another network than the address.
        """
        method = "Filecoin.StateLookupID"
        text = self._ask(method, [address.text, None], str)
        try:
            found = parse(text)
        except ValueError:
            found = None
        if found is None or not found.is_id:
            raise self._error(MalformedFeed, method, "the result is not an ID address")
        if found.network != address.network:
            raise self._error(
                ConfigurationError, method,
                f"the node is of another network than {address.text}, and knows it as {text}",
            )  # fmt: skip
        return text

    def _ask(self, method: str, params: list[str | None], kind: type[T]) -> T:
        """Return a method's result."""
        status, body = self._post(method, params)
        if status in (401, 403):
            why = "the token was refused" if self._token else "the node wants a token, and none was given"
            raise self._error(SourceUnavailable, method, f"{why} (HTTP status {status})")
        if status in (200, 203) and len(body) > REPLY_LIMIT:
            raise self._error(MalformedFeed, method, f"the reply is longer than {REPLY_LIMIT:,} bytes")
        try:
            # Lotus reports errors of the protocol, such as an unknown method, with status 400 or 500.
            reply = msgspec.json.decode(body, type=_Reply)
            if reply.error is not None:
                said = f"error {reply.error.code}: {reply.error.message}"
                raise self._error(ReplyError, method, said)
            if status in (200, 203):
                return msgspec.json.decode(reply.result, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if status in (200, 203):
                raise self._error(MalformedFeed, method, f"not the reply expected: {error}") from None
        raise self._error(SourceUnavailable, method, f"HTTP status {status}")

    def _post(self, method: str, params: list[str | None]) -> tuple[int, bytes]:
        """Return the status and the body, of which no more is read than shows that it is too long."""
        from etl.source.connections import connected
        from etl.source.http import read_at_most

        try:
            with connected() as pool:
                response = pool.request(
                    "POST", self._url, body=_body(method, params), headers=self._headers,
                    preload_content=False, decode_content=False,
                )  # fmt: skip
                with closing(response):
                    return response.status, read_at_most(response, REPLY_LIMIT)
        except SourceUnavailable as error:
            raise self._error(SourceUnavailable, method, error.message) from None

    def _error(self, kind: type[E], method: str, text: str) -> E:
        """Return an error that names node and method: one line, with escapes for what is not printed."""
        node = Source(self._url, self._headers)
        return kind(one_line(node.without_secrets(f"{node.shown}: {method}: {text}")))


def deals_request(url: str, token: str | None) -> tuple[str, dict[str, str], bytes]:
    """Return the URL, headers and body of the request whose reply holds all deals at the node's head.

    Raises:
        ConfigurationError: not an http(s) URL, or no token can look like that.
    """
    return _checked(url), _headers(token), _body("Filecoin.StateMarketDeals", [None])


def _checked(url: str) -> str:
    """Return a URL that can be asked; what is none is not shown, for Lotus writes TOKEN:MULTIADDR too."""
    if _MULTIADDR.match(url):
        raise ConfigurationError(f"the Lotus API is given as a multiaddr; give its URL, {_EXAMPLE}")
    parts = usable(url) if is_like_url(url) else None
    good = parts is not None and parts["scheme"].lower() in ("http", "https") and parts["port"] != "0"
    if good and url.isascii() and url.isprintable() and " " not in url:
        return url
    raise ConfigurationError(f"the Lotus API is not given as an http(s) URL, {_EXAMPLE}")


def _headers(token: str | None) -> dict[str, str]:
    headers = {
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "sluice-etl",
    }
    if token:
        if not _TOKEN.fullmatch(token):
            raise ConfigurationError("the Lotus token holds blanks or other characters that no token has")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _body(method: str, params: list[str | None]) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
