"""Where rows go: a database as the user names it, before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field

from etl.database.urls import is_postgresql


@dataclass(frozen=True)
class Target:
    """A database."""

    url: str = field(repr=False)
    """A SQLAlchemy URL; it may hold a password."""
    schema: str | None = None
    """The schema that our tables are in (PostgreSQL); None is the first one of the search path."""

    @property
    def is_postgresql(self) -> bool:
        """Whether it is one of a PostgreSQL server."""
        return is_postgresql(self.url)
