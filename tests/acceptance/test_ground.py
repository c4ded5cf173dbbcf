"""What a program stands on: standard streams, signals, folders, limits. A run is the same on any ground."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from etl.errors import refusal
from tests.support.command import Completed, Etl, Running
from tests.support.databases import Database
from tests.support.processes import alive, children, until

from .feeds import OURS, as_object, deal

DOCUMENT = as_object([(str(number), deal(OURS[0])) for number in range(1, 40)])
STATUSES = {0, 1, 2, 65, 69, 70, 74, 75, 78, 130, 143}
CLIENT = ("--client", OURS[0])

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc or /dev/full")


@pytest.fixture
def feed(etl: Etl) -> Path:
    return etl.file(DOCUMENT)


@pytest.fixture
def ran(etl: Etl, feed: Path) -> Etl:
    """A command whose database has one run in it."""
    assert etl("run", "deals", "-q", "--source", feed, *CLIENT).status == 0
    return etl


def assert_all_there(database: Database) -> None:
    """The run has succeeded, and all that it found is there."""
    assert database.last_run()["status"] == "succeeded"
    assert len(database.rows("deals")) == 39


def shell(etl: Etl, script: str, *args: str | Path, env: dict[str, str] | None = None) -> Completed:
    """Run `etl` with arguments as `"$@"` in a shell script."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(etl.directory / "home")} | (env or {})
    command = ["bash", "-c", script, "bash", sys.executable, "-m", "etl", *map(str, args)]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(command, cwd=etl.directory, env=environment, capture_output=True, timeout=50)
    assert b"Traceback" not in done.stderr
    return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())


# Standard streams --------------------------------------------------------------------------------------

GONE = {
    "stdin closed": '"$@" <&-',
    "stdout closed": '"$@" >&-',
    "stderr closed": '"$@" 2>&-',
    "all closed": '"$@" <&- >&- 2>&-',
    "stdout full": '"$@" >/dev/full',
    "stderr full": '"$@" 2>/dev/full',
    "both full": '"$@" >/dev/full 2>&1',
    "stdout for reading": '"$@" >&0 </dev/null',
    "nobody reads stdout": '"$@" | true; exit ${PIPESTATUS[0]}',
    "nobody reads stderr": '{ "$@" 2>&1 >&3 | true; exit ${PIPESTATUS[0]}; } 3>&1',
    "nobody reads either": '"$@" 2>&1 | true; exit ${PIPESTATUS[0]}',
    "one line is read": '"$@" 2>&1 | head -n 1; exit ${PIPESTATUS[0]}',
}


@on_linux
@pytest.mark.parametrize("script", [*GONE.values()], ids=GONE)
@pytest.mark.parametrize("args", [("--progress",), ("--json", "-v")], ids=" ".join)
def test_a_run_is_the_same_whatever_became_of_its_streams(
    etl: Etl, database: Database, feed: Path, script: str, args: tuple[str, ...]
) -> None:
    completed = shell(etl, script, "run", "deals", "--source", feed, *CLIENT, *args)
    assert completed.status == 0, completed.stderr
    assert_all_there(database)
    with database.path.open("rb") as file:  # nothing that was told stands in it
        assert file.read(15) == b"SQLite format 3"
    assert b"records matched" not in database.path.read_bytes()


@on_linux
@pytest.mark.parametrize("script", [*GONE.values()], ids=GONE)
def test_a_failed_run_has_its_status_whatever_became_of_its_streams(
    etl: Etl, database: Database, script: str
) -> None:
    completed = shell(etl, script, "run", "deals", "--json", "--source", etl.file(DOCUMENT[:-1]), *CLIENT)
    assert completed.status == 65
    assert database.last_run()["status"] == "failed"


@on_linux
def test_a_report_that_could_not_be_written_is_told(etl: Etl, database: Database, feed: Path) -> None:
    completed = shell(etl, '"$@" >/dev/full', "run", "deals", "--json", "--source", feed, *CLIENT)
    warning, summary = completed.stderr.splitlines()
    assert "the report could not be written to standard output: No space left on device" in warning
    assert "39 of 39 records matched" in summary


PRINTING = [("history",), ("history", "--json"), ("rejects",), ("wallets", "list"), ("pipelines",),
            ("inspect", "feed"), ("--help",), ("run", "deals", "--help"), ("--version",),
            ("run", "deals", "--explain", "--source", "feed", *CLIENT)]  # fmt: skip


@on_linux
@pytest.mark.parametrize("args", PRINTING, ids=" ".join)
def test_a_command_that_prints_has_done_so_if_nobody_reads_it(ran: Etl, args: tuple[str, ...]) -> None:
    for name in ("nobody reads stdout", "nobody reads either", "stdout closed", "stderr closed"):
        completed = shell(ran, GONE[name], *args)
        assert (completed.status, completed.stderr) == (0, ""), name


@on_linux
@pytest.mark.parametrize("args", PRINTING, ids=" ".join)
def test_a_command_that_cannot_print_says_why(ran: Etl, args: tuple[str, ...]) -> None:
    completed = shell(ran, GONE["stdout full"], *args)
    if args == ("rejects",) or args == ("wallets", "list"):  # they have nothing to print
        assert (completed.status, completed.stderr) == (0, "")
    else:
        assert completed.status == 74
        assert completed.message == "standard output: No space left on device"
    assert shell(ran, GONE["both full"], *args).status == completed.status


@on_linux
@pytest.mark.parametrize("script", [*GONE.values()], ids=GONE)
def test_a_wrong_command_line_is_a_usage_error_whatever_became_of_the_streams(
    etl: Etl, script: str
) -> None:
    assert shell(etl, script, "run", "deals", "--nonsense").status == 2
    assert shell(etl, script, "inspect", "missing").status == 69


@on_linux
def test_a_sample_that_is_not_written_is_an_error_but_not_if_nobody_reads_it(etl: Etl) -> None:
    sample = ("sample", "deals", "--records", "2000", "--output", "-")
    for script, said in (
        ('"$@" >/dev/full', "No space left on device"),
        ('"$@" >&-', "standard output is closed"),
    ):
        completed = shell(etl, script, *sample)
        assert completed.status == 74
        assert completed.message == f"cannot write -: {said}"
    assert shell(etl, GONE["nobody reads stdout"], *sample).status == 0
    whole = shell(etl, '"$@" 2>&-', *sample)
    assert (whole.status, len(whole.stdout)) == (0, len(etl(*sample).stdout))


@on_linux
def test_standard_input_that_is_closed_is_no_empty_feed(etl: Etl) -> None:
    completed = shell(etl, '"$@" <&-', "run", "deals", "--source", "-", *CLIENT)
    assert completed.status == 69
    assert completed.message == "-: standard input is closed"


def test_a_stream_that_does_not_block_loses_nothing(etl: Etl, ran: Etl) -> None:
    document = as_object([(f"{'x' * 900}{number}", deal()) for number in range(90)])
    assert etl.load("--source", etl.file(document, "odd")).status == 0
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", "rejects", "--json"], cwd=etl.directory, stdout=writing
    )
    os.close(writing)
    time.sleep(1)  # the pipe is full by now
    with open(reading, "rb") as file:
        lines = file.read().splitlines()
    assert process.wait(30) == 0
    assert len(lines) == 90


ENCODINGS = {
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "ASCII, strict": {"PYTHONIOENCODING": "ascii:strict"},
    "C": {"LC_ALL": "C"},
    "C, as it is": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "POSIX": {"LC_ALL": "POSIX"},
}


@pytest.mark.parametrize("env", [*ENCODINGS.values()], ids=ENCODINGS)
def test_what_a_terminal_cannot_show_is_replaced(etl: Etl, database: Database, env: dict[str, str]) -> None:
    source = etl.file(as_object([("ключ", deal()), ("1", deal())]), "feed…é")
    args = ("run", "deals", "--source", source, *CLIENT, "--progress")
    running = etl.start(*args, env=env)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    assert b"1 rejected" in err
    assert b"UnicodeEncodeError" not in err
    assert len(database.rows("deals")) == 1
    shown, _ = etl.start("rejects", env=env).communicate(timeout=30)
    assert shown.isascii() == ("PYTHONUTF8" in env or "PYTHONIOENCODING" in env)
    assert (rb"\u043a\u043b\u044e\u0447" in shown) or ("ключ".encode() in shown)
    none = etl("run", "deals", "--source", source, "--database", "sqlite:///other.db", env=env)
    assert none.status == 78
    assert 'with "etl wallets add"' in none.message or "with “etl wallets add”" in none.message


# Signals -----------------------------------------------------------------------------------------------


def stdin_feed(etl: Etl, *args: str, launch: Sequence[str] = (), **settings: Any) -> Running:
    """Start a run that has read half of its feed and waits for the rest."""
    command = ["run", "deals", "--source", "-", "--json", *CLIENT, *args]
    if launch:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ETL_", "DATABASE_"))}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        running = etl.keep(
            subprocess.Popen(
                [*launch, sys.executable, "-m", "etl", *command], cwd=etl.directory, env=environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings,
            )
        )  # fmt: skip
    else:
        running = etl.start(*command, stdin=subprocess.PIPE, **settings)
    assert running.stdin is not None
    running.stdin.write(DOCUMENT[: len(DOCUMENT) // 2])
    running.stdin.flush()
    path = etl.directory / "deals.db"
    until(lambda: path.exists() and path.stat().st_size > 0, 20)
    until(lambda: len(children(running.pid)) >= 3, 20)
    until(lambda: database_has_run(path), 20)
    return running


def database_has_run(path: Path) -> bool:
    with contextlib.suppress(Exception):
        return bool(Database(path).rows("etl_runs"))
    return False


def rest(running: Running) -> Completed:
    return running.done(DOCUMENT[len(DOCUMENT) // 2 :])


def inheriting(**how: Sequence[signal.Signals]) -> Any:
    """Return what a child does before it becomes the command."""

    def prepare() -> None:
        for number in how.get("ignored", ()):
            signal.signal(number, signal.SIG_IGN)
        for number in how.get("default", ()):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, how.get("blocked", ()))

    return prepare


ALL = [number for number in signal.valid_signals() if number not in (signal.SIGKILL, signal.SIGSTOP)]
INHERITED = {
    "SIGCHLD ignored": {"ignored": [signal.SIGCHLD]},
    "SIGCHLD blocked": {"blocked": [signal.SIGCHLD]},
    "SIGPIPE as it was": {"default": [signal.SIGPIPE]},
    "all blocked": {"blocked": ALL},
    "all ignored": {"ignored": ALL},
}


@on_linux
@pytest.mark.parametrize("how", INHERITED.values(), ids=INHERITED)
def test_what_is_inherited_of_signals_makes_no_difference(
    etl: Etl, database: Database, feed: Path, how: dict[str, list[signal.Signals]]
) -> None:
    running = stdin_feed(etl, preexec_fn=inheriting(**how))
    start = time.monotonic()
    completed = rest(running)
    assert (completed.status, completed.report["matched"]) == (0, 39), completed.stderr
    assert time.monotonic() - start < 2.5  # none is waited for in vain
    assert_all_there(database)


@on_linux
@pytest.mark.parametrize(
    "how",
    [{"ignored": [signal.SIGTERM]}, {"blocked": [signal.SIGTERM]}, {"ignored": ALL}, {"blocked": ALL}],
    ids=["ignored", "blocked", "all ignored", "all blocked"],
)
def test_a_request_to_end_is_heard_whatever_is_inherited(
    etl: Etl, database: Database, how: dict[str, list[signal.Signals]]
) -> None:
    running = stdin_feed(etl, preexec_fn=inheriting(**how))
    pids = [running.pid, *children(running.pid)]
    running.send_signal(signal.SIGTERM)
    completed = running.done(timeout=5)
    assert completed.status == 143, completed.stderr
    assert "stopped by SIGTERM, nothing was committed" in completed.stderr
    assert database.rows("deals") == []
    assert not any(map(alive, pids))


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_what_a_shell_has_ignored_for_its_children_stays_ignored(
    etl: Etl, database: Database, number: signal.Signals
) -> None:
    running = stdin_feed(etl, preexec_fn=inheriting(ignored=[number]), start_new_session=True)
    os.killpg(running.pid, number)
    time.sleep(0.3)
    assert rest(running).status == 0
    assert_all_there(database)


@on_linux
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)  # fmt: skip
def test_a_signal_to_the_whole_group_stops_a_run_in_order(
    etl: Etl, database: Database, number: signal.Signals, status: int
) -> None:
    running = stdin_feed(etl, start_new_session=True)
    pids = [running.pid, *children(running.pid)]
    os.killpg(running.pid, number)
    if number is signal.SIGHUP:
        os.killpg(running.pid, number)  # the kernel's, after the shell's
    completed = running.done(timeout=5)
    assert completed.status == status, completed.stderr
    assert completed.report["error"] == f"stopped by {number.name}, nothing was committed"
    assert database.last_run()["error"] == completed.report["error"]
    assert not any(map(alive, pids))


# Folders -----------------------------------------------------------------------------------------------

_STRANGER = """
import importlib, os, pkgutil, sys
import etl, pipelines, sqlalchemy.dialects.sqlite, sqlite3, encodings.idna, tqdm
import multiprocessing.connection, multiprocessing.popen_fork
for package in (etl, pipelines):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
os.chmod(os.getcwd(), 0)
if os.geteuid() == 0:  # to whom no folder is closed
    os.setgroups([])
    os.setgid(64321)
    os.setuid(64321)
from etl.command.cli import main
main()
"""
"""Runs the command where its working directory may not be looked into, and as somebody without a name."""


@on_linux
@pytest.mark.parametrize(
    "args", [("wallets", "add", "f07"), ("run", "deals", "--json", *CLIENT)], ids=" ".join
)
def test_a_working_directory_or_home_that_cannot_be_read_has_no_settings(
    tmp_path: Path, args: tuple[str, ...]
) -> None:
    folder = Path("/tmp") / f"etl-ground-{os.getpid()}"  # what pytest makes is closed to others
    shutil.rmtree(folder, ignore_errors=True)
    closed, opened = folder / "closed", folder / "open"
    for path in (closed, opened):
        path.mkdir(parents=True)
    opened.chmod(0o777)
    (opened / "feed").write_bytes(DOCUMENT)
    (closed / "etl.toml").write_text('nonsense = "x"\n')
    source = ("--source", str(opened / "feed")) if args[0] == "run" else ()
    database = ("--database", f"sqlite:///{opened}/deals.db")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        for env in ({"HOME": str(closed)}, {"HOME": str(closed), "XDG_CONFIG_HOME": str(closed)}, {}):
            closed.chmod(0o700)
            done = subprocess.run(
                [sys.executable, "-c", _STRANGER, *args, *source, *database],
                cwd=closed, env=environment | env, capture_output=True, text=True, timeout=50,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "etl.toml" not in done.stderr
        closed.chmod(0o700)
        done = subprocess.run(
            [sys.executable, "-c", _STRANGER, *args, *source],
            cwd=closed, env=environment, capture_output=True, text=True, timeout=50,
        )  # fmt: skip
        assert done.returncode == 74, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("etl: database: ")
    finally:
        closed.chmod(0o700)
        shutil.rmtree(folder)


@on_linux
def test_a_working_directory_that_is_gone_is_named_only_where_it_is_needed(
    etl: Etl, database: Database, feed: Path
) -> None:
    gone = 'mkdir gone; cd gone; rmdir ../gone; "$@"'
    run = ("run", "deals", "-q", "--source", feed, *CLIENT)
    completed = shell(etl, gone, *run, "--database", database.url)
    assert (completed.status, completed.stderr) == (0, "")
    assert_all_there(database)
    for args, status in ((run, 74), (("history",), 74), (("inspect", "feed"), 69)):
        completed = shell(etl, gone, *args)
        assert completed.status == status
        assert "No such file or directory" in completed.message
    completed = shell(etl, gone, "sample", "deals", "--output", "a.json")
    assert completed.status == 74


# Limits ------------------------------------------------------------------------------------------------


def limited(etl: Etl, limit: int, most: int, feed: Path) -> Completed:
    """Run with a limit, as a user of whom nothing else runs."""

    def prepare() -> None:
        resource.setrlimit(limit, (most, most))

    return etl("run", "deals", "--source", feed, *CLIENT, preexec_fn=prepare)


@on_linux
@pytest.mark.parametrize("most", [5, 7, 12, 20, 28, 36, 44])
def test_a_limit_on_open_files_is_one_line(etl: Etl, database: Database, feed: Path, most: int) -> None:
    completed = limited(etl, resource.RLIMIT_NOFILE, most, feed)
    assert completed.status == 70
    assert "Too many open files" in completed.message
    assert "ulimit -n" in completed.message
    assert not database.path.exists() or database.rows("deals") == []
    assert etl("run", "deals", "-q", "--source", feed, *CLIENT).status == 0
    assert_all_there(database)


@on_linux
@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="only root can be a user without processes"
)
@pytest.mark.parametrize("most", range(1, 10))
def test_a_limit_on_processes_is_one_line(etl: Etl, database: Database, feed: Path, most: int) -> None:
    user = 200_000 + os.getpid() % 100_000
    os.chown(etl.directory, user, -1)
    os.chmod(etl.directory, 0o777)
    limits = f"--nproc={most}:{most}"
    # Python and the folder may be open to root only: to read is all that is left of what root may do.
    may = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    command = shlex.join(["setpriv", f"--reuid={user}", "--clear-groups", *may, "prlimit", limits])
    completed = shell(etl, f'{command} "$@"', "run", "deals", "--source", feed, *CLIENT)
    assert completed.status == 70, completed.stderr
    assert "Resource temporarily unavailable" in completed.message
    assert "ulimit -u" in completed.message
    assert not database.path.exists() or database.rows("deals") == []


@on_linux
@pytest.mark.parametrize("most", [60, 80, 100, 130])
def test_a_limit_on_memory_is_one_line_or_is_kept(
    etl: Etl, database: Database, feed: Path, most: int
) -> None:
    completed = limited(etl, resource.RLIMIT_AS, most << 20, feed)
    assert completed.status in (0, 70)
    if completed.status == 70:
        # A library may crash where it gets none, which ends the run as any death does.
        assert re.search(r"memory|killed by SIG(SEGV|ABRT|BUS)", completed.message)
        assert not database.path.exists() or database.rows("deals") == []
    else:
        assert_all_there(database)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EMFILE, "x"), "ulimit -n"),
        (BlockingIOError(errno.EAGAIN, "x"), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (MemoryError(), "Cannot allocate memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "Cannot allocate memory"),
        (OSError(errno.EIO, "x"), None),
        (RuntimeError("x"), None),
        (ImportError("no module"), None),
    ],
)
def test_what_the_system_refuses_is_told_from_mistakes(error: Exception, said: str | None) -> None:
    found = refusal(error)
    assert found is None if said is None else said in (found or "")
