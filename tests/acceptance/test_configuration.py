"""Where settings come from, which of them holds, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Completed, Database, Etl
from .feeds import OTHER, OURS, as_object, deal

RUN = ("run", "deals", "-q")
DOCUMENT = as_object([("1", deal(OURS[0])), ("2", deal(OURS[1])), ("3", deal(OTHER))])


@pytest.fixture
def feed(etl: Etl) -> Path:
    return etl.file(DOCUMENT)


def clients(database: Database) -> set[str]:
    """Whose deals a run has found."""
    return {row["client_id"] for row in database.rows("deals")}


def databases(etl: Etl) -> set[str]:
    """The names of the databases that a run has made."""
    return {path.stem for path in etl.directory.glob("*.db")}


def assert_done(completed: Completed) -> None:
    assert (completed.status, completed.stderr) == (0, "")


def refused(completed: Completed, *said: str) -> None:
    """Refused as a wrong configuration, for a reason."""
    assert completed.status == 78, completed.stderr
    for text in said:
        assert text in completed.message


# Names in the environment ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ETL_SOURCE", "MARKET_DEAL_URL"])
def test_the_environment_names_the_source(etl: Etl, database: Database, feed: Path, name: str) -> None:
    assert_done(etl(*RUN, "--client", OURS[0], env={name: str(feed)}))
    assert clients(database) == {OURS[0]}


@pytest.mark.parametrize("name", ["ETL_DATABASE", "DATABASE_CONNECTION_STRING", "DATABASE_URL"])
def test_the_environment_names_the_database(etl: Etl, feed: Path, name: str) -> None:
    assert_done(etl(*RUN, "--client", OURS[0], "--source", feed, env={name: "sqlite:///named.db"}))
    assert databases(etl) == {"named"}


def test_of_several_names_in_the_environment_the_first_holds(etl: Etl, feed: Path) -> None:
    env = {
        "ETL_DATABASE": "sqlite:///first.db",
        "DATABASE_CONNECTION_STRING": "sqlite:///second.db",
        "DATABASE_URL": "sqlite:///third.db",
        "ETL_SOURCE": str(feed),
        "MARKET_DEAL_URL": "missing.json",
        "ETL_CLIENT": f"{OURS[0]} {OURS[1]}",
    }
    assert_done(etl(*RUN, env=env))
    assert databases(etl) == {"first"}
    assert clients(Database(etl.directory / "first.db")) == set(OURS)


# Files and precedence ----------------------------------------------------------------------------------


def write(path: Path, **settings: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f'{name} = "{value}"\n' for name, value in settings.items()))
    return path


def test_the_command_line_holds_over_the_environment_over_the_file_over_the_default(
    etl: Etl, feed: Path
) -> None:
    write(etl.directory / "etl.toml", source=str(feed), client=OURS[0], database="sqlite:///by-file.db")
    assert_done(etl(*RUN))
    assert databases(etl) == {"by-file"}
    env = {"DATABASE_URL": "sqlite:///by-environment.db"}
    assert_done(etl(*RUN, env=env))
    assert databases(etl) == {"by-file", "by-environment"}
    assert_done(etl(*RUN, "--database", "sqlite:///by-line.db", env=env))
    assert databases(etl) == {"by-file", "by-environment", "by-line"}


def test_config_names_the_file_and_then_no_other_counts(etl: Etl, feed: Path) -> None:
    write(etl.directory / "etl.toml", client="nobody", database="sqlite:///wrong.db")
    named = write(etl.directory / "other.toml", source=str(feed), client=OURS[0])
    assert_done(etl(*RUN, "--config", named))
    assert databases(etl) == {"deals"}


def test_the_users_own_file_counts_where_there_is_none_here(etl: Etl, feed: Path) -> None:
    home = etl.directory / "config"
    write(home / "etl" / "config.toml", source=str(feed), client=OURS[0], database="sqlite:///users.db")
    assert_done(etl(*RUN, env={"XDG_CONFIG_HOME": str(home)}))
    assert databases(etl) == {"users"}
    write(etl.directory / "etl.toml", source=str(feed), client=OURS[0], database="sqlite:///here.db")
    assert_done(etl(*RUN, env={"XDG_CONFIG_HOME": str(home)}))
    assert databases(etl) == {"users", "here"}


def test_the_table_of_the_pipeline_holds_over_what_is_common(etl: Etl, feed: Path) -> None:
    (etl.directory / "etl.toml").write_text(
        f'database = "sqlite:///common.db"\nworkers = 1\nbatch-size = 7\non_error = "fail"\n'
        f'[deals]\nsource = ["{feed}", "{feed}"]\nclient = ["{OURS[0]}", "{OURS[1]}"]\n'
        f'database = "sqlite:///own.db"\nallow-empty = true\n[another]\nsetting = 1\n'
    )
    assert_done(etl(*RUN))
    assert databases(etl) == {"own"}
    assert clients(Database(etl.directory / "own.db")) == set(OURS)


@pytest.mark.parametrize("command", [("history",), ("rejects",), ("wallets", "list")])
def test_the_file_names_the_database_for_every_command(etl: Etl, command: tuple[str, ...]) -> None:
    write(etl.directory / "etl.toml", database="sqlite:///by-file.db")
    assert etl("wallets", "add", "f07", "--database", "sqlite:///by-file.db").status == 0
    completed = etl(*command)
    assert completed.status == 0, completed.stderr
    assert databases(etl) == {"by-file"}
    if command[0] == "wallets":
        assert completed.stdout == "f07\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('sorce = "x"', "sorce"),
        ("[deals]\nclients = []", "clients"),
        ("database = ", "TOML"),
        ('label = "\x00"', "TOML"),
    ],
)
def test_a_file_with_a_wrong_setting_is_refused(etl: Etl, feed: Path, text: str, said: str) -> None:
    (etl.directory / "etl.toml").write_text(text)
    refused(etl(*RUN, "--source", feed, "--client", OURS[0]), "etl.toml", said)


def test_a_file_that_is_named_must_be_there(etl: Etl) -> None:
    refused(etl(*RUN, "--config", "missing.toml"), "missing.toml", "No such file")


# Databases ---------------------------------------------------------------------------------------------

SECRET = "s3cret-canary"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("deals.db", 78),
        (f"nonsense://user:{SECRET}@127.0.0.1/x", 78),
        (f"mysql://user:{SECRET}@127.0.0.1/x", 78),
        (f"postgresql://user:{SECRET}@127.0.0.1:port/x", 78),
        (f"postgresql://user:{SECRET}@127.0.0.1:1/x", 74),
        ("sqlite:///missing/directory/deals.db", 74),
        ("sqlite:///feed", 78),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_its_password(
    etl: Etl, feed: Path, url: str, status: int
) -> None:
    completed = etl(*RUN, "--source", feed, "--client", OURS[0], "--database", url, "-v")
    assert completed.status == status, completed.stderr
    assert "database" in completed.message
    assert SECRET not in completed.message + completed.stdout
    assert feed.read_bytes() == DOCUMENT


# The command line --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("nonsense",),
        ("run",),
        ("run", "nonsense"),
        ("run", "deals", "--nonsense"),
        ("run", "deals", "--workers", "0"),
        ("run", "deals", "--on-error", "panic"),
        ("wallets", "add"),
        ("inspect",),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_a_usage_error(etl: Etl, args: tuple[str, ...]) -> None:
    completed = etl(*args)
    assert (completed.status, completed.stdout) == (2, "")
    assert "Usage: " in completed.stderr
    assert databases(etl) == set()


def test_every_option_of_run_has_a_name_in_the_environment(etl: Etl, feed: Path) -> None:
    env = {
        "ETL_SOURCE": str(feed),
        "ETL_CLIENTS_FILE": "clients",
        "ETL_HEAD_EPOCH": "17",
        "ETL_WORKERS": "1",
        "ETL_BATCH_SIZE": "1",
        "ETL_ON_ERROR": "fail",
        "ETL_MAX_REJECTS": "0",
        "ETL_REJECTS": "rejects.jsonl",
        "ETL_ALLOW_EMPTY": "1",
        "ETL_PROGRESS": "0",
        "ETL_LOG_FORMAT": "json",
        "ETL_DRY_RUN": "1",
        "ETL_LIMIT": "1",
        "ETL_QUIET": "1",
        "ETL_VERBOSE": "1",
        "ETL_JSON": "1",
    }
    (etl.directory / "clients").write_text(OURS[0])
    completed = etl("run", "deals", env=env)
    assert_done(completed)
    assert (completed.report["head_epoch"], completed.report["matched"]) == (17, 1)
    assert databases(etl) == set()
