"""A few seconds of `make fuzz`, and proof that it finds mistakes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from etl.errors import TruncatedFeed
from etl.records.chunks import ChunkParser
from etl.shape.cutter import Cutter
from etl.shape.layout import Container
from etl.shape.scanner import Scanner
from etl.source.feed import Feed
from tests import fuzz as fuzzing
from tests.fuzz import Case, Tally, finding, fuzz, load, save, shrunk
from tests.support.damage import tokens
from tests.support.interleaved import Settings

SECONDS = 20
"""How long to look for a mistake that is there; it takes a part of a second."""


def test_no_damage_is_found_that_the_reference_judges_otherwise() -> None:
    seed = int(os.environ.get("FUZZ_SEED", str(int(time.time()))))
    print(f"FUZZ_SEED={seed}")
    tally = Tally()
    outcome = fuzz(seed, 3, tally)
    assert outcome is None, outcome
    assert 0 < tally.accepted.total() < tally.tried.total()


def ignore_trailing_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = ChunkParser.parse

    def tolerant(self: ChunkParser, chunk: Any, *rest: Any) -> Any:
        parts = [*tokens(bytes(chunk)), b""]
        kept = [one for one, after in pairwise(parts) if one != b"," or after not in (b"}", b"]")]
        return parse(self, b"".join(kept), *rest)

    monkeypatch.setattr(ChunkParser, "parse", tolerant)


def drop_the_last_record(monkeypatch: pytest.MonkeyPatch) -> None:
    take_last = Cutter._take_last

    def forgetful(self: Cutter, buffer: memoryview, length: int) -> Any:
        scanner = Scanner()
        scanner.feed(buffer[:length])
        lines = self.layout.container is Container.LINES
        return take_last(
            self, buffer, length if lines or not scanner.separators else scanner.separators[-1]
        )

    monkeypatch.setattr(Cutter, "_take_last", forgetful)


def take_a_damaged_stream_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    readinto = Feed._readinto

    def lenient(self: Feed, buffer: memoryview) -> int:
        try:
            return readinto(self, buffer)
        except TruncatedFeed:
            return 0

    monkeypatch.setattr(Feed, "_readinto", lenient)


def fail_on_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = ChunkParser.parse

    def fragile(self: ChunkParser, chunk: Any, *rest: Any) -> Any:
        assert b"\xff" not in bytes(chunk)
        return parse(self, chunk, *rest)

    monkeypatch.setattr(ChunkParser, "parse", fragile)


def hang_on_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    parse = ChunkParser.parse

    def slow(self: ChunkParser, chunk: Any, *rest: Any) -> Any:
        while b"\xff" in bytes(chunk):
            pass
        return parse(self, chunk, *rest)

    monkeypatch.setattr(ChunkParser, "parse", slow)
    monkeypatch.setattr(fuzzing, "CASE_SECONDS", 0.3)


@pytest.mark.parametrize(
    ("plant", "said"),
    [
        (ignore_trailing_commas, "accepted a malformed document|a reject is not where|a whole run"),
        (drop_the_last_record, "other figures|a whole run"),
        (take_a_damaged_stream_for_its_end, "accepted a damaged stream|a whole run"),
        (fail_on_a_byte, "AssertionError in fragile|ProcessDied"),
        (hang_on_a_byte, "hung"),
    ],
)
def test_a_mistake_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], said: str
) -> None:
    plant(monkeypatch)
    outcome = fuzz(2, SECONDS, Tally())
    assert outcome is not None
    assert re.match(said, str(outcome[1]))
    monkeypatch.undo()
    assert finding(outcome[0]) is None


def test_a_finding_is_shrunk_to_what_it_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fail_on_a_byte(monkeypatch)
    stream = b'{"Proposal":{"Client":"f02","Label":"' + b"x" * 500 + b"\xff" * 3 + b'"}}\n{"a":1}\n'
    case = Case("made up", stream, Settings(chunk_bytes=100, workers=2, salvage=True))
    found = finding(case)
    assert found is not None
    small = shrunk(case, found.kind)
    assert (small.settings.workers, small.settings.salvage) == (1, False)
    assert len(small.stream) < 30
    save(small, tmp_path / "case")
    assert load(tmp_path / "case") == small
    assert str(finding(small)).startswith("AssertionError in fragile")


def test_the_command_runs_a_saved_case_again(tmp_path: Path) -> None:
    save(Case("made up", b'{"1":{"Proposal":{}}}', Settings()), tmp_path / "case")
    command = [sys.executable, "-m", "tests.fuzz", str(tmp_path / "case")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{tmp_path / 'case'}: as it should be\n"
