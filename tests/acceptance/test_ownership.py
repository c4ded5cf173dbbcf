"""Tables of other programs that have our names are left alone; what only reads creates nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command import Completed, Etl
from tests.support.databases import Database, ServerDatabase, Tables
from tests.support.postgresql import Server

from .feeds import OURS, as_object, awkward, deal, expected
from .test_migration import KINDS, VERSION_1

DOCUMENT = as_object([(str(number), deal()) for number in range(5)])

# Another program that keeps deals (https://github.com/data-preservation-programs/singularity), as its ORM
# makes its tables: up to version 0.7, and from 1.0.
_DEALS = """CREATE TABLE deals (
    id {key}, created_at {time}, updated_at {time}, last_verified_at {time}, deal_id {big} UNIQUE,
    state text, {typed}provider text, proposal_id text, label text, piece_cid {bytes}, piece_size {big},
    start_epoch integer, end_epoch integer, sector_start_epoch integer, price text, verified {flag},
    error_message text, schedule_id {big}, client_id text{wallet})"""
_KINDS = {
    "?": {"key": "integer PRIMARY KEY AUTOINCREMENT", "time": "datetime", "big": "integer",
          "bytes": "blob", "flag": "numeric"},
    "%s": {"key": "bigserial PRIMARY KEY", "time": "timestamptz", "big": "bigint", "bytes": "bytea",
           "flag": "boolean"},
}  # fmt: skip
GENERATIONS = {
    "0.7": (
        "CREATE TABLE wallets (id text PRIMARY KEY, address text, private_key text)",
        _DEALS.replace("{typed}", "").replace("{wallet}", " REFERENCES wallets (id)"),
    ),
    "1.0": (
        "CREATE TABLE actors (id text PRIMARY KEY, address text)",
        "CREATE TABLE wallets (id {key}, key_path text UNIQUE, key_store text, address text, name text,"
        " actor_id text REFERENCES actors (id))",
        _DEALS.replace("{typed}", "deal_type text DEFAULT 'market', ").replace(
            "{wallet}", ", wallet_id {big} REFERENCES wallets (id)"
        ),
    ),
}
FILL = {
    "0.7": (f"INSERT INTO wallets VALUES ('{OURS[0]}', 'f1abc', 'secret-key')",),
    "1.0": (f"INSERT INTO actors VALUES ('{OURS[0]}', 'f1abc')",),
}
DEAL = f"INSERT INTO deals (deal_id, state, client_id) VALUES (1, 'active', '{OURS[0]}')"


@pytest.fixture(params=GENERATIONS)
def foreign(request: pytest.FixtureRequest, tables: Tables) -> Tables:
    """A database of that program, of either generation."""
    kinds = _KINDS[tables.placeholder]
    generation: str = request.param
    tables.execute(*(statement.format_map(kinds) for statement in GENERATIONS[generation]))
    tables.execute(*FILL[generation], DEAL)
    return tables


def everything(tables: Tables) -> object:
    """All that is there: an SQLite file's bytes, and a server's tables, columns and rows."""
    if isinstance(tables, Database):
        return tables.path.read_bytes()
    shape = tables.query(
        "SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        " ORDER BY 1, 2, 3"
    )
    names = {row["table_name"] for row in shape}
    return shape, {name: tables.rows(name) for name in sorted(names)}


def commands(source: Path) -> dict[str, tuple[str | Path, ...]]:
    run = ("run", "deals", "--source", source, "--client", OURS[0], "-q")
    return {
        "run": run,
        "run by the table wallets": ("run", "deals", "--source", source, "-q"),
        "dry run": (*run, "--dry-run"),
        "wallets add": ("wallets", "add", "f07"),
        "wallets remove": ("wallets", "remove", OURS[0]),
        "wallets list": ("wallets", "list"),
    }


def assert_named(completed: Completed) -> None:
    assert (completed.status, completed.stdout) == (78, "")
    assert "is another program's: " in completed.message
    assert any(f"the table “{name}”" in completed.message for name in ("deals", "wallets"))
    assert "Nothing was changed" in completed.message
    assert "secret" not in completed.message


def test_tables_of_another_program_are_refused_and_left_alone(etl: Etl, foreign: Tables) -> None:
    before = everything(foreign)
    for args in commands(etl.file(DOCUMENT)).values():
        assert_named(etl(*args, "--database", foreign.url))
    assert everything(foreign) == before


def test_our_tables_find_room_in_a_schema_of_their_own(etl: Etl, postgresql: Server) -> None:
    with postgresql.database() as name:
        tables = ServerDatabase(postgresql.local(name))
        tables.execute(*(s.format_map(_KINDS["%s"]) for s in GENERATIONS["1.0"]), *FILL["1.0"], DEAL)
        before = tables.dump("deals", "wallets", "actors")
        hostile = 'our"s; DROP TABLE deals; --'
        for schema in ("sluice", hostile):
            ours = ("--database", tables.url, "--schema", schema)
            assert etl.loaded(DOCUMENT, *ours)["inserted"] == 5
            assert etl.loaded(DOCUMENT, *ours)["unchanged"] == 5
            assert etl("wallets", "add", "f07", *ours).status == 0
            assert etl("wallets", "list", *ours).stdout == "f07\n"
            assert etl("history", *ours).stdout.count("succeeded") == 2
            environment = {"ETL_SCHEMA": schema, "DATABASE_URL": tables.url}
            assert etl("history", env=environment).stdout.count("succeeded") == 2
            quoted = schema.replace('"', '""')
            assert len(tables.query(f'SELECT 1 AS x FROM "{quoted}".deals')) == 5
        assert tables.dump("deals", "wallets", "actors") == before
        assert not tables.has("public.etl_runs")


def test_a_schema_that_is_not_there_is_not_made_by_what_only_reads(etl: Etl, postgresql: Server) -> None:
    with postgresql.database() as name:
        tables = ServerDatabase(postgresql.local(name))
        completed = etl("history", "--database", tables.url, "--schema", "sluice")
        assert (completed.status, completed.stdout) == (0, "")
        assert not tables.query("SELECT 1 AS x FROM pg_namespace WHERE nspname = 'sluice'")


def test_only_postgresql_has_schemas(etl: Etl, database: Database) -> None:
    completed = etl.load("--source", etl.file(DOCUMENT), "--schema", "sluice")
    assert completed.status == 78
    assert "only PostgreSQL has schemas" in completed.message
    assert not database.path.exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("ALTER TABLE deals ADD COLUMN theirs TEXT", "“theirs”"),
        ("ALTER TABLE deals RENAME COLUMN label TO title", "“label”"),
        ("ALTER TABLE wallets RENAME TO w; CREATE VIEW wallets AS SELECT * FROM w", "no ordinary table"),
        ("CREATE TABLE wallet_addresses (address TEXT, hint TEXT)", "“wallet_addresses”"),
        ("CREATE TABLE etl_schema (name TEXT, hint TEXT)", "“etl_schema”"),
        ("CREATE TABLE etl_sources (pipeline TEXT, hint TEXT)", "“etl_sources”"),
        ("ALTER TABLE etl_runs ADD COLUMN theirs TEXT", "“etl_runs”"),
    ],
)  # fmt: skip
def test_tables_without_a_mark_are_ours_only_column_by_column(
    etl: Etl, tables: Tables, change: str, said: str
) -> None:
    tables.execute(*(statement.format_map(KINDS[tables.placeholder]) for statement in VERSION_1))
    tables.execute(*change.split("; "))
    before = everything(tables)
    completed = etl.load("--source", etl.file(DOCUMENT), "--database", tables.url)
    assert completed.status == 78
    assert said in completed.message
    assert everything(tables) == before


def test_a_column_of_another_type_is_another_programs(etl: Etl, tables: Tables) -> None:
    kinds = KINDS[tables.placeholder]
    first = [statement.format_map(kinds) for statement in VERSION_1]
    tables.execute(*(statement.replace("piece_size BIGINT", "piece_size TEXT") for statement in first))

    completed = etl.load("--source", etl.file(DOCUMENT), "--database", tables.url)
    assert completed.status == 78
    assert "its column “piece_size” is of type TEXT, and ours of type BIGINT" in completed.message


# Commands that only read ---------------------------------------------------------------------------------


@pytest.fixture
def empty(tables: Tables) -> Tables:
    """A database that is there and has no tables."""
    if isinstance(tables, Database):
        tables.path.touch()
    return tables


@pytest.mark.parametrize(
    "args",
    [("history",), ("history", "--json"), ("rejects",), ("wallets", "list"), ("run", "--dry-run"),
     ("run", "--explain")],
    ids=" ".join,
)  # fmt: skip
def test_what_only_reads_creates_nothing(etl: Etl, empty: Tables, args: tuple[str, ...]) -> None:
    before = everything(empty)
    if args[0] == "run":
        args = ("run", "deals", "--source", str(etl.file(DOCUMENT)), "--client", OURS[0], *args[1:])
    completed = etl(*args, "--database", empty.url)
    assert completed.status == 0, completed.stderr
    assert everything(empty) == before


@pytest.mark.parametrize(
    "args", [("history",), ("rejects",), ("wallets", "list"), ("run", "--dry-run")], ids=" ".join
)
def test_what_only_reads_leaves_a_file_as_it_is(
    etl: Etl, database: Database, args: tuple[str, ...]
) -> None:
    document = as_object(awkward())
    etl.loaded(document)
    etl("wallets", "add", OURS[0])
    database.path.chmod(0o400)
    before = database.path.read_bytes(), database.path.stat().st_mtime_ns
    listed = sorted(os.listdir(database.path.parent))
    if args[0] == "run":
        completed = etl.load("--source", etl.file(as_object([("77", deal())]), "feed"), "--dry-run")
        assert completed.report["inserted"] == 1
    else:
        completed = etl(*args)
    assert completed.status == 0, completed.stderr
    assert (database.path.read_bytes(), database.path.stat().st_mtime_ns) == before
    assert sorted(os.listdir(database.path.parent)) == listed


def test_a_role_that_may_only_read_can_look(etl: Etl, postgresql: Server) -> None:
    with postgresql.database() as name:
        tables = ServerDatabase(postgresql.local(name))
        etl.loaded(DOCUMENT, "--database", tables.url)
        postgresql.do("DROP ROLE IF EXISTS looker")
        postgresql.do("CREATE ROLE looker LOGIN PASSWORD 'sesame'")
        try:
            tables.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
            url = postgresql.remote(name).replace("postgres:", "looker:", 1)
            completed = etl("history", "--database", url)
            assert "succeeded" in completed.stdout
            assert etl("rejects", "--database", url).status == 0
        finally:
            tables.execute("DROP OWNED BY looker")
            postgresql.do("DROP ROLE looker")


def test_a_database_with_our_mark_is_ours_whatever_others_added(etl: Etl, tables: Tables) -> None:
    etl.loaded(DOCUMENT, "--database", tables.url)
    tables.execute("ALTER TABLE deals ADD COLUMN note TEXT", "UPDATE deals SET note = 'mine'")
    assert etl.loaded(DOCUMENT, "--database", tables.url)["unchanged"] == 5
    assert {row.pop("note") for row in tables.deals().values()} == {"mine"}
    assert expected(DOCUMENT).rows.keys() == tables.deals().keys()
