"""Runs that nobody watches: round after round, of feeds that may not have changed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Completed, Etl, Running
from tests.support.databases import Database
from tests.support.lotus_node import Answer, Node
from tests.support.processes import alive, children, until
from tests.support.web_server import Web, answer_with, serving

from .feeds import OTHER, OURS, as_object, deal

DOCUMENT = as_object([("1", deal(OURS[0])), ("2", deal(OURS[1])), ("3", deal(OTHER))])
NAMED = ("--client", OURS[0])
SERVE = ("run", "deals", "--json", "--workers", "1")
STOPPED = {signal.SIGINT: 130, signal.SIGTERM: 143}
KEY = "f1abjxfbp274xpdqcpuaykwkfb43omjotacm2p3za"

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")


def ended(database: Database) -> list[dict[str, Any]]:
    """The runs in the ledger that have come to an end."""
    runs = database.rows("etl_runs") if database.path.exists() else []
    return [run for run in runs if run["finished_at"] is not None]


def objects(lines: str) -> list[dict[str, Any]]:
    """What stands in lines that all are JSON objects."""
    values = [json.loads(line) for line in lines.splitlines()]
    assert all(isinstance(value, dict) for value in values)
    return values


def stop(process: Running, number: int, within: float = 5) -> Completed:
    """Stop a service; it must end in time, with its status and all its processes."""
    pids = [process.pid, *children(process.pid)]
    start = time.monotonic()
    process.send_signal(number)
    completed = process.done()
    assert time.monotonic() - start < within
    assert completed.status == STOPPED[signal.Signals(number)], completed.stderr
    assert "Traceback" not in completed.stderr
    assert not any(map(alive, pids))
    return completed


# Stopped -----------------------------------------------------------------------------------------------


def stall(web: Web, body: bytes = DOCUMENT[:50]) -> threading.Event:
    """Serve the beginning of a feed and, when told so, the rest."""
    go_on = threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(DOCUMENT)))
        request.end_headers()
        request.wfile.write(body)
        while not go_on.wait(0.02) and not web.over.is_set():
            pass
        request.wfile.write(DOCUMENT[len(body) :])

    web.serve(answer)
    return go_on


def stalling(web: Web) -> Iterator[bytes]:
    """The body of a reply that does not come."""
    yield b"{"
    web.over.wait()


@on_linux
@pytest.mark.parametrize("number", STOPPED, ids=lambda number: number.name)
@pytest.mark.parametrize("when", ["between rounds", "asking", "looking up", "reading"])
def test_a_service_is_stopped_whatever_it_does(
    etl: Etl, database: Database, web: Web, node: Node, number: signal.Signals, when: str
) -> None:
    web.serve(DOCUMENT)
    if when == "asking":
        node.answers["Filecoin.ChainGetGenesis"] = Answer(stalling(web))
    elif when == "looking up":
        node.answers["Filecoin.StateLookupID"] = Answer(stalling(web))
    elif when == "reading":
        stall(web)
    process = etl.start(
        *SERVE, "--interval", "1h", "--source", web.url("/feed"), "--lotus-api", node.url, *NAMED,
        *(("--client", KEY) if when == "looking up" else ()),
    )  # fmt: skip
    if when == "between rounds":
        until(lambda: ended(database) and not children(process.pid))
    elif when == "reading":
        until(lambda: web.requests and len(children(process.pid)) == 3)
    else:
        until(lambda: node.requests)
    time.sleep(0.1)
    completed = stop(process, number)
    *_, last = completed.stderr.splitlines()
    (run,) = ended(database)
    (report,) = objects(completed.stdout)
    assert report["status"] == run["status"]
    if when == "between rounds":
        assert last == f"etl: stopped by {number.name}, between two rounds"
        assert run["status"] == "succeeded"
    else:
        assert last == f"etl: stopped by {number.name}, nothing was committed"
        assert (run["status"], run["error"]) == ("failed", last.removeprefix("etl: "))
        assert database.rows("deals") == []


@on_linux
def test_a_signal_that_comes_with_the_commit_ends_a_service_after_its_report(
    etl: Etl, database: Database, web: Web
) -> None:
    """The parent is held still while the writer commits, and learns of the signal first."""
    go_on = stall(web)
    process = etl.start(*SERVE, "--interval", "1h", "--source", web.url("/feed"), *NAMED)
    until(lambda: web.requests and len(children(process.pid)) == 3)
    process.send_signal(signal.SIGSTOP)
    until(lambda: database.path.exists() and database.rows("etl_runs"))
    go_on.set()
    until(lambda: ended(database) and not any(map(alive, children(process.pid))))
    time.sleep(0.3)  # longer than the parent waits for news at a time
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    completed = process.done()
    assert completed.status == 143
    (report,) = objects(completed.stdout)
    assert (report["status"], database.last_run()["status"]) == ("succeeded", "succeeded")
    assert completed.stderr.splitlines()[-1] == "etl: stopped by SIGTERM, between two rounds"


@on_linux
def test_a_run_that_waits_for_the_first_one_of_all_does_not_keep_it_from_making_the_tables(
    etl: Etl, database: Database
) -> None:
    """The other run is this test, which holds its lock: a byte far behind those that SQLite locks."""
    with database.path.open("wb") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, 0, 1 << 62, 1, 0))
        process = etl.start("run", "deals", "--wait-lock", "--source", etl.file(DOCUMENT), *NAMED)
        assert process.stderr is not None
        assert b"waiting for another run to end" in process.stderr.readline()
        with closing(sqlite3.connect(database.path, timeout=3)) as connection:
            connection.execute("CREATE TABLE made (id INTEGER)")
    assert process.done().status == 0
    assert len(database.rows("deals")) == 1


def test_a_wrong_configuration_ends_a_service_at_once(etl: Etl, database: Database) -> None:
    completed = etl(*SERVE, "--interval", "1h", "--source", etl.file(DOCUMENT))
    assert completed.status == 78
    assert "wallets" in completed.message
    assert not database.path.exists()


# Settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(
            ("--interval", value)
            for value in ("0", "0s", "-1", "1x", "", "1.5h", "1h1h", "h", "999999999d")
        ),
        ("--interval", "9" * 5000),
        ("--stale-after", "1x"),
    ],
    ids=lambda value: value[:16],
)
def test_what_is_no_length_of_time_is_a_usage_error(etl: Etl, option: str, value: str) -> None:
    completed = etl(*SERVE, "--source", "feed", *NAMED, option, value)
    assert (completed.status, completed.stdout) == (2, "")
    assert option in completed.stderr
    assert "length of time" in completed.stderr


@pytest.mark.parametrize(
    ("args", "env", "config", "wait"),
    [
        (("--interval", "1h30m"), {"ETL_INTERVAL": "1h"}, "", timedelta(minutes=90)),
        (("--interval", "90s"), {}, "interval = 17", timedelta(seconds=90)),
        ((), {"ETL_INTERVAL": "90"}, 'interval = "2h"', timedelta(seconds=90)),
        ((), {}, "[deals]\ninterval = 3600", timedelta(hours=1)),
        ((), {}, 'interval = "1d2h"', timedelta(hours=26)),
    ],
)
@on_linux
def test_the_interval_comes_from_where_settings_come_from(
    etl: Etl, database: Database, args: tuple[str, ...], env: dict[str, str], config: str, wait: timedelta
) -> None:
    (etl.directory / "etl.toml").write_text(config)
    process = etl.start(*SERVE, "--source", etl.file(DOCUMENT), *NAMED, *args, env=env)
    until(lambda: ended(database) and not children(process.pid))
    time.sleep(0.1)
    said = stop(process, signal.SIGTERM).stderr
    near = [wait - timedelta(seconds=seconds) for seconds in range(5)]
    assert any(f"the next round begins in {time}\n" in said for time in near), said


def test_a_service_of_dry_runs_sees_a_file_change_and_makes_no_database(
    etl: Etl, database: Database
) -> None:
    source = etl.file(DOCUMENT)
    process = etl.start(*SERVE, "--interval", "1s", "--dry-run", "--source", source, *NAMED)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["inserted"] == 1
    etl.file(as_object([("1", deal()), ("7", deal())]), "new").rename(source)
    until(lambda: json.loads(process.stdout.readline())["inserted"] == 2 if process.stdout else False)
    said = stop(process, signal.SIGINT).stderr
    assert "dry run: 2 of 2 records matched" in said
    assert not database.path.exists()


def test_every_line_is_an_object_where_that_is_asked_for(etl: Etl) -> None:
    run = ("run", "deals", *NAMED, "--log-format", "json")
    source = etl.file(DOCUMENT)
    for args, status, said in (
        (("--source", source), 0, "1 of 3 records matched"),
        (("--source", source, "--dry-run"), 0, "dry run: 1 of 3"),
        (("--source", "missing"), 69, "No such file"),
        (("--source", "lotus"), 78, "--lotus-api"),
    ):
        completed = etl(*run, *args)
        assert completed.status == status
        (line,) = objects(completed.stderr)
        assert said in line["message"]
        assert line["level"] == ("error" if status else "info")
    assert etl(*run, "-q", "--source", source).stderr == ""


# Feeds that have not changed ---------------------------------------------------------------------------


def ago(hours: float) -> str:
    return format_datetime(datetime.now(UTC) - timedelta(hours=hours), usegmt=True)


@dataclass
class Published:
    """A feed as a web server publishes it, and what it was asked."""

    web: Web
    body: bytes = DOCUMENT
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    heeds: bool = True
    """It answers 304 to conditions that hold."""
    sized: bool = True
    stalls: bool = False
    """It never sends the second half."""
    conditions: list[dict[str, str]] = field(default_factory=list)
    """Of each request."""

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        names = ("If-None-Match", "If-Modified-Since")
        asked = {name: request.headers[name] for name in names if name in request.headers}
        self.conditions.append(asked)
        held = (self.headers.get("ETag", ""), self.headers.get("Last-Modified", ""))
        if self.heeds and any(value in held for value in asked.values()):
            self.answer(b"", None, status=304)(request)
            return
        length = len(self.body) if self.sized else None
        half = len(self.body) // 2 if self.stalls else len(self.body)
        self.answer(self.body[:half], length)(request)
        if self.stalls:
            request.wfile.flush()
            self.web.over.wait()

    def answer(self, body: bytes, length: int | None, status: int = 200) -> Callable[..., None]:
        named = {name.replace("-", "_"): value for name, value in self.headers.items()}
        return answer_with(body, status, length, **named)


@pytest.fixture
def published(web: Web) -> Published:
    """A feed with an ETag, at /feed."""
    feed = Published(web)
    web.serve(feed)
    return feed


def status(etl: Etl, database: Database, *args: str | Path, source: str, client: str = OURS[0]) -> str:
    """Run with success; return what the report calls it, which the ledger must call it too."""
    completed = etl(*SERVE, "-q", "--source", source, "--client", client, *args)
    assert (completed.status, completed.stderr) == (0, "")
    report = completed.report
    found: str = report["status"]
    if "--dry-run" not in args:
        assert (database.last_run()["status"], database.last_run()["run_id"]) == (found, report["run_id"])
    if found == "not_modified":
        assert (report["records"], report["bytes_read"], report["error"]) == (0, 0, None)
    else:
        assert report["records"] > 0
    return found


@pytest.mark.parametrize(
    ("headers", "heeds"),
    [
        ({"ETag": '"x"'}, True),
        ({"ETag": '"x"'}, False),
        ({"ETag": 'W/"x"'}, False),
        ({"Last-Modified": ago(1)}, True),
        ({"Last-Modified": ago(1)}, False),
        ({"ETag": '"x"', "Last-Modified": ago(1)}, True),
    ],
    ids=["ETag, 304", "ETag, 200", "weak ETag, 200", "time, 304", "time and size, 200", "both, 304"],
)
def test_a_feed_that_has_not_changed_is_not_read(
    etl: Etl, database: Database, web: Web, published: Published, headers: dict[str, str], heeds: bool
) -> None:
    published.headers, published.heeds = headers, heeds
    assert status(etl, database, source=web.url("/feed")) == "succeeded"
    before = database.dump("deals", "deal_state_changes", "etl_sources")
    published.stalls = True  # whoever wanted it all would wait
    assert status(etl, database, source=web.url("/feed")) == "not_modified"
    names = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
    assert published.conditions == [{}, {names[name]: value for name, value in headers.items()}]
    assert database.dump(*before) == before


@pytest.mark.parametrize(
    ("headers", "sized"),
    [({}, True), ({}, False), ({"Last-Modified": ago(1)}, False)],
    ids=["size", "nothing", "time without size"],
)
def test_a_feed_of_which_too_little_is_said_is_read_again(
    etl: Etl, database: Database, web: Web, published: Published, headers: dict[str, str], sized: bool
) -> None:
    published.headers, published.sized, published.heeds = headers, sized, False
    for _ in range(2):
        assert status(etl, database, source=web.url("/feed")) == "succeeded"


def test_a_feed_is_read_again_where_something_else_is_asked_of_it(
    etl: Etl, database: Database, web: Web, published: Published
) -> None:
    source = web.url("/feed")
    web.answers["/feed?page=2"] = published

    def again(*args: str | Path, url: str = source, client: str = OURS[0]) -> str:
        return status(etl, database, *args, source=url, client=client)

    assert again() == "succeeded"
    assert again() == "not_modified"
    assert again("--force") == "succeeded"
    assert again("--client", OURS[1]) == "succeeded"
    assert again("--client", OURS[0], client=OURS[1]) == "not_modified"  # in whatever order
    assert again() == "succeeded"  # fewer
    assert again("--head-epoch", "4200000") == "succeeded"
    assert again("--head-epoch", "4200000") == "not_modified"
    assert again("--head-epoch", "4200001") == "succeeded"
    assert again() == "succeeded"
    assert again(url=f"{source}?page=2") == "succeeded"
    assert again(url=f"{source}?page=2") == "not_modified"
    assert again("--dry-run", url=f"{source}?page=2") == "succeeded"
    assert again("--limit", "1", url=f"{source}?page=2") == "succeeded"
    assert again("--source", source, url=f"{source}?page=2") == "succeeded"
    assert again("--on-error", "salvage", url=f"{source}?page=2") == "succeeded"
    assert again(url=f"{source}?page=2") == "not_modified"  # what it was, when the whole was seen
    published.headers = {"ETag": '"2"'}
    published.body = as_object([("1", deal()), ("9", deal())])
    assert again(url=f"{source}?page=2") == "succeeded"
    assert {row["deal_id"] for row in database.rows("deals")} == {1, 2, 9}


def test_only_a_run_that_saw_the_whole_feed_lets_others_skip_it(
    etl: Etl, database: Database, web: Web, published: Published
) -> None:
    source = web.url("/feed")
    for args in (("--dry-run",), ("--limit", "1"), ("--on-error", "salvage"), ("--source", source)):
        assert status(etl, database, *args, source=source) == "succeeded"
    published.body = DOCUMENT[:-1]
    assert etl(*SERVE, "-q", "--source", source, *NAMED).status == 65
    published.body = DOCUMENT
    assert status(etl, database, source=source) == "succeeded"
    assert not any(published.conditions)
    assert status(etl, database, source=source) == "not_modified"
    published.headers, published.body = {"ETag": '"2"'}, DOCUMENT[:-1]
    assert etl(*SERVE, "-q", "--source", source, *NAMED).status == 65
    published.body = DOCUMENT
    assert status(etl, database, source=source) == "succeeded"


def test_a_file_is_always_read(etl: Etl, database: Database) -> None:
    source = str(etl.file(DOCUMENT))
    for _ in range(2):
        assert status(etl, database, source=source) == "succeeded"


def test_a_feed_behind_a_password_is_skipped_too_and_the_password_kept_nowhere(
    etl: Etl, database: Database, web: Web, published: Published
) -> None:
    web.answers["/feed?token=canary"] = published
    source = web.url("/feed?token=canary").replace("http://", "http://user:canary@")
    assert status(etl, database, source=source) == "succeeded"
    assert status(etl, database, source=source) == "not_modified"
    other = source.replace("canary@", "another@")
    assert status(etl, database, source=other) == "succeeded"
    stored = database.path.read_bytes()
    assert (b"canary" in stored, b"another" in stored) == (False, False)


def test_a_service_skips_what_has_not_changed(
    etl: Etl, database: Database, web: Web, published: Published
) -> None:
    process = etl.start(*SERVE, "--interval", "1s", "--source", web.url("/feed"), *NAMED)
    until(lambda: len(ended(database)) == 2)
    published.headers = {"ETag": '"2"'}
    until(lambda: len(ended(database)) == 3)
    completed = stop(process, signal.SIGTERM)
    statuses = [report["status"] for report in objects(completed.stdout)]
    assert statuses[:3] == ["succeeded", "not_modified", "succeeded"]
    assert "the feed has not changed" in completed.stderr


# Feeds that should have changed ------------------------------------------------------------------------


def test_a_stale_feed_is_warned_of_once_a_run(
    etl: Etl, database: Database, web: Web, published: Published
) -> None:
    published.headers = {"Last-Modified": ago(7)}
    run = ("run", "deals", "--workers", "1", "--source", web.url("/feed"), *NAMED)

    def warnings(*args: str) -> list[str]:
        completed = etl(*run, *args)
        assert completed.status == 0
        return [line for line in completed.stderr.splitlines() if "stale" in line]

    (read,) = warnings()
    assert " WARNING the feed is stale: last changed 7.0 hours ago, at " in read
    (skipped,) = warnings()
    assert database.last_run()["status"] == "not_modified"
    assert "7.0 hours" in skipped
    assert warnings("-q") == []
    assert warnings("--stale-after", "8h") == []
    published.headers = {"Last-Modified": ago(5)}
    assert warnings() == []
    (strict,) = warnings("--stale-after", "1h")
    assert "5.0 hours" in strict


# A service ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """What the parent of a service holds between two rounds."""

    descriptors: int
    mappings: int
    resident: int

    @classmethod
    def of(cls, pid: int) -> Figures:
        """The least that is seen while it has no children, a few times."""
        folder = Path(f"/proc/{pid}")
        seen: list[tuple[int, int, int]] = []

        def look() -> bool:
            if children(pid):
                return False
            pages = int((folder / "statm").read_text().split()[1])
            mappings = len((folder / "maps").read_text().splitlines())
            seen.append((len(os.listdir(folder / "fd")), mappings, pages))
            return len(seen) >= 20

        until(look, seconds=20)
        descriptors, mappings, pages = map(min, zip(*seen, strict=True))
        return cls(descriptors, mappings, pages * os.sysconf("SC_PAGE_SIZE"))


@dataclass(frozen=True)
class Served:
    """A service that was stopped after 15 rounds, some of which failed."""

    completed: Completed
    runs: list[dict[str, Any]]
    early: Figures
    late: Figures


ROUNDS = 15
ANSWERS = (
    answer_with(DOCUMENT),
    answer_with(status=403),
    answer_with(DOCUMENT[:-9]),
    answer_with(DOCUMENT, length=len(DOCUMENT) + 1),
    answer_with(b"<html>"),
)
FAILURES = {1: "HTTP status 403", 2: "truncated", 3: "the transfer", 4: "an HTML page"}


def serve_for_long(directory: Path, over: threading.Event) -> Served:
    database = Database(directory / "deals.db")
    with closing(Etl(directory)) as etl, serving() as web, Node() as node:
        assert etl("wallets", "add", OURS[0]).status == 0
        answers = list(ANSWERS)

        def answer(request: BaseHTTPRequestHandler) -> None:
            (answers.pop(0) if answers else answer_with(DOCUMENT))(request)

        process = etl.start(
            *SERVE, "--interval", "1s", "--log-format", "json",
            "--source", web.serve(answer), "--lotus-api", node.url,
        )  # fmt: skip

        def until_round(number: int) -> None:
            until(lambda: over.is_set() or len(ended(database)) >= number, seconds=40)
            assert not over.is_set()

        until_round(3)
        early = Figures.of(process.pid)
        until_round(6)
        assert etl("wallets", "add", OURS[1]).status == 0
        until_round(ROUNDS)
        late = Figures.of(process.pid)
        completed = stop(process, signal.SIGTERM)
    return Served(completed, ended(database), early, late)


@pytest.fixture(scope="module", autouse=True)
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Served]]:
    """Begun before the first test: it takes its time, and leaves the machine to others meanwhile."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(serve_for_long, tmp_path_factory.mktemp("served"), over)
        over.set()


@pytest.fixture
def served(begun: Future[Served]) -> Served:
    return begun.result()


@on_linux
def test_a_service_survives_rounds_that_fail(served: Served) -> None:
    errors = [run["error"] or "" for run in served.runs[:ROUNDS]]
    assert [bool(error) for error in errors] == [number in FAILURES for number in range(ROUNDS)]
    assert [text for number, text in FAILURES.items() if text not in errors[number]] == [], errors


@on_linux
def test_a_service_reports_every_round(served: Served) -> None:
    reports = objects(served.completed.stdout)
    assert [(report["run_id"], report["status"], report["error"]) for report in reports] == [
        (run["run_id"], run["status"], run["error"]) for run in served.runs
    ]
    begun = [datetime.fromisoformat(report["started_at"]) for report in reports]
    assert begun[-1] - begun[0] > timedelta(seconds=len(reports) - 1.5)


@on_linux
def test_a_service_logs_every_round_and_its_end_as_it_was_told(served: Served) -> None:
    lines = objects(served.completed.stderr)
    assert all(line.keys() == {"time", "level", "message"} for line in lines)
    *errors, last = [line["message"] for line in lines if line["level"] == "error"]
    assert errors == [served.runs[number]["error"] for number in FAILURES]
    assert last.startswith("stopped by SIGTERM")
    infos = [line["message"] for line in lines if line["level"] == "info"]
    assert sum("records matched" in text for text in infos) >= ROUNDS - len(FAILURES)
    assert sum("the next round begins in" in text for text in infos) >= ROUNDS


@on_linux
def test_wallets_added_between_rounds_count_in_the_next(served: Served) -> None:
    matched = [run["matched"] for run in served.runs if run["status"] == "succeeded"]
    assert sorted(matched) == matched
    assert (matched[0], matched[-1]) == (1, 2)


@on_linux
def test_a_service_does_not_grow(served: Served) -> None:
    assert served.late.descriptors == served.early.descriptors
    assert served.late.mappings <= served.early.mappings + 3
    assert served.late.resident < served.early.resident + (2 << 20)
