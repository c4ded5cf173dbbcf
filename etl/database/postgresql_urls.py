"""What the URL of a PostgreSQL server may say: told before anything is opened, and without SQLAlchemy.

A URL that cannot serve is never repeated: it may hold a password.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from etl.errors import ConfigurationError

POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg2")
"""The schemes of URLs of PostgreSQL, the usual one first."""

_SERVER = re.compile(
    r"[\w+]+://(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<hosts>[^/?]*)(?P<path>[^?]*)(?:\?(?P<query>.*))?"
)
"""Of a URL of a server, as SQLAlchemy has it."""

_HOST = re.compile(r"(?:\[(?P<address>[^\[\]]+)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]*))?")

_ESCAPES = "in user, password and names @ : / ? # % are written as %40 %3A %2F %3F %23 %25"


def check(url: str) -> None:
    """See that a URL can be understood.

    Raises:
        ConfigurationError: it cannot; the sentence says why.
    """
    if (match := _SERVER.match(url)) is None or "@" in match["hosts"] + match["path"]:
        # What stands before it would be taken for a host or a name, and be told if there is none such.
        raise ConfigurationError(f"the database URL cannot be used: it has an @ too many; {_ESCAPES}")


def is_postgresql(url: str) -> bool:
    """Say whether a URL is one of PostgreSQL that can serve."""
    return "://" in url and url.partition("://")[0] in POSTGRESQL


def has_several_hosts(url: str) -> bool:
    """Say whether a URL of PostgreSQL names several hosts, which libpq takes and SQLAlchemy does not."""
    match = _SERVER.match(url)
    return match is not None and "," in match["hosts"]


def libpq_parameters(url: str) -> dict[str, str]:
    """Return what libpq is told of a URL with several hosts (its manual, 34.1.1.3): host, port, dbname, ...

    Raises:
        ConfigurationError: not a URL of that kind.
    """
    match = _SERVER.match(url)
    places = [_HOST.fullmatch(part) for part in match["hosts"].split(",")] if match is not None else [None]
    if match is None or None in places:
        raise ConfigurationError(f"the database URL cannot be used: hosts are HOST:PORT,...; {_ESCAPES}")
    found = {
        "host": ",".join(unquote(place["name"] or place["address"] or "") for place in places if place),
        "port": ",".join(place["port"] or "" for place in places if place),
        "user": unquote(match["user"] or ""),
        "password": unquote(match["password"] or ""),
        "dbname": unquote(match["path"].removeprefix("/")),
    }
    given = dict(parse_qsl(match["query"] or ""))
    return {name: value for name, value in found.items() if value} | given
