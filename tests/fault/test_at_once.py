"""Runs that start at the same moment: one is at work at a time, and all come to the same tables."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.checks import assert_accounts_balance
from tests.support.processes import until

from .cases import TALLY, draw, times
from .conftest import MakeCase
from .workload import KINDS, contents

BUSY = "another run is at work"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("new", [False, True], ids=["known", "new"])
@pytest.mark.parametrize("wait", [False, True], ids=["75", "wait"])
@pytest.mark.parametrize("number", times(0.25), ids=str)
def test_runs_at_once(case: MakeCase, kind: str, new: bool, wait: bool, number: int) -> None:
    here = case(kind, new)
    count = draw(f"at once {kind} {new} {wait}", number).choice([2, 3])
    with TALLY.case(f"runs at once, {'in turn' if wait else 'one of them'}"):
        commands = [here.start(*(["--wait-lock"] if wait else [])) for _ in range(count)]
        statuses = [command.wait(60) for command in commands]
        assert set(statuses) <= ({0} if wait else {0, 75}), [command.lines for command in commands]
        assert contents(here.tables) == here.after
        done = [command for command, status in zip(commands, statuses, strict=True) if status == 0]
        assert done
        rows = {row["run_id"]: row for row in here.new_runs()}
        assert len(rows) == count
        for command, status in zip(commands, statuses, strict=True):
            row = rows[command.report["run_id"]]
            here.assert_said(command, status, BUSY, None)
            if status == 0:
                assert row["status"] == "succeeded"
                assert_accounts_balance(command.report)
            else:
                assert status == 75
                assert (row["status"], row["error"]) == (
                    "failed",
                    command.lines[-1][1].removeprefix("etl: "),
                )
        changes = [sum(rows[c.report["run_id"]][name] for name in ("inserted", "updated")) for c in done]
        assert sum(map(bool, changes)) == 1  # the others found all of it there
        here.judge_rerun(committed=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_waits_for_one_that_has_made_no_table_yet(case: MakeCase, kind: str) -> None:
    here = case(kind, new=True)
    with TALLY.case("runs at once, in turn"):
        first = here.start(fault="writer.locked:1:STOP")
        first.held("writer")
        second = here.start("--wait-lock")
        until(lambda: "waiting for another run to end" in second.stderr)
        first.send("writer", signal.SIGCONT)
        assert [first.wait(10), second.wait(10)] == [0, 0], (first.lines, second.lines)
        here.judge_rerun(here.committed())
