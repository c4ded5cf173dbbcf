"""How much is tried: a sample in the ordinary suite; everything with THOROUGH=1, as by `make test-slow`."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

import pytest
from _pytest.mark.structures import ParameterSet

THOROUGH = os.environ.get("THOROUGH", "") not in ("", "0")
"""Whether everything is tried."""

slow = pytest.mark.slow
"""Marks parameters of a test that the ordinary suite leaves out: others of their kind are in it."""

ALIKE = 3
"""With how many of its parameters the ordinary suite tries an acceptance test."""

Item = TypeVar("Item")


def examples(most: int) -> int:
    """Return how many examples a property test takes: all if thorough, else a quarter, five at least."""
    return most if THOROUGH else min(most, max(5, most // 4))


def sample(items: Sequence[Item], count: int) -> Sequence[Item]:
    """Return all items if thorough, else this many in their order.

    The first and the last are among them; the others are drawn, and the same each time.
    """
    if THOROUGH or len(items) <= count:
        return items
    inner = random.Random(count).sample(range(1, len(items) - 1), count - 2)
    return [items[index] for index in (0, *sorted(inner), len(items) - 1)]


def left_out(items: Sequence[pytest.Item]) -> set[pytest.Item]:
    """Return the tests that the ordinary suite leaves out.

    They are those that are marked as slow; and of an acceptance test with more than `ALIKE` parameters, all
    but a sample of them.
    """
    if THOROUGH:
        return set()
    out = {item for item in items if item.get_closest_marker("slow")}
    alike: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item not in out and "/acceptance/" in item.nodeid:
            alike.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for same in alike.values():
        out.update(set(same).difference(sample(same, ALIKE)))
    return out


def some_slow(items: Sequence[Item], count: int) -> list[ParameterSet]:
    """Return parameters of a test, of which the ordinary suite takes a `sample` of this size."""
    kept = sample(range(len(items)), count)
    return [pytest.param(item, marks=[] if at in kept else slow) for at, item in enumerate(items)]
