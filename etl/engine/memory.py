"""What the processes of a run use together."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)


def proportional_bytes(pids: Iterable[int]) -> int:
    """Return the sum of the processes' proportional set sizes, in bytes; 0 where there is no /proc.

    A page shared by n processes counts 1/n for each (proc(5), `smaps_rollup`), so that the sum is what
    they use together. Processes that have ended count nothing.
    """
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            found = _PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
            total += int(found[1]) * 1024 if found else 0
    return total
