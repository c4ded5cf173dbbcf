"""The tables as a program's version knows them, and how those of an older version come to be so.

Each group of tables (the ledger's, each pipeline's) has its own number in the table `etl_schema`. A
database that has the tables but no number is of version 1, which kept none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from etl.errors import ConfigurationError

_metadata = sa.MetaData()

_versions = sa.Table(
    "etl_schema",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)


@dataclass(frozen=True)
class Schema:
    """A group of tables, as they are now."""

    name: str
    metadata: sa.MetaData
    steps: tuple[Callable[[sa.Connection], None], ...] = ()
    """The n-th (from 1) brings the tables of version n to version n + 1; new tables need no step."""

    @property
    def version(self) -> int:
        """The number of the tables as they are now, from 1."""
        return len(self.steps) + 1


def prepare(connection: sa.Connection, *schemas: Schema) -> None:
    """Create what is missing and bring up to date what is older, in the transaction that is open.

    Raises:
        ConfigurationError: the database is of a newer version than this program.
    """
    known = _known(connection)
    if all(known.get(schema.name) == schema.version for schema in schemas):
        return
    if connection.dialect.name == "postgresql":  # two programs that create tables at once would collide
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("etl_schema"))))
    _metadata.create_all(connection)
    known = _known(connection)
    for schema in schemas:
        found = known.get(schema.name) or _unnumbered(connection, schema)
        if found > schema.version:
            raise ConfigurationError(
                f"the database's tables “{schema.name}” are of version {found}, and this program knows"
                f" version {schema.version}: it needs to be upgraded"
            )
        for step in schema.steps[found - 1 :]:
            step(connection)
        schema.metadata.create_all(connection)
        connection.execute(sa.delete(_versions).where(_versions.c.name == schema.name))
        connection.execute(sa.insert(_versions).values(name=schema.name, version=schema.version))


def _known(connection: sa.Connection) -> dict[str, int]:
    if not sa.inspect(connection).has_table(_versions.name):
        return {}
    return {name: version for name, version in connection.execute(sa.select(_versions))}


def _unnumbered(connection: sa.Connection, schema: Schema) -> int:
    """Return the version of tables that have no number: there are none yet, or they are of the first."""
    inspector = sa.inspect(connection)
    there = any(inspector.has_table(table.name) for table in schema.metadata.sorted_tables)
    return 1 if there else schema.version


def rebuild(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """Make SQLite's tables anew, with the rows that are there: it cannot alter a column.

    As its documentation advises ("Making Other Kinds Of Table Schema Changes"), but with the tables that
    refer to others moved along, so that foreign keys hold all the while. What others have made for these
    tables is made again: indexes and triggers; views go by the names, which stay.
    """
    inspector = sa.inspect(connection)
    quoted = connection.dialect.identifier_preparer.quote
    there = [table for table in metadata.sorted_tables if inspector.has_table(table.name)]
    made = _made_for(connection, [table.name for table in there])
    ours = {index.name for table in there for index in table.indexes}
    connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")  # else views would follow what is renamed
    for kind, name, _ in made:
        connection.exec_driver_sql(f"DROP {kind} {quoted(name)}")
    for table in there:
        connection.exec_driver_sql(f"ALTER TABLE {quoted(table.name)} RENAME TO {_old(table.name)}")
    metadata.create_all(connection)
    for table in there:
        names = ", ".join(quoted(column["name"]) for column in inspector.get_columns(table.name))
        old = _old(table.name)
        connection.exec_driver_sql(f"INSERT INTO {quoted(table.name)} ({names}) SELECT {names} FROM {old}")
    for table in reversed(there):
        connection.exec_driver_sql(f"DROP TABLE {_old(table.name)}")
    connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")
    for _, name, statement in made:
        if name not in ours:
            connection.exec_driver_sql(statement)


def _made_for(connection: sa.Connection, tables: list[str]) -> list[tuple[str, str, str]]:
    """Return kind, name and statement of the indexes and triggers that SQLite has for tables."""
    query = sa.text(
        "SELECT type, name, sql FROM sqlite_master"
        " WHERE type IN ('index', 'trigger') AND sql IS NOT NULL AND tbl_name IN :tables"
    ).bindparams(sa.bindparam("tables", expanding=True))
    return [(kind, name, sql) for kind, name, sql in connection.execute(query, {"tables": tables})]


def _old(name: str) -> str:
    return f'"{name} of the older version"'
