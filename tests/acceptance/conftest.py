"""What acceptance tests are given: the command, databases of either kind, a Lotus node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Etl
from tests.support.databases import Database, ServerDatabase, Tables
from tests.support.lotus_node import Node
from tests.support.postgresql import Server

from .feeds import as_object, awkward


@pytest.fixture
def etl(tmp_path: Path) -> Iterator[Etl]:
    """The command, with `tmp_path` as its working directory and a clean environment."""
    command = Etl(tmp_path)
    yield command
    command.close()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """The database that the command uses if none is named."""
    return Database(tmp_path / "deals.db")


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def tables(request: pytest.FixtureRequest, database: Database) -> Iterator[Tables]:
    """A database of either kind, in turn; nothing is in it yet."""
    if request.param == "SQLite":
        yield database
        return
    server: Server = request.getfixturevalue("postgresql")
    with server.database() as name:
        yield ServerDatabase(server.local(name))


@pytest.fixture(scope="session")
def loaded_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database after one good run, made once."""
    directory = tmp_path_factory.mktemp("loaded")
    command = Etl(directory)
    command.loaded(as_object(awkward()))
    command.close()
    return directory / "deals.db"


@pytest.fixture
def before(database: Database, loaded_once: Path) -> dict[str, list[dict[str, Any]]]:
    """Start with a database after one good run; this is what stands in it."""
    database.path.write_bytes(loaded_once.read_bytes())
    return database.dump()


@pytest.fixture
def node() -> Iterator[Node]:
    """A Lotus node."""
    with Node() as node:
        yield node
