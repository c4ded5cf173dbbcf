"""The answers that other systems' rows are compared with, and what the tables make of them."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet
import pytest

from bench.peers.answers import fault, members, right_rows, rows_of
from bench.peers.chart import chart
from bench.peers.shown import against, rate, tables
from bench.peers.table import GROUPS
from bench.workbench import DENSE, RARE
from pipelines.deals.sample import TRACKED, SampleSettings, documents


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    path = tmp_path / "deals.json"
    path.write_bytes(b"".join(documents(SampleSettings(records=2_000, match_share=0.1, awkward_share=0.2))))
    return path


@pytest.mark.parametrize("block", [1 << 10, 4_099, 1 << 22])
def test_members_are_those_of_a_parse_of_the_whole(feed: Path, block: int) -> None:
    text = feed.read_text(encoding="utf-8")
    assert dict(members(io.StringIO(text), block)) == json.loads(text)


def test_a_feed_that_is_cut_is_refused(feed: Path) -> None:
    with pytest.raises(json.JSONDecodeError):
        list(members(io.StringIO(feed.read_text(encoding="utf-8")[:-9])))


def test_rows_are_compared_field_by_field(feed: Path, tmp_path: Path) -> None:
    right = right_rows(feed, TRACKED)
    assert 100 < right.num_rows < right_rows(feed, []).num_rows == 2_000
    output = tmp_path / "output"
    pyarrow.parquet.write_table(right.sort_by([("deal_id", "descending")]), output)
    found = rows_of("Parquet", output)
    assert fault(found, right) == ""
    assert fault(found.slice(1), right) == f"{right.num_rows - 1:,} rows of {right.num_rows:,}"
    other = found.set_column(3, "label", found["label"].fill_null(""))
    assert fault(other, right) == "wrong label"


def test_the_dense_wallets_own_a_sixth_and_the_rare_next_to_nothing() -> None:
    records = 10_000
    document = b"".join(documents(SampleSettings(records=records)))
    owned = Counter(re.findall(rb'"Client":"(\w+)"', document))
    assert records / 7 < sum(owned[wallet.encode()] for wallet in DENSE) < records / 5
    assert sum(owned[wallet.encode()] for wallet in RARE) < records / 1_000


def test_the_dense_work_is_that_of_the_same_systems() -> None:
    groups = {group.name: group for group in GROUPS}
    assert groups["dense"].systems == groups["wanted"].systems
    assert groups["dense"].wallets == DENSE


def test_what_is_not_rows_of_deals_is_said_to_be(tmp_path: Path) -> None:
    for kind in ("Parquet", "SQLite", "lines"):
        with pytest.raises(ValueError, match=kind):
            rows_of(kind, tmp_path / f"no {kind}")


def entry(name: str, fault: str = "", **more: Any) -> dict[str, Any]:
    described = {
        "name": name, "reads": ".zst", "version": "1.0", "megabytes": 1_000.0, "beside": 1_000.0,
        "seconds": [2.0, 4.0, 3.0], "cpu": [1.0, 1.0, 1.0], "zstd": [1.0, 2.0, 1.0], "memory": 5_000_000,
        "written": 0, "rows": 7, "fault": fault,
    }  # fmt: skip
    return described | more


def test_tables_and_chart_show_what_failed_as_such() -> None:
    smaller = entry("Small", megabytes=100.0)
    systems = [
        entry("Right"), smaller, entry("Wrong", "6 rows of 7"), entry("Gone", "not installed", seconds=[]),
        entry("Broken", "failed: exit status 1"),
    ]  # fmt: skip
    assert rate(systems[0]) == pytest.approx(333, abs=1)
    assert (against(systems[0]).median, against(smaller).median) == (2, 20)
    results = {
        "machine": {"cores": "2", "CPU": "some"},
        "settings": {"records": 9},
        "zstd": entry("zstd -dc", zstd=[2.0, 4.0, 3.0]),
        "groups": [{"name": "wanted", "title": "Some", "systems": systems}],
    }
    lines = tables(results, markdown=True).splitlines()[-5:]
    assert ["| yes, 7 |" in line for line in lines] == [True, True, False, False, False]
    assert "**no**: 6 rows of 7" in lines[2]
    assert "| not installed |" in lines[3]
    assert "| failed |" in lines[4]
    drawn = ElementTree.fromstring(chart(results))
    assert [text.text for text in drawn.iter() if text.text and "Wrong" in text.text]
    assert not [text.text for text in drawn.iter() if text.text and "Gone" in text.text]
