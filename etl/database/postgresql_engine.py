"""The engine of a PostgreSQL database: what every connection and transaction of it sets for itself."""

from __future__ import annotations

import os
import socket
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from etl.database import postgresql_urls
from etl.database.schema import NAMESPACE
from etl.errors import ConfigurationError
from etl.redaction import secrets_of, without

_CONNECTING = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""What libpq is told unless the URL says otherwise: a server that is gone is noticed within a minute."""

_LOCK_TIMEOUT = "60s"
"""How long to wait for a lock on a table, unless the role, the database or the URL says otherwise."""

_SCHEMA_HERE = sa.text(
    """
    SELECT coalesce(:schema, (
        SELECT name FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, place)
        WHERE NOT starts_with(name, 'pg_temp_') ORDER BY place LIMIT 1
    ))
    """
)
"""The first schema of the search path that there is; one of temporary tables may be named there too."""

_SETTINGS = sa.text(
    """
    SELECT set_config('search_path', quote_ident(:schema) || ', pg_temp', true),
           set_config('TimeZone', 'UTC', true),
           CASE current_setting('lock_timeout')
               WHEN '0' THEN set_config('lock_timeout', :patience, true)
           END,
           (SELECT count(set_config(name, '0', true)) FROM pg_settings
            WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout'))
    """
)
"""What every transaction on PostgreSQL sets for itself.

Temporary tables come last: by themselves they would hide ours. A run's transaction is idle while its feed
has nothing for it, and then holds nothing back, so no timeout shall end it.
"""


class ClosedAtOnce(exc.SQLAlchemyError):
    """The connection was closed at its first transaction: PgBouncer says why, but libpq does not."""


def engine_of(url: str, schema: str | None, read_only: bool) -> sa.Engine:
    """Return an engine for the database of a URL; one that is `read_only` cannot write to it.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    postgresql_urls.check(url)
    known = _CONNECTING | {"application_name": _application_name()}
    try:
        if postgresql_urls.has_several_hosts(url):
            parsed = sa.URL.create("postgresql+psycopg2")
            arguments = known | postgresql_urls.libpq_parameters(url)
        else:
            parsed = sa.make_url(url).set(drivername="postgresql+psycopg2")
            arguments = {name: value for name, value in known.items() if name not in parsed.query}
        arguments["client_encoding"] = "utf8"
        engine = sa.create_engine(parsed, connect_args=arguments)
    except (exc.ArgumentError, ValueError, ImportError) as error:
        raise ConfigurationError(f"the database URL cannot be used: {type(error).__name__}") from None
    _hide_secrets(engine, url)
    _set_in_transactions(engine, schema, read_only)
    return engine


def _hide_secrets(engine: sa.Engine, url: str) -> None:
    """Have no error of the driver say what must not be shown of the URL, as libpq would."""
    secrets = secrets_of(url)

    @sa.event.listens_for(engine, "handle_error")
    def _hide(context: sa.ExceptionContext) -> None:
        error = context.original_exception
        error.args = tuple(without(said, secrets) if isinstance(said, str) else said for said in error.args)


def _application_name() -> str:
    """Return what the server shows of this session, and who holds a lock: at most 63 bytes."""
    return f"sluice-etl ({socket.gethostname()[:32]}, process {os.getpid()})"


def _set_in_transactions(engine: sa.Engine, schema: str | None, read_only: bool) -> None:
    """Have every transaction on PostgreSQL set what it needs; and see that all text can be kept."""

    @sa.event.listens_for(engine, "connect", insert=True)  # before SQLAlchemy asks anything
    def _connect(connection: Any, _record: Any) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SHOW server_encoding")
                (encoding,) = cursor.fetchone()
            connection.rollback()
        except engine.dialect.loaded_dbapi.OperationalError:
            if not connection.closed:
                raise
            raise ClosedAtOnce from None
        if encoding != "UTF8":
            raise ConfigurationError(f"the database's encoding is {encoding}, but text needs UTF8")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if read_only:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        here = connection.execute(_SCHEMA_HERE, {"schema": schema}).scalar_one()
        if here is None:
            raise ConfigurationError(
                "the search path of this database role names no schema that there is:"
                " name one with --schema"
            )
        connection.execute(_SETTINGS, {"schema": here, "patience": _LOCK_TIMEOUT})
        connection.info[NAMESPACE] = here
