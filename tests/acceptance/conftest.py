"""The real command in a directory of its own, and ways to look at what it left there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import Database as Database
from tests.support.databases import ServerDatabase, Tables, moment
from tests.support.lotus_node import Node
from tests.support.postgresql import Server

from .feeds import HEAD, OURS, Expected, as_object, awkward

HEAD_TIME = datetime.fromtimestamp(1598306400, UTC) + timedelta(seconds=30) * HEAD
_NOT_INHERITED = ("ETL_", "DATABASE_", "LOTUS_", "MARKET_DEAL_URL", "XDG_CONFIG_HOME", "HOME", "COLUMNS")


@dataclass(frozen=True)
class Completed:
    """What a command left behind when it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def report(self) -> dict[str, Any]:
        """The object that `--json` printed."""
        report: dict[str, Any] = json.loads(self.stdout)
        return report

    @property
    def message(self) -> str:
        """The one line that says why the command failed."""
        lines = self.stderr.splitlines()
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("etl: ")
        return lines[0].removeprefix("etl: ")


class Running(subprocess.Popen[bytes]):
    """A command that was started and not yet waited for."""

    def done(self, input: bytes | None = None, timeout: float = 30) -> Completed:
        """Wait for the end."""
        stdout, stderr = self.communicate(input, timeout)
        return Completed(self.returncode, stdout.decode(), stderr.decode())


class Etl:
    """Runs the command in one directory; whatever still runs at the end of the test is killed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[Running] = []

    def start(
        self, *args: str | Path, env: dict[str, str] | None = None, module: bool = True, **settings: Any
    ) -> Running:
        """Start `etl` with arguments."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        home = str(self.directory / "home")
        environment = inherited | {"HOME": home, "XDG_CONFIG_HOME": home} | (env or {})
        command = [sys.executable, "-m", "etl"] if module else [str(Path(sys.executable).with_name("etl"))]
        settings.setdefault("stdin", subprocess.DEVNULL)
        running = Running(
            [*command, *map(str, args)],
            cwd=self.directory, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings,
        )  # fmt: skip
        self._started.append(running)
        return running

    def __call__(
        self,
        *args: str | Path,
        input: bytes | None = None,
        env: dict[str, str] | None = None,
        timeout: float = 30,
        **settings: Any,
    ) -> Completed:
        """Run `etl` with arguments to its end."""
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        completed = self.start(*args, env=env, stdin=stdin, **settings).done(input, timeout)
        assert "Traceback" not in completed.stderr, completed.stderr
        return completed

    def loading(self, *args: str | Path, head: int = HEAD) -> list[str | Path]:
        """The arguments that run the pipeline `deals` for our wallets."""
        named = [part for client in OURS for part in ("--client", client)]
        return ["run", "deals", "--json", "-q", "--head-epoch", str(head), *named, *args]

    def load(self, *args: str | Path, head: int = HEAD, **settings: Any) -> Completed:
        """Run the pipeline `deals` for our wallets."""
        return self(*self.loading(*args, head=head), **settings)

    def loaded(self, document: bytes, *args: str | Path, **settings: Any) -> dict[str, Any]:
        """Load a document with success and return the report."""
        completed = self.load("--source", self.file(document), *args, **settings)
        assert (completed.status, completed.stderr) == (0, "")
        return completed.report

    def file(self, document: bytes, name: str = "feed") -> Path:
        """Write a file beside what the command reads and writes."""
        path = self.directory / name
        path.write_bytes(document)
        return path

    def close(self) -> None:
        for running in self._started:
            if running.poll() is None:
                for pid in [*children(running.pid), running.pid]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            running.communicate()


def assert_loaded(report: dict[str, Any], database: Tables, wanted: Expected) -> None:
    """Hold a first run against the plain reading: figures, rows, history and the ledger."""
    assert {name: report[name] for name in wanted.figures} == wanted.figures
    assert_accounts_balance(report)
    assert (report["pipeline"], report["status"], report["error"]) == ("deals", "succeeded", None)
    assert report["head_epoch"] == HEAD
    deals = database.deals()
    assert deals == wanted.rows
    run_id = report["run_id"]
    for row in database.rows("deals"):
        assert row["run_id"] == run_id
        assert row["created_at"] == row["updated_at"]
        verified_at = row["last_verified_at"]
        if row["state"] == "active":
            assert moment(verified_at) == HEAD_TIME
        else:
            assert verified_at is None
    assert sorted(history(database)) == sorted(
        (deal_id, None, row["state"], HEAD, run_id) for deal_id, row in deals.items()
    )
    assert len(database.rows("etl_rejects")) == report["rejected"]
    assert_ledger_agrees(report, database)


def assert_accounts_balance(report: dict[str, Any]) -> None:
    outcomes = ("inserted", "updated", "unchanged", "duplicates")
    assert report["matched"] == sum(report[name] for name in outcomes)
    assert report["records"] >= report["matched"] + report["rejected"]
    assert all(report[name] >= 0 for name in outcomes)


def assert_ledger_agrees(report: dict[str, Any], database: Tables) -> None:
    """The run's row in the ledger says the same as its report."""
    times = ("started_at", "finished_at")
    row = database.last_run()
    assert {name: row[name] for name in row if name not in times} == {
        name: report[name] for name in report if name not in times
    }
    for name in times:
        assert moment(row[name]) == datetime.fromisoformat(report[name])


def history(database: Tables) -> list[tuple[Any, ...]]:
    """The history: (deal id, previous state, new state, epoch, run id), in its order."""
    rows = database.query(
        "SELECT deal_id, previous_state, new_state, epoch, deal_state_changes.run_id AS run_id"
        " FROM deal_state_changes JOIN deals ON deals.id = deals_id ORDER BY deal_state_changes.id"
    )
    return [tuple(row.values()) for row in rows]


def assert_refused(completed: Completed, status: int, database: Tables, before: object) -> str:
    """A run has failed, said so in one line and in the ledger, and changed nothing; return the line."""
    message = completed.message
    assert completed.status == status, completed.stderr
    assert database.dump() == before
    run = database.last_run()
    assert (run["status"], run["error"]) == ("failed", message)
    return message


def load_each(
    factory: pytest.TempPathFactory, documents: Mapping[str, bytes], *args: str, start: Path | None = None
) -> dict[str, tuple[Completed, Database]]:
    """Load documents, each in a directory of its own, a few at a time to save time.

    Each starts with a copy of the database `start`, if one is given.
    """

    def load(item: tuple[str, bytes]) -> tuple[Completed, Database]:
        command = Etl(directories[item[0]])
        database = Database(command.directory / "deals.db")
        if start is not None:
            database.path.write_bytes(start.read_bytes())
        try:
            source = command.file(item[1])
            return command.start(*command.loading("--source", source, *args)).done(), database
        finally:
            command.close()

    directories = {name: factory.mktemp("each") for name in documents}
    with ThreadPoolExecutor(3) as pool:
        return dict(zip(documents, pool.map(load, documents.items()), strict=True))


# Processes -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def under_way(etl: Etl, tables: Tables, document: bytes, *args: str) -> Iterator[Running]:
    """A run that has begun, holds the lock and waits for the rest of its feed: see `let_end`."""
    before = len(tables.rows("etl_runs"))
    command = etl.loading("--source", "-", "--database", tables.url, *args)
    running = etl.start(*command, stdin=subprocess.PIPE)
    assert running.stdin is not None
    running.stdin.write(document[: len(document) // 2])
    running.stdin.flush()
    until(lambda: len(tables.rows("etl_runs")) > before)
    yield running


def let_end(running: Running, document: bytes) -> Completed:
    """Send the rest of the feed of a run that is `under_way`."""
    return running.done(document[len(document) // 2 :])


def children(pid: int) -> list[int]:
    """The children of a process, in the order in which they were started (Linux)."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def alive(pid: int) -> bool:
    """Whether a process still runs: not one that has ended and was not waited for (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_at_once(pids: Sequence[int], watching: int | None = None) -> None:
    """Kill processes before any of them, or one that is `watching`, can see that another has ended."""
    held = [*([watching] if watching is not None else []), *pids]
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    for pid in reversed(pids):  # a parent comes before its children, who would be gone with it
        os.kill(pid, signal.SIGKILL)
    if watching is not None:
        os.kill(watching, signal.SIGCONT)


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to pass in time"
        time.sleep(0.01)


# Fixtures --------------------------------------------------------------------------------------------


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
