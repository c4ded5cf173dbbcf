"""Where settings come from, which of them holds, and how a wrong one is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command import Completed, Etl
from tests.support.databases import Database

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


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("a feed", 1), ("a feed\n", 1), ("a feed\nthe feed", 2), ("\n a feed\r\nthe feed\n\n", 2),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["ETL_SOURCE", "MARKET_DEAL_URL"])
def test_sources_in_the_environment_are_one_a_line_and_may_hold_blanks(
    etl: Etl, name: str, value: str, found: int
) -> None:
    for file in ("a feed", " a feed", "the feed"):
        etl.file(DOCUMENT, file)
    completed = etl(*RUN, "--json", "--client", OURS[0], env={name: value})
    assert completed.status == 0, completed.stderr
    assert completed.report["records"] == 3 * found


def test_no_source_at_all_is_no_feed_that_holds_nothing(etl: Etl, database: Database) -> None:
    completed = etl(*RUN, "--client", OURS[0], env={"ETL_SOURCE": "\n"})
    assert completed.status == 2
    assert "at least one source is needed" in completed.stderr
    (etl.directory / "etl.toml").write_text("source = []")
    refused(etl(*RUN, "--client", OURS[0]), "source: the list is empty")
    assert not database.path.exists()


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("workers = true", "workers: a whole number is expected, not true or false"),
        ('workers = "4"', "workers: a whole number is expected, not text"),
        ("workers = 2.5", "workers: a whole number is expected, not a number"),
        ("workers = -1", "workers: -1 is not in the range"),
        ("max_rejects = [1]", "max-rejects: a whole number is expected, not a list"),
        ("dry-run = 1", "dry-run: true or false is expected, not a whole number"),
        ('progress = "yes"', "progress: true or false is expected, not text"),
        ("database = 5", "database: text is expected, not a whole number"),
        ('database = ["sqlite:///a.db"]', "database: text is expected, not a list"),
        ("[database]\nurl = 1", "database: text is expected, not a table"),
        ("[deals]\ndatabase = {}", "database: text is expected, not a table"),
        ("client = 1000", "client: text, or a list of such, is expected, not a whole number"),
        ('client = ["f01000", ["f01001"]]', "client: text in the list is expected, not a list"),
        ("source = {}", "source: text, or a list of such, is expected, not a table"),
        ("interval = 2026-11-25", "interval: text or a whole number is expected, not a date"),
        ("interval = 01:00:00", "interval: text or a whole number is expected, not a time"),
        ("stale-after = 2026-11-25T01:02:03Z", "stale-after: text or a whole number is expected"),
        ('interval = "soon"', "interval: 'soon' is not a length of time"),
        ("rejects = true", "rejects: text is expected, not true or false"),
        ('on-error = "panic"', "on-error: 'panic' is not one of"),
        ("on-error = 1", "on-error: one of fail, skip, salvage is expected, not a whole number"),
        ('head-epoch = "now"', "head-epoch: a whole number is expected, not text"),
        ("batch-size = 1\nbatch_size = 1", "batch_size is set twice"),
        ("config = 'other.toml'", "there is no setting “config”"),
        ("help = true", "there is no setting “help”"),
        ("deals = 3", "there is no setting “deals”"),
        ("workers = 'x'\nlimit = 'x'", "workers: a whole number is expected, not text; limit: a whole"),
        (f"a = {'[' * 2000}", "not TOML"),
        (f"a = {'1' * 5000}", "not TOML"),
    ],
    ids=lambda value: value[:40],
)
def test_a_setting_of_the_wrong_type_is_named_with_what_was_expected(
    etl: Etl, database: Database, feed: Path, text: str, said: str
) -> None:
    (etl.directory / "etl.toml").write_text(text)
    refused(etl(*RUN, "--source", feed, "--client", OURS[0]), "etl.toml: ", said)
    assert not database.path.exists()


def test_the_other_commands_check_what_is_theirs_alone(etl: Etl) -> None:
    assert etl("wallets", "add", "f07").status == 0
    (etl.directory / "etl.toml").write_text('workers = "x"\nnonsense = 1\n')
    assert etl("wallets", "list").stdout == "f07\n"
    (etl.directory / "etl.toml").write_text("database = 1")
    for command in (("wallets", "list"), ("history",)):
        refused(etl(*command), "database: text is expected")


def test_a_file_with_a_byte_order_mark_is_fine(etl: Etl, feed: Path) -> None:
    text = f'\ufeffdatabase = "sqlite:///marked.db"\nclient = "{OURS[0]}"\n'
    (etl.directory / "etl.toml").write_text(text, encoding="utf-8")
    assert_done(etl(*RUN, "--source", feed))
    assert databases(etl) == {"marked"}


def test_a_table_of_no_pipeline_is_warned_of(etl: Etl, feed: Path) -> None:
    (etl.directory / "etl.toml").write_text('[deal]\nclient = "f07"\n')
    said = "etl.toml: there is no pipeline “deal”: its settings are not read"
    completed = etl("run", "deals", "--source", feed, "--client", OURS[0])
    warning, _ = completed.stderr.splitlines()
    assert (completed.status, warning.partition(" WARNING ")[2]) == (0, said)
    assert etl("history").stderr == f"etl: {said}\n"


# Whose file it is --------------------------------------------------------------------------------------

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of others")


@as_root
@pytest.mark.parametrize("where", ["here", "of the user", "linked to"])
def test_a_file_of_another_user_is_not_read_unless_it_is_named(etl: Etl, feed: Path, where: str) -> None:
    settings = {"database": "sqlite:///foreign.db"}
    path = etl.directory / ("config/etl/config.toml" if where == "of the user" else "etl.toml")
    if where == "linked to":  # by somebody else, who cannot write to the file itself
        path.symlink_to(write(etl.directory / "other.toml", **settings))
    else:
        write(path, **settings)
    os.chown(path, 65534, -1, follow_symlinks=False)
    env = {"XDG_CONFIG_HOME": str(etl.directory / "config")}
    command = ("run", "deals", "--source", feed, "--client", OURS[0])
    completed = etl(*command, env=env)
    assert completed.status == 0, completed.stderr
    assert databases(etl) == {"deals"}
    warning, _ = completed.stderr.splitlines()
    assert "is not read: it belongs to another user (--config names it all the same)" in warning
    assert "belongs to another user" in etl("history", env=env).stderr
    assert etl(*command, "--config", path, env=env).status == 0
    assert databases(etl) == {"deals", "foreign"}


def test_a_file_that_everybody_may_write_to_is_not_read(etl: Etl, feed: Path) -> None:
    write(etl.directory / "etl.toml", database="sqlite:///anybodys.db").chmod(0o666)
    completed = etl("run", "deals", "--source", feed, "--client", OURS[0])
    assert completed.status == 0
    assert "etl.toml is not read: everybody may write to it" in completed.stderr
    assert databases(etl) == {"deals"}


@pytest.mark.parametrize(
    "env",
    [
        {"HOME": "/nonexistent", "XDG_CONFIG_HOME": ""},
        {"HOME": "", "XDG_CONFIG_HOME": ""},
        {"HOME": "home", "XDG_CONFIG_HOME": "config"},
        {"HOME": "/dev/null", "XDG_CONFIG_HOME": "/dev/null"},
    ],
    ids=["missing", "empty", "relative", "no folder"],
)
def test_a_home_that_is_none_has_no_settings(etl: Etl, feed: Path, env: dict[str, str]) -> None:
    for folder in ("home/.config", "config", ".config"):
        write(etl.directory / folder / "etl" / "config.toml", nonsense="x")
    assert_done(etl(*RUN, "--source", feed, "--client", OURS[0], env=env))
    assert databases(etl) == {"deals"}


def test_a_pipe_of_the_name_is_no_settings_file(etl: Etl, feed: Path) -> None:
    os.mkfifo(etl.directory / "etl.toml")
    assert_done(etl(*RUN, "--source", feed, "--client", OURS[0]))


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
        ("run", "deals", "--workers", "-1"),
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
