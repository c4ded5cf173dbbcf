"""SIGINT and SIGTERM at any time, once and twice: everything or nothing, and the truth of it."""

from __future__ import annotations

import signal
import time

import pytest

from tests.support.processes import until

from .cases import TALLY, draw, times
from .conftest import MakeCase
from .workload import KINDS

READ, STARTED, LENGTH = 0.5, 0.2, 1.4
"""Seconds that the feed takes, and between which signals come: Python itself has begun by then."""

STATUSES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", times(0.25), ids=str)
@pytest.mark.parametrize("sort", STATUSES, ids=lambda sort: sort.name)
def test_a_run_is_stopped_at_any_time(case: MakeCase, kind: str, sort: signal.Signals, number: int) -> None:
    here = case(kind)
    random = draw(f"{sort.name} {kind}", number)
    with TALLY.case(f"{sort.name} at any time") as entry:
        command = here.start(slowly=READ)
        until(lambda: "writer" in command.look())  # before that there is nothing to undo
        sent = command.signal_at(random.uniform(STARTED, LENGTH), "parent", sort)
        status = command.wait(5)
        if sent:
            entry.noticed = command.ended - sent
        says = f"stopped by {sort.name}, (nothing|after the run) was committed"
        committed = here.judge(command, STATUSES[sort], -sort, 0, says=says, recorded=None)
        assert committed or status != 0
        here.judge_rerun(committed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", times(0.5), ids=str)
def test_a_second_signal_changes_nothing_but_the_time(case: MakeCase, kind: str, number: int) -> None:
    here = case(kind)
    random = draw(f"twice {kind}", number)
    first, second = random.choice(list(STATUSES)), random.choice(list(STATUSES))
    with TALLY.case("two signals") as entry:
        command = here.start(slowly=READ)
        until(lambda: "writer" in command.look())  # before that there is nothing to undo
        sent = command.signal_at(random.uniform(STARTED, LENGTH), "parent", first)
        time.sleep(random.choice([0, random.uniform(0, 0.02), random.uniform(0, 0.3)]))
        command.send("parent", second)
        status = command.wait(5)
        if sent:
            entry.noticed = command.ended - sent
        # At the very end there is nobody to heed the second any more.
        either = (*STATUSES.values(), -first, -second)
        committed = here.judge(command, *either, 0, says="stopped by SIG.*", recorded=None)
        assert committed or status != 0
        here.judge_rerun(committed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["writer.merged:1", "writer.committed:1"])
def test_a_second_signal_kills_a_writer_that_does_not_answer(case: MakeCase, kind: str, place: str) -> None:
    here = case(kind)
    with TALLY.case("two signals") as entry:
        command = here.start(fault=f"{place}:STOP")
        command.held("writer")
        command.send("parent", signal.SIGINT)
        time.sleep(0.5)
        sent = command.send("parent", signal.SIGTERM)
        command.wait(2)
        assert sent is not None
        entry.noticed = command.ended - sent
        committed = here.judge(command, 130, says="stopped by SIGINT")
        assert committed == (place == "writer.committed:1")
        here.judge_rerun(committed)
