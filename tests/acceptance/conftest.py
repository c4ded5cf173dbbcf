"""The real command in a directory of its own, and ways to look at what it left there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.lotus import Node

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


@dataclass(frozen=True)
class Database:
    """An SQLite file, read by other means than the command's own."""

    path: Path

    def query(self, query: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table; none if there is no such table."""
        known = self.query(f"SELECT 1 FROM sqlite_master WHERE name = '{table}'")
        return self.query(f"SELECT * FROM {table} ORDER BY 1, 2") if known else []

    def dump(self, *tables: str) -> dict[str, list[dict[str, Any]]]:
        """What stands in the tables; by default those that a failed run must leave alone."""
        return {name: self.rows(name) for name in tables or ("deals", "deal_state_changes", "wallets")}

    def deals(self) -> dict[int, dict[str, Any]]:
        """The columns of `deals` that come from the feed, by deal id, in the order of insertion."""
        local = {"id", "deal_id", "last_verified_at", "created_at", "updated_at", "run_id"}
        return {
            row["deal_id"]: {
                name: bool(value) if name == "verified" else value
                for name, value in row.items()
                if name not in local
            }
            for row in self.rows("deals")
        }

    def last_run(self) -> dict[str, Any]:
        return self.rows("etl_runs")[-1]


def assert_loaded(report: dict[str, Any], database: Database, wanted: Expected) -> None:
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
            assert datetime.fromisoformat(verified_at).replace(tzinfo=UTC) == HEAD_TIME
        else:
            assert verified_at is None
    assert history(database) == [
        (deal_id, None, row["state"], HEAD, run_id) for deal_id, row in deals.items()
    ]
    assert len(database.rows("etl_rejects")) == report["rejected"]
    assert_ledger_agrees(report, database)


def assert_accounts_balance(report: dict[str, Any]) -> None:
    outcomes = ("inserted", "updated", "unchanged", "duplicates")
    assert report["matched"] == sum(report[name] for name in outcomes)
    assert report["records"] >= report["matched"] + report["rejected"]
    assert all(report[name] >= 0 for name in outcomes)


def assert_ledger_agrees(report: dict[str, Any], database: Database) -> None:
    """The run's row in the ledger says the same as its report."""
    times = ("started_at", "finished_at")
    row = database.last_run()
    assert {name: row[name] for name in row if name not in times} == {
        name: report[name] for name in report if name not in times
    }
    for name in times:
        assert datetime.fromisoformat(row[name]).replace(tzinfo=UTC) == datetime.fromisoformat(report[name])


def history(database: Database) -> list[tuple[Any, ...]]:
    """The history: (deal id, previous state, new state, epoch, run id), in its order."""
    rows = database.query(
        "SELECT deal_id, previous_state, new_state, epoch, deal_state_changes.run_id AS run_id"
        " FROM deal_state_changes JOIN deals ON deals.id = deals_id ORDER BY deal_state_changes.id"
    )
    return [tuple(row.values()) for row in rows]


def assert_refused(completed: Completed, status: int, database: Database, before: object) -> str:
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


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a condition."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not come to pass in time"
        time.sleep(0.01)


# A web server ----------------------------------------------------------------------------------------

Answer = Callable[[BaseHTTPRequestHandler], None]


class Web(ThreadingHTTPServer):
    """A server on the loopback interface that answers as it is told, path by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.over = threading.Event()
        """Set at the end of the test, for answers that stall."""

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def serve(self, answer: Answer | bytes, path: str = "/feed") -> str:
        """Answer a path with a body or by a function; return its URL."""
        self.answers[path] = answer_with(answer) if isinstance(answer, bytes) else answer
        return self.url(path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Web)
        self.server.requests.append(self.path)
        self.close_connection = True
        self.server.answers[self.path](self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Web]:
    """A server that answers until the end of the `with`."""
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def answer_with(body: bytes = b"", status: int = 200, length: int | None = -1, **headers: str) -> Answer:
    """An answer with a body; `length` is what it announces (None: nothing), by default the truth."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        if length is not None:
            request.send_header("Content-Length", str(len(body) if length < 0 else length))
        request.send_header("Connection", "close")
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


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
def web() -> Iterator[Web]:
    """A web server."""
    with serving() as server:
        yield server


@pytest.fixture
def node() -> Iterator[Node]:
    """A Lotus node."""
    with Node() as node:
        yield node
