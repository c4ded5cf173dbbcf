"""Feeds over HTTP: the whole of one version, however often the transfer breaks, or an error.

A transfer that breaks is resumed from the byte where it broke, if the server named its version in a way
that stands for the very bytes. Whatever answers must prove that it is of that version; nothing is ever
spliced.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from etl.declare.location import PATIENT, Patience, Source, Version, read_date
from etl.errors import EtlError, SourceUnavailable, TruncatedFeed
from etl.source.connections import LATER, ONCE, RETRIES, ask, connected, reason_of, status_of

BLOCK_BYTES = 1 << 19
"""How much is asked of a connection at once. Of 64 KiB, as the decompressors ask for, to 1 MiB the one that
costs the least: a third less than 64 KiB, since a receiver that wakes more seldom finds more."""

WHOLE = frozenset({200, 203})
"""Statuses of a whole body; 203 (RFC 9110, 15.3.4): a proxy has changed something about it."""

_STRONG_AFTER = timedelta(seconds=60)
"""How old a version is when its time, in whole seconds, is no other version's (RFC 9110, 8.8.2.2)."""

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.IGNORECASE)

logger = logging.getLogger(__name__)


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
        again = partial(ask, pool, source)
        response = _first(again, conditions, source, patience)
        body = Body(response, again, source, patience)
        try:
            unchanged = response.status == 304 and bool(conditions)
            if response.status not in WHOLE and not unchanged:
                raise SourceUnavailable(status_of(response))
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
        asked = RETRIES.get_retry_after(response) or 0
        return float(min(max(pause, asked), self._end - now))


def _first(
    ask: Callable[..., BaseHTTPResponse], conditions: Mapping[str, str], source: Source, patience: Patience
) -> BaseHTTPResponse:
    """Send the first request, again as long as the server cannot serve it and it is a GET."""
    visits = _Visits(patience)
    while True:
        response = ask(conditions)
        if response.status not in LATER or source.body is not None:
            return response
        pause = visits.pause(response)
        if pause is None:
            return response
        response.close()
        logger.warning("%s: %s; trying again in %.1f s", source.shown, status_of(response), pause)
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
            self._response = self._ask(rest, ONCE)
        except HTTPError as error:
            return reason_of(error)
        if self._response.status in LATER:
            self._is_busy = True
            return status_of(self._response)
        if self._response.status == 206:
            self._take_part()
        elif self._response.status == 200:
            self._take_whole()
        elif self._response.status == 416:
            raise self._changed(status_of(self._response))
        else:
            raise SourceUnavailable(self._broke(status_of(self._response)))
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
