"""A database as the user names it, and which kind of database that is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etl.database.postgresql_urls import is_postgresql
from etl.database.sqlite_urls import address_of
from etl.errors import ConfigurationError

if TYPE_CHECKING:
    from etl.database.database import Database

_SCHEME = re.compile(r"(?:jdbc:)?([A-Za-z][A-Za-z0-9+_.-]{0,30}):")

_OTHERS = {
    "clickhouse", "cockroachdb", "db2", "duckdb", "firebird", "mariadb", "mongodb", "mssql", "mysql",
    "oracle", "redis", "redshift", "snowflake", "sqlserver",
}  # fmt: skip
"""What else a URL may begin with; what is not among them is not repeated."""

_FORMS = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True)
class Target:
    """A database, by its URL; nothing is opened.

    Raises:
        ConfigurationError: a schema is named, and it is not PostgreSQL's.
    """

    url: str = field(repr=False)
    """A SQLAlchemy URL; it may hold a password."""
    schema: str | None = None
    """The schema that our tables are in (PostgreSQL); None is the first one of the search path."""

    def __post_init__(self) -> None:
        if self.schema is not None and not is_postgresql(self.url):
            raise ConfigurationError(
                "only PostgreSQL has schemas: leave out --schema, or name another file"
            )

    @property
    def database(self) -> Database:
        """The database.

        Raises:
            ConfigurationError: the URL is not one of a database that is supported; it is not repeated.
        """
        # Commands that only show their help name a database, too.
        if address_of(self.url) is not None:
            from etl.database.sqlite import SQLite

            return SQLite(self.url)
        if is_postgresql(self.url):
            from etl.database.postgresql import PostgreSQL

            return PostgreSQL(self.url, self.schema)
        raise ConfigurationError(_refusal(self.url))

    @property
    def file(self) -> str | None:
        """The file that it is, as an absolute path through no link; None if it is none."""
        address = address_of(self.url)
        return None if address is None else address.file


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
