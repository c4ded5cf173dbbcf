"""What the URL of a database may say: told before anything is opened, and without SQLAlchemy.

A URL that cannot serve is never repeated: it may hold a password.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote

from etl.database import sqlite
from etl.errors import ConfigurationError

POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg2")
"""The schemes of URLs of PostgreSQL, the usual one first."""

_SCHEME = re.compile(r"(?:jdbc:)?([A-Za-z][A-Za-z0-9+_.-]{0,30}):")

_SERVER = re.compile(
    r"[\w+]+://(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?P<hosts>[^/?]*)(?P<path>[^?]*)(?:\?(?P<query>.*))?"
)
"""Of a URL of a server, as SQLAlchemy has it."""

_HOST = re.compile(r"(?:\[(?P<address>[^\[\]]+)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]*))?")

_ESCAPES = "in user, password and names @ : / ? # % are written as %40 %3A %2F %3F %23 %25"

_OTHERS = {
    "clickhouse", "cockroachdb", "db2", "duckdb", "firebird", "mariadb", "mongodb", "mssql", "mysql",
    "oracle", "redis", "redshift", "snowflake", "sqlserver",
}  # fmt: skip
"""What else a URL may begin with; what is not among them is not repeated."""

_FORMS = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def check(url: str, *, writes: bool = True, lasting: bool = True) -> None:
    """See that a database can serve: be written, if a command `writes`, and outlive it, if `lasting`.

    Raises:
        ConfigurationError: it cannot; the sentence says why, and what to use.
    """
    if sqlite.address_of(url) is not None:
        sqlite.check(url, writes=writes, lasting=lasting)
    elif not is_postgresql(url):
        raise ConfigurationError(_refusal(url))
    elif (match := _SERVER.match(url)) is None or "@" in match["hosts"] + match["path"]:
        # What stands before it would be taken for a host or a name, and be told if there is none such.
        raise ConfigurationError(f"the database URL cannot be used: it has an @ too many; {_ESCAPES}")


def is_postgresql(url: str) -> bool:
    """Say whether a URL is one of PostgreSQL that can serve."""
    return "://" in url and url.partition("://")[0] in POSTGRESQL


def _refusal(url: str) -> str:
    """Return why a URL is not one of a database that is supported, and what to write."""
    match = _SCHEME.match(url)
    if match is None:
        return f"the database is no URL: write {_FORMS}"
    scheme = match[1].lower()
    kind = scheme.partition("+")[0]
    if kind.startswith("sqlite") or kind == "file":
        return "the database URL is not one of SQLite as it is used here: write sqlite:///PATH"
    if kind in ("postgresql", "postgres", "pgsql", "psql", "pg", "postgis"):
        driver = f"the driver {scheme.partition('+')[2]} is not used: " if "+" in scheme else ""
        return (
            f"the database URL is not one of PostgreSQL as it is used here: {driver}write"
            " postgresql://USER@HOST/DATABASE"
        )
    if "://" not in url:
        return f"the database is no URL: write {_FORMS}"
    known = f"a database of the kind {kind}" if kind in _OTHERS else "this kind of database"
    return f"{known} is not supported: use SQLite or PostgreSQL ({_FORMS})"


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
