"""Named points at which the tests send a process a signal; without `ETL_FAULT` nothing happens there.

`ETL_FAULT=writer.merged:2:KILL` is for the process `writer`, when it comes by the point `merged` for the
second time; there may be several, with commas between. STOP holds it there, for whoever wants to do more
than kill it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import Counter

_FAULT = os.environ.get("ETL_FAULT")
_passes: Counter[str] = Counter()


def reached(point: str) -> None:
    """Say that this process has come by a point."""
    if _FAULT is not None:
        _passes[point] += 1
        here = f"{multiprocessing.current_process().name}.{point}:{_passes[point]}"
        for fault in _FAULT.split(","):
            place, _, name = fault.rpartition(":")
            if place == here:
                os.kill(os.getpid(), signal.Signals[f"SIG{name}"])
