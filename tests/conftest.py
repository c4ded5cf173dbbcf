"""What all tests share: how property tests run, a web server, and a PostgreSQL server.

Property tests take the same examples every time, and have no time limit of their own (pytest has one).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.web_server import Web, serving

if TYPE_CHECKING:
    from tests.support.postgresql import Server

settings.register_profile(
    "default", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "random", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


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
