"""What was measured, as tables of text or of Markdown."""

from __future__ import annotations

from typing import Any

from bench.measure import Spread, spread
from bench.report import number

HEADER = ("system", "reads", "time", "MB/s", "x `zstd -dc`", "peak memory", "written", "rows right")
_LEFT = 2
"""So many columns are text, and the others numbers."""


def rate(entry: dict[str, Any]) -> float | None:
    """Return the median of the MB/s of raw JSON; nothing where none was measured."""
    if entry["fault"].startswith("failed") or not entry["seconds"]:
        return None
    return spread(entry["megabytes"] / seconds for seconds in entry["seconds"]).median


def against(entry: dict[str, Any]) -> Spread:
    """Return how many times as long as `zstd -dc` it takes for a byte, in each of the rounds."""
    scale = entry["beside"] / entry["megabytes"]
    pairs = zip(entry["seconds"], entry["zstd"], strict=True)
    return spread(scale * seconds / zstd for seconds, zstd in pairs)


def tables(results: dict[str, Any], markdown: bool) -> str:
    """Return all groups, each under its title."""
    texts = []
    for group in results["groups"]:
        rows = [HEADER, *map(_cells, [results["zstd"], *group["systems"]])]
        title = f"{'### ' if markdown else ''}{group['title']}"
        texts.append(f"{title}\n\n{_markdown(rows) if markdown else _text(rows)}")
    return "\n\n".join(texts)


def _cells(entry: dict[str, Any]) -> tuple[str, ...]:
    version = "" if entry["version"] == "this one" else entry["version"]
    name = f"{entry['name']} {version}".strip()
    fast = rate(entry)
    if fast is None:
        return name, entry["reads"], entry["fault"].split(":")[0], "", "", "", "", ""
    time, ratio = spread(entry["seconds"]), against(entry)
    smaller = "" if entry["megabytes"] == entry["beside"] else f" of {entry['megabytes']:,.0f} MB"
    alone = entry["zstd"] == entry["seconds"]
    reach = f"{number(ratio.median)} ({number(ratio.low)} to {number(ratio.high)})"
    if entry["fault"]:
        right = f"**no**: {entry['fault']}"
    else:
        right = f"yes, {entry['rows']:,}" if entry["rows"] else ""
    return (
        name,
        f"{entry['reads']}{smaller}",
        f"{number(time.median)} s",
        f"{fast:,.0f}",
        "" if alone else reach,
        f"{entry['memory'] / 1e6:,.0f} MB",
        _size(entry["written"]),
        right,
    )


def _size(amount: int) -> str:
    return f"{number(amount / 1e6)} MB" if amount else ""


def _markdown(rows: list[tuple[str, ...]]) -> str:
    rule = ("---",) * _LEFT + ("--:",) * (len(HEADER) - _LEFT)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [rows[0], rule, *rows[1:]])


def _text(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for cells in rows:
        padded = [
            cell.ljust(width) if at < _LEFT else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines).replace("`", "").replace("**", "")
