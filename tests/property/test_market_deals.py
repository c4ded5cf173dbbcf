"""Every deal into a Parquet file, held to `json.loads` and a loop."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import DataError
from tests.support.documents import SHAPES, Document, build, documents
from tests.support.effort import examples
from tests.support.twin.deals import expected_of_all
from tests.support.whole_run import run_to_file


def check(output: Path, document: bytes, shape: str, **settings: int) -> None:
    """Run, and compare the file and the figures with the reference."""
    want = expected_of_all(document, shape)
    report = run_to_file(output, document, **settings)
    rows = pq.read_table(output).to_pylist()
    assert {row["deal_id"]: row for row in rows} == want.rows
    assert len(rows) == len(want.rows) == report.inserted
    assert (report.records, report.matched, report.rejected) == (want.records, want.matched, want.rejected)
    assert report.duplicates == want.matched - len(want.rows)
    assert [path.name for path in output.parent.iterdir()] == [output.name]


@settings(max_examples=examples(20))
@given(documents(), st.integers(1, 4000), st.integers(1, 3), st.integers(1, 20))
def test_any_document_gives_the_file_that_the_reference_gives(
    document: Document, chunk_bytes: int, workers: int, group_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check(
            Path(folder, "deals.parquet"), document.data, document.shape,
            chunk_bytes=chunk_bytes, workers=workers, batch_rows=group_rows,
        )  # fmt: skip


@pytest.mark.parametrize("group_rows", [1, 7, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_of_records_with_one_id_the_last_holds_wherever_they_are(
    shape: str, group_rows: int, tmp_path: Path
) -> None:
    document = build(random.Random(5), shape, 40, 0.5)
    if shape in ("object", "rpc"):  # the whole container once more, in the same one
        start, end = document.index(b"{", 1 if shape == "rpc" else 0) + 1, document.rindex(b"}")
        if shape == "object":
            document = document[:end] + b"," + document[start:end] + document[end:]
    check(tmp_path / "deals.parquet", document, shape, batch_rows=group_rows, chunk_bytes=3000)


def test_a_feed_that_is_cut_short_leaves_the_older_file_as_it_was(tmp_path: Path) -> None:
    document = build(random.Random(3), "object", 20, 0.5)
    output = tmp_path / "deals.parquet"
    check(output, document, "object")
    before = output.read_bytes()
    with pytest.raises(DataError):
        run_to_file(output, document[: len(document) // 2], batch_rows=1)
    assert output.read_bytes() == before
    assert list(tmp_path.iterdir()) == [output]
