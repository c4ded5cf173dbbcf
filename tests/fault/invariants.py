"""One judge of all faults: what must hold after a run that met one, and after a plain one that follows."""

from __future__ import annotations

import re
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.acceptance.checks import assert_accounts_balance, assert_ledger_agrees
from tests.acceptance.feeds import HEAD, OURS
from tests.support.databases import Database, ServerDatabase, Tables
from tests.support.processes import until

from .command import Command
from .workload import CANARIES, Contents, Ground, contents

INTERRUPTED = "interrupted: the run did not come to its end"
WARNING = re.compile(r"\d{4}-\d\d-\d\dT\S+ WARNING (.*)")
PROGRESS = re.compile(r"\d{4}-\d\d-\d\dT\S+ INFO read [\d,]+ bytes|\S+ INFO waiting for another run to end")
LIBRARIES = re.compile(r"FATAL:  +terminating connection due to administrator command")
"""What libpq prints by itself where a session is ended before psycopg2 has told it not to."""

SUMMARY = re.compile(r"[\d,]+ of [\d,]+ records matched: |the feed has not changed ")
LATE = (130, -signal.SIGINT, -signal.SIGTERM)
"""What becomes of a command that a signal meets when it has said how it ended."""
WORKERS = 2


class Case:
    """A database, a working and a temporary directory, and the runs that are done there."""

    def __init__(self, ground: Ground, folder: Path, tables: Tables, url: str, new: bool = False) -> None:
        """Start from what the database holds; `new`: from nothing."""
        self.ground = ground
        self.tables = tables
        self.url = url
        self.work, self.temporary = folder / "work", folder / "tmp"
        self.work.mkdir(parents=True, exist_ok=True)
        self.temporary.mkdir()
        kind = "SQLite" if isinstance(tables, Database) else "PostgreSQL"
        self.before: Contents | None = None if new else ground.before[kind]
        self.after = ground.fresh[kind] if new else ground.after[kind]
        self.files = {"deals.db"}
        """What may lie in the working directory."""
        self._known = [] if new else tables.rows("etl_runs")
        self._commands: list[Command] = []
        self._shared = _shared_memory()

    def start(
        self,
        *args: str,
        fault: str = "",
        slowly: float = 0.0,
        url: str = "",
        source: str = "",
        prepare: Callable[[], None] | None = None,
        **env: str,
    ) -> Command:
        """Start the run; what is secret comes by the environment, as process titles are for anyone.

        With `fault`, a process meets a point (`etl.faults`); `slowly`: the feed takes so many seconds.
        """
        self.ground.served.seconds = slowly
        named = [part for client in OURS for part in ("--client", client)]
        environment = {
            "HOME": str(self.work),
            "TMPDIR": str(self.temporary),
            "ETL_CHUNK_BYTES": str(len(self.ground.document) // 100),
            "ETL_SOURCE": source or self.ground.url,
            "ETL_DATABASE": url or self.url,
            **({"ETL_FAULT": fault} if fault else {}),
            **env,
        }
        command = Command(
            ["run", "deals", "--json", "--head-epoch", str(HEAD), "--workers", str(WORKERS),
             "--batch-size", str(self.ground.matched // 10 or 100), *named, *args],
            environment, self.work, prepare,
        )  # fmt: skip
        self._commands.append(command)
        return command

    def close(self) -> None:
        for command in self._commands:
            command.close()

    # The judge -------------------------------------------------------------------------------------

    def committed(self) -> bool:
        """Whether the database holds all of the feed; anything between that and nothing is refused."""
        found = contents(self.tables) if self.tables.has("deals") else None
        if found == self.after:
            return True
        if self.before is not None or (found is not None and any(found.values())):
            assert found == self.before, "half a run"
        return False

    def judge(
        self,
        command: Command,
        *statuses: int,
        says: str = "",
        recorded: bool | None = True,
        warns: str | None = None,
    ) -> bool:
        """Hold a run that has ended to what it may do; says whether it was committed.

        `says` is a pattern for what a failed one says, `warns` for its warnings (None: it has none); one
        not `recorded` could not reach the database in the end (None: perhaps).
        """
        status = command.wait(0)
        assert status in statuses, (status, command.lines)
        until(lambda: not command.members(), seconds=2)
        self.assert_said(command, status, says, warns)
        committed = self.committed()
        rows = self.new_runs()
        assert len(rows) <= 1
        row: dict[str, Any] = rows[0] if rows else {}
        if status == 0:
            assert committed
            assert command.report["status"] == "succeeded"
            assert_accounts_balance(command.report)
            assert_ledger_agrees(command.report, self.tables)
        elif committed:
            assert row["status"] == "succeeded"
            assert (row["error"], row["matched"]) == (None, self.ground.matched)
            if status > 0 and recorded is not False:
                last = command.lines[-1][1]
                assert last.endswith(", after the run was committed") or SUMMARY.match(last)
                assert_ledger_agrees(command.report, self.tables)
        elif status < 0 or not recorded:  # nobody was left to tell, or could
            errors = [INTERRUPTED]
            if recorded is None and command.lines:
                errors.append(command.lines[-1][1].removeprefix("etl: "))
            assert not row or (row["status"] == "failed" and row["error"] in errors)
        else:
            assert (row["status"], row["error"]) == ("failed", command.lines[-1][1].removeprefix("etl: "))
            assert command.report["status"] == "failed"
            assert command.report["error"] == row["error"]
        self._assert_no_rejects_of_failed_runs()
        return committed

    def judge_rerun(self, committed: bool) -> None:
        """Run again, plainly: that must come to what a clean run would have come to."""
        earlier = self.tables.rows("etl_runs") if self.tables.has("etl_runs") else []
        command = self.start()
        assert command.wait() == 0, command.lines
        report = command.report
        assert contents(self.tables) == self.after
        *others, last = self.tables.rows("etl_runs")
        assert others == earlier
        assert last["run_id"] == report["run_id"]
        if report["status"] == "not_modified":
            assert committed
        else:
            assert report["status"] == "succeeded"
            assert report["matched"] == self.ground.matched
            assert_accounts_balance(report)
            assert_ledger_agrees(report, self.tables)
            changed = report["inserted"] + report["updated"] + report["expired"]
            assert bool(changed) != committed
        self.assert_said(command, 0, "", None)
        self.assert_nothing_left(command)

    def judge_both(self, command: Command, *statuses: int, **expected: Any) -> bool:
        """Wait for a run's end, judge it, and then run again."""
        command.wait()
        committed = self.judge(command, *statuses, **expected)
        self.judge_rerun(committed)
        return committed

    def new_runs(self) -> list[dict[str, Any]]:
        """The ledger's rows of this case's runs."""
        rows = self.tables.rows("etl_runs") if self.tables.has("etl_runs") else []
        assert rows[: len(self._known)] == self._known
        return rows[len(self._known) :]

    # Parts -----------------------------------------------------------------------------------------

    def assert_said(self, command: Command, status: int, says: str, warns: str | None) -> None:
        """What a command says, and the form it has; and that no secret is in it, or kept."""
        lines = [line for _, line in command.lines]
        assert "Traceback" not in command.stderr, command.stderr
        if status >= 0 or (status in LATE and lines):
            last = lines.pop()
            succeeded = SUMMARY.match(last) and (status == 0 or status in LATE)
            assert succeeded or (status and re.match(f"etl: .*(?:{says})", last)), last
        for line in lines:
            if not PROGRESS.match(line) and not LIBRARIES.fullmatch(line):
                warning = WARNING.fullmatch(line)
                assert warning, line
                assert warns is not None, line
                assert re.search(warns, warning[1]), line
        ledger = [
            f"{row['error']} {row['source']}"
            for row in (self.tables.rows("etl_runs") if self.tables.has("etl_runs") else [])
        ]
        reasons = [row["reason"] for row in self.tables.rows("etl_rejects")]
        for text in (command.stdout, command.stderr, *command.titles, *ledger, *reasons):
            assert not any(secret in text for secret in CANARIES), text

    def _assert_no_rejects_of_failed_runs(self) -> None:
        if self.tables.has("etl_rejects"):
            query = "SELECT 1 AS x FROM etl_rejects NATURAL JOIN etl_runs WHERE status = 'failed'"
            assert self.tables.query(query) == []

    def assert_nothing_left(self, command: Command) -> None:
        """No process, no session, no lock, no file."""
        until(lambda: not command.members(), seconds=2)
        until(lambda: not self._sessions(), seconds=2)
        assert {path.name for path in self.work.iterdir()} <= self.files
        assert list(self.temporary.iterdir()) == []
        until(lambda: _shared_memory() <= self._shared, seconds=2)
        if isinstance(self.tables, Database):
            with closing(sqlite3.connect(self.tables.path, timeout=0, isolation_level=None)) as connection:
                connection.execute("BEGIN EXCLUSIVE")
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def _sessions(self) -> list[Any]:
        """What the server still has of this database's sessions, and locks."""
        if not isinstance(self.tables, ServerDatabase):
            return []
        import psycopg2

        with closing(psycopg2.connect(self.tables.url)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT 'session', application_name FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " UNION ALL SELECT 'lock', locktype FROM pg_locks, pg_database"
                " WHERE datname = current_database() AND database = pg_database.oid"
                " AND pid <> pg_backend_pid()"
            )
            return cursor.fetchall()


def _shared_memory() -> set[str]:
    """What is named in /dev/shm, but for what servers of others have there."""
    folder = Path("/dev/shm")
    return {path.name for path in folder.iterdir() if not path.name.startswith("PostgreSQL.")}
