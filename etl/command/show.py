"""How things look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click

from etl.text import rfc3339, visible


def line(text: str, err: bool = False) -> None:
    """Print a line, whatever is in it, on standard output or (`err`) standard error."""
    click.echo(visible(text), err=err)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as aligned columns under their names, fit to be printed; numbers stand on the right."""
    body = [[_cell(value) for value in row] for row in rows]
    lines = [list(columns), *body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    numeric = [all(_is_number(line[i]) for line in body) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return rfc3339(value, "seconds")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else visible(str(value))


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").isdigit()
