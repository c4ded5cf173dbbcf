"""A pipeline need not be installed: a file or a module will do, and says no more than it has to."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.support.command import Completed, Etl
from tests.support.databases import Tables

from .feeds import HEAD, as_object, deal
from .test_pipelines import Author

PLANETS: list[dict[str, Any]] = [
    {"name": "Mars", "moons": 2, "rings": False},
    {"name": "Venus", "moons": 0, "rings": False},
    {"name": "Saturn", "moons": 146, "rings": True},
]
ROWS = [("Mars", 2), ("Venus", 0), ("Saturn", 146)]

STORE = """
    import sqlalchemy as sa
    from etl.declare.destination import Statement
    from etl.sink.store import Store
    from etl.database.schema import Schema

    metadata = sa.MetaData()
    planets = sa.Table("planets", metadata, sa.Column("name", sa.Text), sa.Column("moons", sa.BigInteger))
    staging = sa.Table("staging_planets", sa.MetaData(), sa.Column("position", sa.BigInteger),
                       sa.Column("name", sa.Text), sa.Column("moons", sa.BigInteger))

    def merge(run_id, selection, staging):
        found = sa.select(staging.c.name, staging.c.moons).order_by(staging.c.position)
        return [Statement(planets.insert().from_select(["name", "moons"], found), "inserted")]

    def sweep(run_id, selection):
        return [Statement(sa.delete(planets).where(planets.c.moons == 0), "dropped")] * SWEEPS

    SWEEPS = 0
    STORE = Store(schema=Schema("planets", metadata), staging=staging, merge=merge, sweep=sweep,
                  overview=lambda selection: None)
"""
MINIMAL = """
    import etl

    class Planet(etl.Record):
        name: str
        moons: int

    PIPELINE = etl.pipeline(record=Planet, destination=etl.tables("planets_store:STORE"))
"""


class Planets:
    """A file with a pipeline that says as little as can be, and one beside it."""

    def __init__(self, etl: Etl) -> None:
        self.etl = etl
        self.folder = etl.directory / "sky"
        self.folder.mkdir()
        self.file = self.folder / "planets.py"
        self.file.write_text(dedent(MINIMAL))
        self.store = self.folder / "planets_store.py"
        self.store.write_text(dedent(STORE))

    def change(self, *changes: tuple[str, str]) -> None:
        """Write the file with some of it changed."""
        text = dedent(MINIMAL)
        for old, new in changes:
            assert old in text
            text = text.replace(old, dedent(new))
        self.file.write_text(text)

    def feed(self, records: Any = PLANETS) -> Path:
        """Write a feed."""
        return self.etl.file(json.dumps(records).encode())

    def run(self, *args: str | Path, named: str = "sky/planets.py") -> Completed:
        """Run it over the three planets, unless there is another source."""
        source = () if "--source" in args else ("--source", self.feed())
        return self.etl("run", named, *source, "--json", "-q", *args)

    def rows(self, database: str = "planets.db") -> list[tuple[str, int]]:
        """What is in the table."""
        connection = sqlite3.connect(self.etl.directory / database)
        rows = connection.execute("SELECT name, moons FROM planets ORDER BY rowid").fetchall()
        connection.close()
        return rows


@pytest.fixture
def planets(etl: Etl) -> Planets:
    return Planets(etl)


def test_a_file_that_names_a_record_and_a_destination_runs_under_its_own_name(planets: Planets) -> None:
    completed = planets.run()
    assert (completed.status, completed.stderr) == (0, "")
    report = completed.report
    assert (report["pipeline"], report["records"], report["inserted"]) == ("planets", 3, 3)
    assert {"head_epoch", "expired"} & set(report) == set()
    assert planets.rows() == ROWS


def test_it_runs_on_either_database(planets: Planets, tables: Tables) -> None:
    report = planets.run("--database", tables.url).report
    assert sorted((row["name"], row["moons"]) for row in tables.rows("planets")) == sorted(ROWS)
    (run,) = tables.rows("etl_runs")
    assert set(run) == set(report)


DOCUMENTS = {
    "array": json.dumps(PLANETS),
    "object": json.dumps({planet["name"]: planet for planet in PLANETS}),
    "lines": "\n".join(map(json.dumps, PLANETS)),
    "pretty": json.dumps(PLANETS, indent=2),
    "envelope": json.dumps({"count": 3, "result": PLANETS, "next": None}),
    "moons first": json.dumps([dict(reversed(planet.items())) for planet in PLANETS]),
    "members like records, in lines": "\n".join(
        json.dumps({"star": {"name": "Sun", "moons": 8}} | planet) for planet in PLANETS
    ),
    "members like records, in an array": json.dumps(
        [{"star": {"name": "Sun", "moons": 8}} | planet for planet in PLANETS]
    ),
}


@pytest.mark.parametrize("shape", DOCUMENTS)
def test_records_are_known_by_their_place(planets: Planets, shape: str) -> None:
    planets.change(("record=Planet", 'record=Planet, envelope=("result",)'))
    completed = planets.run("--source", planets.etl.file(DOCUMENTS[shape].encode()))
    assert (completed.status, completed.report["records"]) == (0, 3), completed.stderr
    assert planets.rows() == ROWS


def test_a_record_without_the_members_that_it_must_have_is_rejected(planets: Planets) -> None:
    report = planets.run("--source", planets.feed([*PLANETS, {"title": "x"}])).report
    assert (report["records"], report["inserted"], report["rejected"]) == (4, 3, 1)
    rejected = planets.etl("rejects", "--database", "sqlite:///planets.db").stdout
    assert "missing required field `name`" in rejected


def test_a_member_of_the_record_itself_may_be_tested(planets: Planets) -> None:
    planets.change(
        ("record=Planet", 'record=Planet, match=("name",), select=chosen'),
        ("PIPELINE", 'def chosen(options): return etl.Selection(frozenset({"Venus"}))\n\nPIPELINE'),
    )
    report = planets.run().report
    assert (report["records"], report["matched"]) == (3, 1)
    assert planets.rows() == ROWS[1:2]


def test_a_record_is_rejected_with_a_reason(planets: Planets) -> None:
    planets.change(
        ("record=Planet", "record=Planet, row=to_row"),
        ("PIPELINE", """
            def to_row(key, planet, selection):
                if planet.moons > 100:
                    raise etl.Reject("that many moons")
                return planet.name, planet.moons

            PIPELINE"""),
    )  # fmt: skip
    report = planets.run().report
    assert (report["matched"], report["rejected"]) == (2, 1)
    assert "that many moons" in planets.etl("rejects", "--database", "sqlite:///planets.db").stdout


# How it is named ---------------------------------------------------------------------------------------


def test_a_source_has_to_be_named_where_the_pipeline_names_none(planets: Planets) -> None:
    completed = planets.etl("run", "sky/planets.py")
    assert completed.status == 2
    assert "--source" in completed.stderr
    planets.change(("record=Planet", f'record=Planet, source="{planets.feed()}"'))
    assert planets.etl("run", "sky/planets.py", "-q").status == 0
    assert planets.rows() == ROWS


@pytest.mark.parametrize("named", ["sky.planets", "./sky/planets.py", "{absolute}"])
def test_a_module_or_a_path_names_it_too(planets: Planets, named: str) -> None:
    env = {"PYTHONPATH": f"{planets.folder}:{Path(__file__).parents[2]}"}
    text = named.replace("{absolute}", str(planets.file))
    for module in (True, False):
        arguments = (
            "run",
            text,
            "--source",
            planets.feed(),
            "--json",
            "-q",
            "--database",
            "sqlite:///x.db",
        )
        completed = planets.etl.start(*arguments, env=env, module=module).done()
        assert completed.status == 0, completed.stderr
        assert completed.report["pipeline"] == "planets"
    assert planets.rows("x.db") == ROWS + ROWS


def test_the_only_pipeline_of_a_file_needs_no_certain_name(planets: Planets) -> None:
    planets.change(("PIPELINE", "mine"))
    assert planets.run().status == 0
    planets.change(("PIPELINE", "other = mine"))
    assert planets.run().status == 0
    planets.change(("PIPELINE", "other = etl.pipeline(record=Planet, destination=etl.lines())\nmine"))
    assert "it holds several pipelines (other, mine): call one of them PIPELINE" in planets.run().message


NAMED = {
    "../x": (
        78,
        "the pipeline ../x cannot be used: it is no pipeline that is installed, and no file",
    ),
    "../x.py": (78, "the pipeline ../x.py cannot be used: there is no such file"),
    "./sky": (78, "no file whose name ends with .py"),
    "sky/a\nb.py": (78, "there is no such file"),
    "sky.nowhere": (78, "the pipeline sky.nowhere cannot be used: ModuleNotFoundError"),
    "json.decoder": (78, "it holds no pipeline, such as PIPELINE = etl.pipeline(...)"),
    "planet": (2, "No such command 'planet'"),
    "json": (2, "No such command 'json'"),
    "": (2, "No such command ''"),
    "..": (2, "No such command '..'"),
}


@pytest.mark.parametrize("named", NAMED)
def test_what_names_no_pipeline_is_said_in_one_line(planets: Planets, named: str) -> None:
    status, said = NAMED[named]
    completed = planets.run(named=named)
    assert completed.status == status
    assert said in (completed.message if status == 78 else completed.stderr)


def test_a_file_whose_name_is_no_pipelines_name_asks_for_one(planets: Planets) -> None:
    planets.file.rename(planets.folder / "my planets.py")
    completed = planets.run(named="sky/my planets.py")
    assert completed.status == 78
    assert "its name is “my planets”: a name is made of" in completed.message


def test_a_file_may_have_the_name_of_a_module_of_pythons(planets: Planets) -> None:
    planets.file.rename(planets.folder / "json.py")
    completed = planets.run(named="sky/json.py")
    assert (completed.status, completed.report["pipeline"]) == (0, "json")


def test_the_same_name_in_two_packages_is_refused_and_both_are_named(etl: Etl) -> None:
    author = Author(etl)
    author.write()
    author.offer("rival", **{"etl.pipelines": "deals = rival:PIPELINE\nevents = rival:PIPELINE"})
    for name in ("deals", "events"):
        message = author("run", name).message
        assert message.startswith(f"the pipeline {name} cannot be used: more than one package has it: ")
        assert "rival (rival:PIPELINE)" in message
    (line,) = (line for line in author("pipelines").stdout.splitlines() if line.startswith("events"))
    assert "more than one package has it" in line
    assert author("run", "market_deals", "--help").status == 0
    assert author("--help").status == 0


def test_an_entry_point_with_an_odd_name_or_file_spoils_nothing(etl: Etl) -> None:
    author = Author(etl)
    author.write()
    author.offer("odd", **{"etl.pipelines": "../x = events.pipeline:PIPELINE\n\x1b[31m = a\nnonsense\n= ="})
    (author.folder / "bad-1.0.dist-info").mkdir()
    (author.folder / "bad-1.0.dist-info" / "entry_points.txt").write_bytes(b"[etl.pipelines]\n\xff = x:y")
    listed = author("pipelines")
    assert (listed.status, listed.stderr) == (0, "")
    assert "it names itself events, and its entry point ../x" in listed.stdout
    assert "\x1b" not in listed.stdout
    assert author("run", "events", "--help").status == 0


# Its options and settings --------------------------------------------------------------------------------

WITH_OPTION = (
    ("record=Planet", 'record=Planet, match=("name",), select=chosen, options=(NAMES,)'),
    ("PIPELINE", """
        NAMES = etl.option("--planet", "names", multiple=True, help="Which one.")

        def chosen(options):
            return etl.Selection(frozenset(options["names"]) or None)

        PIPELINE"""),
)  # fmt: skip


def test_its_own_options_are_shown_and_taken_from_everywhere(planets: Planets) -> None:
    planets.change(*WITH_OPTION)
    assert "Which one." in planets.etl("run", "./sky/planets.py", "--help").stdout
    assert planets.run("--planet", "Mars").report["matched"] == 1
    by_environment = {"ETL_NAMES": "Mars Venus"}
    arguments = ("run", "sky/planets.py", "--source", planets.feed(), "--json", "-q")
    assert planets.etl(*arguments, env=by_environment).report["matched"] == 2
    planets.etl.file(b'[planets]\nplanet = "Saturn"\ndatabase = "sqlite:///other.db"\n', "etl.toml")
    completed = planets.etl(*arguments)
    assert (completed.status, completed.stderr, completed.report["matched"]) == (0, "", 1)
    assert planets.rows("other.db") == ROWS[2:]
    planets.etl.file(b'[planets]\nplanets = "Saturn"\n', "etl.toml")
    assert "there is no setting “planets”" in planets.etl(*arguments).message


def test_inspect_looks_for_the_records_of_a_file(planets: Planets) -> None:
    completed = planets.etl("inspect", planets.feed(), "--pipeline", "sky/planets.py")
    assert completed.status == 0
    assert "array at the root" in completed.stdout


# Its figures ---------------------------------------------------------------------------------------------

WITH_FIGURES = (
    ("record=Planet", 'record=Planet, select=chosen, figures=("year",), counts=("dropped",)'),
    ("PIPELINE", """
        class Dated(etl.Selection):
            figures = {"year": 1610}

        def chosen(options):
            return Dated(None)

        PIPELINE"""),
)  # fmt: skip


def with_figures(planets: Planets) -> None:
    planets.change(*WITH_FIGURES)
    planets.store.write_text(dedent(STORE).replace("SWEEPS = 0", "SWEEPS = 1"))


def test_its_figures_are_in_the_report_the_ledger_and_the_summary(planets: Planets, tables: Tables) -> None:
    with_figures(planets)
    report = planets.run("--database", tables.url).report
    assert (report["year"], report["dropped"]) == (1610, 1)
    assert list(report)[-5:] == [
        "dropped", "rejected", "bytes_read", "bytes_decoded", "peak_memory_bytes",
    ]  # fmt: skip
    (row,) = tables.rows("etl_runs")
    assert (row["year"], row["dropped"]) == (1610, 1)
    said = planets.etl("run", "sky/planets.py", "--source", planets.feed(), "--database", tables.url)
    assert "; 1 dropped;" in said.stderr
    explained = planets.etl("run", "sky/planets.py", "--source", planets.feed(), "--explain").stdout
    assert "year:          1,610" in explained
    shown = planets.etl("history", "--json", "--database", tables.url).stdout.splitlines()
    assert [json.loads(line)["year"] for line in shown] == [1610, 1610]


@pytest.mark.parametrize("first", ["deals", "planets"])
def test_pipelines_with_other_figures_share_a_ledger(planets: Planets, tables: Tables, first: str) -> None:
    with_figures(planets)
    document = as_object([("5", deal())])
    reports = {}
    for name in sorted(("deals", "planets"), key=lambda name: name != first):
        if name == "deals":
            reports[name] = planets.etl.loaded(document, "--database", tables.url)
        else:
            reports[name] = planets.run("--database", tables.url).report
        last = tables.last_run()
        moments = ("started_at", "finished_at")
        told = {each: value for each, value in reports[name].items() if each not in moments}
        assert {each: last[each] for each in told} == told
    rows = {row["pipeline"]: row for row in tables.rows("etl_runs")}
    deals, ours = rows["deals"], rows["planets"]
    assert (deals["head_epoch"], deals["expired"], deals["year"], deals["dropped"]) == (HEAD, 0, None, 0)
    assert (ours["head_epoch"], ours["expired"], ours["year"], ours["dropped"]) == (None, 0, 1610, 1)
    assert "year" not in reports["deals"]
    assert "expired" not in reports["planets"]
    assert planets.run("--database", tables.url, "--dry-run").status == 0
    failed = planets.run("--database", tables.url, "--source", planets.etl.file(b"[{"))
    assert (failed.status, failed.report["year"], failed.report["dropped"]) == (65, 1610, 0)
    assert tables.rows("etl_runs")[-1]["year"] == 1610


FIGURES = {
    "unknown": (
        '{"year": 1610}',
        '{"yaer": 1}',
        "the figure yaer, which is not among its figures",
    ),
    "a text": ('{"year": 1610}', '{"year": "x"}', "the figure year is not a whole number of 64 bits"),
    "no mapping": ('{"year": 1610}', "[1]", "what select gives as figures is a value of the type list"),
    "too large": ('{"year": 1610}', '{"year": 2**63}', "the figure year is not a whole number of 64 bits"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_that_are_not_as_declared_are_named(planets: Planets, name: str) -> None:
    old, new, said = FIGURES[name]
    planets.change(*((what, by.replace(old, new)) for what, by in WITH_FIGURES))
    completed = planets.run()
    assert completed.status == 78
    assert said in completed.message


def test_a_count_that_is_not_declared_is_named_and_nothing_is_committed(planets: Planets) -> None:
    with_figures(planets)
    planets.change()
    completed = planets.run()
    assert completed.status == 70
    assert completed.message == (
        "the pipeline planets: its destination counts dropped, which counts does not name"
    )
    assert planets.rows() == []
