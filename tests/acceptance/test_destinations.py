"""Where rows can go: a table by its key, files of lines, CSV and Parquet, standard output."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from tests.support.command import Completed, Etl
from tests.support.databases import Database, Tables
from tests.support.processes import alive, children, until

from .checks import assert_accounts_balance
from .installed import offer

COLUMNS = '{"id": int, "place": str, "value": float | None, "ok": bool, "note": str | None}'
KEYED = f'table("readings", key="id", columns={COLUMNS})'

PIPELINE = """
    import msgspec
    from etl.declare.pipeline import Pipeline
    from etl.sink.destinations import csv, lines, parquet, table, tables

    class Place(msgspec.Struct):
        name: str

    class Reading(msgspec.Struct):
        id: int
        place: Place
        value: float | None = None
        ok: bool = True
        note: str | None = None

    def to_row(key, reading, selection):
        return (reading.id, reading.place.name, reading.value, reading.ok, reading.note)

    PIPELINE = Pipeline(
        name="readings", record=Reading, match=("place", "name"), row=to_row, destination=DESTINATION,
    )
"""


class Author:
    """Declares the pipeline `readings`, and runs it."""

    def __init__(self, etl: Etl) -> None:
        self.etl = etl
        self.folder = etl.directory / "mine"
        self.env = {"PYTHONPATH": os.pathsep.join(map(str, [self.folder, Path(__file__).parents[2]]))}
        self.declare(KEYED)

    def declare(self, destination: str, name: str = "readings") -> None:
        self.folder.mkdir(exist_ok=True)
        text = dedent(PIPELINE).replace("DESTINATION", destination).replace('"readings", r', f'"{name}", r')
        (self.folder / f"{name}.py").write_text(text)
        offer(self.folder, name, **{"etl.pipelines": f"{name} = {name}:PIPELINE"})

    def start(self, feed: bytes, *args: str, name: str = "readings", **settings: Any) -> Any:
        source = self.etl.file(feed)
        return self.etl.start(
            "run", name, "--source", str(source), "--workers", "2", *args, env=self.env, **settings
        )

    def run(self, feed: bytes, *args: str, **settings: Any) -> Completed:
        completed: Completed = self.start(feed, *args, **settings).done()
        assert "Traceback" not in completed.stderr
        return completed

    def report(self, feed: bytes, *args: str, **settings: Any) -> dict[str, Any]:
        completed = self.run(feed, "--json", "-q", *args, **settings)
        assert (completed.status, completed.stderr) == (0, "")
        assert_accounts_balance(completed.report)
        return completed.report

    def read(self, name: str) -> bytes:
        return (self.etl.directory / name).read_bytes()


@pytest.fixture
def author(etl: Etl) -> Author:
    return Author(etl)


def reading(number: int, place: str = "here", **members: Any) -> dict[str, Any]:
    return {"id": number, "place": {"name": place}, **members}


def feed_of(*readings: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(each)}\n" for each in readings).encode()


MANY = feed_of(*(reading(number, note=f"n{number}") for number in range(5000)))
FIGURES = ("matched", "inserted", "updated", "unchanged", "duplicates")


def figures(report: dict[str, Any]) -> tuple[int, ...]:
    return tuple(report[name] for name in FIGURES)


# A table ---------------------------------------------------------------------------------------------


def test_a_table_has_one_row_for_each_key_the_last_in_the_feed(author: Author, tables: Tables) -> None:
    to = ("--database", tables.url)
    first = feed_of(
        reading(1, value=1.5, note="é\n\"x\"", ok=False), reading(2, note=""), reading(1, value=-0.1),
        reading(3, value=2),
    )  # fmt: skip
    assert figures(author.report(first, *to)) == (4, 3, 0, 0, 1)
    rows = {row["id"]: row for row in tables.rows("readings")}
    assert rows[1] == {"id": 1, "place": "here", "value": -0.1, "ok": True, "note": None}
    assert rows[2] == {"id": 2, "place": "here", "value": None, "ok": True, "note": ""}
    second = feed_of(reading(3, value=2), reading(2, "there"), reading(4), reading(9), reading(9, ok=False))
    assert figures(author.report(second, *to)) == (5, 2, 1, 1, 1)
    assert figures(author.report(second, *to)) == (5, 0, 0, 4, 1)
    rows = {row["id"]: row for row in tables.rows("readings")}
    assert sorted(rows) == [1, 2, 3, 4, 9]
    assert (rows[2]["place"], bool(rows[9]["ok"])) == ("there", False)
    assert {"name": "table readings", "version": 1} in tables.rows("etl_schema")


def test_a_key_can_be_several_columns_and_all_there_are(author: Author, tables: Tables) -> None:
    to = ("--database", tables.url)
    author.declare(f'table("readings", key=("id", "place"), columns={COLUMNS})')
    feed = feed_of(reading(1), reading(1, "there"), reading(1, "there", ok=False), reading(2))
    assert figures(author.report(feed, *to)) == (4, 3, 0, 0, 1)
    assert figures(author.report(feed_of(reading(1, "there"), reading(2)), *to)) == (2, 0, 1, 1, 0)


def test_without_a_key_every_row_is_added(author: Author, tables: Tables) -> None:
    author.declare(f'table("readings", columns={COLUMNS})')
    for run in (1, 2):
        feed = feed_of(reading(1), reading(1), reading(2))
        assert figures(author.report(feed, "--database", tables.url)) == (3, 3, 0, 0, 0)
        assert [row["id"] for row in tables.rows("readings")] == sorted([1, 1, 2] * run)


def test_names_that_need_quotes_are_quoted(author: Author, tables: Tables) -> None:
    columns = '{"order": int, "a b": str, \'"c"\': float | None, "Ok": bool, "ü": str | None}'
    author.declare(f'table("select é", key="order", columns={columns})')
    for inserted in (2, 0):
        assert (
            author.report(feed_of(reading(1), reading(2)), "--database", tables.url)["inserted"] == inserted
        )
    assert [row["order"] for row in tables.query('SELECT * FROM "select é" ORDER BY 1')] == [1, 2]


def test_a_dry_run_and_a_failed_one_leave_a_table_as_it_was(author: Author, tables: Tables) -> None:
    to = ("--database", tables.url)
    author.report(feed_of(reading(1)), *to)
    before = tables.dump("readings", "etl_schema")
    assert author.report(feed_of(reading(1, ok=False), reading(2)), *to, "--dry-run")["updated"] == 1
    assert author.run(feed_of(reading(2)) + b"{", *to, "-q").status == 65
    assert tables.dump("readings", "etl_schema") == before


def test_a_table_of_another_program_is_left_alone(author: Author, tables: Tables) -> None:
    tables.execute("CREATE TABLE readings (id BIGINT NOT NULL)")
    completed = author.run(feed_of(reading(1)), "--database", tables.url, "-q")
    assert completed.status == 78
    assert "the table “readings” in the database is another program's" in completed.message
    assert tables.query("SELECT * FROM readings") == []


CHANGED = {
    "a column more": ('"place": str', '"place": str, "more": int', "it has no column “more”"),
    "another type": ('"place": str', '"place": int', "its column “place” is of type TEXT"),
    "null": ('"place": str', '"place": str | None', "its column “place” may not be null"),
    "another key": ('key="id"', 'key="place"', "its key is (id), and not (place)"),
    "no key": ('key="id", ', "", "its key is (id), and not ()"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_table_that_was_declared_otherwise_before_is_named(
    author: Author, tables: Tables, name: str
) -> None:
    old, new, said = CHANGED[name]
    author.report(feed_of(reading(1)), "--database", tables.url)
    before = tables.dump("readings")
    author.declare(KEYED.replace(old, new))
    completed = author.run(feed_of(reading(2)), "--database", tables.url, "-q")
    assert completed.status == 78
    assert (
        f"the table “readings” in the database is not as the pipeline has it now: {said}"
        in completed.message
    )
    assert tables.dump("readings") == before


def test_columns_that_others_have_added_do_no_harm(author: Author, tables: Tables) -> None:
    author.report(feed_of(reading(1)), "--database", tables.url)
    tables.execute("ALTER TABLE readings ADD COLUMN mine TEXT", "UPDATE readings SET mine = 'x'")
    assert figures(author.report(feed_of(reading(1, ok=False)), "--database", tables.url))[2] == 1
    assert tables.rows("readings")[0]["mine"] == "x"


WRONG = {
    "no such column": (KEYED.replace('key="id"', 'key="ident"'),
                       "key: there is no column ident; there are id, place, value, ok, note"),
    "a key that may be null": (KEYED.replace('key="id"', 'key="note"'), "key: the column note may be null"),
    "a column twice": (KEYED.replace('key="id"', 'key=("id", "id")'), "key: a column is named twice"),
    "a type": (f'table("readings", columns={COLUMNS.replace("bool", "list")})',
               "the member ok is of the type list, and a column can be str, int, bool, float"),
    "the record's members": ('table("readings")', "the member place is of the type Place"),
    "the ledger's": (KEYED.replace('"readings"', '"etl_runs"'), "the table etl_runs would be taken for"),
    "no name": (KEYED.replace('"readings"', '""'), "a table's name is a text that is not empty"),
    "a long name": (KEYED.replace('"readings"', '"r" * 50'), "a table's name has at most 40 bytes"),
    "no reference": ('tables("store")', "tables() takes a reference such as package.module:NAME"),
    "parquet without columns": ("parquet()", "the member place is of the type Place"),
    "csv without columns": ("csv()", "the member place is of the type Place"),
    "no destination": ('"readings"', "destination is a value of the type str, not a Destination"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_declared_wrong_is_named_when_it_is_loaded(author: Author, name: str) -> None:
    destination, said = WRONG[name]
    author.declare(destination)
    completed = author.run(feed_of(reading(1)), "-q")
    assert completed.status == 78
    assert "the pipeline readings" in completed.message
    assert said in completed.message


# Files -----------------------------------------------------------------------------------------------

SPELLED = [
    (b'{"id":1,"place":{"name":"\\u0068ere \\t \\" x  y"},"value": -0.0 ,"z":[ 1 , 2.50, {} ,[ ]]}',
     b'{"id":1,"place":{"name":"\\u0068ere \\t \\" x  y"},"value":-0.0,"z":[1,2.50,{},[]]}'),
    (b'{"id":\t2, "place" : {"name": ""}, "big": 123456789012345678901234567890, "id2" : 1E+2}',
     b'{"id":2,"place":{"name":""},"big":123456789012345678901234567890,"id2":1E+2}'),
    (b'{"id":3,"place":{"name":"a"}, "twice": 1, "twice": "\\ud800 x" , "t" : true}',
     b'{"id":3,"place":{"name":"a"},"twice":1,"twice":"\\ud800 x","t":true}'),
    (b'{"id":3,"place":{"name":"\xc3\xa9\xf0\x9f\x98\x80"}, "n" : null}',
     b'{"id":3,"place":{"name":"\xc3\xa9\xf0\x9f\x98\x80"},"n":null}'),
]  # fmt: skip
DOCUMENTS = {
    "lines": b"\n".join(given for given, _ in SPELLED),
    "array": b"[ " + b" ,\n".join(given for given, _ in SPELLED) + b"\n]",
    "object": b"{" + b", ".join(b'"%d" : %s' % each for each in enumerate(g for g, _ in SPELLED)) + b"}",
}


@pytest.mark.parametrize("shape", DOCUMENTS)
def test_json_lines_are_the_records_as_spelled_without_white_space(author: Author, shape: str) -> None:
    report = author.report(DOCUMENTS[shape], "--output", "out.jsonl")
    assert figures(report) == (4, 4, 0, 0, 0)
    assert author.read("out.jsonl").splitlines() == [wanted for _, wanted in SPELLED]


def test_lines_are_in_the_feeds_order_whatever_the_workers(author: Author) -> None:
    report = author.report(MANY, "--output", "out.jsonl", "--chunk-bytes", "8192")
    assert report["inserted"] == 5000
    assert [json.loads(line)["id"] for line in author.read("out.jsonl").splitlines()] == [*range(5000)]
    assert author.read("out.jsonl") == MANY.replace(b'": ', b'":').replace(b", ", b",")


def test_files_keep_every_record_and_nulls_apart_from_empty_texts(author: Author) -> None:
    feed = feed_of(
        reading(1, note='a "b", c'),
        reading(1, note=""),
        reading(2, value=2.5, note="x\ny\r\nz\0"),
        reading(3),
    )
    assert figures(author.report(feed, "--output", "out.csv")) == (4, 4, 0, 0, 0)
    assert author.read("out.csv") == (
        b'"id","place","value","ok","note"\r\n'
        b'1,"here",,true,"a ""b"", c"\r\n1,"here",,true,""\r\n2,"here",2.5,true,"x\ny\r\nz\0"\r\n'
        b'3,"here",,true,\r\n'
    )


def test_csv_is_read_back_as_it_was(author: Author) -> None:
    notes = [f'{number} "é", \n;' for number in range(300)]
    feed = feed_of(*(reading(number, note=note) for number, note in enumerate(notes)))
    author.report(feed, "--output", "out.csv", "--chunk-bytes", "4096")
    rows = list(csv.reader(io.StringIO(author.read("out.csv").decode(), newline="")))
    assert rows[1:] == [[str(n), "here", "", "true", note] for n, note in enumerate(notes)]


def test_a_parquet_file_has_the_columns_of_the_rows(author: Author) -> None:
    feed = feed_of(reading(1, value=1), reading(1, ok=False), reading(2, note="\0"))
    assert figures(author.report(feed, "--output", "out.parquet")) == (3, 3, 0, 0, 0)
    file = pq.read_table(author.etl.directory / "out.parquet")
    assert file.to_pylist() == [
        {"id": 1, "place": "here", "value": 1.0, "ok": True, "note": None},
        {"id": 1, "place": "here", "value": None, "ok": False, "note": None},
        {"id": 2, "place": "here", "value": None, "ok": True, "note": "\0"},
    ]
    assert [str(kind) for kind in file.schema.types] == ["int64", "string", "double", "bool", "string"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "-.csv", "-.jsonl"])
def test_a_further_suffix_compresses(author: Author, name: str, suffix: str) -> None:
    author.report(MANY, "--output", f"plain{Path(name).suffix}")
    completed = author.start(MANY, "-q", "--output", f"{name}{suffix}")
    stdout, stderr = completed.communicate(timeout=30)
    assert (completed.returncode, stderr) == (0, b"")
    packed = stdout if name.startswith("-") else author.read(f"{name}{suffix}")
    if suffix == ".gz":
        plain = gzip.decompress(packed)
    else:
        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
            plain = reader.read()
    assert plain == author.read(f"plain{Path(name).suffix}")


@pytest.mark.parametrize("name", ["e.jsonl", "e.csv", "e.parquet", "e.jsonl.gz", "e.csv.zst"])
def test_a_feed_without_records_makes_an_empty_file_of_its_kind(author: Author, name: str) -> None:
    for _ in range(2):
        assert author.report(b"[]", "--allow-empty", "--output", name)["matched"] == 0
    if name.endswith(".parquet"):
        assert pq.read_table(author.etl.directory / name).num_rows == 0


def test_the_ledger_stays_in_the_database(author: Author, tables: Tables) -> None:
    report = author.report(feed_of(reading(1)), "--output", "out.jsonl", "--database", tables.url)
    assert tables.last_run()["run_id"] == report["run_id"]
    assert not tables.has("readings")


def test_deals_can_go_to_files_as_well(etl: Etl) -> None:
    assert etl("sample", "deals", "--records", "500", "--output", "feed").status == 0
    wanted = ("--client", "f01000", "--client", "f01001", "--head-epoch", "4200000")
    for name in ("d.csv", "d.parquet", "d.jsonl"):
        completed = etl("run", "deals", "--source", "feed", *wanted, "--json", "-q", "--output", name)
        assert completed.status == 0, completed.stderr
    rows = pq.read_table(etl.directory / "d.parquet").to_pylist()
    lines = list(csv.DictReader((etl.directory / "d.csv").read_text().splitlines()))
    records = [json.loads(line) for line in (etl.directory / "d.jsonl").read_text().splitlines()]
    assert completed.report["matched"] == len(rows) == len(lines) == len(records)
    for row, line, record in zip(rows, lines, records, strict=True):
        assert row["client_id"] == line["client_id"] == record["Proposal"]["Client"]
        assert str(row["deal_id"]) == line["deal_id"]
    assert not Database(etl.directory / "deals.db").has("deals")


def test_a_pipelines_own_format_needs_no_suffix(author: Author) -> None:
    feed = feed_of(reading(1))
    for destination, output in (('lines("own")', "own"), ('lines("own.gz")', "own.gz")):
        author.declare(destination)
        author.report(feed)
        assert output in {path.name for path in author.etl.directory.iterdir()}
    assert gzip.decompress(author.read("own.gz")) == author.read("own") != b""
    author.report(feed, "--output", "elsewhere")
    assert author.read("elsewhere") == author.read("own")


REFUSED = {
    "out.foo": "it ends with .csv, .jsonl, .parquet",
    "out": "it ends with .csv, .jsonl, .parquet",
    "out.gz": "it ends with .csv, .jsonl, .parquet",
    "out.parquet.gz": "Parquet cannot be compressed as a whole",
    "-.parquet": "Parquet cannot go to standard output",
}


@pytest.mark.parametrize("output", REFUSED)
def test_a_name_that_says_no_format_is_refused_in_a_line(author: Author, output: str) -> None:
    completed = author.run(feed_of(reading(1)), "-q", "--output", output)
    assert completed.status == 78
    assert completed.message.startswith(f"--output {output}: ")
    assert REFUSED[output] in completed.message
    assert not (author.etl.directory / output).exists()


OUTPUTS = ["out.jsonl", "out.csv", "out.parquet", "out.csv.gz"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_file_is_replaced_as_a_whole_or_not_at_all(author: Author, output: str) -> None:
    feed = feed_of(reading(1))
    names = {"feed", "mine", "readings.db", output}
    author.report(feed, "--output", output)
    before = author.read(output)
    assert (author.etl.directory / output).stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert author.run(MANY + b"{", "-q", "--output", output).status == 65
    assert author.read(output) == before
    assert author.report(MANY, "--output", output, "--dry-run")["inserted"] == 5000
    assert author.read(output) == before
    assert author.report(MANY, "--output", output, "--limit", "7")["matched"] == 7
    assert author.read(output) != before
    author.report(feed, "--output", output)
    assert author.read(output) == before
    assert {path.name for path in author.etl.directory.iterdir()} == names


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def test_a_limit_is_kept_to_the_row(author: Author) -> None:
    for output in ("out.jsonl", "out.csv"):
        assert figures(author.report(MANY, "--output", output, "--limit", "3")) == (3, 3, 0, 0, 0)
    assert author.read("out.jsonl").count(b"\n") == 3
    assert author.read("out.csv").count(b"\r\n") == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("output", ["out.jsonl", "out.csv"])
def test_a_run_that_is_ended_leaves_the_old_file(
    author: Author, output: str, number: signal.Signals
) -> None:
    author.report(feed_of(reading(1)), "--output", output)
    before = author.read(output)
    running = author.etl.start(
        "run", "readings", "--source", "-", "-q", "--batch-size", "1", "--output", output,
        env=author.env, stdin=-1,
    )  # fmt: skip
    assert running.stdin is not None
    running.stdin.write(MANY)
    running.stdin.flush()
    until(lambda: len(Database(author.etl.directory / "readings.db").rows("etl_runs")) == 2)
    pids = children(running.pid)
    os.kill(running.pid, number)
    running.wait(10)
    until(lambda: not any(map(alive, pids)))
    assert author.read(output) == before
    assert {path.name for path in author.etl.directory.iterdir()} == {"feed", "mine", "readings.db", output}


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_full_disk_is_named_and_leaves_the_old_file(author: Author, output: str) -> None:
    author.report(feed_of(reading(1)), "--output", output)
    before = author.read(output)
    notes = (os.urandom(200).hex() for _ in range(2000))
    feed = feed_of(*(reading(number, note=note) for number, note in enumerate(notes)))
    room = 200_000  # for the ledger it is enough
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (room, room))
    completed = author.run(feed, "-q", "--output", output, preexec_fn=limit)
    assert (completed.status, completed.message) == (74, f"{output}: File too large")
    assert author.read(output) == before
    assert author.report(feed_of(reading(1)), "--output", output)["inserted"] == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(author: Author) -> None:
    folder = author.etl.directory / "closed"
    folder.mkdir(mode=0o500)
    completed = author.run(feed_of(reading(1)), "-q", "--output", "closed/out.csv")
    assert (completed.status, completed.message) == (74, "closed/out.csv: Permission denied")


def test_a_folder_that_is_a_file_is_named(author: Author) -> None:
    completed = author.run(feed_of(reading(1)), "-q", "--output", "feed/out.csv")
    assert (completed.status, completed.message) == (74, "feed/out.csv: Not a directory")


def test_a_folder_that_is_not_there_is_named(author: Author) -> None:
    completed = author.run(feed_of(reading(1)), "-q", "--output", "none/out.jsonl")
    assert (completed.status, completed.message) == (74, "none/out.jsonl: No such file or directory")


def test_a_file_that_is_read_is_not_replaced(author: Author) -> None:
    feed = author.etl.file(feed_of(reading(1)), "feed.jsonl")
    os.link(feed, author.etl.directory / "other.csv")
    for output in ("feed.jsonl", "./feed.jsonl", "other.csv"):
        completed = author.etl(
            "run", "readings", "-q", "--source", "feed.jsonl", "--output", output, env=author.env
        )
        assert completed.status == 78
        assert f"--output {output.removeprefix('./')} is the same file as the source" in completed.message
    assert feed.read_bytes() == feed_of(reading(1))


OTHERS = {
    "x.jsonl": (b'{\n  "a": 1\n}\n', "a file of JSON lines"),
    "x.csv": (b"hello, world\n", "a CSV file with a header in quotes"),
    "x.csv.gz": (b'"id"\r\n', "a gzip file"),
    "x.jsonl.zst": (b"{}\n", "a zstd file"),
    "x.parquet": (b"{}\n", "a Parquet file"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_kind_is_replaced_only_if_that_is_asked_for(author: Author, name: str) -> None:
    content, kind = OTHERS[name]
    author.etl.file(content, name)
    feed = feed_of(reading(1))
    completed = author.run(feed, "-q", "--output", name)
    assert completed.status == 78
    assert f"--output {name} is there and is not {kind}" in completed.message
    assert author.read(name) == content
    for overwrite in (["--overwrite"], []):
        author.report(feed, "--output", name, *overwrite)


def test_explain_says_where_rows_go(author: Author) -> None:
    for output, shown in (("out.csv", "out.csv (CSV)"), ("-", "standard output (JSON lines)")):
        completed = author.run(feed_of(reading(1)), "--explain", "--output", output)
        assert completed.status == 0
        assert shown in completed.stdout
    assert not (author.etl.directory / "out.csv").exists()


def test_rows_of_another_width_are_named_without_values(author: Author) -> None:
    author.declare(KEYED.replace('"ok": bool, ', ""))
    completed = author.run(feed_of(reading(1, note="cell-value")), "-q", "--output", "out.csv")
    assert completed.status == 70
    assert "returns 5 values, not 4 (id, place, value, note)" in completed.message
    assert "cell-value" not in completed.stderr


# Standard output -------------------------------------------------------------------------------------


@pytest.mark.parametrize("json_report", [False, True])
def test_nothing_but_rows_goes_to_standard_output(author: Author, json_report: bool) -> None:
    completed = author.run(MANY, "--output", "-", *(["--json"] if json_report else []))
    assert completed.status == 0
    assert [json.loads(line)["id"] for line in completed.stdout.splitlines()] == [*range(5000)]
    assert "5,000 of 5,000 records matched" in completed.stderr
    if json_report:
        assert json.loads(completed.stderr.splitlines()[0])["inserted"] == 5000


def test_csv_goes_to_standard_output_if_that_is_named_or_declared(author: Author) -> None:
    named = author.run(feed_of(reading(1)), "-q", "--output", "-.csv")
    author.declare(f"csv(columns={COLUMNS})")
    declared = author.run(feed_of(reading(1)), "-q")
    assert named.stdout == declared.stdout == '"id","place","value","ok","note"\r\n1,"here",,true,\r\n'


def test_the_overview_of_deals_is_not_among_the_rows(etl: Etl) -> None:
    assert etl("sample", "deals", "--records", "200", "--output", "feed").status == 0
    completed = etl("run", "deals", "--source", "feed", "--client", "f01000", "--output", "-")
    assert completed.status == 0
    assert all(line.startswith('{"Proposal"') for line in completed.stdout.splitlines())


def test_a_dry_run_prints_no_rows(author: Author) -> None:
    completed = author.run(MANY, "--output", "-", "--dry-run")
    assert (completed.status, completed.stdout) == (0, "")
    assert "dry run: 5,000 of 5,000" in completed.stderr


def test_a_limit_ends_what_is_printed(author: Author) -> None:
    assert author.run(MANY, "-q", "--output", "-", "--limit", "2").stdout.count("\n") == 2


def test_what_went_out_before_a_failure_is_said_to_be_incomplete(author: Author) -> None:
    opened_first = ("--database", "sqlite:///readings.db?timeout=5")  # or else rows may wait for it
    completed = author.run(MANY + b'{"id', "-q", "--output", "-", "--chunk-bytes", "8192", *opened_first)
    assert completed.status == 65
    assert completed.message.endswith("; what went to standard output is incomplete")
    assert completed.stdout.count("\n") > 100
    assert Database(author.etl.directory / "readings.db").last_run()["status"] == "failed"


def test_a_reader_that_has_had_enough_is_no_failure(author: Author) -> None:
    for args in (["-q"], ["--json"]):
        feed = feed_of(*(reading(number, note="x" * 1000) for number in range(3000)))
        running = author.start(feed, "--output", "-", "--chunk-bytes", "16384", *args)
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["id"] == 0
        running.stdout.close()
        assert running.wait(30) == 0
        stderr = running.stderr.read().decode()
        assert "Traceback" not in stderr
        assert args == ["--json"] or stderr == ""
        last = Database(author.etl.directory / "readings.db").last_run()
        assert (last["status"], last["error"][:16]) == ("failed", "standard output:")


def _command(author: Author, feed: bytes, redirection: str) -> subprocess.CompletedProcess[bytes]:
    author.etl.file(feed)
    command = f"{sys.executable} -m etl run readings --source feed -q --output - {redirection}"
    env = {**os.environ, **author.env, "HOME": str(author.etl.directory)}
    return subprocess.run(
        ["sh", "-c", command],
        cwd=author.etl.directory,
        env=env,
        capture_output=True,
        check=False,
        timeout=30,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to be had")
def test_standard_output_that_takes_nothing_is_named(author: Author) -> None:
    done = _command(author, MANY, "> /dev/full")
    assert done.returncode == 74
    assert re.fullmatch(
        rb"etl: standard output: No space left on device; what went .* is incomplete\n", done.stderr
    )


def test_standard_output_that_is_closed_is_named(author: Author) -> None:
    done = _command(author, MANY, ">&-")
    assert (done.returncode, done.stderr) == (
        74,
        b"etl: standard output is closed, and the rows go there\n",
    )


def test_rows_are_not_added_to_their_feed(author: Author) -> None:
    done = _command(author, MANY, ">> feed")
    assert done.returncode == 78
    assert b"standard output) is the same file as the source feed" in done.stderr
    assert author.read("feed") == MANY


def test_rejects_do_not_go_among_the_rows(author: Author) -> None:
    completed = author.run(MANY, "-q", "--output", "-", "--rejects", "/dev/stdout")
    assert (completed.status, completed.stdout) == (78, "")
    assert "--rejects /dev/stdout is the same file as --output -" in completed.message
