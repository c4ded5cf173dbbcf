"""Faults that take a minute to be given up: not in the short version."""

from __future__ import annotations

import signal
import time
from http.server import BaseHTTPRequestHandler

import pytest

from tests.support.web_server import then_stall

from .cases import TALLY, draw
from .conftest import MakeCase
from .flaky_server import Flaky, flaky_source


@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", ["staged:5", "merging:1", "merged:1"])
def test_a_server_that_is_gone_for_good_ends_the_run(case: MakeCase, point: str) -> None:
    here = case("PostgreSQL")
    with TALLY.case("server gone for good") as entry:
        command = here.start(fault=f"writer.{point}:STOP")
        command.held("writer")
        here.ground.server.halt()
        try:
            fault = time.monotonic()
            command.send("writer", signal.SIGCONT)
            command.wait(45)
            entry.noticed = command.lines[0][0] - fault
        finally:
            here.ground.server.resume()
        committed = here.judge(
            command, 74, says="database: opening again: .*refused", recorded=False, warns="trying again in"
        )
        assert not committed
        here.judge_rerun(committed)


@pytest.mark.timeout(150)
def test_a_server_that_falls_silent_is_asked_again(case: MakeCase) -> None:
    here = case("SQLite")
    with TALLY.case("HTTP: a server that falls silent") as entry:
        flaky = Flaky(here.ground.document, draw("silent", 0), 0)
        size, answers = len(here.ground.document), []

        def answer(request: BaseHTTPRequestHandler) -> None:
            answers.append(time.monotonic())
            if len(answers) == 1:
                then_stall(lambda request: flaky.send(request, 0, size // 2))(request)
            flaky(request)

        command = here.start(source=flaky_source(here.ground, answer))
        command.wait(120)
        entry.noticed = command.said("resuming", answers[0])
        here.judge_rerun(here.judge(command, 0, warns="; resuming$"))
