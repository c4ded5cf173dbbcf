"""A process of the run is killed, at named points and at any time."""

from __future__ import annotations

import signal
import time

import pytest

from tests.acceptance.conftest import until

from .conftest import MakeCase
from .ground import KINDS
from .tally import TALLY, draw, some, times

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
@pytest.mark.parametrize(
    "place", some(PLACES, ["reader.sent:50", "worker 0.found:3", "writer.staged:5", "writer.merged:1"])
)
def test_a_child_is_killed_at_a_point(case: MakeCase, kind: str, place: str) -> None:
    here = case(kind)
    name = place.partition(".")[0]
    title = name.partition(" ")[0]
    with TALLY.case(f"{title} killed, at a point") as entry:
        command = here.start(fault=f"{place}:STOP")
        assert command.held() == name
        killed = command.send(name, signal.SIGKILL)
        assert killed is not None
        command.wait()
        entry.noticed = command.said(f"the {name} process was killed by SIGKILL", killed)
        assert entry.noticed < 1
        if title == "worker":
            assert here.judge(command, 0, warns=f"the {name} process was killed by SIGKILL")
            here.judge_rerun(True)
            return
        says = f"the {name} process was killed by SIGKILL .probably out of memory."
        committed = here.judge(command, 70, says=says)
        assert committed == (place in PAST)
        here.judge_rerun(committed)
