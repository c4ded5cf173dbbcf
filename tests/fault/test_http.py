"""Servers that answer badly again and again: all of one version of the feed arrives, or nothing."""

from __future__ import annotations

import pytest

from .cases import TALLY, draw, times
from .conftest import MakeCase
from .flaky_server import Flaky, flaky_source
from .invariants import Case
from .workload import KINDS

RESUMING = "; resuming$"


@pytest.mark.parametrize("number", times(), ids=str)
def test_whatever_a_server_answers(case: MakeCase, number: int) -> None:
    random = draw("http", number)
    here = case(random.choice(KINDS))
    with TALLY.case("HTTP: answers drawn at random"):
        flaky = Flaky(here.ground.document, random, random.randint(1, 6))
        _judge(here, flaky_source(here.ground, flaky), flaky)


def _judge(here: Case, source: str, flaky: Flaky) -> None:
    command = here.start(source=source)
    status = command.wait(40)
    tolerable = {"well", "cut", "reset", "paused", "whole", "short", "429", "503"}
    if set(flaky.answers) <= tolerable and flaky.answers.count("503") + flaky.answers.count("429") < 3:
        assert status == 0, (flaky.answers, command.lines)
    committed = here.judge(command, 0, 65, 69, says=".*", warns=RESUMING)
    assert committed == (status == 0)
    here.judge_rerun(committed)
