"""The checks of continuous integration themselves: on which Pythons it tests, and what has no wheel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import pythons, wheels

LINUX = wheels.PLATFORMS[0]


def test_what_has_no_wheel_is_found(tmp_path: Path) -> None:
    asked = tmp_path / "requirements.txt"
    asked.write_text("pysimdjson >= 7\n")
    status, said = wheels.lacking(asked, "3.15", LINUX, wheels.settings())
    if status == wheels.NO_ANSWER:
        pytest.skip(f"no package index to ask: {said.splitlines()[0]}")
    assert (status, "pysimdjson" in said) == (wheels.NO_WHEEL, True)


def test_an_index_that_does_not_answer_is_no_missing_wheel(tmp_path: Path) -> None:
    asked = tmp_path / "requirements.txt"
    asked.write_text("pysimdjson >= 7\n")
    nowhere = {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0",
        "UV_CACHE_DIR": str(tmp_path / "cache"),
    }  # fmt: skip
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    status, said = wheels.lacking(asked, "3.13", LINUX, inherited | nowhere)
    assert (status, bool(said)) == (wheels.NO_ANSWER, True)


def test_uv_is_told_the_index_that_pip_is_set_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file://{tmp_path} file://{tmp_path}/gone")
    given = wheels.settings()
    assert given["UV_DEFAULT_INDEX"] == "http://127.0.0.1:9/simple"
    assert given["UV_INDEX"] == f"file://{tmp_path}"


def program(path: Path, said: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {said}\n")
    path.chmod(0o755)
    return path


def test_each_python_from_3_11_on_is_found_once_the_oldest_first(tmp_path: Path) -> None:
    said = ["cpython 3.13.0", "cpython 3.11.2", "pypy 3.11.9", "cpython 3.10.9", "cpython 3.11.12",
            "cpython 3.11.2", "cpython 3.15.0a3"]  # fmt: skip
    programs = [program(tmp_path / str(number) / "python3", text) for number, text in enumerate(said)]
    found = pythons.interpreters([*programs, tmp_path / "none"])
    assert list(found) == ["3.11.2", "3.11.12", "3.13.0", "3.15.0a3"]
    assert found["3.11.2"] == programs[1]
