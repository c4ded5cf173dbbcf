"""A feed that has not changed is read again where something else would come of it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import msgspec
import pytest

from etl.database.target import Target
from etl.declare.location import Source
from etl.declare.pipeline import Pipeline, Selection
from etl.declare.registry import load
from etl.engine.plan import Plan
from etl.sink.destinations import destination_of, parquet, tables
from pipelines.deals.pipeline import PIPELINE
from pipelines.deals.record import Deal
from pipelines.deals.selection import Tracked


class Other(Deal):
    """With one member more."""

    more: str | None = msgspec.field(name="More", default=None)


def plan(pipeline: Pipeline = PIPELINE, *uris: str, wanted: frozenset[str] | None = None) -> Plan:
    sources = tuple(map(Source, uris or ("http://host/feed",)))
    return planned(pipeline, None, sources, wanted)


def planned(
    pipeline: Pipeline, output: Path | None, sources: tuple[Source, ...], wanted: frozenset[str] | None
) -> Plan:
    target = Target("sqlite://")
    destination = destination_of(pipeline, target.database, output)
    selection = Selection(wanted)
    return Plan(pipeline, selection, sources, target, destination, workers=1, slabs=1)


def test_different_wishes_have_different_fingerprints() -> None:
    wishes = [
        Selection(wanted).fingerprint
        for wanted in (
            None, frozenset(), frozenset({""}), frozenset({" "}), frozenset({"a b"}), frozenset({"a", "b"}),
            frozenset({"a"}), frozenset({"b"}), frozenset({'a", "b'}), frozenset({"a\nb"}),
            frozenset({"null"}),
        )
    ]  # fmt: skip
    assert len(set(wishes)) == len(wishes)
    assert Selection(frozenset("abc")).fingerprint == Selection(frozenset("cab")).fingerprint


def test_a_head_counts_where_it_was_named_and_the_chain_always() -> None:
    early = datetime(2020, 1, 1, tzinfo=UTC)
    asked = [
        Tracked(frozenset({"f01"}), 7).fingerprint,
        Tracked(frozenset({"f01"}), 7, named=True).fingerprint,
        Tracked(frozenset({"f01"}), 8, named=True).fingerprint,
        Tracked(frozenset({"f01"}), 7, genesis=early).fingerprint,
    ]
    assert len(set(asked)) == len(asked)
    assert Tracked(frozenset({"f01"}), 8).fingerprint == asked[0]


def test_different_plans_have_different_fingerprints() -> None:
    base = plan()
    plans = [
        base,
        plan(wanted=frozenset()),
        plan(PIPELINE, "http://host/feed\nhttp://host/2"),
        plan(PIPELINE, "http://host/feed", "http://host/2"),
        planned(PIPELINE, Path("a.csv"), base.sources, None),
        planned(PIPELINE, Path("b.csv"), base.sources, None),
        planned(PIPELINE, Path("a.parquet"), base.sources, None),
        replace(base, on_error="fail"),
        replace(base, max_rejects=7),
        plan(replace(PIPELINE, match=("Proposal", "Provider"))),
        plan(replace(PIPELINE, envelope=())),
        plan(replace(PIPELINE, record=Other)),
        plan(replace(PIPELINE, destination=parquet("pipelines.market_deals.columns:COLUMNS"))),
        plan(replace(PIPELINE, version="2")),
    ]
    assert [(a, b) for a, b in combinations(plans, 2) if a.fingerprint == b.fingerprint] == []
    assert plan().fingerprint == base.fingerprint


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "rows.py").write_text("def row(key, record, selection): return (key,)\n")
    (folder / "helper.py").write_text("FACTOR = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "measured"]:
        del sys.modules[name]


def test_other_code_in_the_package_of_a_part_has_another_fingerprint(package: Path) -> None:
    row = importlib.import_module("measured.rows").row
    seen = {replace(PIPELINE, row=row).fingerprint}
    loaded = replace(PIPELINE, row=row)
    assert loaded.fingerprint in seen
    for change in ("FACTOR = 2\n", "FACTOR = 3\n"):
        (package / "helper.py").write_text(change)
        fingerprint = replace(PIPELINE, row=row).fingerprint
        assert fingerprint not in seen
        seen.add(fingerprint)
    # What was loaded before goes on with the code that it has.
    assert loaded.fingerprint in seen
    assert len(seen) == 3
    (package / "store.py").write_text("STORE = 1\n")
    assert replace(PIPELINE, row=row, destination=tables("measured.store:STORE")).fingerprint not in seen


def test_another_text_of_a_file_that_holds_a_pipeline_has_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [*sys.path])
    file = tmp_path / "planets.py"
    text = "import etl\nclass Planet(etl.Record):\n    name: str\n"
    text += 'PIPELINE = etl.pipeline(record=Planet, destination=etl.table("planets"))\n'
    seen = set()
    for more in ("", "# 2\n"):
        file.write_text(text + more)
        seen.add(load(str(file)).fingerprint)
    assert len(seen) == 2
