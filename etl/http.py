"""Feeds over HTTP: the whole of one version, however often the transfer breaks, or an error.

A transfer that breaks is resumed from the byte where it broke, if the server named its version in a way
that stands for the very bytes. Whatever answers must prove that it is of that version; nothing is ever
spliced. Secrets stay where they were meant to go: not to another host, not from TLS into the clear, not
into messages.
"""

from __future__ import annotations

import logging
import os
import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote, urljoin

from urllib3 import BaseHTTPResponse, HTTPHeaderDict, PoolManager, ProxyManager, Retry, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    LocationValueError,
    NameResolutionError,
    ProxyError,
)
from urllib3.util import Url, parse_url

from etl.errors import ConfigurationError, EtlError, SourceUnavailable, TruncatedFeed
from etl.origin import PATIENT, Patience, Source, Version, read_date
from etl.proxies import Proxy, proxy_for

CONNECT_SECONDS = 30
READ_SECONDS = PATIENT.read_seconds
RETRY_AFTER_SECONDS = 10
"""How long a server may make us wait, at the most."""

REDIRECTS = 5

BLOCK_BYTES = 1 << 19
"""How much is asked of a connection at once. Of 64 KiB, as the decompressors ask for, to 1 MiB the one that
costs the least: a third less than 64 KiB, since a receiver that wakes more seldom finds more."""

_LATER = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may be others the next time."""

WHOLE = frozenset({200, 203})
"""Statuses of a whole body; 203 (RFC 9110, 15.3.4): a proxy has changed something about it."""

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Further variables that name certificates to trust, where OpenSSL's own (SSL_CERT_FILE, _DIR) do not."""

_FOR_ANYONE = re.compile("Accept(-Encoding)?|Content-Type|If-.*|Range|User-Agent", re.IGNORECASE)
"""Headers that may follow a redirect to another host; others may be secret."""

_STRONG_AFTER = timedelta(seconds=60)
"""How old a version is when its time, in whole seconds, is no other version's (RFC 9110, 8.8.2.2)."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.IGNORECASE)

logger = logging.getLogger(__name__)


# Requests --------------------------------------------------------------------------------------------


class _Retries(Retry):
    """Retries that a server can put off only so far."""

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        """Return for how many seconds the server wants to be left alone."""
        try:
            seconds = super().get_retry_after(response)
        except InvalidHeader:
            return None
        return None if seconds is None else min(seconds, RETRY_AFTER_SECONDS)


# What was sent is not sent again, unless it was a GET and the server said that it cannot serve it now.
_RETRIES = _Retries(
    connect=3, status=0, read=0, redirect=0, other=0, raise_on_status=False, backoff_factor=0.2,
)  # fmt: skip
_ONCE = _Retries(0, raise_on_status=False)


class _Connections(PoolManager):
    """Connections that give no secret away: neither to another host, nor in the clear."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._proxied: dict[Proxy, PoolManager] = {}

    def clear(self) -> None:
        """Close all connections."""
        super().clear()
        for manager in self._proxied.values():
            manager.clear()

    def urlopen(  # type: ignore[override]
        self, method: str, url: str, redirect: bool = True, **settings: Any
    ) -> BaseHTTPResponse:
        """Send a request, each part through the proxy that the environment names; follow up to 5 redirects.

        Raises:
            SourceUnavailable: a redirect that must not be followed.
            ConfigurationError: the environment names no proxy, or no certificates.
        """
        headers = _merged(settings.pop("headers", None) or self.headers)
        credentials = parse_url(url).auth
        if credentials is not None and "Authorization" not in headers:
            headers["Authorization"] = _basic(credentials)
        for _ in range(REDIRECTS + 1):
            response = self._send(method, url, headers=headers, **settings)
            location = redirect and response.get_redirect_location()
            if not location:
                return response
            response.close()
            here, there = parse_url(url), _redirected(url, location)
            if (here.scheme, here.host, here.port) != (there.scheme, there.host, there.port):
                headers = _merged({k: v for k, v in headers.items() if _FOR_ANYONE.fullmatch(k)})
            if response.status == 303:  # RFC 9110, 15.4.4
                method, settings["body"] = "GET", None
                headers.pop("Content-Type", None)
            url = there.url
        raise SourceUnavailable(f"more than {REDIRECTS} redirects")

    def _send(self, method: str, url: str, **settings: Any) -> BaseHTTPResponse:
        try:
            if parse_url(url).scheme == "https":
                self._trust_who_is_named()
            proxy = proxy_for(url)
            if proxy is None:
                return super().urlopen(method, url, redirect=False, **settings)
            bare = parse_url(url)._replace(auth=None, fragment=None).url
            return self._through(proxy).urlopen(method, bare, redirect=False, **settings)
        except HTTPError:
            raise
        except ValueError:  # whose text holds the header
            raise SourceUnavailable("a header has characters that cannot be sent") from None

    def _through(self, proxy: Proxy) -> PoolManager:
        """Return what sends requests through a proxy; its user and password go to it alone."""
        manager = self._proxied.get(proxy)
        if manager is None:
            known = proxy.credentials
            headers = {} if known is None else {"Proxy-Authorization": _basic_of(known)}
            manager = ProxyManager(proxy.url, proxy_headers=headers, **self.connection_pool_kw)
            self._proxied[proxy] = manager
        return manager

    def _trust_who_is_named(self) -> None:
        """Heed the variables that name certificates; OpenSSL itself passes over a file that is not there.

        Raises:
            ConfigurationError: it is not there.
        """
        own = [(name, os.environ.get(name)) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
        others = [(name, os.environ.get(name)) for name in _BUNDLES]
        for name, value in own:
            for path in (value or "").split(os.pathsep if name == "SSL_CERT_DIR" else "\0"):
                if path and not os.access(path, os.R_OK):
                    raise ConfigurationError(f"{name} names {path}, which cannot be read")
        bundle = next(((name, value) for name, value in others if value), None)
        if bundle is None or any(value for _, value in own):
            return
        name, path = bundle
        if not os.access(str(path), os.R_OK):
            raise ConfigurationError(f"{name} names {path}, which cannot be read")
        self.connection_pool_kw["ca_cert_dir" if os.path.isdir(str(path)) else "ca_certs"] = path


def _merged(*parts: Mapping[str, str]) -> HTTPHeaderDict:
    """Return headers of which the later ones hold, however they are spelled."""
    headers = HTTPHeaderDict()
    for part in parts:
        for name, value in part.items():
            headers[name] = value
    return headers


def _basic(credentials: str) -> str:
    user, _, password = credentials.partition(":")
    return _basic_of(f"{unquote(user)}:{unquote(password)}")


def _basic_of(known: str) -> str:
    return "Basic " + b64encode(known.encode()).decode()


def _redirected(url: str, location: str) -> Url:
    try:
        there = parse_url(urljoin(url, location))
    except ValueError:
        raise SourceUnavailable("a redirect to what is not a URL") from None
    if there.scheme not in ("http", "https"):
        raise SourceUnavailable("a redirect to what is not on the web")
    if parse_url(url).scheme == "https" and there.scheme == "http":
        raise SourceUnavailable("refused to be redirected from https to http")
    return there


@contextmanager
def connected(read_seconds: float = READ_SECONDS) -> Iterator[PoolManager]:
    """Yield what sends requests by the rules of this module; a POST is never sent twice.

    Raises:
        SourceUnavailable: a request failed.
    """
    timeout = Timeout(connect=CONNECT_SECONDS, read=read_seconds)
    pool = _Connections(timeout=timeout, retries=_RETRIES, cert_reqs="CERT_REQUIRED")
    with pool:
        try:
            yield pool
        except LocationValueError:
            raise SourceUnavailable("not a URL") from None
        except HTTPError as error:
            raise SourceUnavailable(_reason(error)) from None


def _reason(error: Exception) -> str:
    """Return why a request failed, without the URL that urllib3 puts into its messages."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, ProxyError):
        proxy = getattr(getattr(error, "pool", None), "proxy", None)
        named = "" if proxy is None else f" {proxy.scheme}://{proxy.host}:{proxy.port}"
        return f"the proxy{named}: {_reason(cause.original_error)}"
    if isinstance(cause, NameResolutionError):
        return f"the host's name is not known ({str(cause).rpartition('[')[2].rstrip('])')})"
    if isinstance(cause, ConnectTimeoutError) and type(cause) is ConnectTimeoutError:
        return f"no connection within {CONNECT_SECONDS} s"
    text = str(cause).rpartition(": ")[2]
    return f"{type(cause).__name__}: {text[:200]}" if text else type(cause).__name__


def _status(response: BaseHTTPResponse) -> str:
    return f"HTTP status {response.status} {response.reason}"


def _ask(
    pool: PoolManager, source: Source, conditions: Mapping[str, str], retries: Retry = _RETRIES
) -> BaseHTTPResponse:
    """Send the request for a source, and return the response with its body unread."""
    ours = {"User-Agent": "sluice-etl"}
    if source.body is not None:
        ours["Content-Type"] = "application/json"
    headers = _merged(ours, source.headers, {"Accept-Encoding": "identity"}, conditions)
    return pool.request(
        "GET" if source.body is None else "POST", source.uri, body=source.body, headers=headers,
        retries=retries, preload_content=False, decode_content=False, enforce_content_length=False,
    )  # fmt: skip


# Bodies ----------------------------------------------------------------------------------------------


@contextmanager
def open_http(source: Source, known: Version | None, patience: Patience) -> Iterator[Body | None]:
    """Open an http(s) URL; yield None if the feed still is in the version `known`.

    Raises:
        SourceUnavailable: there is no such feed, or it cannot be had.
    """
    if source.body is not None:
        known = None
    conditions = _conditions(known)
    with connected(patience.read_seconds) as pool:
        ask = partial(_ask, pool, source)
        response = _first(ask, conditions, source, patience)
        body = Body(response, ask, source, patience)
        try:
            unchanged = response.status == 304 and bool(conditions)
            if response.status not in WHOLE and not unchanged:
                raise SourceUnavailable(_status(response))
            # Not every server heeds conditions.
            unchanged = unchanged or (known is not None and known.same_as(body.version))
            yield None if unchanged else body
        finally:
            body.close()


class _Visits:
    """When to come back to a server that cannot serve now: each time later, until a deadline."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._count = 0
        self._end: float | None = None

    def pause(self, response: BaseHTTPResponse) -> float | None:
        """Return for how long to leave it alone; None if it was tried long enough."""
        now, patience = time.monotonic(), self._patience
        if self._end is None:
            self._end = now + patience.busy_seconds
        if now >= self._end:
            return None
        pause = min(patience.pause_seconds * 2**self._count, patience.longest_pause_seconds)
        self._count += 1
        asked = _RETRIES.get_retry_after(response) or 0
        return float(min(max(pause, asked), self._end - now))


def _first(
    ask: Callable[..., BaseHTTPResponse], conditions: Mapping[str, str], source: Source, patience: Patience
) -> BaseHTTPResponse:
    """Send the first request, again as long as the server cannot serve it and it is a GET."""
    visits = _Visits(patience)
    while True:
        response = ask(conditions)
        if response.status not in _LATER or source.body is not None:
            return response
        pause = visits.pause(response)
        if pause is None:
            return response
        response.close()
        logger.warning("%s: %s; trying again in %.1f s", source.shown, _status(response), pause)
        time.sleep(pause)


class Pace:
    """How fast bytes come, while they are waited for."""

    def __init__(self, patience: Patience = PATIENT) -> None:
        self._patience = patience
        self._waited = 0.0
        self._count = 0

    def add(self, count: int, seconds: float) -> bool:
        """Take note of what came, and how long that took; say whether it is fast enough for some time now.

        Raises:
            SourceUnavailable: they come too slowly.
        """
        patience = self._patience
        self._waited += seconds
        self._count += count
        if self._waited >= patience.slow_seconds:
            if count and self._count < patience.slow_rate * self._waited:
                raise SourceUnavailable(
                    f"less than {patience.slow_rate:,.0f} bytes a second for {self._waited:.0f} s"
                )
            self._waited, self._count = 0.0, 0
            return True
        return False


def read_at_most(response: BaseHTTPResponse, limit: int) -> bytes:
    """Return a body to its end, or to a little more than a limit.

    Raises:
        SourceUnavailable: it comes too slowly.
    """
    body, pace = bytearray(), Pace()
    while len(body) <= limit:
        started = time.monotonic()
        more = response.read1(1 << 16)
        if not more:
            break
        pace.add(len(more), time.monotonic() - started)
        body += more
    return bytes(body)


def _conditions(known: Version | None) -> dict[str, str]:
    """Return the headers that ask for a feed only if it is another than the one known."""
    if known is None:
        return {}
    named = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in named.items() if value}


def _version(response: BaseHTTPResponse, size: int | None) -> Version:
    return Version(response.headers.get("ETag"), response.headers.get("Last-Modified"), size)


def _validator(version: Version, response: BaseHTTPResponse) -> str | None:
    """Return what an If-Range may hold: it must stand for the very bytes (RFC 9110, 13.1.5)."""
    if version.etag:
        return version.strong_etag
    modified_at, sent_at = version.modified_at, read_date(response.headers.get("Date"))
    if modified_at is None or sent_at is None or sent_at - modified_at < _STRONG_AFTER:
        return None
    return version.last_modified


class Body:
    """A feed as its server sends it, over as many responses as it takes."""

    def __init__(
        self,
        response: BaseHTTPResponse,
        ask: Callable[..., BaseHTTPResponse],
        source: Source,
        patience: Patience,
    ) -> None:
        """Read on from a response to the first request; `ask` sends others."""
        self.version = _version(response, response.length_remaining)
        # What a proxy has changed on the way (203), the server cannot go on with.
        resumable = source.body is None and response.status == 200
        self._validator = _validator(self.version, response) if resumable else None
        self._response = response
        self._ask = ask
        self._shown = source.shown
        self._patience = patience
        self._held = memoryview(b"")
        """What was received, and not yet asked for."""
        self._position = 0
        self._end = self.version.size
        """Where the present response ends, where that is known."""
        self._repeated = 0
        """How much is still to come of what was read before."""
        self._resumptions = 0
        self._fruitless = 0
        self._pace = Pace(patience)
        self._slow = 0
        """How often in a row bytes came too slowly."""
        self._visits = _Visits(patience)
        self._is_busy = False

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def read(self, size: int = -1, /) -> memoryview:
        """Return up to `size` bytes; none at the end.

        Raises:
            TruncatedFeed: the transfer ended early, and cannot be resumed.
            SourceUnavailable: it broke and cannot be resumed, or the feed changed.
        """
        held = self._held or memoryview(self._read(max(size, BLOCK_BYTES)))
        end = size if size >= 0 else len(held)
        self._held = held[end:]
        return held[:end]

    def _read(self, size: int) -> bytes:
        while True:
            try:
                data = self._receive(size)
            except EtlError as broken:
                self._resume(broken)
                continue
            fresh = data[self._repeated :]
            self._repeated -= len(data) - len(fresh)
            self._position += len(fresh)
            if self._end is not None and self._position > self._end:
                raise SourceUnavailable(f"the server sent more than the {self._end:,} bytes announced")
            if fresh:
                self._fruitless = 0
                self._visits = _Visits(self._patience)
            if fresh or not data:
                return fresh

    def _receive(self, size: int) -> bytes:
        started = time.monotonic()
        try:
            # One recv(), straight into what is returned: as cheap as http.client's readinto(), and cheaper
            # than read(), which also loses what it holds when the transfer breaks.
            data = self._response.read1(size)
        except HTTPError as error:
            cause = (error, *error.args)[-1]
            name = type(cause if isinstance(cause, Exception) else error).__name__
            raise SourceUnavailable(self._broke(name)) from None
        try:
            if self._pace.add(len(data), time.monotonic() - started):
                self._slow = 0
        except SourceUnavailable as slow:
            self._slow += 1
            if self._slow > self._patience.attempts:
                self._validator = None  # another response would not do better
            raise SourceUnavailable(self._broke(slow.message)) from None
        if not data and (self._repeated or self._position < (self.version.size or 0)):
            raise TruncatedFeed(f"the transfer ended after {self._so_far}")
        return data

    @property
    def _so_far(self) -> str:
        size = self.version.size
        return f"{self._position:,} bytes" if size is None else f"{self._position:,} of {size:,} bytes"

    def _broke(self, why: str) -> str:
        return f"the transfer broke after {self._so_far}: {why}"

    # Resuming --------------------------------------------------------------------------------------

    def _resume(self, broken: EtlError) -> None:
        """Have the next response go on where the last one broke off.

        Raises:
            EtlError: `broken`, if there is no means to resume it.
            SourceUnavailable: it was tried long enough, or the feed changed.
        """
        if self._validator is None:
            raise broken
        reason, patience = broken.message, self._patience
        while self._fruitless < patience.attempts and self._resumptions < patience.resumptions:
            self._response.close()
            logger.warning("%s: %s; resuming", self._shown, reason)
            time.sleep(min(patience.pause_seconds * 2**self._fruitless, patience.longest_pause_seconds))
            self._fruitless += 1
            self._resumptions += 1
            failure = self._ask_for_the_rest(self._validator)
            if failure is None:
                self._pace = Pace(patience)
                return
            reason = self._broke(failure)
            if self._is_busy:  # which has a deadline, and does not count
                self._fruitless -= 1
                pause = self._visits.pause(self._response)
                if pause is None:
                    break
                time.sleep(pause)
        raise SourceUnavailable(f"{reason}; given up after {self._resumptions} attempts to resume")

    def _ask_for_the_rest(self, validator: str) -> str | None:
        """Send one request and take its response up; return why it has to be sent again."""
        rest = {"Range": f"bytes={self._position}-", "If-Range": validator}
        self._is_busy = False
        try:
            self._response = self._ask(rest, _ONCE)
        except HTTPError as error:
            return _reason(error)
        if self._response.status in _LATER:
            self._is_busy = True
            return _status(self._response)
        if self._response.status == 206:
            self._take_part()
        elif self._response.status == 200:
            self._take_whole()
        elif self._response.status == 416:
            raise self._changed(_status(self._response))
        else:
            raise SourceUnavailable(self._broke(_status(self._response)))
        return None

    def _take_part(self) -> None:
        """Go on with a response to a range request, if it is that range, of the same feed."""
        match = _CONTENT_RANGE.fullmatch(self._response.headers.get("Content-Range", ""))
        if match is None:
            raise SourceUnavailable(self._broke("the server does not say where it resumes"))
        first, last, total = map(int, match.groups())
        if self.version.differs_from(_version(self._response, total)):
            raise self._changed()
        announced = self._response.length_remaining
        if first != self._position or last >= total or announced not in (None, last + 1 - first):
            raise SourceUnavailable(self._broke("the server resumes at another byte than asked"))
        self.version = replace(self.version, size=total)
        self._end, self._repeated = last + 1, 0

    def _take_whole(self) -> None:
        """Go on with a response that starts anew, if it has the same bytes to pass over."""
        version = _version(self._response, self._response.length_remaining)
        if self.version.differs_from(version):
            raise self._changed()
        if version.strong_etag is None:
            raise SourceUnavailable(self._broke("the server cannot resume it"))
        self._end, self._repeated = self.version.size, self._position

    def _changed(self, how: str = "") -> SourceUnavailable:
        text = f"the feed changed during the transfer, after {self._position:,} bytes"
        return SourceUnavailable(f"{text}: {how}" if how else text)
