"""Each validator that there may be takes what is JSON and counts it, and refuses what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.records.counting import VALIDATORS, Skipping
from tests.support.json_cases import NO, OPEN, YES

NAMES = st.sampled_from(["a", "b", "", "a:b", "\u00e9", "\\", '"', ":"])
MEMBERS = st.lists(st.tuples(NAMES, st.sampled_from([{}, 1, {"x:": ":"}, '":,', [], {"y": {"a": 1}}])))


def counted(validator: Any, document: bytes) -> int | None:
    """What it counts; None if it refuses."""
    try:
        number: int = validator().count(memoryview(document))
    except ValueError:
        return None
    return number


@pytest.mark.parametrize("validator", VALIDATORS)
@given(members=MEMBERS, spacing=st.sampled_from(["", " ", "\n  "]))
def test_members_are_counted_or_refused(validator: Any, members: list[Any], spacing: str) -> None:
    """Also with two of one name, which must never count as one."""
    inside = ("," + spacing).join(
        json.dumps(name) + spacing + ":" + spacing + json.dumps(value) for name, value in members
    )
    assert counted(validator, ("{" + spacing + inside + "}").encode()) in (None, len(members))
    values = ("," + spacing).join(json.dumps(value) for _, value in members)
    assert counted(validator, ("[" + values + spacing + "]").encode()) == len(members)
    names = {name for name, _ in members}
    if len(names) == len(members) and not any(":" in name for name in names):
        assert counted(validator, ("{" + spacing + inside + "}").encode()) == len(members)


@pytest.mark.parametrize("name", NO)
@pytest.mark.parametrize("validator", VALIDATORS)
def test_what_is_not_json_is_refused(validator: Any, name: str) -> None:
    value = NO[name].value
    assert counted(validator, b'{"k":{"v":' + value + b"}}") is None
    assert counted(validator, b'[{"v":' + value + b"}]") is None


@pytest.mark.parametrize("name", YES)
def test_what_is_json_is_counted_without_simdjson(name: str) -> None:
    assert counted(Skipping, b'{"k":{"v":' + YES[name] + b"}}") == 1
    assert counted(Skipping, b'[{"v":' + YES[name] + b"},{}]") == 2


@pytest.mark.parametrize("name", [name for name, case in OPEN.items() if case.rule != "deep"])
def test_what_only_some_can_represent_is_counted_or_refused(name: str) -> None:
    for validator in VALIDATORS:
        assert counted(validator, b'[{"v":' + OPEN[name].value + b"},{}]") in (None, 2)


def test_the_command_works_without_what_has_no_wheel_everywhere(tmp_path: Any) -> None:
    script = """
import sys
for name in ("simdjson", "stringzilla", "hyperscan"):
    sys.modules[name] = None
from etl.command.cli import main
sys.exit(main())
"""
    feed = tmp_path / "feed.json"
    for args in (
        ["sample", "deals", "--records", "2000", "--match-share", "0.01", "--output", str(feed)],
        ["run", "deals", "--source", str(feed), "--database", f"sqlite:///{tmp_path}/x.db", "--json", "-q",
         "--client", "f01000", "--client", "f01001", "--head-epoch", "4200000"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", script, *args],
            capture_output=True,
            cwd=tmp_path,
            check=False,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["records"] == 2000
