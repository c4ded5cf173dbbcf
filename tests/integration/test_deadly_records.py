"""A record that kills the process that looks at it costs that record, and no other."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from etl.errors import ProcessDied
from pipelines.deals.pipeline import PIPELINE
from tests.acceptance.feeds import HEAD, OTHER, OURS, as_object, deal
from tests.support import whole_run as whole
from tests.support.databases import Database

DEADLY = "deadly"


def _row(key: str | None, record: Any, selection: Any) -> tuple[Any, ...]:
    if record.proposal.label == DEADLY:
        os.kill(os.getpid(), signal.SIGKILL)
    return PIPELINE.row(key, record, selection)


PERILOUS = dataclasses.replace(PIPELINE, row=_row)


def document(deadly: set[int], count: int = 400) -> bytes:
    return as_object(
        (str(n), deal(OURS[0] if n % 3 else OTHER, Label=DEADLY if n in deadly else f"label {n}"))
        for n in range(count)
    )


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("deadly", [{1}, {200}, {398}, {7, 8}, {100, 301}], ids=str)
def test_a_deadly_record_is_a_reject_and_all_others_arrive(workers: int, deadly: set[int]) -> None:
    outcome = whole.run(
        document(deadly),
        set(OURS),
        HEAD,
        pipeline=PERILOUS,
        workers=workers,
        slabs=2 * workers + 4,
        chunk_bytes=5000,
    )
    assert sorted(outcome.rows) == [n for n in range(400) if n % 3 and n not in deadly]
    assert outcome.report.records == 400
    assert outcome.report.rejected == len(deadly)


def test_too_many_deadly_records_end_the_run() -> None:
    with pytest.raises(ProcessDied, match=r"SIGKILL|too many worker"):
        whole.run(document(set(range(1, 400, 3))), set(OURS), HEAD, pipeline=PERILOUS, chunk_bytes=5000)


@pytest.mark.parametrize("deadly", [{1}, {200}, {7, 8}], ids=str)
def test_a_deadly_record_is_named_by_its_place(deadly: set[int], tmp_path: Path) -> None:
    feed = document(deadly)
    whole.run_into(
        f"sqlite:///{tmp_path / 'x.db'}", feed, set(OURS), HEAD, pipeline=PERILOUS, chunk_bytes=5000
    )
    rejects = Database(tmp_path / "x.db").rows("etl_rejects")
    assert [reject["byte_offset"] for reject in rejects] == [
        feed.index(b'"%d":' % number) for number in sorted(deadly)
    ]
    assert {reject["reason"] for reject in rejects} == {"its worker process was killed by it"}
