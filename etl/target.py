"""Where rows go: a database as the user names it, before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """A database."""

    url: str = field(repr=False)
    """A SQLAlchemy URL; it may hold a password."""
    schema: str | None = None
    """The schema that our tables are in (PostgreSQL); None is the first one of the search path."""
