"""Killed processes and stopped runs: noticed at once, nothing is committed, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event

import pytest

from tests.support.command import Completed, Etl, Running
from tests.support.databases import Database
from tests.support.processes import alive, children, kill_at_once, until
from tests.support.web_server import Web

from .checks import assert_refused
from .feeds import OURS, as_object, deal, expected

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")

DOCUMENT = as_object([(str(number), deal(OURS[number % 2])) for number in range(100, 200)])
WORKERS = 2
NAMES = ("writer", "reader", "worker 0", "worker 1")  # in the order in which they are started


@dataclass
class Stalled:
    """A run that has read half of a feed, staged rows of it, and waits for the rest."""

    process: Running
    database: Database
    go_on: Event
    """Set it to let the rest come."""
    pids: dict[str, int] = field(default_factory=dict)
    memory: set[str] = field(default_factory=set)
    """The names under /dev/shm of what its processes have mapped."""

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        os.kill(self.pids[name], number)

    def ended(self, within: float, number: int | None = None) -> Completed:
        """Wait for the end, after a signal to the parent if one is given; nothing may be left."""
        start = time.monotonic()
        if number is not None:
            self.process.send_signal(number)
        completed = self.process.done(timeout=within + 5)
        assert time.monotonic() - start < within
        self.assert_nothing_left()
        return completed

    def assert_nothing_left(self) -> None:
        assert [name for name, pid in self.pids.items() if alive(pid)] == []
        assert [name for name in self.memory if Path(name).exists()] == []
        assert [path.name for path in self.database.path.parent.iterdir()] == ["deals.db"]


@contextmanager
def stalled(etl: Etl, database: Database, web: Web, *args: str, **settings: bool) -> Iterator[Stalled]:
    """Start a run and let it come halfway."""
    half, go_on = len(DOCUMENT) // 2, Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(DOCUMENT)))
        request.end_headers()
        request.wfile.write(DOCUMENT[:half])
        while not go_on.wait(0.02) and not web.over.is_set():
            pass
        request.wfile.write(DOCUMENT[half:])

    runs = len(database.rows("etl_runs")) if database.path.exists() else 0
    process = etl.start(
        "run", "deals", "--source", web.serve(answer), "--client", OURS[0], "--client", OURS[1],
        "--head-epoch", "4200000", "--workers", str(WORKERS), "--batch-size", "5", *args,
        env={"ETL_CHUNK_BYTES": "2000"}, **settings,
    )  # fmt: skip
    run = Stalled(process, database, go_on)
    until(lambda: web.requests and len(children(process.pid)) == len(NAMES))
    run.pids = dict(zip(NAMES, children(process.pid), strict=True))
    until(lambda: database.path.exists() and len(database.rows("etl_runs")) > runs)
    until(lambda: all(map(idle, run.pids.values())))
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in (process.pid, *run.pids.values()))
    run.memory = set(re.findall(r"(/dev/shm/\S+)\n", maps))
    assert process.poll() is None
    yield run
    go_on.set()


def idle(pid: int) -> bool:
    """Whether a process sleeps, now and a moment later."""

    def sleeps() -> tuple[bool, str]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0] == "S", " ".join(fields[11:13])  # and the time it has used

    before = sleeps()
    time.sleep(0.03)
    return before[0] and before == sleeps()


# Killed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reader", "writer"])
def test_a_killed_process_ends_the_run_and_is_named(
    etl: Etl, database: Database, web: Web, before: object, name: str
) -> None:
    with stalled(etl, database, web) as run:
        run.kill(name)
        completed = run.ended(within=2)
    message = assert_refused(completed, 70, database, before)
    assert name in message
    assert "SIGKILL" in message
    assert "memory" in message  # the usual reason


def test_the_signal_that_killed_a_process_is_named(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web) as run:
        run.kill("reader", signal.SIGSEGV)
        completed = run.ended(within=2)
    assert "SIGSEGV" in assert_refused(completed, 70, database, before)


@pytest.mark.parametrize("names", [["worker 0"], ["worker 1"], ["worker 0", "worker 1"]])
def test_a_killed_worker_is_replaced_and_nothing_is_lost(
    etl: Etl, database: Database, web: Web, names: list[str]
) -> None:
    with stalled(etl, database, web) as run:
        for name in names:
            run.kill(name)
        killed = {run.pids[name] for name in names}
        until(lambda: len(set(children(run.process.pid)) - killed) == len(NAMES))
        run.go_on.set()
        completed = run.process.done()
    assert completed.status == 0, completed.stderr
    assert database.deals() == expected(DOCUMENT).rows
    for name in names:
        assert f"the {name} process was killed by SIGKILL" in completed.stderr


def test_workers_killed_again_and_again_end_the_run(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web) as run:
        while run.process.poll() is None:
            for pid in set(children(run.process.pid)) - {run.pids["reader"], run.pids["writer"]}:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        completed = run.process.done()
    assert completed.status == 70
    assert re.search("SIGKILL|too many worker", completed.stderr.splitlines()[-1])
    assert database.dump() == before


def test_all_children_killed_at_once_end_the_run(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web) as run:
        kill_at_once(list(run.pids.values()), watching=run.process.pid)
        completed = run.ended(within=2)
    assert completed.status == 70
    assert "SIGKILL" in completed.stderr.splitlines()[-1]  # others may tell of workers replaced
    assert database.dump() == before
    assert database.last_run()["status"] == "failed"


def test_a_run_succeeds_after_one_whose_process_was_killed(etl: Etl, database: Database, web: Web) -> None:
    with stalled(etl, database, web) as run:
        run.kill("writer")
        assert run.ended(within=2).status == 70
    assert database.deals() == {}
    etl.loaded(DOCUMENT)
    assert database.deals() == expected(DOCUMENT).rows
    assert [row["status"] for row in database.rows("etl_runs")] == ["failed", "succeeded"]


def test_children_of_a_killed_parent_end_and_a_plain_rerun_works(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web) as run:
        run.process.kill()
        until(lambda: not any(map(alive, run.pids.values())), seconds=2)
        assert run.process.done().status == -signal.SIGKILL
        run.assert_nothing_left()
    assert database.dump() == before
    killed = database.last_run()
    assert killed["status"] == "failed"
    assert "interrupted" in killed["error"]
    etl.loaded(DOCUMENT)
    assert database.deals().items() >= expected(DOCUMENT).rows.items()
    assert database.rows("etl_runs")[-2] == killed


def test_a_failure_that_cannot_be_recorded_is_logged(etl: Etl, database: Database, web: Web) -> None:
    with stalled(etl, database, web, "--log-format", "json") as run:
        database.path.unlink()
        database.path.mkdir()
        run.kill("reader")
        completed = run.process.done()
    database.path.rmdir()
    assert completed.status == 70
    log, last = map(json.loads, completed.stderr.splitlines())
    assert log["level"] == "warning"
    assert "database" in log["message"]
    assert last["level"] == "error"
    assert "reader" in last["message"]


# Stopped -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_commits_nothing_and_leaves_nothing(
    etl: Etl, database: Database, web: Web, before: object, number: signal.Signals, status: int
) -> None:
    with stalled(etl, database, web) as run:
        completed = run.ended(within=2, number=number)
    assert number.name in assert_refused(completed, status, database, before)


def test_control_c_reaches_the_whole_group_and_stops_the_run(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web, start_new_session=True) as run:
        os.killpg(run.process.pid, signal.SIGINT)
        completed = run.ended(within=2)
    assert_refused(completed, 130, database, before)


def test_a_child_that_does_not_stop_is_killed_in_the_end(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web) as run:
        run.kill("worker 0", signal.SIGSTOP)
        completed = run.ended(within=5, number=signal.SIGTERM)
    assert_refused(completed, 143, database, before)


def test_a_second_interrupt_ends_the_run_at_once(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web) as run:
        run.kill("worker 0", signal.SIGSTOP)
        run.process.send_signal(signal.SIGINT)
        until(lambda: not alive(run.pids["reader"]))
        assert run.process.poll() is None
        run.process.send_signal(signal.SIGINT)
        until(lambda: not alive(run.pids["worker 0"]), seconds=1)
        completed = run.ended(within=2)  # with a note in the ledger
    assert_refused(completed, 130, database, before)


def test_a_run_whose_standard_input_is_open_but_silent_can_be_stopped(
    etl: Etl, database: Database, before: object
) -> None:
    process = etl.start("run", "deals", "--source", "-", "--client", OURS[0], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(DOCUMENT[:50])
    process.stdin.flush()
    until(lambda: len(children(process.pid)) >= 3 and len(database.rows("etl_runs")) > 1)
    pids = dict(enumerate(children(process.pid)))
    until(lambda: all(map(idle, pids.values())))
    assert process.poll() is None
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.wait(timeout=5)
    assert time.monotonic() - start < 2
    assert not any(map(alive, pids.values()))
    assert_refused(process.done(), 130, database, before)


def test_a_stopped_dry_run_leaves_no_database(etl: Etl, database: Database, web: Web) -> None:

    def answer(request: BaseHTTPRequestHandler) -> None:
        web.over.wait()

    url = web.serve(answer)
    process = etl.start("run", "deals", "--dry-run", "--source", url, "--client", OURS[0])
    until(lambda: web.requests)
    process.send_signal(signal.SIGINT)
    assert process.done().status == 130
    assert list(etl.directory.iterdir()) == []


# Signals at the end --------------------------------------------------------------------------------------


def test_a_signal_after_the_commit_does_not_make_the_ledger_lie(
    etl: Etl, database: Database, web: Web
) -> None:
    """The parent is held still while the writer commits, and learns of the signal first."""
    with stalled(etl, database, web) as run:
        run.process.send_signal(signal.SIGSTOP)
        run.go_on.set()
        until(lambda: not any(map(alive, run.pids.values())))
        time.sleep(0.3)  # longer than the parent waits for news at a time
        run.process.send_signal(signal.SIGINT)
        run.process.send_signal(signal.SIGCONT)
        completed = run.process.done()
    assert database.deals() == expected(DOCUMENT).rows
    assert database.last_run()["status"] == "succeeded"
    assert "nothing was committed" not in completed.stderr


def test_a_signal_to_a_held_run_still_stops_it(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web) as run:
        run.process.send_signal(signal.SIGSTOP)
        run.process.send_signal(signal.SIGTERM)
        run.process.send_signal(signal.SIGCONT)
        completed = run.ended(within=2)
    assert_refused(completed, 143, database, before)


def test_a_reader_of_the_database_sees_nothing_of_a_run_before_its_end(
    etl: Etl, database: Database, web: Web, before: object
) -> None:
    with stalled(etl, database, web) as run:
        assert database.dump() == before
        assert database.last_run()["status"] == "failed"  # until it has succeeded
        run.go_on.set()
        assert run.process.done().status == 0
    assert database.last_run()["status"] == "succeeded"
    assert database.deals().keys() >= expected(DOCUMENT).rows.keys()
