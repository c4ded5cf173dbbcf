"""Pipelines of others: installed, files, modules; one that cannot be used is named, and spoils nothing."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.command import Completed, Etl
from tests.support.databases import Tables

from .installed import offer

PARTS = {
    "__init__": "",
    "pipeline": """
        from datetime import timedelta
        import click, msgspec
        import etl
        from etl import Selection
        from etl.sink.destinations import parquet, tables

        class Repo(msgspec.Struct):
            name: str
            stars: int = 0

        class Event(etl.Record):
            id: str
            type: str
            repo: Repo

        def to_row(key, event, selection):
            return (event.id, event.type, event.repo.stars)

        def select(options):
            return Selection(frozenset(options["repo"]))

        PIPELINE = etl.pipeline(
            name="events", summary="Events of some repositories", record=Event, match=("repo", "name"),
            envelope=(), row=to_row, destination=tables("events.store:STORE"), select=select,
            options=(etl.option("--repo", multiple=True),), figures=(), version="1",
        )
    """,
    "store": """
        import sqlalchemy as sa
        from etl.sink.store import Statement, Store
        from etl.database.schema import Schema

        metadata = sa.MetaData()

        def columns():
            return [sa.Column("id", sa.Text, nullable=False), sa.Column("type", sa.Text),
                    sa.Column("stars", sa.BigInteger)]

        events = sa.Table("events", metadata, *columns())
        staging = sa.Table("staging_events", sa.MetaData(), sa.Column("position", sa.BigInteger),
                           *columns())

        def merge(run_id, selection, staging):
            chosen = sa.select(staging.c.id, staging.c.type, staging.c.stars)
            return [Statement(events.insert().from_select(["id", "type", "stars"], chosen), "inserted")]

        STORE = Store(schema=Schema("events", metadata), staging=staging, merge=merge,
                      sweep=lambda run_id, selection: (), overview=lambda selection: None)
    """,
}
EVENTS: list[dict[str, Any]] = [
    {"id": str(n), "type": "Push", "repo": {"name": f"org1/repo{n % 3}", "stars": n}} for n in range(9)
]


class Author:
    """Installs pipelines into a folder on the path of a command, as a package manager would."""

    def __init__(self, etl: Etl) -> None:
        self.etl = etl
        self.folder = etl.directory / "mine"
        self.env = {"PYTHONPATH": os.pathsep.join(map(str, [self.folder, Path(__file__).parents[2]]))}

    def write(self, *changes: tuple[str, str, str], name: str = "events") -> None:
        """Write a package that has the pipeline, with changes: in which part, what, by what."""
        package = self.folder / name
        package.mkdir(parents=True, exist_ok=True)
        for part, text in PARTS.items():
            written = dedent(text)
            for where, old, new in changes:
                if where == part:
                    assert old in written
                    written = written.replace(old, dedent(new))
            (package / f"{part}.py").write_text(written)
        self.offer(name, **{"etl.pipelines": f"{name} = {name}.pipeline:PIPELINE"})

    def break_it(self, source: str, name: str = "broken") -> None:
        """Write a pipeline that is nothing but this."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.py").write_text(dedent(source))
        self.offer(name, **{"etl.pipelines": f"{name} = {name}:PIPELINE"})

    def offer(self, distribution: str, **groups: str) -> None:
        """Say that a package is installed, and which entry points it has."""
        offer(self.folder, distribution, **groups)

    def __call__(self, *args: str) -> Completed:
        return self.etl(*args, env=self.env)

    def run(self, *args: str, events: list[dict[str, Any]] = EVENTS) -> Completed:
        source = self.etl.file("\n".join(map(json.dumps, events)).encode())
        wanted = ("--repo", "org1/repo1", "--repo", "org1/repo2")
        return self("run", "events", "--source", str(source), "--json", "-q", *wanted, *args)

    def line(self, part: str, text: str, name: str = "events") -> str:
        """Where a text stands, as it is named."""
        lines = (self.folder / name / f"{part}.py").read_text().splitlines()
        return f"{name}/{part}.py:{next(n for n, line in enumerate(lines, 1) if text in line)}"


@pytest.fixture
def author(etl: Etl) -> Author:
    return Author(etl)


def test_a_pipeline_on_the_path_is_found_and_runs(author: Author) -> None:
    author.write()
    listed = author("pipelines").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["deals", "events", "market_deals"]
    assert "Events of some repositories" in author("run", "--help").stdout
    assert "--repo" in author("run", "events", "--help").stdout
    report = author.run().report
    assert (report["records"], report["matched"], report["inserted"]) == (9, 6, 6)
    with sqlite3.connect(author.etl.directory / "events.db") as connection:
        rows = connection.execute("SELECT id, type, stars FROM events").fetchall()
    connection.close()
    assert rows == [(str(n), "Push", n) for n in range(9) if n % 3]


def test_it_runs_on_either_database(author: Author, tables: Tables) -> None:
    author.write()
    assert author.run("--database", tables.url).report["inserted"] == 6


# That cannot be loaded -----------------------------------------------------------------------------------

BROKEN = {
    "import": ("import nowhere_to_be_found", "ModuleNotFoundError at mine/broken.py:1"),
    "raises": ("SUMMARY = 'x'\n\n1 / 0", "ZeroDivisionError at mine/broken.py:3"),
    "exits": ("import sys\nsys.exit('enough')", "SystemExit at mine/broken.py:2"),
    "syntax": ("SUMMARY = (", "SyntaxError at mine/broken.py:1"),
    "empty": ("", "has no attribute 'PIPELINE'"),
    "no pipeline": ("PIPELINE = 'x'", "PIPELINE names a value of the type str, not a Pipeline"),
    "no fields": ("import etl\nPIPELINE = etl.pipeline()", "TypeError at mine/broken.py:2"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_one_that_cannot_be_imported_is_listed_with_the_reason_and_spoils_nothing(
    author: Author, name: str
) -> None:
    source, reason = BROKEN[name]
    author.break_it(source)
    for args in (
        ("--help",),
        ("pipelines",),
        ("run", "--help"),
        ("run", "deals", "--help"),
        ("history", "-h"),
    ):
        completed = author(*args)
        assert (completed.status, completed.stderr) == (0, "")
    (line,) = (line for line in author("pipelines").stdout.splitlines() if line.startswith("broken"))
    assert "cannot be used" in line
    assert reason in line
    failed = author("run", "broken")
    assert failed.status == 78
    assert failed.message.startswith("the pipeline broken cannot be used: ")
    assert reason in failed.message


COMMANDS = {
    "missing": ("events.nowhere:look", "ModuleNotFoundError"),
    "no command": ("json:dumps", "it is of the type function, and no click.Command"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_cannot_be_loaded_says_so_only_when_it_is_called(author: Author, name: str) -> None:
    value, reason = COMMANDS[name]
    author.write()
    author.offer("looks", **{"etl.commands": f"look = {value}"})
    completed = author("--help")
    assert (completed.status, completed.stderr) == (0, "")
    assert "look" in completed.stdout
    failed = author("look", "at", "--it")
    assert failed.status == 78
    assert failed.message.startswith("the command look cannot be used: ")
    assert reason in failed.message


def test_commands_and_samples_of_a_package_are_added_to_ours(author: Author) -> None:
    author.write(("pipeline", "PIPELINE =", """
        @click.command()
        @click.argument("what")
        def look(what):
            "Look at something."
            click.echo(f"looked at {what}")

        PIPELINE ="""))  # fmt: skip
    author.offer("looks", **{"etl.commands": "look = events.pipeline:look",
                             "etl.samples": "events = events.pipeline:look"})  # fmt: skip
    assert "Look at something." in author("--help").stdout
    assert author("look", "it").stdout == "looked at it\n"
    assert "Look at something." in author("sample", "--help").stdout
    assert author("sample", "events", "that").stdout == "looked at that\n"
    assert author("wallets", "--help").status == 0


def test_help_imports_no_pipeline(author: Author) -> None:
    author.break_it("raise SystemExit('imported')")
    author.write()
    for module in ("broken", "pipelines.deals.pipeline", "events", "msgspec", "sqlalchemy", "pyarrow"):
        code = f"import sys; sys.argv = ['etl', '--help']; sys.modules[{module!r}] = None\n"
        code += "from etl.command.cli import main; main()"
        environment = os.environ | author.env
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")


DECLARED = {
    "no such member": (("pipeline", '"name")', '"nom")'),
                       "match: the member repo of Event has no member nom; it has name, stars"),
    "no such first member": (("pipeline", 'match=("repo"', 'match=("ropo"'),
                             "match: Event has no member ropo; it has id, type, repo"),
    "a member of a text": (("pipeline", '("repo", "name")', '("id", "name")'),
                           "match: the member id of Event is no msgspec.Struct"),
    "match is a text": (("pipeline", 'match=("repo", "name")', 'match="repo"'),
                        "match is a value of the type str, not a tuple of names"),
    "a match of numbers": (("pipeline", '("repo", "name")', '("repo", "stars")'),
                           "match: the member repo.stars is of the type int, not a text"),
    "an object is matched": (("pipeline", 'match=("repo", "name")', 'match=("repo",)'),
                             "match: the member repo is of the type Repo, not a text"),
    "record": (("pipeline", "record=Event", "record=dict"), "record is the class dict, not a subclass"),
    "an empty record": (("pipeline", "record=Event", "record=msgspec.defstruct('None_', [])"),
                        "None_ has no members"),
    "a record of no type": (("pipeline", "type: str", "type: 'strr'"), "record: Event cannot be decoded"),
    "row's arguments": (("pipeline", "to_row(key, event, selection)", "to_row(event)"),
                        "row does not take (key, record, selection)"),
    "row is no function": (("pipeline", "row=to_row", "row=7"),
                           "row is a value of the type int, not a function"),
    "select's arguments": (("pipeline", "select(options)", "select()"), "select does not take (options)"),
    "unmatched's arguments": (("pipeline", "version=", "unmatched=select, version="),
                              "unmatched does not take (opening, selection)"),
    "a named source": (("pipeline", "version=", "named_sources={'x': 7}, version="),
                       "the named source x is a value of the type int, not a function"),
    "no pipeline": (("pipeline", "PIPELINE = etl.pipeline(", "PIPELINE = dict("),
                    "PIPELINE names a value of the type dict, not a Pipeline"),
    "another name": (("pipeline", "PIPELINE =", "PIPE ="), "has no attribute 'PIPELINE'"),
    "a name that is none": (("pipeline", 'name="events"', 'name="../x"'),
                            "its name is “../x”: a name is made"),
    "not its entry point's name": (("pipeline", 'name="events"', 'name="deeds"'), "it names itself deeds"),
    "an argument too few": (("pipeline", "record=Event,", ""), "TypeError at events/pipeline.py:"),
    "a typo": (("pipeline", "record=Event", "recrod=Event"),
               "a pipeline has no field recrod (did you mean record?); it has name, summary, record, "),
    "an option": (("pipeline", "options=(etl.option", "options=(7, etl.option"),
                  "options: number 1 is a value of the type int, not etl.option(...)"),
    "an argument": (("pipeline", "options=(etl.option", "options=(click.argument('x'), etl.option"),
                    "options: number 1 is a value of the type function, not etl.option(...)"),
    "an option twice": (("pipeline", "options=(", "options=(click.option('--repo'), "),
                        "options: --repo is there twice"),
    "an option of etl": (("pipeline", '"--repo"', '"--repo", "--workers"'),
                         "options: --workers is taken: etl run has --workers itself"),
    "a flag of etl": (("pipeline", '"--repo"', '"--repo", "-q"'), "options: -q is taken"),
    "a variable of etl": (("pipeline", '"--repo"', '"--repo", envvar="ETL_REJECTS"'),
                          "options: ETL_REJECTS is taken: etl run has --rejects itself"),
    "a variable of etl by its name": (("pipeline", '"--repo"', '"--repo", "json"'),
                                      "options: ETL_JSON is taken: etl run has --json itself"),
    "version": (("pipeline", 'version="1"', "version=1"), "version is a value of the type int, not a text"),
    "stale_after": (("pipeline", "version=", "stale_after=3600, version="),
                    "stale_after is a value of the type int, not a timedelta or None"),
    "no time": (("pipeline", "version=", "stale_after=timedelta(0), version="),
                "stale_after is 0:00:00, which no feed can be younger than"),
    "source": (("pipeline", "version=", "source=['-'], version="),
               "source is a value of the type list, not a text or None"),
    "a figure of the report's": (("pipeline", "figures=()", 'figures=("records",)'),
                                 "figures and counts: every report has records, and run_id, pipeline, "),
    "a figure that is no name": (("pipeline", "figures=()", 'figures=("a b",)'),
                                 "figures and counts: “a b” is not a name of"),
    "a figure twice": (("pipeline", "figures=()", 'figures=("age",), counts=("age",)'),
                       "figures and counts: age is there twice"),
    "wanted a text": (("pipeline", 'frozenset(options["repo"])', '"org1/repo1"'),
                      "what select wants is a value of the type str, not a set of texts"),
    "wanted a list": (("pipeline", 'frozenset(options["repo"])', 'list(options["repo"])'),
                      "what select wants is a value of the type list, not a set of texts"),
    "wanted numbers": (("pipeline", 'frozenset(options["repo"])', "frozenset([7])"),
                       "among what select wants is a value of the type int, not a text"),
    "wanted without a match": (("pipeline", 'match=("repo", "name"),', ""),
                               "select wants some records only, but match says nothing"),
    "no selection": (("pipeline", 'return Selection(frozenset(options["repo"]))', "return None"),
                     "select returns a value of the type NoneType, not a Selection"),
    "select fails": (("pipeline", 'options["repo"]', 'options["ropo"]'),
                     "select failed: KeyError at events/pipeline.py:"),
    "store": (("pipeline", "store:STORE", "store:SHOP"), "has no attribute 'SHOP'"),
}  # fmt: skip


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_declared_wrong_is_named(author: Author, name: str) -> None:
    change, said = DECLARED[name]
    author.write(change)
    completed = author.run()
    assert said in completed.message
    assert "the pipeline events" in completed.message
    assert completed.status == 78


NO_MEMORY = {
    "when it is imported": ("pipeline", "class Repo(", "raise MemoryError\nclass Repo("),
    "in select": ("pipeline", "return Selection(", "raise MemoryError\n    return Selection("),
    "in row": ("pipeline", "return (event.id", "raise MemoryError\n    return (event.id"),
}


@pytest.mark.parametrize("when", NO_MEMORY)
def test_memory_that_the_system_refuses_is_no_mistake_of_a_pipeline(author: Author, when: str) -> None:
    author.write(NO_MEMORY[when])
    completed = author.run()
    assert completed.status == 70
    assert re.fullmatch(
        r"the .+ process (cannot go on: Cannot allocate|ran out of) memory", completed.message
    )
    assert author("--help").status == 0


# That fails over a record --------------------------------------------------------------------------------

ROW = "return (event.id, event.type, event.repo.stars)"
ROWS = {
    "too few": ("return (event.id, event.type)", "3 (id, type, stars)"),
    "too many": ("return (event.id, event.type, 1, 2)", "3 (id, type, stars)"),
    "a text for a number": ("return (event.id, event.type, event.type)", "column stars"),
    "nothing where there must be": ("return (None, event.type, 1)", "column id"),
    "too large": ("return (event.id, event.type, 2**63)", "number"),
    "an object": ("return (event.id, event.type, event)", "row"),
    "nothing": ("return None", "returns a value of the type NoneType, not a tuple"),
    "fails": (
        "return (event.id, event.type, event.stars)",
        "row failed: AttributeError at events/pipeline.py",
    ),
    "fails within": ("return (event.id, int.from_bytes(event.id), 1)", "row failed: TypeError"),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_that_do_not_fit_are_named_without_values(author: Author, tables: Tables, name: str) -> None:
    row, said = ROWS[name]
    author.write(("pipeline", ROW, row))
    events = [{**event, "type": "cell-value-17"} for event in EVENTS]
    completed = author.run("--database", tables.url, events=events)
    assert completed.status == 70, completed.stderr
    assert said in completed.message
    assert completed.message.startswith("the pipeline events: row")
    assert "events/pipeline.py:" in completed.message
    assert "cell-value" not in completed.stderr + completed.stdout


def test_what_a_row_refuses_is_still_a_reject(author: Author) -> None:
    author.write(("pipeline", ROW, "raise ValueError('not\\ntoday')"))
    report = author.run().report
    assert (report["matched"], report["rejected"]) == (0, 6)


COLUMNS = """
    import pyarrow as pa
    from etl.sink.arrow import Columns

    fields = [("id", pa.string()), ("type", pa.string()), ("stars", pa.int64())]
    COLUMNS = Columns(pa.schema(fields), key="id")
"""
INTO_A_FILE = [
    ("store", PARTS["store"], COLUMNS),
    ("pipeline", 'tables("events.store:STORE")', 'parquet("events.store:COLUMNS", "x")'),
]  # fmt: skip


def into_a_file(*more: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    return [(part, dedent(old) if part == "store" else old, new) for part, old, new in INTO_A_FILE] + [
        *more
    ]


def test_a_file_keeps_the_last_of_events_with_one_text_as_their_key(author: Author) -> None:
    author.write(*into_a_file())
    events = [*EVENTS, {**EVENTS[4], "type": "Fork"}, {**EVENTS[5], "type": "Star"}]
    report = author.run(events=events).report
    assert (report["matched"], report["inserted"], report["duplicates"]) == (8, 6, 2)
    rows = pq.read_table(author.etl.directory / "x").to_pylist()
    assert [(row["id"], row["type"]) for row in rows] == [
        ("1", "Push"), ("2", "Push"), ("7", "Push"), ("8", "Push"), ("4", "Fork"), ("5", "Star"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["too few", "too many", "a text for a number", "too large", "nothing", "fails"]
)
def test_rows_that_do_not_fit_a_file_are_named_without_values(author: Author, name: str) -> None:
    row, said = ROWS[name]
    author.write(*into_a_file(("pipeline", ROW, row)))
    events = [{**event, "type": "cell-value-17"} for event in EVENTS]
    completed = author.run(events=events)
    assert completed.status == 70, completed.stderr
    assert ("column stars" if name == "too large" else said) in completed.message
    assert "cell-value" not in completed.stderr + completed.stdout
    assert not (author.etl.directory / "x").exists()


def test_a_key_that_is_no_column_is_named(author: Author) -> None:
    author.write(*into_a_file(("store", 'key="id"', 'key="ident"')))
    completed = author.run()
    assert completed.status == 78
    assert "there is no column ident; there are id, type, stars" in completed.message
