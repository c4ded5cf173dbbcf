"""Log lines: what others say forges none, and a stack stands below its message."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from etl.command import logs

FORGED = "bad key \x1b[31m\n2026-11-25T01:02:03+00:00 INFO all is well"


@pytest.fixture(params=["text", "json"])
def format_(request: pytest.FixtureRequest) -> Iterator[str]:
    """How lines look; what was set up is undone."""
    logger = logging.getLogger("etl")
    before = logger.handlers, logger.level
    yield request.param
    logger.handlers, logger.level = before


def test_a_message_is_one_line_and_a_stack_stands_below_it(
    format_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.set_up(format_, verbose=True, quiet=False)
    assert logs.is_json() == (format_ == "json")
    logging.getLogger("etl.test").warning("%s", FORGED)
    logging.getLogger("etl.test").debug("that came from:", extra={"stack": "  File x\n    y()\nValueError"})
    lines = capsys.readouterr().err.splitlines()
    assert all(line.isprintable() for line in lines)
    if format_ == "json":
        first, second = map(json.loads, lines)
        assert first["message"] == FORGED
        assert second["message"] == "that came from:\n  File x\n    y()\nValueError"
    else:
        assert lines[0].endswith(r" WARNING bad key \x1b[31m\n2026-11-25T01:02:03+00:00 INFO all is well")
        assert lines[1].endswith(" DEBUG that came from:")
        assert lines[2:] == ["  File x", "    y()", "ValueError"]
