"""What other packages offer: their entry points, read from what is installed along Python's path.

`importlib.metadata` tells the same, but to import it takes longer than all else that `etl --help` does.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple


class EntryPoint(NamedTuple):
    """An object that a package offers under a name."""

    group: str
    name: str
    value: str
    """The object, as `package.module:NAME`."""
    distribution: str
    """The package that offers it, as it was installed."""


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group, in the order of Python's path."""
    return [each for each in _installed() if each.group == group]


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """Return all entry points; of a package that is there twice, those that are found first.

    The order within a folder is by name, so that it is the same everywhere.
    """
    found: list[EntryPoint] = []
    known: set[str] = set()
    for folder in sys.path:
        here = folder or os.curdir
        try:
            entries = sorted(os.listdir(here))
        except OSError:  # a zip file, or nothing
            continue
        for entry in entries:
            if not entry.endswith((".dist-info", ".egg-info")):
                continue
            distribution = entry.rpartition(".")[0].partition("-")[0]
            key = re.sub("[-_.]+", "-", distribution).lower()
            if key not in known:
                known.add(key)
                found += _read(os.path.join(here, entry, "entry_points.txt"), distribution)
    return tuple(found)


def _read(file: str, distribution: str) -> Iterator[EntryPoint]:
    """Yield the entry points in a file; one that is not there, or not of this format, has none."""
    try:
        with open(file, encoding="utf-8") as opened:
            lines = opened.read().splitlines()
    except (OSError, UnicodeDecodeError):
        return
    group = ""
    for line in map(str.strip, lines):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and line[0] not in "#;" and "=" in line:
            name, _, value = line.partition("=")
            yield EntryPoint(group, name.strip(), value.partition("[")[0].strip(), distribution)
