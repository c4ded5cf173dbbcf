"""Where a feed is, what tells one state of it from the next, and how long to wait for its server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from etl.redaction import is_like_url, redacted, usable, without


@dataclass(frozen=True)
class Source:
    """Where a feed is: a URI and, for a web server, what to send along."""

    uri: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    body: bytes | None = field(default=None, repr=False)
    """Sent by POST; such a transfer can be neither resumed nor made conditional."""

    @property
    def shown(self) -> str:
        """The URI, fit to be shown."""
        return redacted(self.uri)

    @property
    def scheme(self) -> str:
        """The URI's scheme; a path has none.

        Raises:
            ValueError: it looks like a URL, but is none that can be used.
        """
        if not is_like_url(self.uri):
            return ""
        parts = usable(self.uri)
        if parts is None:
            raise ValueError("not a URL")
        return parts["scheme"].lower()

    @property
    def path(self) -> Path | None:
        """The file that it names; None for standard input and for what a server has."""
        try:
            scheme = self.scheme
        except ValueError:
            return None
        if scheme == "file":
            return Path(unquote(urlsplit(self.uri).path))
        return Path(self.uri) if scheme == "" and self.uri != "-" else None

    @property
    def is_served(self) -> bool:
        """Whether there is a web server, which can tell if the feed is still the same."""
        try:
            return self.scheme in ("http", "https")
        except ValueError:
            return False

    def without_secrets(self, text: str) -> str:
        """Return a text without the token, which the server may have put there, and what must not be shown.

        Of a URL such as `http://user:1/secret@host/` the host is `user`, by the letter.
        """
        token = self.headers.get("Authorization", "").rpartition(" ")[2]
        text = text.replace(token, "(token)") if token else text
        parts = usable(self.uri) if is_like_url(self.uri) else None
        return text if parts is None or parts["host"] in self.shown else without(text, [parts["host"]])


@dataclass(frozen=True)
class Version:
    """What tells one state of a feed from the next, as its server says."""

    etag: str | None
    last_modified: str | None
    size: int | None

    @property
    def modified_at(self) -> datetime | None:
        """When the feed was changed last, if its server says so in a way that can be read."""
        return read_date(self.last_modified)

    @property
    def strong_etag(self) -> str | None:
        """The ETag, if it stands for these very bytes (RFC 9110, 8.8.1)."""
        return self.etag if self.etag and not self.etag.startswith("W/") else None

    def same_as(self, other: Version) -> bool:
        """Whether the feed is still the same; it is not, where nothing can be compared."""
        if self.etag and other.etag:  # by weak comparison (RFC 9110, 8.8.3.2)
            return self.etag.removeprefix("W/") == other.etag.removeprefix("W/")
        dated = self.last_modified is not None and self.last_modified == other.last_modified
        return dated and self.size is not None and self.size == other.size

    def differs_from(self, other: Version) -> bool:
        """Whether `other`, as far as it is known, is not of these very bytes."""
        if other.size is not None and self.size is not None and other.size != self.size:
            return True
        if other.etag:
            return other.etag != self.etag
        return other.last_modified is not None and other.last_modified != self.last_modified


BUSY = timedelta(minutes=1)
"""For how long what a server cannot serve now is tried again, unless `--retry-for` says otherwise."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server, and how often to come back to it."""

    read_seconds: float = 60
    pause_seconds: float = 0.2
    """Before a transfer is resumed; doubled as long as that brings no byte."""
    longest_pause_seconds: float = 5
    attempts: int = 5
    """To resume a transfer, in a row, without a byte."""
    resumptions: int = 100
    """Of one transfer in all."""
    busy_seconds: float = BUSY.total_seconds()
    """How long to come back to a server that says it cannot serve now, at the beginning or in between."""
    slow_seconds: float = 60
    """How long bytes may come too slowly; only what is spent on waiting for them counts."""
    slow_rate: float = 1000
    """What is too slow, in bytes a second; as curl's --speed-limit."""


PATIENT = Patience()


def read_date(text: str | None) -> datetime | None:
    """Return the time in a header; None if there is none or it cannot be read."""
    from email.utils import parsedate_to_datetime  # slow to import, and few need it

    try:
        time = parsedate_to_datetime(text or "")
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
