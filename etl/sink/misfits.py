"""What to say of rows that could not be packed: which value is at fault, without the value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from etl.errors import PipelineFailed

TYPES = {"str", "int", "float", "bool", "NoneType"}
"""The types of values that a row may have."""

Row = tuple[Any, ...]


@contextmanager
def misfits_named(
    maker: str,
    rows: Sequence[Row],
    names: Sequence[str] = (),
    misfit: Callable[[], str | None] = lambda: None,
) -> Iterator[None]:
    """Say of an error what is wrong with the rows that it came from.

    `names` are the columns, where they are known; `misfit` looks closer than this does, if it can.

    Raises:
        PipelineFailed: there was an error.
    """
    try:
        yield
    except PipelineFailed:
        raise
    except Exception as error:
        what = _width(rows, names) or misfit() or _kinds(rows, error)
        raise PipelineFailed(f"{maker} {what}") from None


def _width(rows: Sequence[Row], names: Sequence[str]) -> str | None:
    """Return what is wrong with how many values rows have; the first is their position."""
    widths = sorted({len(row) - 1 for row in rows})
    if len(widths) > 1 or (names and widths != [len(names)]):
        expected = f", not {len(names)} ({', '.join(names)})" if names else ""
        return f"returns {' or '.join(map(str, widths))} values{expected}"
    return None


def _kinds(rows: Sequence[Row], error: Exception) -> str:
    """Return what is wrong with the types of rows' values."""
    kinds = [{type(value).__name__ for value in column} for column in zip(*rows, strict=True)][1:]
    odd = [
        f"value {number} is {' or '.join(sorted(found))}"
        for number, found in enumerate(kinds, 1)
        if not found <= TYPES or len(found - {"NoneType"}) > 1
    ]
    large = "a number of more than 64 bits" if isinstance(error, OverflowError) else type(error).__name__
    return f"returns values that cannot be written: {'; '.join(odd) or large}"
