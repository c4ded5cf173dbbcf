"""What PostgreSQL is given and what it gives, through the command; with every server that is installed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.command import Etl, let_end, under_way
from tests.support.databases import ServerDatabase
from tests.support.postgresql import PASSWORD, Server, installations, started
from tests.support.processes import until

from .checks import assert_accounts_balance, assert_ledger_agrees, assert_loaded, assert_refused
from .feeds import AWKWARD, OTHER, OURS, as_object, awkward, deal, expected

DOCUMENT = as_object(awkward())
WANTED = expected(DOCUMENT, nul=False)


EVERY: list[Path | None] = [*installations()] or [None]


@pytest.fixture(scope="session", params=EVERY, ids=lambda path: path.name if path else "none")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Every server in turn."""
    if request.param in [None, *installations()[:1]]:
        yield request.getfixturevalue("postgresql")
        return
    with started(request.param) as server:
        yield server


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    """The name of a new database."""
    with server.database() as name:
        yield name


@pytest.fixture
def tables(server: Server, name: str) -> ServerDatabase:
    """A new database."""
    return ServerDatabase(server.local(name))


def load(etl: Etl, tables: ServerDatabase, document: bytes, *args: str, **settings: Any) -> dict[str, Any]:
    return etl.loaded(document, "--database", tables.url, *args, **settings)


def relations(tables: ServerDatabase) -> list[dict[str, Any]]:
    """Whatever is in the database that was not there when it was new."""
    return tables.query("SELECT relname FROM pg_class WHERE relowner = 10 AND oid > 16384 ORDER BY 1")


# Values --------------------------------------------------------------------------------------------------

LABELS = (
    *(
        "",
        "NULL",
        "\\N",
        "\\.",
        "\n\\.\n",
        "\\",
        "\\\\.",
        '"',
        '""',
        '"\n',
        ",",
        ",,",
        "'",
        "''; DROP",
        "%s %%",
    ),
    *("\r", "\r\n", "\n", "\t", "\v\f\b\a", " ", " a ", "\x7f", "\x1b[31m", "\ufeff", "\u2028", "\ufffe"),
    *("é", "漢字", "😀", "\U0010ffff", "e\u0301", "x" * 20_000, ",".join(['"', "\\"] * 50), AWKWARD, None),
)


def test_every_awkward_record_arrives_as_it_does_in_sqlite(etl: Etl, tables: ServerDatabase) -> None:
    report = load(etl, tables, DOCUMENT)
    assert_loaded(report, tables, WANTED)
    (reject,) = tables.rows("etl_rejects")
    assert (reject["key"], reject["byte_offset"]) == ("0", DOCUMENT.index(b'"0":{'))
    assert "NUL" in reject["reason"]
    assert reject["raw"].startswith(b'"0":{"Proposal"')
    again = load(etl, tables, DOCUMENT)
    assert (again["unchanged"], again["rejected"]) == (WANTED.matched, 1)


@pytest.mark.parametrize("args", [(), ("--batch-size", "3"), ("--limit", "1000")], ids=" ".join)
def test_every_character_of_a_label_arrives(
    etl: Etl, tables: ServerDatabase, args: tuple[str, ...]
) -> None:
    document = as_object((str(key), deal(Label=label)) for key, label in enumerate(LABELS))
    report = load(etl, tables, document, *args, env={"ETL_CHUNK_BYTES": "5000"})
    assert (report["inserted"], report["rejected"]) == (len(LABELS), 0)
    found = {key: row["label"] for key, row in tables.deals().items()}
    assert found == dict(enumerate(LABELS))


def test_a_nul_rejects_the_record_that_needs_it_and_no_other(etl: Etl, tables: ServerDatabase) -> None:
    document = as_object(
        [
            ("1", deal()),
            ("2", deal(Label="\0")),
            ("3", deal(Provider="f0\0")),
            ("4\0", deal()),
            ("5", deal(OTHER, Label="\0")),
            ("6", deal(more={"Extra": "\0"})),
            ("7", deal(Label="\\u0000")),
        ]
    )
    report = load(etl, tables, document)
    assert [report[name] for name in ("records", "inserted", "rejected")] == [7, 3, 3]
    assert {key: row["label"] for key, row in tables.deals().items()} == {
        1: "mAXCg5AIg", 6: "mAXCg5AIg", 7: "\\u0000",
    }  # fmt: skip
    rejects = tables.rows("etl_rejects")
    assert [reject["key"] for reject in rejects] == ["2", "3", "4\\x00"]
    assert [document[reject["byte_offset"] :][:2] for reject in rejects] == [b'"2', b'"3', b'"4']
    shown = etl("rejects", "--database", tables.url)
    assert (shown.status, len(shown.stdout.splitlines())) == (0, 4)


def test_an_amount_is_exact_or_rejects_its_record(etl: Etl, tables: ServerDatabase) -> None:
    good = ["0", "-1", "9" * 30, "123456789012345678901234567890123456789", "9" * 310]
    bad = ["9" * 311, "1" * 131_073, "-" + "9" * 310]
    pairs = [
        (str(key), deal(StoragePricePerEpoch=amount, ProviderCollateral=amount))
        for key, amount in enumerate([*bad, *good, *bad])
    ]
    report = load(etl, tables, as_object(pairs))
    assert (report["inserted"], report["rejected"]) == (len(good), 2 * len(bad))
    found = {row["price"]: row["provider_collateral"] for row in tables.deals().values()}
    assert found == dict(zip(good, good, strict=True))
    assert all("amount" in reject["reason"] for reject in tables.rows("etl_rejects"))


def test_numbers_at_their_bounds_arrive(etl: Etl, tables: ServerDatabase) -> None:
    low, high = -(2**63), 2**63 - 1
    state = {"SectorNumber": high, "SectorStartEpoch": high, "LastUpdatedEpoch": low, "SlashEpoch": low}
    load(etl, tables, as_object([(str(high), deal(PieceSize=high, EndEpoch=high, state=state))]))
    (row,) = tables.rows("deals")
    assert [row[name] for name in ("deal_id", "piece_size", "end_epoch", "sector_number")] == [high] * 4
    assert (row["slash_epoch"], row["last_updated_epoch"]) == (low, low)


# Ways to run ---------------------------------------------------------------------------------------------


def test_limit_stops_after_so_many_matches(etl: Etl, tables: ServerDatabase) -> None:
    report = load(etl, tables, DOCUMENT, "--limit", "3", env={"ETL_CHUNK_BYTES": "300"})
    assert_accounts_balance(report)
    assert (report["matched"], report["inserted"]) == (3, 3)
    assert set(tables.deals()) == set(list(WANTED.rows)[:3])


def test_a_dry_run_leaves_nothing(etl: Etl, tables: ServerDatabase) -> None:
    report = load(etl, tables, DOCUMENT, "--dry-run")
    assert {name: report[name] for name in WANTED.figures} == WANTED.figures
    assert report["run_id"] is None
    assert relations(tables) == []
    load(etl, tables, DOCUMENT)
    names = [relation["relname"] for relation in relations(tables)]
    before = tables.dump("deals", "deal_state_changes", "etl_runs", "etl_rejects", "etl_sources")
    changed = as_object([("5", deal(state={"SlashEpoch": 9})), ("88", deal()), ("NaN", deal())])
    report = load(etl, tables, changed, "--dry-run")
    assert [report[name] for name in ("inserted", "updated", "rejected")] == [1, 1, 1]
    assert tables.dump("deals", "deal_state_changes", "etl_runs", "etl_rejects", "etl_sources") == before
    assert [relation["relname"] for relation in relations(tables)] == names


def test_a_failed_run_changes_nothing_but_its_row(etl: Etl, tables: ServerDatabase) -> None:
    load(etl, tables, DOCUMENT)
    before, runs = tables.dump(), tables.rows("etl_runs")
    changed = as_object([("5", deal(state={"SlashEpoch": 9})), ("88", deal())])
    completed = etl.load("--source", etl.file(changed[:-1]), "--database", tables.url)
    assert_refused(completed, 65, tables, before)
    assert tables.rows("etl_runs")[:-1] == runs
    assert_ledger_agrees(completed.report, tables)


def test_commands_that_look_read_what_was_written(etl: Etl, tables: ServerDatabase) -> None:
    report = load(etl, tables, DOCUMENT)
    at = ("--database", tables.url)
    assert etl("wallets", "add", "f01000", "f0234567", *at).status == 0
    assert etl("wallets", "list", *at).stdout.split() == ["f01000", "f0234567"]
    assert f"{report['run_id']}" in etl("history", *at).stdout
    assert "NUL" in etl("rejects", *at).stdout
    completed = etl("run", "deals", "--source", "feed", "--head-epoch", "4200000", "--json", "-q", *at)
    assert completed.report["unchanged"] == WANTED.matched


# Sessions ------------------------------------------------------------------------------------------------


def sessions(server: Server, name: str) -> list[str]:
    """The names of the sessions with a database, but for the one that asks."""
    asking = ServerDatabase(server.local("postgres"))
    query = f"SELECT application_name FROM pg_stat_activity WHERE datname = '{name}'"
    return [row["application_name"] for row in asking.query(query)]


def test_a_session_tells_whose_it_is_and_ends_with_its_run(
    etl: Etl, server: Server, name: str, tables: ServerDatabase
) -> None:
    with under_way(etl, tables, DOCUMENT) as running:
        (shown,) = sessions(server, name)
        assert shown.startswith("sluice-etl (")
        assert let_end(running, DOCUMENT).status == 0
    until(lambda: not sessions(server, name))


def test_a_session_that_is_cut_off_is_opened_again(
    etl: Etl, server: Server, name: str, tables: ServerDatabase
) -> None:
    many = as_object([(str(key), deal(Label=f"{key}\n")) for key in range(1000)])
    with under_way(etl, tables, many, "--batch-size", "10") as running:
        tables.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        )
        completed = let_end(running, many)
    assert completed.status == 0
    assert tables.deals() == expected(many).rows
    assert "Traceback" not in completed.stderr
    assert [row["status"] for row in tables.rows("etl_runs")] == ["succeeded"]
    until(lambda: not sessions(server, name))


def test_a_table_that_somebody_holds_is_not_waited_for_without_end(
    etl: Etl, tables: ServerDatabase
) -> None:
    load(etl, tables, DOCUMENT)
    url = f"{tables.url}&options={quote('-c lock_timeout=200ms')}"
    import psycopg2

    with closing(psycopg2.connect(tables.url)) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE deals")
        completed = etl.load("--source", "feed", "--database", url)
    assert completed.status == 74
    assert "55P03" in completed.message
    assert tables.last_run()["error"] == completed.message


# URLs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_the_scheme_means_the_same(
    etl: Etl, server: Server, name: str, tables: ServerDatabase, scheme: str
) -> None:
    document = as_object([("1", deal(Label='a\n"')), ("2", deal(Label="\0"))])
    report = etl.loaded(document, "--database", server.remote(name, scheme=scheme))
    assert (report["inserted"], report["rejected"]) == (1, 1)
    assert tables.deals()[1]["label"] == 'a\n"'


def test_the_options_of_a_url_come_before_our_own(
    etl: Etl, server: Server, name: str, tables: ServerDatabase
) -> None:
    tables.execute("CREATE SCHEMA apart")
    options = f"application_name=mine&connect_timeout=3&options={quote('-c search_path=apart')}"
    apart = ServerDatabase(f"{tables.url}&{options}")
    with under_way(etl, apart, DOCUMENT) as running:
        assert sessions(server, name) == ["mine"]
        # It is another database to whoever uses it: with tables and a lock of its own.
        assert load(etl, tables, as_object([("1", deal())]))["inserted"] == 1
        assert let_end(running, DOCUMENT).status == 0
    assert apart.deals() == WANTED.rows
    assert list(tables.deals()) == [1]


def test_a_schema_may_have_any_name(etl: Etl, tables: ServerDatabase) -> None:
    name = """a"; DROP SCHEMA public CASCADE; --'%s:x"""
    quoted = name.replace('"', '""')
    tables.execute(f'CREATE SCHEMA "{quoted}"')
    path = f'"{quoted}"'.replace("\\", "\\\\").replace(" ", "\\ ")
    url = f"{tables.url}&options={quote(f'-c search_path={path}')}"
    assert load(etl, ServerDatabase(url), DOCUMENT)["inserted"] == len(WANTED.rows)
    assert load(etl, ServerDatabase(url), DOCUMENT)["unchanged"] == len(WANTED.rows)
    assert tables.query("SELECT 1 AS x FROM pg_namespace WHERE nspname = 'public'")
    assert not tables.has("public.deals")


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(
    etl: Etl, server: Server, name: str, tables: ServerDatabase
) -> None:
    url = f"{server.remote(name)}?sslmode=verify-full&sslrootcert=system"
    completed = etl.load("--source", "feed", "--database", url)
    assert completed.status == 74
    assert PASSWORD not in completed.message + completed.stdout
    assert not tables.has("etl_runs")


RUN = ("run", "deals", "--source", "feed", "--client", OURS[0], "-q")
COMMANDS = (RUN, RUN[:4], ("history",), ("wallets", "add", OURS[0]))


@pytest.mark.parametrize(
    ("wrong", "commands"),
    [("password", COMMANDS), ("database", (RUN,)), ("server", (RUN,)), ("socket", (RUN,))],
    ids=["password", "database", "server", "socket"],
)
def test_what_cannot_be_reached_is_told_in_one_line(
    etl: Etl, server: Server, name: str, wrong: str, commands: tuple[tuple[str, ...], ...]
) -> None:
    url = {
        "password": server.remote(name, password="wrong-secret"),
        "database": server.remote("missing"),
        "server": f"postgresql://postgres:{PASSWORD}@127.0.0.1:1/{name}",
        "socket": f"postgresql://postgres:{PASSWORD}@/{name}?host=/nowhere",
    }[wrong]
    etl.file(DOCUMENT)
    for command in commands:
        start = time.monotonic()
        completed = etl(*command, env={"ETL_DATABASE": url})
        assert time.monotonic() - start < 5
        assert (completed.status, completed.stdout) == (74, "")
        assert completed.message.startswith("database: ")
        assert "secret" not in completed.stderr
        assert PASSWORD not in completed.stderr


@pytest.mark.parametrize(("encoding", "commands"), [("LATIN1", COMMANDS), ("SQL_ASCII", (RUN,))])
def test_a_database_that_cannot_keep_all_text_is_refused(
    etl: Etl, server: Server, encoding: str, commands: tuple[tuple[str, ...], ...]
) -> None:
    etl.file(DOCUMENT)
    like = f"ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    with server.database(like) as name:
        for command in commands:
            completed = etl(*command, "--database", server.local(name))
            assert completed.status == 78
            assert f"encoding is {encoding}" in completed.message
        assert relations(ServerDatabase(server.local(name))) == []


def test_a_search_path_that_leads_nowhere_is_a_wrong_setting(
    etl: Etl, tables: ServerDatabase, name: str
) -> None:
    url = f"{tables.url}&options={quote('-c search_path=nowhere')}"
    completed = etl.load("--source", etl.file(DOCUMENT), "--database", url)
    assert completed.status == 78
    assert "names no schema that there is" in completed.message
    assert "--schema" in completed.message
    assert relations(tables) == []
    assert etl.loaded(DOCUMENT, "--database", url, "--schema", "public")["inserted"] == len(WANTED.rows)


def test_a_database_of_another_kind_is_refused(etl: Etl, tmp_path: Path) -> None:
    for url in ("mysql://root@127.0.0.1/x", "nonsense://x"):
        completed = etl.load("--source", etl.file(DOCUMENT), "--database", url)
        assert completed.status == 78
        assert "database" in completed.message
    assert {path.name for path in tmp_path.iterdir()} == {"feed"}
