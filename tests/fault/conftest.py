"""The ground that all faults fall on, made once; and the table at the end."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.postgresql import Server

from . import short
from .cases import CASES, SEED, SHORT, TALLY
from .expected import compare, prepare
from .invariants import Case
from .workload import KINDS, Ground, laid

MakeCase = Callable[..., Case]

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]
"""They look at processes through /proc."""


def pytest_report_header() -> str:
    how = "short version" if SHORT else f"FAULT_CASES={CASES}"
    return f"faults: {how}, FAULT_SEED={SEED}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave all but the short version out, where no number of cases is given."""
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    if SHORT:
        rest = [item for item in ours if item.name not in short.CASES.get(item.path.name, ())]
        items[:] = [item for item in items if item not in rest]
        config.hook.pytest_deselected(items=rest)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TALLY.entries:
        terminalreporter.section(f"faults, FAULT_SEED={SEED}")
        for line in TALLY.table():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def ground(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A feed, databases that know a part of it, and what a clean run makes of them."""
    with laid(postgresql, tmp_path_factory.mktemp("ground")) as ground:
        for kind in KINDS:
            prepare(ground, kind)
        assert ground.after["SQLite"] == ground.after["PostgreSQL"]
        assert ground.fresh["SQLite"] == ground.fresh["PostgreSQL"]
        compare(ground)
        yield ground


@pytest.fixture
def case(ground: Ground, tmp_path: Path) -> Iterator[MakeCase]:
    """Makes cases: of a kind of database, with what it knew before or `new`."""
    with ExitStack() as stack:
        numbers = itertools.count(1)

        def make(kind: str, new: bool = False) -> Case:
            folder = tmp_path / str(next(numbers))
            tables, url = stack.enter_context(ground.database(kind, folder / "work", new))
            case = Case(ground, folder, tables, url, new)
            stack.callback(case.close)
            return case

        yield make
