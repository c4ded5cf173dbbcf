"""What a run writes is nothing that it reads, nor anything else that it writes; it replaces its kind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import Completed, Etl

from .feeds import OURS, as_object, deal

FEED = as_object([("1", deal()), ("NaN", deal()), ("2", deal("f09999"))])
DEALS = ("run", "deals", "-q", "--client", OURS[0])
MARKET = ("run", "market_deals", "-q")
BASE = ("--database", "sqlite:///base.db")


@pytest.fixture
def here(etl: Etl) -> Path:
    """A folder with a feed, a database, settings, wallets, and other names for these."""
    folder = etl.directory
    etl.file(FEED, "feed")
    assert etl(*DEALS, "--source", "feed", *BASE).status == 0
    (folder / "etl.toml").write_text("workers = 1\n")
    (folder / "wallets").write_text(f"{OURS[0]}\n")
    for name in ("feed", "base.db"):
        (folder / f"link-to-{name}").symlink_to(name)
        os.link(folder / name, folder / f"other-{name}")
    (folder / "sub").mkdir()
    (folder / "around").symlink_to(".")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(completed: Completed, *said: str) -> None:
    assert completed.status == 78, completed.stderr
    for text in said:
        assert text in completed.message


SAME = [
    (DEALS, ("--source", "feed", *BASE, "--rejects", "base.db"), ("--rejects base.db", "base.db: nothing")),
    (DEALS, ("--source", "feed", *BASE, "--rejects", "link-to-base.db"), ("--database sqlite:///base.db",)),
    (DEALS, ("--source", "feed", *BASE, "--rejects", "other-base.db"), ("--database",)),
    (DEALS, ("--source", "feed", *BASE, "--rejects", "base.db-wal"), ("-wal", "belongs to --database")),
    (DEALS, ("--source", "feed", *BASE, "--rejects", "around/base.db-journal"), ("belongs to --database",)),
    (DEALS, ("--source", "feed", *BASE, "--rejects", "base.db-shm"), ("belongs to --database",)),
    (DEALS, ("--source", "feed", *BASE, "--rejects", "base.db.lock"), ("belongs to --database",)),
    (DEALS, ("--source", "feed", *BASE, "--rejects", "feed"), ("--rejects feed", "the source feed")),
    (DEALS, ("--source", "link-to-feed", *BASE, "--rejects", "sub/../other-feed"), ("link-to-feed",)),
    (DEALS, ("--source", "feed", *BASE, "--rejects", "etl.toml"), ("the settings file etl.toml",)),
    (
        ("run", "deals", "-q", "--clients-file", "wallets"),
        ("--source", "feed", *BASE, "--rejects", "around/wallets"),
        ("--clients-file wallets",),
    ),
    (DEALS, ("--source", "feed", "--database", "sqlite:///feed"), ("the source feed",)),
    (DEALS, ("--source", "feed", "--database", "sqlite:///etl.toml"), ("the settings file",)),
    (DEALS, ("--source", "feed", "--database", "sqlite:///new.db", "--rejects", "new.db"), ("new.db",)),
    (MARKET, ("--source", "feed", "--output", "feed"), ("--output feed", "the source feed")),
    (MARKET, ("--source", "feed", "--output", "other-feed"), ("the source feed",)),
    (MARKET, ("--source", "feed", "--output", "market_deals.db"), ("--database",)),
    (MARKET, ("--source", "feed", "--output", "base.db", *BASE), ("--database sqlite:///base.db",)),
    (MARKET, ("--source", "feed", "--output", "x", "--rejects", "x"), ("--output x", "--rejects x")),
    (MARKET, ("--source", "feed", "--output", "x", "--rejects", ".x.partial"), ("belongs to --output x",)),
    (MARKET, ("--source", "feed", "--output", "x", "--rejects", "around/x"), ("--output x",)),
]


@pytest.mark.parametrize(("command", "args", "said"), SAME, ids=[" ".join(args) for _, args, _ in SAME])
def test_one_file_is_not_two_things(
    etl: Etl, here: Path, command: tuple[str, ...], args: tuple[str, ...], said: tuple[str, ...]
) -> None:
    before = contents(here)
    overwrite = ("--overwrite",) if command is MARKET else ()  # which is about other kinds alone
    refused(etl(*command, *args, *overwrite), *said)
    assert contents(here) == before


def test_nor_is_a_file_url_or_standard_input(etl: Etl, here: Path) -> None:
    before = contents(here)
    uri = (here / "feed").as_uri()
    refused(etl(*DEALS, "--source", uri, *BASE, "--rejects", "feed"), "the source file:")
    for source in ("-", "/dev/stdin"):
        with (here / "feed").open("rb") as stdin:
            running = etl.start(*DEALS, "--source", source, *BASE, "--rejects", "feed", stdin=stdin)
            refused(running.done(), "--rejects feed")
    assert contents(here) == before


def test_a_report_is_not_added_to_its_feed(etl: Etl, here: Path) -> None:
    with (here / "feed").open("ab") as file:
        command = [*DEALS, "--source", "feed", *BASE, "--json"]
        env = {**os.environ, "HOME": str(here)}
        done = subprocess.run(
            [sys.executable, "-m", "etl", *command],
            cwd=here, stdout=file, stderr=subprocess.PIPE, check=False, env=env,
        )  # fmt: skip
    assert done.returncode == 78
    assert b"standard output is the same file as the source feed" in done.stderr
    assert (here / "feed").read_bytes() == FEED


OTHERS = [
    (MARKET, ("--output", "wallets"), "wallets", "not a Parquet file"),
    (MARKET, ("--output", "base.db"), "base.db", "not a Parquet file"),
    (MARKET, ("--output", "x"), ".x.partial", "not a Parquet file"),
    (DEALS, ("--rejects", "wallets"), "wallets", "not a file of rejects"),
    (DEALS, ("--rejects", "lines"), "lines", "not a file of rejects"),
]


@pytest.mark.parametrize(("command", "args", "name", "said"), OTHERS, ids=lambda value: str(value)[:20])
def test_what_is_of_another_kind_is_replaced_only_if_that_is_asked_for(
    etl: Etl, here: Path, command: tuple[str, ...], args: tuple[str, str], name: str, said: str
) -> None:
    (here / "lines").write_text('{"offset": "1", "key": 1}\n')
    (here / ".x.partial").write_text("mine")
    before = contents(here)
    refused(etl(*command, "--source", "feed", *args), name, said, "--overwrite")
    assert contents(here) == before
    assert etl(*command, "--source", "feed", *args, "--overwrite").status == 0
    assert contents(here).get(name) != before[name]


def test_its_own_kind_is_replaced_without_a_word(etl: Etl, here: Path) -> None:
    (here / "empty").touch()
    for output in ("deals.parquet", "empty"):
        for _ in range(2):
            assert etl(*MARKET, "--source", "feed", "--output", output).status == 0
            assert (here / output).read_bytes()[:4] == b"PAR1"
    for _ in range(2):
        assert etl(*DEALS, "--source", "feed", *BASE, "--rejects", "rejects").status == 0
        assert json.loads((here / "rejects").read_text())["key"] == "NaN"


def test_a_link_stays_and_what_it_leads_to_is_replaced(etl: Etl, here: Path) -> None:
    (here / "latest").symlink_to("sub/deals.parquet")
    for _ in range(2):
        assert etl(*MARKET, "--source", "feed", "--output", "latest").status == 0
    assert (here / "latest").is_symlink()
    assert (here / "sub" / "deals.parquet").read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["", "overwrite"])
def test_a_database_that_is_none_is_never_touched(etl: Etl, here: Path, overwrite: tuple[str, ...]) -> None:
    before = contents(here)
    completed = etl(*DEALS, "--source", "feed", "--database", "sqlite:///wallets", *overwrite)
    refused(completed, "wallets", "not an SQLite database")
    assert contents(here) == before


@pytest.mark.parametrize("output", ["/dev/null", "/dev/stdout", "pipe"])
def test_what_cannot_be_replaced_becomes_no_parquet_file(etl: Etl, here: Path, output: str) -> None:
    os.mkfifo(here / "pipe")
    refused(etl(*MARKET, "--source", "feed", "--output", output, "--overwrite"), f"--output {output} is ")
    assert not Path("/dev/null").is_file()
    assert Path("/dev/stdout").is_symlink()


def test_rejects_go_to_standard_output_before_what_follows(etl: Etl, here: Path) -> None:
    shown = etl(*DEALS, "--source", "feed", *BASE, "--json", "--rejects", "/dev/stdout").stdout.splitlines()
    assert [json.loads(line).get("key") or json.loads(line).get("status") for line in shown] == [
        "NaN", "succeeded",
    ]  # fmt: skip
    env = {**os.environ, "HOME": str(here)}
    with (here / "out").open("wb") as file:
        command = [*DEALS, "--source", "feed", *BASE, "--json", "--rejects", "/dev/stdout"]
        done = subprocess.run(
            [sys.executable, "-m", "etl", *command],
            cwd=here, stdout=file, check=False, env=env,
        )  # fmt: skip
    assert done.returncode == 0
    lines = (here / "out").read_text().splitlines()
    assert [len(json.loads(line)) for line in lines] == [len(json.loads(line)) for line in shown]


def test_rejects_go_through_a_pipe(etl: Etl, here: Path) -> None:
    os.mkfifo(here / "pipe")
    with subprocess.Popen(["cat", here / "pipe"], stdout=subprocess.PIPE) as reading:
        assert etl(*DEALS, "--source", "feed", *BASE, "--rejects", "pipe").status == 0
        assert reading.communicate(timeout=10)[0].count(b"\n") == 1


def test_devices_may_be_shared(etl: Etl, here: Path) -> None:
    assert etl(*DEALS, "--source", "feed", *BASE, "--rejects", "/dev/null").status == 0


def test_explain_refuses_the_same(etl: Etl, here: Path) -> None:
    refused(etl(*DEALS, "--source", "feed", *BASE, "--rejects", "feed", "--explain"), "--rejects feed")


def test_a_sample_replaces_no_other_file(etl: Etl, here: Path) -> None:
    before = contents(here)
    sample = ("sample", "deals", "--records", "1", "--output")
    refused(etl(*sample, "base.db"), "base.db", "not a feed", "--overwrite")
    assert contents(here) == before
    for name in ("feed", "new.zst", "new.zst"):
        assert etl(*sample, name).status == 0
    assert etl(*sample, "wallets", "--overwrite").status == 0
