"""Every command, and the options of `etl run` that are about how and not what."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.command import Etl
from tests.support.databases import Database

from .checks import assert_accounts_balance, assert_ledger_agrees, assert_refused
from .feeds import HEAD, OTHER, OURS, as_lines, as_object, as_reply, awkward, deal, expected

DOCUMENT = as_object(awkward())
WANTED = expected(DOCUMENT)


@pytest.fixture
def feed(etl: Etl) -> Path:
    return etl.file(DOCUMENT)


def files(etl: Etl) -> set[str]:
    return {path.name for path in etl.directory.iterdir()}


# Help --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), ["run", "pipelines", "inspect", "history", "rejects", "wallets", "sample"]),
        (("run",), ["deals"]),
        (
            ("run", "deals"),
            ["--source", "--database", "--client", "--clients-file", "--head-epoch", "--workers",
             "--batch-size", "--on-error", "--max-rejects", "--rejects", "--dry-run", "--limit",
             "--allow-empty", "--explain", "--progress", "--json", "--log-format", "--config"],
        ),
        (("pipelines",), []),
        (("inspect",), ["SOURCE"]),
        (("history",), ["--database", "--limit", "--json"]),
        (("rejects",), ["--database", "--run", "--json"]),
        (("wallets",), ["add", "list", "remove"]),
        (("wallets", "add"), ["ADDRESSES", "--database"]),
        (("sample", "deals"), ["--records", "--seed", "--output"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_help_names_what_there_is(etl: Etl, args: tuple[str, ...], said: list[str]) -> None:
    completed = etl(*args, "--help")
    assert (completed.status, completed.stderr) == (0, "")
    assert completed.stdout.startswith("Usage: ")
    assert [text for text in said if text not in completed.stdout] == []
    assert files(etl) == set()


def test_help_hides_the_settings_for_tests(etl: Etl) -> None:
    shown = etl("run", "deals", "-h").stdout
    assert "chunk-bytes" not in shown
    assert "record-bytes" not in shown


@pytest.mark.parametrize("module", [True, False], ids=["python -m etl", "etl"])
def test_version(etl: Etl, module: bool) -> None:
    completed = etl("--version", module=module)
    assert (completed.status, completed.stderr) == (0, "")
    assert re.search(r"\b\d+\.\d+", completed.stdout)


def test_pipelines_lists_them(etl: Etl) -> None:
    completed = etl("pipelines")
    assert (completed.status, completed.stderr) == (0, "")
    assert [line.split()[0] for line in completed.stdout.splitlines()] == ["deals", "market_deals"]


# Looking without running ---------------------------------------------------------------------------------


def described(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def test_inspect_shows_shape_and_compression(etl: Etl) -> None:
    source = etl.file(gzip.compress(as_reply(DOCUMENT)))
    completed = etl("inspect", source)
    assert (completed.status, completed.stderr) == (0, "")
    shown = described(completed.stdout)
    assert shown["source"] == str(source)
    assert shown["compression"] == "gzip"
    assert shown["size"] == f"{source.stat().st_size:,} bytes"
    assert "object" in shown["records"]
    assert "result" in shown["records"]
    assert files(etl) == {"feed"}


def test_inspect_reads_standard_input(etl: Etl) -> None:
    completed = etl("inspect", "-", input=as_lines(awkward()))
    assert completed.status == 0
    shown = described(completed.stdout)
    assert "lines" in shown["records"]
    assert shown["compression"] == "none"


@pytest.mark.parametrize(("document", "status"), [(None, 69), (b"<html>", 65)])
def test_inspect_of_no_feed_fails(etl: Etl, document: bytes | None, status: int) -> None:
    if document is not None:
        etl.file(document)
    completed = etl("inspect", "feed")
    assert (completed.status, completed.stdout) == (status, "")
    assert "feed" in completed.message


def test_explain_shows_how_a_run_would_go_and_runs_nothing(etl: Etl, feed: Path) -> None:
    completed = etl.load("--source", feed, "--explain", "--workers", "3")
    assert (completed.status, completed.stderr) == (0, "")
    shown = described(completed.stdout)
    assert shown["records"].startswith("object at the root, from byte 1")
    assert "Proposal" in shown["cut signature"]
    assert f'"{OURS[0]}"' in shown["prefilter"]
    assert "\\u00" in shown["prefilter"]
    assert "Proposal.Client" in shown["then"]
    assert "3 workers" in shown["processes"]
    assert re.search(r"\d+ of [\d,]+ bytes", shown["slabs"])
    assert files(etl) == {"feed"}


def test_a_dry_run_reports_as_a_run_and_creates_no_database(etl: Etl, feed: Path) -> None:
    completed = etl.load("--source", feed, "--dry-run")
    assert (completed.status, completed.stderr) == (0, "")
    report = completed.report
    assert {name: report[name] for name in WANTED.figures} == WANTED.figures
    assert (report["status"], report["run_id"]) == ("succeeded", None)
    assert files(etl) == {"feed"}


def test_a_dry_run_leaves_the_database_as_it_is(etl: Etl, database: Database, before: object) -> None:
    bytes_before = database.path.read_bytes()
    changed = as_object([("5", deal(state={"SlashEpoch": 9})), ("88", deal()), ("NaN", deal())])
    report = etl.loaded(changed, "--dry-run")
    figures = [report[name] for name in ("matched", "inserted", "updated", "rejected")]
    assert figures == [2, 1, 1, 1]
    assert database.path.read_bytes() == bytes_before
    assert etl.load("--source", etl.file(changed[:-1]), "--dry-run").status == 65
    assert database.path.read_bytes() == bytes_before
    assert files(etl) == {"feed", "deals.db"}


# How a run goes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_the_number_of_workers_makes_no_difference(
    etl: Etl, database: Database, feed: Path, workers: int
) -> None:
    again = etl.file(as_object([("5", deal(Label="later")), ("17", deal()), ("NaN", deal())]), "again")
    completed = etl.load(
        "--source", feed, "--source", again, "--workers", str(workers), "--batch-size", str(workers),
        env={"ETL_CHUNK_BYTES": "300"},
    )  # fmt: skip
    wanted = expected(DOCUMENT, again.read_bytes())
    report = completed.report
    assert {name: report[name] for name in wanted.figures} == wanted.figures
    assert database.deals() == wanted.rows
    assert list(database.deals())[-2:] == [5, 17]
    (reject,) = database.rows("etl_rejects")
    assert again.read_bytes()[reject["byte_offset"] :].startswith(b'"NaN"')


def test_limit_stops_after_so_many_matches(etl: Etl, database: Database, feed: Path) -> None:
    report = etl.loaded(DOCUMENT, "--limit", "3", env={"ETL_CHUNK_BYTES": "300"})
    assert_accounts_balance(report)
    assert (report["status"], report["matched"], report["inserted"]) == ("succeeded", 3, 3)
    assert list(database.deals()) == list(WANTED.rows)[:3]


def test_a_limit_above_all_matches_changes_nothing(etl: Etl, database: Database) -> None:
    report = etl.loaded(DOCUMENT, "--limit", "1000")
    assert {name: report[name] for name in WANTED.figures} == WANTED.figures
    assert database.deals() == WANTED.rows


def test_a_run_shows_what_the_database_holds_and_a_summary(etl: Etl, feed: Path) -> None:
    args = ("run", "deals", "--source", feed, "--client", OURS[0], "--head-epoch", str(HEAD))
    completed = etl(*args)
    assert completed.status == 0
    heading, *rows = completed.stdout.splitlines()
    assert heading.split() == ["state", "deals", "wallets"]
    counts = {row.split()[0]: int(row.split()[1]) for row in rows}
    assert sum(counts.values()) == expected(DOCUMENT, clients=OURS[:1]).matched
    (summary,) = completed.stderr.splitlines()
    assert "inserted" in summary
    again = etl(*args, "-q")
    assert (again.stdout, again.stderr) == (completed.stdout, "")


def test_json_prints_one_object_and_nothing_else(etl: Etl, database: Database, feed: Path) -> None:
    completed = etl("run", "deals", "--source", feed, "--client", OURS[0], "--json")
    assert len(completed.stdout.splitlines()) == 1
    report = completed.report
    assert set(report) == {
        "run_id", "pipeline", "source", "status", "error", "started_at", "finished_at", "seconds",
        "head_epoch", "records", "matched", "inserted", "updated", "unchanged", "duplicates", "expired",
        "rejected", "bytes_read", "bytes_decoded", "peak_memory_bytes",
    }  # fmt: skip
    assert report["source"] == str(feed)
    assert report["peak_memory_bytes"] > 1_000_000
    assert report["head_epoch"] > 6_000_000  # by the clock
    assert_ledger_agrees(report, database)


def test_json_reports_a_failed_run_too(etl: Etl, database: Database) -> None:
    completed = etl.load("--source", etl.file(DOCUMENT[:-1]))
    assert (completed.status, completed.report["status"]) == (65, "failed")
    assert completed.report["error"] == completed.message
    assert_ledger_agrees(completed.report, database)


def test_a_progress_bar_is_shown_if_wanted_only(etl: Etl, feed: Path) -> None:
    args = ("run", "deals", "--source", feed, "--client", OURS[0])
    shown = etl(*args, "--progress").stderr
    assert "\r" in shown
    assert "records=20" in shown
    assert "100%" in shown
    for quiet in ((), ("--no-progress",)):
        assert len(etl(*args, *quiet).stderr.splitlines()) == 1


def test_the_progress_bar_does_not_swallow_the_error(etl: Etl) -> None:
    source = etl.file(DOCUMENT[:-1])
    completed = etl("run", "deals", "--source", source, "--client", OURS[0], "--progress")
    assert completed.status == 65
    assert completed.stderr.splitlines()[-1].startswith("etl: ")


def test_rejects_go_to_a_file_that_can_be_written_or_the_run_fails(
    etl: Etl, database: Database, before: object
) -> None:
    source = etl.file(as_object([("NaN", deal()), ("88", deal())]))
    completed = etl.load("--source", source, "--rejects", "missing/rejects.jsonl")
    assert "missing/rejects.jsonl" in assert_refused(completed, 74, database, before)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_a_full_disk_below_the_reject_file_commits_nothing(
    etl: Etl, database: Database, before: object
) -> None:
    source = etl.file(as_object([("NaN", deal()), ("88", deal())]))
    completed = etl.load("--source", source, "--rejects", "/dev/full")
    assert "/dev/full" in assert_refused(completed, 74, database, before)


# What was recorded ---------------------------------------------------------------------------------------


def test_history_shows_the_latest_runs_first(etl: Etl, database: Database) -> None:
    assert etl.load("--source", etl.file(DOCUMENT)).status == 0
    assert etl.load("--source", etl.file(b"[")).status == 65
    env = {"DATABASE_URL": "sqlite:///deals.db"}
    heading, failed, succeeded = etl("history", env=env).stdout.splitlines()
    assert heading.split()[:3] == ["run_id", "pipeline", "status"]
    assert failed.split()[:3] == ["2", "deals", "failed"]
    assert succeeded.split()[:3] == ["1", "deals", "succeeded"]
    shown = etl("history", "--json", "--limit", "1", env=env).stdout
    (row,) = map(json.loads, shown.splitlines())
    assert row["error"] == database.last_run()["error"]
    assert set(row) == set(database.last_run())


def test_rejects_shows_those_of_the_latest_run_or_of_one(etl: Etl, database: Database) -> None:
    url = ("--database", "sqlite:///deals.db")
    assert etl("rejects", *url).stdout == ""
    document = as_object([("NaN", deal()), ("1", deal(OTHER)), ("x", deal())])
    etl.loaded(document)
    etl.loaded(as_object([("y", deal())]))
    heading, row = etl("rejects", *url).stdout.splitlines()
    assert heading.split() == ["run_id", "sequence", "byte_offset", "key", "reason"]
    assert row.split()[:4] == ["2", "0", "1", "y"]
    shown = etl("rejects", *url, "--run", "1", "--json").stdout
    first, second = map(json.loads, shown.splitlines())
    assert [first["key"], second["key"]] == ["NaN", "x"]
    assert second["byte_offset"] == document.index(b'"x"')
    assert second["raw"].startswith('"x":{"Proposal"')


def test_looking_at_a_database_that_is_not_there_does_not_create_it(etl: Etl) -> None:
    for command in ("history", "rejects"):
        etl(command, "--database", "sqlite:///missing.db")
    assert files(etl) == set()


RAW = "a\x1b[2J\u202e\n\t\x9b\u200b"
ESCAPED = r"a\x1b[2J\u202e\n\t\x9b\u200b"


def test_what_the_feed_says_is_shown_escaped_and_kept_as_it_is(etl: Etl) -> None:
    source = etl.file(as_object([(RAW, deal()), ("1", deal(Client=RAW)), ("2", deal(Label=RAW))]))
    command = ("run", "deals", "--source", source, "--client", OURS[0], "-v")
    assert etl(*command).status == 0
    rejects = etl("rejects").stdout
    assert ESCAPED in rejects
    assert rejects.replace("\n", "").isprintable()
    assert len(rejects.splitlines()) == 2
    shown = etl("rejects", "--json").stdout
    assert (json.loads(shown)["key"], len(shown.splitlines()), shown.isascii()) == (RAW, 1, True)
    failed = etl(*command, "--on-error", "fail")
    assert failed.status == 65
    assert failed.stderr.replace("\n", "").isprintable()
    history = etl("history").stdout
    assert history.replace("\n", "").isprintable()
    assert len(history.splitlines()) == 3


def test_names_of_files_and_members_are_shown_escaped(etl: Etl) -> None:
    name = f"feed{RAW}"
    members = json.dumps({"jsonrpc": "2.0", "result": {RAW: json.loads(as_object([("1", deal())]))}})
    etl.file(members.encode(), name)
    etl.file(as_object([("1", deal(more={RAW: 1}))]), f"good{RAW}")
    for args, status in (
        (("run", "deals", "--source", name, "--client", OURS[0]), 65),
        (("run", "deals", "--source", f"{name}.missing", "--client", OURS[0]), 69),
        (("run", "deals", "--source", f"good{RAW}", "--client", OURS[0], "--explain"), 0),
        (("run", "deals", "--source", f"good{RAW}", "--client", OURS[0], "--rejects", f"{RAW}/x"), 74),
        (("run", "deals", "--source", f"good{RAW}", "--client", RAW), 78),
        (("run", "deals", "--config", name), 78),
        (("run", "deals", "--workers", RAW), 2),
        (("run", "deals", f"--{RAW}"), 2),
        (("run", RAW), 2),
        (("inspect", f"good{RAW}"), 0),
        (("inspect", name), 65),
        (("sample", "deals", "--records", "1", "--output", f"sample{RAW}"), 0),
        (("history", "--database", f"sqlite:///{RAW}.db"), 74),
    ):
        completed = etl(*args)
        assert completed.status == status, completed.stderr
        told = completed.stdout + completed.stderr
        assert told.replace("\n", "").isprintable(), args
        if status not in (0, 2):
            assert len(told.splitlines()) == 1


def test_times_are_told_in_one_form(etl: Etl) -> None:
    report = etl.loaded(DOCUMENT)
    env = {"TZ": "Asia/Tokyo"}
    (row,) = map(json.loads, etl("history", "--json", env=env).stdout.splitlines())
    for name in ("started_at", "finished_at"):
        assert row[name] == report[name]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00", row[name])
    assert f" {report['started_at'][:19]}+00:00 " in etl("history", env=env).stdout
    failing = ("run", "deals", "--source", "missing", "--client", "f07", "--log-format", "json")
    logged = etl(*failing, env=env)
    (line,) = map(json.loads, logged.stderr.splitlines())
    assert line["time"].endswith("+00:00")


# Samples -------------------------------------------------------------------------------------------------


def test_a_sample_can_be_loaded_whatever_its_shape_and_compression(etl: Etl, database: Database) -> None:
    for number, (name, shape) in enumerate(
        [("a.json.zst", "object"), ("b.json.gz", "rpc"), ("c", "lines")]
    ):
        made = etl("sample", "deals", "--records", "300", "--seed", "7", "--match-share", "0.1",
                   "--output", name, "--shape", shape)  # fmt: skip
        assert (made.status, made.stdout) == (0, "")
        clients = [part for client in ("f01000", "f01001", "f01002") for part in ("--client", client)]
        report = etl("run", "deals", "--source", name, "--json", "--head-epoch", str(HEAD), *clients).report
        assert (report["records"], report["rejected"]) == (300, 0)
        assert f" {report['matched']} of tracked wallets " in made.stderr
        assert report["unchanged" if number else "inserted"] == report["matched"] > 0
    assert {row["client_id"] for row in database.rows("deals")} == {"f01000", "f01001", "f01002"}


def test_equal_seeds_make_equal_samples(etl: Etl) -> None:
    for name, seed in (("a.json", "1"), ("b.json", "1"), ("c.json", "2"), ("d.zst", "1")):
        etl("sample", "deals", "--records", "200", "--seed", seed, "--output", name)
    a, b, c, d = ((etl.directory / name).read_bytes() for name in ("a.json", "b.json", "c.json", "d.zst"))
    assert a == b != c
    assert pa.CompressedInputStream(pa.BufferReader(d), "zstd").read() == a
    assert etl("sample", "deals", "--records", "200", "--seed", "1", "--output", "-").stdout == a.decode()


def test_a_sample_that_cannot_be_written_is_an_error(etl: Etl) -> None:
    completed = etl("sample", "deals", "--output", "missing/sample.json")
    assert completed.status == 74
    assert len(completed.stderr.splitlines()) == 1
    assert "missing/sample.json" in completed.stderr
