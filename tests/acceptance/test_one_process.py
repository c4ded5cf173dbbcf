"""`--workers 0`: all in one process, and to everybody outside the same run as by several."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Completed, Etl, let_end, under_way
from tests.support.databases import Database, Tables
from tests.support.processes import children, until

from .feeds import OURS, as_array, as_lines, as_object, as_pretty, as_reply, awkward, deal, zstd

RECORDS = awkward()
OBJECT = as_object(RECORDS)
MANY = as_object((str(number), deal(OURS[number % 2] if number % 3 else "f09")) for number in range(500))
LONG = as_object([("1", deal()), ("2", deal(Label="x" * 20_000)), ("3", deal(OURS[1]))])
NESTED = as_object(
    [("1", deal(Other={"7": {"Proposal": {"Client": OURS[0]}}, "8": {"Proposal": {}}})), ("2", deal())]
)
MALFORMED = OBJECT.replace(b'"VerifiedDeal":true', b'"VerifiedDeal":tru', 1)
BAD_VALUE = as_object([("1", deal()), ("2", deal(Label=5)), ("x", deal()), ("4", deal())])

FEEDS: dict[str, tuple[bytes, list[str]]] = {
    "object": (OBJECT, []),
    "object, pretty": (as_pretty(RECORDS), []),
    "reply": (as_reply(OBJECT), []),
    "array": (as_array(RECORDS), []),
    "lines": (as_lines(RECORDS), []),
    "zstd": (zstd(MANY), ["--chunk-bytes", "5000"]),
    "chunks of a byte": (OBJECT, ["--chunk-bytes", "1"]),
    "what looks like records within one": (NESTED, ["--chunk-bytes", "500"]),
    "a dry run": (MANY, ["--dry-run"]),
    "truncated": (OBJECT[:-1], []),
    "truncated within a record": (OBJECT[: len(OBJECT) // 2], ["--chunk-bytes", "1000"]),
    "truncated zstd": (zstd(MANY)[:-5], []),
    "malformed": (MALFORMED, ["--chunk-bytes", "1000"]),
    "malformed, salvaged": (MALFORMED, ["--on-error", "salvage"]),
    "bad values": (BAD_VALUE, []),
    "bad values, none allowed": (BAD_VALUE, ["--on-error", "fail"]),
    "bad values, too many": (BAD_VALUE, ["--max-rejects", "1"]),
    "a record that is too long": (LONG, ["--record-bytes", "4096"]),
    "empty": (b"{}", []),
    "empty, allowed": (b"{}", ["--allow-empty"]),
    "no JSON": (b"<html></html>", []),
    "an error reply": (b'{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"no"}}', []),
    "no such file": (b"", ["--source", "missing"]),
    "a limit": (MANY, ["--limit", "7"]),
    "a limit that is not reached": (MANY, ["--limit", "1000"]),
    "two sources": (OBJECT, ["--source", "second"]),
    "none is wanted": (as_object([("1", deal("f09"))]), []),
}
HOW_FAR = {"records", "matched", "bytes_read", "bytes_decoded"}
VARYING = {"started_at", "finished_at", "seconds", "peak_memory_bytes"}


def outcome(folder: Path, name: str, workers: int) -> dict[str, Any]:
    """All that a run leaves behind, but for what differs from run to run."""
    document, arguments = FEEDS[name]
    folder.mkdir()
    etl = Etl(folder)
    etl.file(as_array([("900", deal())]), "second")
    etl.file(document, "feed")
    try:
        completed = etl.load(
            "--source", "feed", "--rejects", "rejects.jsonl", "--workers", str(workers), *arguments
        )
    finally:
        etl.close()
    tables = Database(folder / "deals.db").dump() if (folder / "deals.db").exists() else {}
    for rows in tables.values():
        for row in rows:
            for column in [*VARYING, "created_at", "updated_at", "changed_at", "last_verified_at"]:
                row.pop(column, None)
    rejects = folder / "rejects.jsonl"
    report = completed.report if completed.stdout else {}
    # How far which process had come when a run failed, is chance.
    chance = HOW_FAR if completed.status else set()
    for row in tables.get("etl_runs", []):
        for column in chance:
            row.pop(column)
    return {
        "status": completed.status,
        "message": completed.stderr,
        "report": {member: value for member, value in report.items() if member not in VARYING | chance},
        "tables": tables,
        "rejects": rejects.read_text() if rejects.exists() and not completed.status else None,
    }


@pytest.mark.parametrize("name", FEEDS)
def test_one_process_leaves_behind_what_several_do(tmp_path: Path, name: str) -> None:
    assert outcome(tmp_path / "0", name, 0) == outcome(tmp_path / "2", name, 2)


def test_the_work_is_all_done_in_one_process(etl: Etl, tables: Tables) -> None:
    with under_way(etl, tables, MANY, "--workers", "0") as running:
        assert len(children(running.pid)) == 1
        assert let_end(running, MANY).status == 0
    assert tables.last_run()["status"] == "succeeded"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_one_process_that_waits_for_its_feed(
    etl: Etl, tables: Tables, number: signal.Signals, status: int
) -> None:
    with under_way(etl, tables, MANY, "--workers", "0") as running:
        running.send_signal(number)
        completed: Completed = Completed(running.wait(5), "", "")
    assert completed.status == status
    assert tables.last_run()["status"] == "failed"
    assert tables.rows("deals") == []


def test_if_the_one_process_is_killed_the_run_ends_as_an_internal_error(etl: Etl, tables: Tables) -> None:
    with under_way(etl, tables, MANY, "--workers", "0") as running:
        until(lambda: children(running.pid))
        os.kill(children(running.pid)[0], signal.SIGKILL)
        assert running.wait(5) == 70
    assert "killed by SIGKILL" in tables.last_run()["error"]
