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


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    name: str
    spread: Spread
    unit: str = ""
    """Nothing for a ratio."""
    at_most: float | None = None
    """The target, where there is one."""

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target."""
        return None if self.at_most is None else self.spread.median <= self.at_most


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


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    lines.append(f"  {'':<{width}} {'median':>14}   {'min .. max':<23} {'at most':>9}")
    for figure in part.figures:
        spread = figure.spread
        reach = f"{number(spread.low)} .. {number(spread.high)}" if spread.low < spread.high else ""
        target = "" if figure.at_most is None else f"{figure.at_most:g}"
        verdict = {None: "", True: "met", False: "MISSED"}[figure.met]
        median = f"{number(spread.median)} {figure.unit:<5}"
        line = f"  {figure.name:<{width}} {median:>14}   {reach:<23} {target:>9} {verdict}"
        lines.append(line.rstrip())
    lines += (f"  {note}" for note in part.notes)
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a number with three significant digits, or all of those before the point."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def as_json(about: dict[str, str], settings: dict[str, Any], parts: list[Part]) -> dict[str, Any]:
    """Return everything as what `json.dump` takes."""
    described = [dataclasses.asdict(part) for part in parts]
    for part, values in zip(parts, described, strict=True):
        for figure, figure_values in zip(part.figures, values["figures"], strict=True):
            figure_values["met"] = figure.met
    return {"machine": about, "settings": settings, "parts": described}
