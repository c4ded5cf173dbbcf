"""PostgreSQL under a run: cut off, restarted, gone, in disagreement, or locked by somebody else."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.support.processes import until
from tests.support.tcp_proxy import Cut, Proxy, cut_after, passing_on

from .cases import PROMPT, TALLY, Entry, draw, times
from .command import Command, asleep
from .conftest import MakeCase
from .invariants import Case
from .workload import Ground

READ, LENGTH = 0.5, 1.4
"""Seconds that the feed takes; and within which faults come."""

AGAIN = r"database: (staging|merging|opening again): .*; trying again in|another run is at work"
OPENING = r"database: opening: "
POINTS = ("locked:1", "begun:1", "staged:1", "staged:5", "merging:1", "step:4", "merged:1", "committed:1")


@pytest.fixture
def proxy(ground: Ground) -> Iterator[Proxy]:
    """A proxy before the server."""
    with passing_on("127.0.0.1", ground.server.port) as proxy:
        yield proxy


def through(here: Case, proxy: Proxy) -> str:
    """The URL of a case's database by way of a proxy."""
    return here.url.replace(f":{here.ground.server.port}/", f":{proxy.port}/")


def judge(here: Case, command: Command, entry: Entry, fault: float | None) -> None:
    """A run ends well after it has tried again, or was not begun; and it tells."""
    status = command.wait()
    if status == 0:
        committed = here.judge(command, 0, warns=AGAIN)
        assert command.stderr.count("records matched") == 1
    else:
        committed = here.judge(command, 74, says=OPENING, recorded=None, warns=AGAIN)
        assert not committed
    told = [when for when, line in command.lines if "database: " in line]
    if told and fault is not None:
        entry.noticed = told[0] - fault
        assert entry.noticed < PROMPT
    here.judge_rerun(committed)


# Cut off -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["question", "answer"])
@pytest.mark.parametrize("point", POINTS)
def test_the_connection_is_cut_at_a_point(case: MakeCase, proxy: Proxy, point: str, lost: str) -> None:
    """At `merged` the next question is COMMIT: if its answer is lost, it was committed all the same."""
    here = case("PostgreSQL")
    with TALLY.case(f"connection cut, the {lost} lost") as entry:
        command = here.start(fault=f"writer.{point}:STOP", url=through(here, proxy))
        command.held("writer")
        cut_at: list[float] = []

        def cut(_count: int, _data: bytes) -> None:
            if not cut_at:
                cut_at.append(time.monotonic())
                raise Cut

        if lost == "question":
            proxy.sent = cut
        else:
            proxy.received = cut
        command.send("writer", signal.SIGCONT)
        command.wait()
        assert command.wait() == (74 if point in ("locked:1", "begun:1") else 0), command.lines
        judge(here, command, entry, cut_at[0] if point != "committed:1" else None)


@pytest.mark.parametrize("direction", ["sent", "received"])
@pytest.mark.parametrize("number", times(0.5), ids=str)
def test_the_connection_is_cut_after_any_byte(
    case: MakeCase, proxy: Proxy, direction: str, number: int
) -> None:
    here = case("PostgreSQL")
    random = draw(f"cut {direction}", number)
    most = {"sent": here.ground.matched * 200, "received": 15_000}[direction]
    # Questions are few bytes but where rows are sent, and answers few at all.
    count = random.choice([random.randrange(most), random.randrange(most // 10)])
    with TALLY.case("connection cut, after any byte") as entry:
        cut = cut_after(count)
        if direction == "sent":
            proxy.sent = cut
        else:
            proxy.received = cut
        command = here.start(url=through(here, proxy))
        judge(here, command, entry, None)


@pytest.mark.parametrize("number", times(), ids=str)
def test_the_session_is_terminated_at_any_time(case: MakeCase, number: int) -> None:
    here = case("PostgreSQL")
    seconds = draw("terminated", number).uniform(0.3, LENGTH)
    with TALLY.case("session terminated") as entry:
        command = here.start(slowly=READ)
        fault = None
        while fault is None and command.running:
            if time.monotonic() > command.started + seconds and _terminate(here):
                fault = time.monotonic()
            time.sleep(0.01)
        judge(here, command, entry, fault)


def _terminate(here: Case) -> bool:
    rows = here.tables.query(
        "SELECT pg_terminate_backend(pid) AS done FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'sluice-etl%'"
    )
    return bool(rows)


@pytest.mark.parametrize("point", POINTS[2:7])
def test_a_server_that_refuses_for_a_while_is_tried_again(case: MakeCase, proxy: Proxy, point: str) -> None:
    here = case("PostgreSQL")
    with TALLY.case("connection cut, and refused for a while") as entry:
        command = here.start(fault=f"writer.{point}:STOP", url=through(here, proxy))
        command.held("writer")
        proxy.refusing = True
        proxy.cut()
        fault = time.monotonic()
        command.send("writer", signal.SIGCONT)
        until(lambda: len(command.lines) >= 2)
        proxy.refusing = False
        assert command.wait() == 0
        judge(here, command, entry, fault)


@pytest.mark.parametrize("number", times(0.25), ids=str)
def test_a_stalled_connection_is_waited_for(case: MakeCase, proxy: Proxy, number: int) -> None:
    here = case("PostgreSQL")
    random = draw("stalled", number)
    with TALLY.case("connection stalled"):
        command = here.start(slowly=READ, url=through(here, proxy))
        time.sleep(random.uniform(0.2, LENGTH))
        proxy.stalling.set()
        time.sleep(random.uniform(0.2, 1.5))
        proxy.stalling.clear()
        here.judge_both(command, 0)


def test_a_database_that_is_slow_holds_the_reader_up_in_the_memory_that_there_is(
    case: MakeCase, proxy: Proxy
) -> None:
    """It takes a first batch, and then nothing for a while."""
    here = case("PostgreSQL")
    with TALLY.case("connection stalled"):
        command = here.start(fault="writer.staged:1:STOP", url=through(here, proxy))
        command.held("writer")
        proxy.stalling.set()
        command.send("writer", signal.SIGCONT)
        children = set(command.members()) - {command.pid}
        until(lambda: all(map(asleep, children)))
        before = resident(command)
        time.sleep(1)
        assert resident(command) < before + (4 << 20)
        assert command.running
        proxy.stalling.clear()
        here.judge_both(command, 0)


# Stopped -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", times(0.5), ids=str)
def test_the_server_is_restarted_at_any_time(case: MakeCase, number: int) -> None:
    here = case("PostgreSQL")
    seconds = draw("restarted", number).uniform(0.3, LENGTH)
    with TALLY.case("server restarted") as entry:
        command = here.start(slowly=READ)
        time.sleep(max(0.0, command.started + seconds - time.monotonic()))
        fault = time.monotonic()
        _restart(here, 0.2)
        judge(here, command, entry, None if command.lines and command.lines[0][0] < fault else fault)


def _restart(here: Case, pause: float) -> None:
    here.ground.server.halt()
    try:
        time.sleep(pause)
    finally:
        here.ground.server.resume()


# In disagreement ---------------------------------------------------------------------------------------

RAISING = (
    "CREATE FUNCTION disagree() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN {0}; RETURN NEW; END $$; "
    "CREATE TRIGGER disagree BEFORE INSERT ON {1} FOR EACH STATEMENT EXECUTE FUNCTION disagree()"
)
ONCE = "IF nextval('passes') = 1 THEN RAISE serialization_failure; END IF"
REMOVED = "DROP TRIGGER disagree ON {0}"


DISAGREEMENTS = {
    "a check": (
        "ALTER TABLE deals ADD CONSTRAINT x CHECK (label IS NULL) NOT VALID",
        "ALTER TABLE deals DROP CONSTRAINT x",
        "23514",
    ),
    "a unique index": (
        "CREATE UNIQUE INDEX x ON deals (client_id) WHERE deal_id % 24 = 0",
        "DROP INDEX x",
        "23505",
    ),
    "a trigger": (
        RAISING.format("RAISE division_by_zero USING MESSAGE = 'canary'", "deals"),
        REMOVED.format("deals"),
        "22012",
    ),
    "a trigger of the history": (
        RAISING.format("RAISE unique_violation", "deal_state_changes"),
        REMOVED.format("deal_state_changes"),
        "23505",
    ),
}


@pytest.mark.parametrize("what", list(DISAGREEMENTS))
def test_what_the_data_cannot_be_is_not_tried_again(case: MakeCase, what: str) -> None:
    here = case("PostgreSQL")
    done, undone, code = DISAGREEMENTS[what]
    with TALLY.case("data refused"):
        here.tables.execute(done)
        command = here.start()
        command.wait()
        named = (
            "" if "trigger" in what else r": [^:]+ \(constraint x, table deals\): no constraint of ours.*"
        )
        assert not here.judge(command, 74, says=rf"database: merging: \w+ \({code}\){named}$")
        here.tables.execute(undone)
        here.judge_rerun(False)


@pytest.mark.parametrize("often", ["once", "always"])
def test_a_conflict_is_tried_again_a_few_times(case: MakeCase, often: str) -> None:
    here = case("PostgreSQL")
    raised = ONCE if often == "once" else "RAISE serialization_failure"
    with TALLY.case("merge in conflict"):
        here.tables.execute("CREATE SEQUENCE passes", RAISING.format(raised, "deals"))
        command = here.start()
        command.wait()
        if often == "once":
            committed = here.judge(command, 0, warns=r"\(40001\); trying again")
        else:
            committed = here.judge(command, 74, says=r"\(40001\)$", warns=r"\(40001\); trying again")
            here.tables.execute(REMOVED.format("deals"))
        here.judge_rerun(committed)


# Locked ------------------------------------------------------------------------------------------------


@contextmanager
def locked(here: Case, table: str) -> Iterator[None]:
    """Hold a lock on a table, as somebody else."""
    import psycopg2

    with closing(psycopg2.connect(here.tables.url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def _waits(here: Case) -> bool:
    return bool(here.tables.query("SELECT 1 AS x FROM pg_locks WHERE NOT granted"))


@pytest.mark.parametrize("table", ["deals", "deal_state_changes", "etl_runs"])
def test_a_locked_table_is_waited_for_in_the_memory_that_there_is(case: MakeCase, table: str) -> None:
    here = case("PostgreSQL")
    with TALLY.case("table locked for a while"):
        with locked(here, table):
            command = here.start()
            until(lambda: _waits(here))
            children = set(command.members()) - {command.pid}
            until(lambda: all(map(asleep, children)))  # all have come as far as they can
            before = resident(command)
            time.sleep(1)
            assert resident(command) < before + (4 << 20)
            assert command.running
        here.judge_both(command, 0)


def resident(command: Command) -> int:
    """The memory of all processes of a run, each for itself."""
    sizes = []
    for pid in command.members():
        with open(f"/proc/{pid}/statm") as file:
            sizes.append(int(file.read().split()[1]) * 4096)
    return sum(sizes)


@pytest.mark.parametrize("table", ["deals", "etl_runs"])
def test_a_table_locked_for_too_long_ends_the_run(case: MakeCase, table: str) -> None:
    here = case("PostgreSQL")
    with TALLY.case("table locked for too long") as entry:
        url = f"{here.url}?options=-c%20lock_timeout%3D1000"
        with locked(here, table):
            command = here.start(url=url)
            until(lambda: _waits(here))
            waits = time.monotonic()
            if table == "deals":
                command.wait()
                entry.noticed = time.monotonic() - waits
            else:  # where the failure is to be recorded, too
                command.wait()
        committed = here.judge(
            command,
            74,
            says=r"database: (opening|merging): LockNotAvailable \(55P03\)",
            recorded=table == "deals",
        )
        here.judge_rerun(committed)
