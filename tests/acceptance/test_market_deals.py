"""`etl run market_deals`: every deal into a Parquet file."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.command import Etl
from tests.support.processes import alive, children, until
from tests.support.twin.deals import expected_of_all

from .checks import assert_accounts_balance
from .feeds import as_object, awkward, deal, small, zstd
from .test_bad_data import HOSTILE

DOCUMENT = as_object(awkward())
WANTED = expected_of_all(DOCUMENT, "object")
OUTPUT = "market_deals.parquet"


def load(etl: Etl, *args: str | Path, document: bytes = DOCUMENT) -> dict[str, Any]:
    """Run over a document with success and return the report."""
    completed = etl("run", "market_deals", "--json", "-q", "--source", etl.file(document), *args)
    assert (completed.status, completed.stderr) == (0, "")
    return completed.report


def rows(etl: Etl) -> dict[int, dict[str, Any]]:
    return {row["deal_id"]: row for row in pq.read_table(etl.directory / OUTPUT).to_pylist()}


def files(etl: Etl) -> set[str]:
    return {path.name for path in etl.directory.iterdir()}


def test_every_deal_is_in_the_file_and_the_run_in_the_ledger(etl: Etl) -> None:
    report = load(etl)
    assert rows(etl) == WANTED.rows
    assert (report["records"], report["matched"], report["rejected"]) == (
        WANTED.records, WANTED.matched, WANTED.rejected,
    )  # fmt: skip
    assert_accounts_balance(report)
    assert files(etl) == {"feed", OUTPUT, "market_deals.db"}
    listed = etl("history", "--database", "sqlite:///market_deals.db")
    assert "market_deals  succeeded" in listed.stdout


def test_columns_are_typed_compressed_and_have_statistics(etl: Etl) -> None:
    load(etl, "--batch-size", "5")
    file = pq.ParquetFile(etl.directory / OUTPUT)
    assert file.num_row_groups > 1
    column = file.metadata.row_group(0).column(0)
    assert (column.path_in_schema, column.physical_type, column.compression) == ("deal_id", "INT64", "ZSTD")
    assert column.statistics.has_min_max
    assert file.schema_arrow.field("verified").type == "bool"


def test_a_second_run_replaces_the_file(etl: Etl) -> None:
    load(etl)
    load(etl, document=zstd(as_object(small())))
    assert rows(etl) == expected_of_all(as_object(small()), "object").rows


def test_a_failed_run_leaves_the_file_as_it_was(etl: Etl) -> None:
    load(etl)
    before = (etl.directory / OUTPUT).read_bytes()
    cut = etl.file(DOCUMENT[:-20])
    completed = etl("run", "market_deals", "--source", cut, "-q")
    assert completed.status == 65
    assert "truncated" in completed.message
    assert (etl.directory / OUTPUT).read_bytes() == before
    assert files(etl) == {"feed", OUTPUT, "market_deals.db"}


def test_a_dry_run_leaves_nothing(etl: Etl) -> None:
    assert load(etl, "--dry-run")["inserted"] == len(WANTED.rows)
    assert files(etl) == {"feed"}


def test_a_limit_is_kept(etl: Etl) -> None:
    assert load(etl, "--limit", "3")["matched"] == 3


def test_a_folder_that_is_not_there_is_told(etl: Etl) -> None:
    completed = etl("run", "market_deals", "--source", etl.file(DOCUMENT), "--output", "none/x", "-q")
    assert (completed.status, completed.message) == (74, "none/x: No such file or directory")


def test_explain_says_where_it_goes(etl: Etl) -> None:
    completed = etl("run", "market_deals", "--source", etl.file(DOCUMENT), "--explain")
    assert completed.status == 0
    assert "market_deals.parquet (Parquet)" in completed.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_no_half_of_a_file(etl: Etl, number: signal.Signals) -> None:
    running = etl.start("run", "market_deals", "--source", "-", "-q", stdin=-1)
    assert running.stdin is not None
    running.stdin.write(DOCUMENT[:-20])
    running.stdin.flush()
    until(lambda: len(children(running.pid)) >= 3 and (etl.directory / "market_deals.db").exists())
    pids = children(running.pid)
    os.kill(running.pid, number)
    running.wait(10)
    until(lambda: not any(map(alive, pids)))
    assert [name for name in files(etl) if "parquet" in name] == []


def test_hostile_texts_are_kept_as_they_are(etl: Etl) -> None:
    texts = [*HOSTILE, "\0", "a\0b"]
    document = as_object([(str(number), deal(Label=text)) for number, text in enumerate(texts)])
    assert etl("run", "market_deals", "--source", etl.file(document), "-q").status == 0
    assert pq.read_table(etl.directory / OUTPUT)["label"].to_pylist() == texts
