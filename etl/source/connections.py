"""Requests over HTTP, and where they may go: proxies, redirects, certificates, secrets, what is sent again.

Secrets stay where they were meant to go: not to another host, not from TLS into the clear, not into
messages.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

from etl.declare.location import PATIENT, Source
from etl.errors import ConfigurationError, SourceUnavailable
from etl.source.proxies import Proxy, proxy_for

CONNECT_SECONDS = 30
READ_SECONDS = PATIENT.read_seconds
RETRY_AFTER_SECONDS = 10
"""How long a server may make us wait, at the most."""

REDIRECTS = 5

LATER = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may be others the next time."""

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""Further variables that name certificates to trust, where OpenSSL's own (SSL_CERT_FILE, _DIR) do not."""

_FOR_ANYONE = re.compile("Accept(-Encoding)?|Content-Type|If-.*|Range|User-Agent", re.IGNORECASE)
"""Headers that may follow a redirect to another host; others may be secret."""


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
RETRIES = _Retries(
    connect=3, status=0, read=0, redirect=0, other=0, raise_on_status=False, backoff_factor=0.2,
)  # fmt: skip
ONCE = _Retries(0, raise_on_status=False)


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
    pool = _Connections(timeout=timeout, retries=RETRIES, cert_reqs="CERT_REQUIRED")
    with pool:
        try:
            yield pool
        except LocationValueError:
            raise SourceUnavailable("not a URL") from None
        except HTTPError as error:
            raise SourceUnavailable(reason_of(error)) from None


def reason_of(error: Exception) -> str:
    """Return why a request failed, without the URL that urllib3 puts into its messages."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, ProxyError):
        proxy = getattr(getattr(error, "pool", None), "proxy", None)
        named = "" if proxy is None else f" {proxy.scheme}://{proxy.host}:{proxy.port}"
        return f"the proxy{named}: {reason_of(cause.original_error)}"
    if isinstance(cause, NameResolutionError):
        return f"the host's name is not known ({str(cause).rpartition('[')[2].rstrip('])')})"
    if isinstance(cause, ConnectTimeoutError) and type(cause) is ConnectTimeoutError:
        return f"no connection within {CONNECT_SECONDS} s"
    text = str(cause).rpartition(": ")[2]
    return f"{type(cause).__name__}: {text[:200]}" if text else type(cause).__name__


def status_of(response: BaseHTTPResponse) -> str:
    """Return a response's status in words."""
    return f"HTTP status {response.status} {response.reason}"


def ask(
    pool: PoolManager, source: Source, conditions: Mapping[str, str], retries: Retry = RETRIES
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
