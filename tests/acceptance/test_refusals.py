"""What a database refuses is told in words: what it means, and what to do; never a value or a password."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.command import Completed, Etl
from tests.support.databases import Database, ServerDatabase
from tests.support.pgbouncer import PROGRAM, pooling
from tests.support.postgresql import PASSWORD, Server

from .feeds import OURS, as_object, deal

CANARY = "canary-label"
DOCUMENT = as_object([(str(number), deal(Label=CANARY)) for number in range(20)])
RUN = ("run", "deals", "--source", "feed", "--client", OURS[0], "-q")
SECRET = "s3cret-canary"


@pytest.fixture
def name(postgresql: Server) -> Iterator[str]:
    with postgresql.database() as name:
        yield name


@pytest.fixture
def role(postgresql: Server, name: str) -> Iterator[str]:
    """A role that may log in, and not much more."""
    role = f"role_{name}"
    postgresql.do(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")
    yield role
    in_database(postgresql, name, f"DROP OWNED BY {role}")
    postgresql.do(f"DROP ROLE {role}")


def in_database(server: Server, name: str, *statements: str) -> None:
    ServerDatabase(server.local(name)).execute(*statements)


def url_of(server: Server, name: str, role: str, more: str = "") -> str:
    return f"postgresql://{role}:{SECRET}@127.0.0.1:{server.port}/{name}{more}"


def refused(completed: Completed, status: int, *says: str) -> None:
    """A command has failed in one line that says so, and tells no secret."""
    assert completed.status == status, completed.stderr
    for text in says:
        assert text in completed.message
    for secret in (SECRET, PASSWORD, CANARY):
        assert secret not in completed.stderr + completed.stdout


# PostgreSQL --------------------------------------------------------------------------------------------


def test_who_may_not_create_tables_is_told_what_is_lacking(
    etl: Etl, postgresql: Server, name: str, role: str
) -> None:
    etl.file(DOCUMENT)
    in_database(postgresql, name, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    completed = etl(*RUN, "--database", url_of(postgresql, name, role))
    refused(completed, 74, "(42501)", "CREATE and USAGE on the schema")


def test_who_may_not_make_temporary_tables_is_told_so(
    etl: Etl, postgresql: Server, name: str, role: str
) -> None:
    etl.file(DOCUMENT)
    in_database(postgresql, name, f"GRANT CREATE, USAGE ON SCHEMA public TO {role}")
    in_database(postgresql, name, f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    completed = etl(*RUN, "--database", url_of(postgresql, name, role))
    refused(completed, 74, "(42501)", "TEMPORARY on the database")


def test_who_may_not_write_the_tables_is_told_so(
    etl: Etl, postgresql: Server, name: str, role: str
) -> None:
    etl.loaded(DOCUMENT, "--database", postgresql.local(name))
    in_database(postgresql, name, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    completed = etl(*RUN, "--database", url_of(postgresql, name, role))
    refused(completed, 74, "(42501)", "INSERT, UPDATE and DELETE")


def test_where_nothing_may_be_written_a_run_says_why(
    etl: Etl, postgresql: Server, name: str, role: str
) -> None:
    etl.file(DOCUMENT)
    postgresql.do(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    completed = etl(*RUN, "--database", url_of(postgresql, name, role))
    refused(completed, 74, "(25006)", "name the primary")


def test_a_schema_that_is_not_there_is_told_of(etl: Etl, postgresql: Server, name: str) -> None:
    etl.file(DOCUMENT)
    url = f"{postgresql.local(name)}&options={quote('-c search_path=nowhere')}"
    refused(etl(*RUN, "--database", url), 78, "--schema")


def test_a_connection_limit_is_told_of(etl: Etl, postgresql: Server, name: str, role: str) -> None:
    etl.file(DOCUMENT)
    postgresql.do(f"ALTER ROLE {role} CONNECTION LIMIT 0")
    completed = etl(*RUN, "--database", url_of(postgresql, name, role))
    refused(completed, 74, "CONNECTION LIMIT")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("password", "the password is wrong"),
        ("no password", "~/.pgpass"),
        ("role", "the password is wrong"),
        ("database", "createdb"),
        ("host", "cannot be resolved"),
        ("tls", "SSL"),
        ("option", "an option that libpq does not know"),
        ("service", "pg_service.conf"),
    ],
)
def test_a_connection_that_is_refused_is_told_with_what_to_do(
    etl: Etl, postgresql: Server, name: str, wrong: str, says: str
) -> None:
    etl.file(DOCUMENT)
    port = postgresql.port
    url = {
        "password": postgresql.remote(name, password=SECRET),
        "no password": f"postgresql://postgres@127.0.0.1:{port}/{name}",
        "role": f"postgresql://nobody:{SECRET}@127.0.0.1:{port}/{name}",
        "database": postgresql.remote("missing"),
        "host": f"postgresql://u:{SECRET}@no-such-host.invalid/{name}",
        "tls": f"{postgresql.remote(name)}?sslmode=require",
        "option": f"{postgresql.remote(name)}?nonsense=1",
        "service": "postgresql:///?service=nonsense",
    }[wrong]
    refused(etl(*RUN, "--database", url), 74, "database: ", says)


def test_a_constraint_of_somebody_else_is_named_without_its_values(
    etl: Etl, postgresql: Server, name: str
) -> None:
    etl.loaded(as_object([]), "--allow-empty", "--database", postgresql.local(name))
    etl.file(DOCUMENT)
    for change, undo, code, says in [
        ("ALTER TABLE deals ADD extra text NOT NULL", "DROP extra", "23502", "column extra, table deals"),
        ("ALTER TABLE deals ADD CONSTRAINT theirs CHECK (label = '')", "DROP CONSTRAINT theirs", "23514",
         "constraint theirs, table deals"),
        ("ALTER TABLE deals ADD CONSTRAINT theirs UNIQUE (label)", "DROP CONSTRAINT theirs", "23505",
         "constraint theirs, table deals"),
        ("ALTER TABLE deals ADD CONSTRAINT theirs FOREIGN KEY (label) REFERENCES others",
         "DROP CONSTRAINT theirs", "23503", "constraint theirs, table deals"),
    ]:  # fmt: skip
        if "others" in change:
            in_database(postgresql, name, "CREATE TABLE others (label text PRIMARY KEY)")
        in_database(postgresql, name, change)
        completed = etl(*RUN, "--database", postgresql.local(name))
        refused(completed, 74, f"({code})", says, "no constraint of ours")
        in_database(postgresql, name, f"ALTER TABLE deals {undo}")


def test_a_statement_timeout_is_told_of(etl: Etl, postgresql: Server, name: str) -> None:
    etl.loaded(DOCUMENT, "--database", postgresql.local(name))
    url = f"{postgresql.local(name)}&options={quote('-c statement_timeout=500')}"
    with table_locked(postgresql, name):
        refused(etl(*RUN, "--database", url), 74, "(57014)", "statement_timeout")


def test_a_lock_that_somebody_holds_is_told_of(etl: Etl, postgresql: Server, name: str) -> None:
    etl.loaded(DOCUMENT, "--database", postgresql.local(name))
    url = f"{postgresql.local(name)}&options={quote('-c lock_timeout=500')}"
    with table_locked(postgresql, name):
        refused(etl(*RUN, "--database", url), 74, "(55P03)", "pg_blocking_pids")


@contextmanager
def table_locked(server: Server, name: str) -> Iterator[None]:
    """Hold a lock on a table, as somebody else."""
    import psycopg2

    with closing(psycopg2.connect(server.local(name))) as connection, connection.cursor() as cursor:
        cursor.execute("LOCK TABLE deals")
        yield


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("unsupported startup parameter: options", "ignore_startup_parameters"),
        ("no more connections allowed (max_client_conn)", "a pooler has no connection"),
        (
            'no pg_hba.conf entry for host "127.0.0.1", user "u", database "d", no encryption',
            "sslmode=require",
        ),
        ("sorry, too many clients already", "max_connections"),
        ("the database system is starting up", "run again"),
    ],
)
def test_what_a_pooler_or_a_server_answers_first_is_told_with_what_to_do(
    etl: Etl, said: str, says: str
) -> None:
    etl.file(DOCUMENT)
    with answering(said) as port:
        completed = etl(*RUN, "--database", f"postgresql://u:{SECRET}@127.0.0.1:{port}/d?sslmode=disable")
    refused(completed, 74, said.replace('"u"', '"…"'), says)  # who it is that stands in the URL is not told


@pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed")
def test_what_a_pooler_does_not_pass_on_is_told(etl: Etl, postgresql: Server, name: str) -> None:
    etl.file(DOCUMENT)
    with pooling(postgresql, "transaction") as pooler:
        url = f"{pooler.url(name)}?options={quote('-c statement_timeout=5000')}"
        refused(etl(*RUN, "--database", url), 74, "parameter: options", "ALTER ROLE")


@contextmanager
def answering(said: str) -> Iterator[int]:
    """Serve whoever connects an ErrorResponse (PostgreSQL's manual, 54.7); yields the port."""
    fields = b"SFATAL\0VFATAL\0C08P01\0M" + said.encode() + b"\0\0"
    answer = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                connection.recv(10_000)
                connection.sendall(answer)
                connection.recv(1)

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


# URLs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:SECRET@h/d", "mysql is not supported: use SQLite or PostgreSQL"),
        ("oracle://u:SECRET@h/d", "oracle is not supported"),
        ("mssql+pyodbc://u:SECRET@h/d", "mssql is not supported"),
        ("postgresql+psycopg://u:SECRET@h/d", "driver psycopg is not used: write postgresql://"),
        ("postgresql+asyncpg://u:SECRET@h/d", "driver asyncpg is not used: write postgresql://"),
        ("postgres+pg8000://u:SECRET@h/d", "driver pg8000 is not used: write postgresql://"),
        ("jdbc:postgresql://h/d?password=SECRET", "write postgresql://"),
        ("PostgreSQL://u:SECRET@h/d", "write postgresql://"),
        ("postgresql:/u:SECRET@h/d", "write postgresql://"),
        ("host=h dbname=d password=SECRET", "is no URL"),
        ("postgresql://u:SECRET@SECRET@h/d", "an @ too many"),
        ("postgresql://u:SECRET/SECRET@h,i/d", "cannot be resolved"),
        ("postgresql://u:SECRET@h1:x,h2:5433/d", "hosts are HOST:PORT"),
        ("postgresql://u:p@127.0.0.1/d?connect_timeout=SECRET", "a value that it does not take"),
        ("SECRET://u:p@h/d", "this kind of database is not supported"),
        ("", "is no URL"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_can(etl: Etl, url: str, says: str) -> None:
    etl.file(DOCUMENT)
    completed = etl(*RUN, "--database", url.replace("SECRET", SECRET))
    refused(completed, 74 if "resolved" in says or "value" in says else 78, says)


@pytest.mark.parametrize("order", ["dead first", "dead last"])
def test_of_several_hosts_the_one_that_serves_is_taken(
    etl: Etl, postgresql: Server, name: str, order: str
) -> None:
    hosts = ["127.0.0.1:1", f"127.0.0.1:{postgresql.port}"]
    hosts.sort(reverse=order == "dead last", key=lambda host: not host.endswith(":1"))
    url = f"postgresql://postgres:{PASSWORD}@{','.join(hosts)}/{name}?target_session_attrs=read-write"
    report = etl.loaded(DOCUMENT, "--database", url)
    assert report["inserted"] == 20
    assert etl("history", "--json", "--database", url).stdout.count("\n") == 1


def test_a_service_and_a_password_file_serve(
    etl: Etl, postgresql: Server, name: str, tmp_path: Path
) -> None:
    service, passwords = tmp_path / "services", tmp_path / "passwords"
    service.write_text(f"[mine]\nhost=127.0.0.1\nport={postgresql.port}\ndbname={name}\nuser=postgres\n")
    passwords.write_text(f"*:*:*:*:{PASSWORD}\n")
    passwords.chmod(0o600)
    url = f"postgresql:///?service=mine&passfile={passwords}"
    report = etl.loaded(DOCUMENT, "--database", url, env={"PGSERVICEFILE": str(service)})
    assert report["inserted"] == 20


# SQLite ------------------------------------------------------------------------------------------------


def test_what_sqlite_refuses_is_told_with_what_to_do(etl: Etl, database: Database, tmp_path: Path) -> None:
    etl.loaded(DOCUMENT)
    good = database.path.read_bytes()
    (tmp_path / "text.db").write_bytes(b"no database at all\n" * 100)
    refused(etl(*RUN, "--database", "sqlite:///text.db"), 78, "is not an SQLite database", "not touched")
    (tmp_path / "damaged.db").write_bytes(good[:100] + b"\xff" * (len(good) - 100))
    for url, says in [
        ("sqlite:///missing/deals.db", "its folder must be there"),
        ("sqlite:///damaged.db", "the file is damaged"),
    ]:
        refused(etl(*RUN, "--database", url), 74, says)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        refused(etl(*RUN, "--database", "sqlite:///deals.db?timeout=0.2"), 74, "?timeout=")


def test_a_constraint_in_an_sqlite_file_is_named_without_its_values(etl: Etl, database: Database) -> None:
    etl.loaded(as_object([]), "--allow-empty")
    database.execute("CREATE UNIQUE INDEX theirs ON deals (label)")
    etl.file(DOCUMENT)
    refused(etl(*RUN), 74, "(SQLITE_CONSTRAINT_UNIQUE)", "deals.label")
    database.execute(
        "DROP INDEX theirs",
        f"CREATE TRIGGER theirs BEFORE INSERT ON deals BEGIN SELECT RAISE(ABORT, '{CANARY}'); END",
    )
    refused(etl(*RUN), 74, "(SQLITE_CONSTRAINT_TRIGGER)")
