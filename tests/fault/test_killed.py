"""A process of the run is killed, at named points and at any time."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.processes import until

from .cases import PROMPT, TALLY, draw, times
from .command import Command, narrow_pipes, sends, state
from .conftest import MakeCase
from .invariants import WORKERS, Case
from .workload import KINDS

READ = 0.5
"""Seconds that the feed takes, for kills at any time to meet all of a run."""
LENGTH = 1.4
"""Seconds from the start within which they come."""

POINTS = {
    "reader": ("opened:1", "sent:1", "sent:50", "end:1", "done:1"),
    "worker 0": ("received:1", "received:5", "found:3", "sent:2"),
    "writer": (
        "locked:1", "begun:1", "staged:1", "staged:5", "merging:1", "step:4", "merged:1", "committed:1",
    ),
}  # fmt: skip
"""By process: points of `etl.faults`, and how often it comes by before."""

PLACES = [f"{name}.{point}" for name, points in POINTS.items() for point in points]
PAST = ("writer.committed:1",)
"""Where it is too late to undo anything."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_child_is_killed_at_a_point(case: MakeCase, kind: str, place: str) -> None:
    here = case(kind)
    name = place.partition(".")[0]
    title = name.partition(" ")[0]
    with TALLY.case(f"{title} killed, at a point") as entry:
        command = here.start(fault=f"{place}:STOP")
        command.held(name)
        killed = command.send(name, signal.SIGKILL)
        assert killed is not None
        command.wait()
        entry.noticed = command.said(f"the {name} process was killed by SIGKILL", killed)
        assert entry.noticed < PROMPT
        if title == "worker":
            assert here.judge(command, 0, warns=f"the {name} process was killed by SIGKILL")
            here.judge_rerun(True)
            return
        says = f"the {name} process was killed by SIGKILL .probably out of memory."
        committed = here.judge(command, 70, says=says)
        assert committed == (place in PAST)
        here.judge_rerun(committed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", times(0.5), ids=str)
@pytest.mark.parametrize("name", ["reader", "worker", "writer"])
def test_a_child_is_killed_at_any_time(case: MakeCase, kind: str, name: str, number: int) -> None:
    random = draw(f"{name} killed {kind}", number)
    sort = random.choice([signal.SIGKILL] * 8 + [signal.SIGSEGV, signal.SIGTERM])
    target = f"{name} {random.randrange(WORKERS)}" if name == "worker" else name
    _strike(case(kind), name, target, sort, random.uniform(0, LENGTH))


@pytest.mark.parametrize(
    "sort", [signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT], ids=lambda sort: sort.name
)
@pytest.mark.parametrize("name", ["reader", "worker", "writer"])
def test_a_child_ends_by_another_signal(case: MakeCase, name: str, sort: signal.Signals) -> None:
    target = "worker 1" if name == "worker" else name
    _strike(case("PostgreSQL"), name, target, sort, LENGTH / 2)


def _strike(here: Case, name: str, target: str, sort: signal.Signals, seconds: float) -> None:
    with TALLY.case(f"{name} killed, at any time") as entry:
        command = here.start(slowly=READ)
        struck = command.signal_at(seconds, target, sort)
        command.wait()
        # A writer holds SIGTERM off in the end, and may come to its end.
        how = (
            f"was killed by {sort.name}" if sort != signal.SIGTERM else "(was killed by SIGTERM|ended with)"
        )
        says = f"the {target} process {how}"
        if name == "worker" or command.wait() == 0:
            committed = here.judge(command, 0, warns=says)
        else:
            committed = here.judge(command, 70, says=says)
            assert not committed or name == "writer"
        told = [when for when, line in command.lines if f"the {target} process " in line]
        if told and struck:
            entry.noticed = told[0] - struck
            assert entry.noticed < PROMPT
        here.judge_rerun(committed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [*PLACES, "MainProcess.started:1", "MainProcess.told:1"])
def test_the_parent_is_killed_while_a_child_is_at_a_point(case: MakeCase, kind: str, place: str) -> None:
    here = case(kind)
    with TALLY.case("parent killed, at a point") as entry:
        command = here.start(fault=f"{place}:STOP")
        held = place.partition(".")[0].replace("MainProcess", "parent")
        command.held(held)
        killed = command.send("parent", signal.SIGKILL)
        command.send(held, signal.SIGCONT)
        entry.noticed = _orphans_end(command, killed)
        committed = here.judge(command, -signal.SIGKILL)
        assert committed or place not in PAST
        here.judge_rerun(committed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", times(0.5), ids=str)
def test_the_parent_is_killed_at_any_time(case: MakeCase, kind: str, number: int) -> None:
    here = case(kind)
    seconds = draw(f"parent killed {kind}", number).uniform(0, LENGTH)
    with TALLY.case("parent killed, at any time") as entry:
        command = here.start(slowly=READ)
        killed = command.signal_at(seconds, "parent", signal.SIGKILL)
        entry.noticed = _orphans_end(command, killed)
        here.judge_rerun(here.judge(command, -signal.SIGKILL, 0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["reader", "worker 0", "worker 1", "writer"])
def test_no_child_outlives_a_killed_parent_for_another_that_is_stuck(
    case: MakeCase, kind: str, name: str
) -> None:
    """Whatever one of them does, or does not, the others end, and with them the lock."""
    here = case(kind)
    with TALLY.case("parent killed, a child stuck") as entry:
        command = here.start(fault="writer.begun:1:STOP")
        command.held("writer")
        until(lambda: len(command.look()) == 3 + WORKERS)
        stuck = command.pids[name]
        command.send(name, signal.SIGSTOP)
        if name != "writer":
            command.send("writer", signal.SIGCONT)
        killed = command.send("parent", signal.SIGKILL)
        assert killed is not None
        until(lambda: set(command.members()) <= {stuck}, seconds=2)
        entry.noticed = time.monotonic() - killed
        command.send(name, signal.SIGCONT)
        _orphans_end(command, killed)
        here.judge_rerun(here.judge(command, -signal.SIGKILL))


def _orphans_end(command: Command, killed: float | None) -> float | None:
    until(lambda: not command.members(), seconds=2)
    ended = time.monotonic()
    command.wait()
    return killed and ended - killed


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_is_killed_inside_a_result(case: MakeCase, kind: str) -> None:
    """The writer does not listen, and the pipe holds no more than a part of it."""
    here = case(kind)
    with TALLY.case("worker killed, inside a result") as entry:
        half = str(len(here.ground.document) // 2)
        faults = "writer.staged:1:STOP,worker 0.found:2:STOP"
        command = here.start(fault=faults, ETL_CHUNK_BYTES=half)
        command.held("writer", "worker 0")
        narrow_pipes(command.pids["worker 0"])
        command.send("worker 0", signal.SIGCONT)
        until(lambda: sends(command.pids["worker 0"]))
        killed = command.send("worker 0", signal.SIGKILL)
        assert killed is not None
        command.send("writer", signal.SIGCONT)
        command.wait()
        entry.noticed = command.said("the worker 0 process was killed by SIGKILL", killed)
        assert here.judge(command, 0, warns="the worker 0 process was killed by SIGKILL")
        here.judge_rerun(True)


def test_a_reader_killed_after_the_commit_changes_nothing(case: MakeCase) -> None:
    """The parent is held still, and learns of both ends at once."""
    here = case("SQLite")
    with TALLY.case("reader killed, after the commit"):
        command = here.start(fault="writer.merging:1:STOP,reader.done:1:STOP")
        command.held("writer", "reader")
        command.send("parent", signal.SIGSTOP)
        command.send("writer", signal.SIGCONT)
        until(lambda: state(command.pids["writer"]) == "Z")
        command.send("reader", signal.SIGKILL)
        command.send("parent", signal.SIGCONT)
        here.judge_both(command, 0)


@pytest.mark.parametrize("number", times(0.25), ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_stops_for_a_while_goes_on(case: MakeCase, kind: str, number: int) -> None:
    here = case(kind)
    random = draw(f"stopped {kind}", number)
    with TALLY.case("process stopped for a while"):
        command = here.start(slowly=READ)
        name = random.choice(["worker 0", "worker 1", "reader", "writer", "parent"])
        command.signal_at(random.uniform(0, LENGTH), name, signal.SIGSTOP)
        time.sleep(random.uniform(0.1, 1.0))
        command.send(name, signal.SIGCONT)
        here.judge_both(command, 0)
