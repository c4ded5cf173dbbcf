"""What was measured, as a plain text table and as JSON."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.measure import Spread
from etl.engine.plan import cores


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    spread: Spread
    unit: str = ""
    """Nothing for a ratio."""
    at_most: float | None = None
    """The target, where there is one."""
    at_least: float | None = None
    """The same, where more is better."""

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target."""
        median = self.spread.median
        if self.at_most is not None:
            return median <= self.at_most
        return None if self.at_least is None else median >= self.at_least

    @property
    def target(self) -> str:
        """What the median should be, as text."""
        if self.at_most is not None:
            return f"at most {_exact(self.at_most)}"
        return "" if self.at_least is None else f"at least {_exact(self.at_least)}"

    @property
    def verdict(self) -> str:
        """Whether it is, as text."""
        return {None: "", True: "met", False: "MISSED"}[self.met]

    @property
    def reach(self) -> tuple[str, ...]:
        """The least and the most, as texts; nothing where there is one value alone."""
        low, high = self.spread.low, self.spread.high
        return (number(low), number(high)) if low < high else ()


@dataclass(frozen=True)
class Part:
    """One part of the measurements."""

    title: str
    figures: list[Figure]
    commands: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def machine() -> dict[str, str]:
    """Return what the figures depend on, as names and texts."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "CPU": _processor(),
        "cores": str(cores()),
        "memory": f"{memory / 1e9:.1f} GB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "etl": importlib.metadata.version("sluice-etl"),
        "zstd": _zstd_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
        if found is not None:
            return found[1]
    return platform.processor() or platform.machine()


def _zstd_version() -> str:
    path = shutil.which("zstd")
    if path is None:
        return "none"
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v(\d[\d.]*)", text)
    return found[1] if found is not None else "of unknown version"


def heading(about: dict[str, str]) -> str:
    """Return the machine as text."""
    return "\n".join(f"{name:<12} {value}" for name, value in about.items())


def table(part: Part) -> str:
    """Return one part as text."""
    width = max(44, *(len(figure.name) for figure in part.figures))
    lines = ["", part.title, *(f"  $ {command}" for command in part.commands)]
    lines.append(f"  {'':<{width}} {'median':>14}   {'min .. max':<23} {'target':>16}")
    for figure in part.figures:
        median = f"{number(figure.spread.median)} {figure.unit:<5}"
        reach = " .. ".join(figure.reach)
        line = f"  {figure.name:<{width}} {median:>14}   {reach:<23} {figure.target:>16} {figure.verdict}"
        lines.append(line.rstrip())
    lines += (f"  {note}" for note in part.notes)
    return "\n".join(lines)


def markdown(part: Part) -> str:
    """Return one part as Markdown, as it stands in BENCHMARKS.md."""
    lines = [
        "",
        f"**{part.title}**",
        "",
        "| | median | range | target | |",
        "| --- | --: | --: | --: | --- |",
    ]
    for figure in part.figures:
        median = f"{number(figure.spread.median)} {figure.unit}".strip()
        cells = figure.name, median, " to ".join(figure.reach), figure.target, figure.verdict
        lines.append(f"| {' | '.join(cells)} |")
    lines += (line for note in part.notes for line in ("", note))
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a number with three significant digits, or all of those before the point."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _exact(value: float) -> str:
    """Return a target: all of its digits, where `number` would leave some out."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def as_json(about: dict[str, str], settings: dict[str, Any], parts: list[Part]) -> dict[str, Any]:
    """Return everything as what `json.dump` takes."""
    described = [dataclasses.asdict(part) for part in parts]
    for part, values in zip(parts, described, strict=True):
        for figure, figure_values in zip(part.figures, values["figures"], strict=True):
            figure_values["met"] = figure.met
    return {"machine": about, "settings": settings, "parts": described}


def from_json(described: list[dict[str, Any]]) -> list[Part]:
    """Return the parts that `as_json` has described."""
    return [
        Part(
            part["title"],
            [
                Figure(
                    figure["name"], Spread(**figure["spread"]), figure["unit"], figure["at_most"],
                    figure.get("at_least"),
                )
                for figure in part["figures"]
            ],
            part["commands"],
            part["notes"],
        )
        for part in described
    ]  # fmt: skip
