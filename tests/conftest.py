"""What all tests share: how property tests run, a web server, and a PostgreSQL server.

Property tests take the same examples every time, and have no time limit of their own (pytest has one).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.effort import examples, left_out
from tests.support.web_server import Web, serving

if TYPE_CHECKING:
    from tests.support.postgresql import Server

_COMMON: dict[str, Any] = {
    "deadline": None,
    "max_examples": examples(100),
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("default", derandomize=True, **_COMMON)
settings.register_profile("random", print_blob=True, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    """Let commands be stopped as they usually can: whatever runs in the background may ignore signals."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(trylast=True)  # of what is asked for by -k or -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the ordinary suite does not try."""
    if out := left_out(items):
        config.hook.pytest_deselected(items=list(out))
        items[:] = [item for item in items if item not in out]


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A server, started when the first test wants it."""
    from tests.support.postgresql import installation, started  # which few tests need

    with started(installation()) as server:
        yield server
