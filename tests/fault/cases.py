"""How many faults are tried, by which seed, and what came of them.

`FAULT_CASES` is the number of random cases of each kind; without it, a few of everything. `FAULT_SEED`
gives the same random faults again; what they meet is up to the machine.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

CASES = int(os.environ.get("FAULT_CASES", "0"))
SHORT = CASES == 0
SEED = int(os.environ.get("FAULT_SEED") or (1 if SHORT else random.SystemRandom().randrange(10**9)))


def times(share: float = 1) -> range:
    """The numbers of the random cases of a test; `share` is for those that take long."""
    return range(max(1, round(CASES * share)))


def draw(kind: str, number: int) -> random.Random:
    """What a random case is drawn from: the same whichever others are run."""
    return random.Random(f"{SEED} {kind} {number}")


PROMPT = 2.0 if SHORT else 1.0
"""Seconds within which a fault must be noticed; other tests may keep the machine busy."""


@dataclass
class Entry:
    """One case."""

    survived: bool = False
    noticed: float | None = None
    """Seconds from the fault to what shows that it was noticed."""


@dataclass
class Tally:
    """All cases by their kind."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)

    @contextmanager
    def case(self, kind: str) -> Iterator[Entry]:
        """A case, survived if it comes to its end."""
        entry = Entry()
        self.entries.setdefault(kind, []).append(entry)
        yield entry
        entry.survived = True

    def table(self) -> Iterator[str]:
        """The lines of a table."""
        yield f"{'fault':<46} {'cases':>5} {'survived':>8} {'noticed':>8} {'at worst':>8}"
        for kind, entries in sorted(self.entries.items()):
            seconds = [entry.noticed for entry in entries if entry.noticed is not None]
            survived = sum(entry.survived for entry in entries)
            noticed = f"{median(seconds):>6.2f} s {max(seconds):>6.2f} s" if seconds else f"{'':17}"
            yield f"{kind:<46} {len(entries):>5} {survived:>8} {noticed}".rstrip()
        every = [entry for entries in self.entries.values() for entry in entries]
        yield f"{'all':<46} {len(every):>5} {sum(entry.survived for entry in every):>8}"


TALLY = Tally()
