"""What is told of errors that nobody expected: where they come from, and none of their values."""

from __future__ import annotations

from etl.errors import reported, stack_of


def caught() -> Exception:
    """An error with values in its message, and in that of the one before it."""
    try:
        try:
            int("canary")
        except ValueError as error:
            raise KeyError("canary-too") from error
    except KeyError as error:
        return error
    raise AssertionError


def test_a_stack_tells_places_and_kinds_but_no_messages() -> None:
    stack = stack_of(caught())
    assert "ValueError" in stack.split("followed by:")[0]
    assert stack.endswith("KeyError")
    assert "test_errors.py" in stack
    said = [line for line in stack.splitlines() if not line.startswith("    ")]  # not the program
    assert not any("canary" in line for line in said)


def test_the_line_tells_the_innermost_place() -> None:
    message = reported("the reader process", caught()).message
    assert message.startswith("the reader process failed inside: KeyError at test_errors.py:")


def test_a_library_that_fails_without_saying_why_may_lack_memory() -> None:
    try:
        raise SystemError("error return without exception set")
    except SystemError as error:
        message = reported("the writer process", error).message
    assert message.startswith("the writer process failed inside: SystemError at test_errors.py:")
    assert message.endswith(", as where memory is short")
