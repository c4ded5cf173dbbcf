"""The tables as a program's version knows them, and how those of an older version come to be so.

Each group of tables (the ledger's, each pipeline's) has its own number in the table `etl_schema`, which is
also the mark that they are ours: a name alone is not, since other programs have a table `deals` too. A
database of version 1 has no such table: there, tables are ours if they are column by column as that version
made them. Anything else is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from etl.errors import ConfigurationError

NAMESPACE = "etl namespace"
"""Where the `info` of a connection keeps in which schema of PostgreSQL its transaction works."""

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
    first: sa.MetaData = field(default_factory=sa.MetaData)
    """The tables as a version 1 made them that left no mark, if there was such a one."""
    steps: tuple[Callable[[sa.Connection], None], ...] = ()
    """The n-th (from 1) brings the tables of version n to version n + 1; new tables need no step."""
    compared: bool = False
    """Whether tables that bear our mark are looked at as well: their author may have changed them since,
    and there is no step for that."""
    further: Mapping[str, sa.types.TypeEngine[Any]] = field(default_factory=dict)
    """The tables that may have any further columns of a type."""

    @property
    def version(self) -> int:
        """The number of the tables as they are now, from 1."""
        return len(self.steps) + 1


def namespace_of(connection: sa.Connection) -> str | None:
    """Return the schema that the open transaction works in (PostgreSQL); None on SQLite."""
    namespace: str | None = connection.info.get(NAMESPACE)
    return namespace


def prepare(connection: sa.Connection, *schemas: Schema) -> None:
    """Create what is missing and bring up to date what is older, in the transaction that is open.

    Raises:
        ConfigurationError: the database is of a newer version, or has tables of our names, but not ours.
    """
    marked = _marked(connection)
    for schema in schemas:
        if schema.compared and schema.name in marked:
            _refuse_changed(connection, schema)
    if all(marked.get(schema.name) == schema.version for schema in schemas):
        return
    namespace = namespace_of(connection)
    if namespace is not None:
        # Two programs that create tables at once would collide.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext("etl_schema"))))
        if not sa.inspect(connection).has_schema(namespace):
            connection.execute(sa.schema.CreateSchema(namespace))
    found = {schema.name: version_of(connection, schema) for schema in schemas}
    _create_missing(connection, _metadata)
    for schema in schemas:
        if (version := found[schema.name]) is not None:
            for step in schema.steps[version - 1 :]:
                step(connection)
        _create_missing(connection, schema.metadata)
        connection.execute(sa.delete(_versions).where(_versions.c.name == schema.name))
        connection.execute(sa.insert(_versions).values(name=schema.name, version=schema.version))


def version_of(connection: sa.Connection, schema: Schema) -> int | None:
    """Return which version of a group of tables is there; None if none is.

    Raises:
        ConfigurationError: it is newer than this program's, or another program's tables have the names.
    """
    version = _marked(connection).get(schema.name)
    if version is not None:
        if version > schema.version:
            raise ConfigurationError(
                f"the database's tables “{schema.name}” are of version {version}, and this program knows"
                f" version {schema.version}: it needs to be upgraded"
            )
        return version
    there = [table for table in schema.metadata.sorted_tables if is_there(connection, table.name)]
    for table in there:
        first, further = schema.first.tables.get(table.name), schema.further.get(table.name)
        _refuse_foreign(connection, table.name, first, further)
    return 1 if there else None


def copies(*tables: sa.Table) -> sa.MetaData:
    """Return tables apart from those that they are copied from."""
    metadata = sa.MetaData()
    for table in tables:
        table.to_metadata(metadata)
    return metadata


def _marked(connection: sa.Connection) -> Mapping[str, int]:
    """Return the versions of the groups of tables that bear our mark."""
    if not is_there(connection, _versions.name):
        return {}
    _refuse_foreign(connection, _versions.name, _versions)
    return {name: version for name, version in connection.execute(sa.select(_versions))}


def is_there(connection: sa.Connection, name: str) -> bool:
    """Say whether there is a table, a view or the like of a name, in our schema."""
    return sa.inspect(connection).has_table(name, namespace_of(connection))


def _create_missing(connection: sa.Connection, metadata: sa.MetaData) -> None:
    missing = [table for table in metadata.sorted_tables if not is_there(connection, table.name)]
    metadata.create_all(connection, missing, checkfirst=False)


def _refuse_foreign(
    connection: sa.Connection,
    name: str,
    ours: sa.Table | None,
    further: sa.types.TypeEngine[Any] | None = None,
) -> None:
    """Refuse a table of one of our names that is not as we made it.

    Raises:
        ConfigurationError: with what is foreign about it.
    """
    why = _foreign(connection, name, ours, further)
    if why is not None:
        elsewhere = "--schema or another database" if namespace_of(connection) else "another database"
        raise ConfigurationError(
            f"the table “{name}” in the database is another program's: {why}. Nothing was changed;"
            f" name {elsewhere} for ours"
        )


def _refuse_changed(connection: sa.Connection, schema: Schema) -> None:
    """Refuse tables of ours that an author has declared anew; further columns do no harm.

    Raises:
        ConfigurationError: with what is different.
    """
    for table in schema.metadata.sorted_tables:
        if not is_there(connection, table.name):
            continue
        why = _foreign(connection, table.name, table, more=True)
        found = sa.inspect(connection).get_pk_constraint(table.name, namespace_of(connection))
        key = [column.name for column in table.primary_key]
        if why is None and set(found["constrained_columns"]) != set(key):
            why = f"its key is ({', '.join(found['constrained_columns'])}), and not ({', '.join(key)})"
        if why is not None:
            raise ConfigurationError(
                f"the table “{table.name}” in the database is not as the pipeline has it now: {why}."
                " Nothing was changed; alter or rename that table, or name another one"
            )


def _foreign(
    connection: sa.Connection,
    name: str,
    ours: sa.Table | None,
    further: sa.types.TypeEngine[Any] | None = None,
    more: bool = False,
) -> str | None:
    """Return what tells a table from ours, or None.

    It may also have columns of the type `further`, or with `more`, of any.
    """
    inspector = sa.inspect(connection)
    namespace = namespace_of(connection)
    if name not in inspector.get_table_names(namespace):
        return "it is no ordinary table"
    if ours is None:
        return "nothing says that it is ours"
    there = {column["name"]: column for column in inspector.get_columns(name, namespace)}
    dialect = connection.dialect
    for column in ours.columns:
        found = there.pop(column.name, None)
        if found is None:
            return f"it has no column “{column.name}”"
        kind, wanted = (each.compile(dialect) for each in (found["type"], column.type))
        if kind != wanted:
            return f"its column “{column.name}” is of type {kind}, and ours of type {wanted}"
        if found["nullable"] != column.nullable and not column.primary_key:
            return f"its column “{column.name}” {'may' if found['nullable'] else 'may not'} be null"
    if further is not None:
        kind = further.compile(dialect)
        there = {each: found for each, found in there.items() if found["type"].compile(dialect) != kind}
    return f"it has a column “{min(there)}”, and ours has not" if there and not more else None


def add_columns(connection: sa.Connection, table: str, columns: Mapping[str, str]) -> None:
    """Add columns, by name and declaration, to a table that is there and lacks them."""
    quoted = connection.dialect.identifier_preparer.quote
    # On SQLite nobody else can write now; on PostgreSQL another run may have added them meanwhile.
    unless = "IF NOT EXISTS " if namespace_of(connection) is not None else ""
    for name, declaration in columns.items():
        connection.exec_driver_sql(
            f"ALTER TABLE {quoted(table)} ADD COLUMN {unless}{quoted(name)} {declaration}"
        )


def required_columns(connection: sa.Connection, table: str) -> list[str]:
    """Return the columns that every new row has to give a value."""
    columns = sa.inspect(connection).get_columns(table, namespace_of(connection))
    return [each["name"] for each in columns if not each["nullable"] and each["default"] is None]


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
