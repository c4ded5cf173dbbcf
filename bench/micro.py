"""The micro-benchmarks of `bench/test_micro.py`, run by pytest and put into the report."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.measure import CommandFailed, Spread
from bench.report import Figure, Part
from bench.workbench import Workbench

_TESTS = Path(__file__).with_name("test_micro.py")


def micro(bench: Workbench) -> Part:
    """Run the micro-benchmarks.

    Raises:
        CommandFailed: pytest fails; its output is in the message.
    """
    results = bench.scratch / "micro.json"
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-only",
        f"--benchmark-storage=file://{bench.scratch}", f"--benchmark-json={results}", str(_TESTS),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=_TESTS.parent.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed(f"pytest {_TESTS.name} failed:\n{done.stdout}{done.stderr}")
    found = json.loads(results.read_text())["benchmarks"]
    return Part(
        "Parts, one process, in memory",
        [_figure(entry["stats"], entry["extra_info"]) for entry in found],
        ["pytest -p no:cacheprovider --benchmark-only bench/test_micro.py"],
    )


def _figure(stats: dict[str, float], info: dict[str, Any]) -> Figure:
    """Return a figure from seconds a round, by what `test_micro` notes with each benchmark."""
    times = stats["median"], stats["min"], stats["max"]
    if info["rate"]:
        median, high, low = (info["amount"] / seconds for seconds in times)
    else:
        median, low, high = (seconds * info["factor"] / info["amount"] for seconds in times)
    return Figure(info["figure"], Spread(median, low, high), info["unit"], info["at_most"])
