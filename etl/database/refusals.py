"""What databases refuse, in words for who runs the command: what it means, and what to do.

Known by SQLSTATE (PostgreSQL's manual, appendix A) or the name of SQLite's result code
(https://www.sqlite.org/rescode.html). No sentence holds a value or a password: of what the server says,
only names of tables, columns and constraints are repeated, and of refused connections a few set phrases.
"""

from __future__ import annotations

import re
from typing import Any

from etl.errors import one_line

_POSTGRESQL = {
    "08P01": "the server, or a pooler before it, does not take what was sent: options= or another parameter"
    " of the URL may be what it refuses",
    "22021": "the database cannot keep this text",
    "25006": "the server lets nothing be written: it is a standby (then name the primary, or several hosts"
    " with target_session_attrs=read-write), or default_transaction_read_only is set for the role or the"
    " database",
    "28000": "the server lets this user not in: see pg_hba.conf",
    "28P01": "the password is wrong for this user",
    "3D000": "there is no database of this name: create it (createdb), or name another one in the URL",
    "3F000": "the schema is not there: create it (CREATE SCHEMA), or name another one (search_path,"
    " --schema)",
    "42501": "the role lacks a privilege: it needs CREATE and USAGE on the schema, TEMPORARY on the"
    " database, and to own the tables, or SELECT, INSERT, UPDATE and DELETE on them",
    "42P07": "there is a table of this name already",
    "53100": "the server's disk is full: make room there, then run again",
    "53200": "the server is out of memory: raise max_locks_per_transaction if it speaks of shared memory",
    "53300": "the server has no connection left for this role or database: end idle ones, or raise"
    " max_connections or the role's CONNECTION LIMIT",
    "53400": "a limit of the server's configuration was reached, such as temp_file_limit",
    "54000": "a limit of the server was exceeded",
    "55P03": "somebody else holds a lock on a table for longer than lock_timeout: pg_locks and"
    " pg_stat_activity show who (pg_blocking_pids)",
    "57014": "the statement was cancelled, by statement_timeout or by somebody: raise it for this role"
    " (ALTER ROLE ... SET statement_timeout = 0) or in the URL (?options=-c%20statement_timeout%3D0)",
    "57P03": "the server is starting or stopping: run again in a while",
}  # fmt: skip

_VIOLATIONS = {
    "23502": "a column that must not be null would be",
    "23503": "a row that others refer to would be missing",
    "23505": "there is a row with this key already",
    "23514": "a check does not hold",
    "23P01": "an exclusion constraint does not hold",
}
"""Of constraints that the database has, and we do not know of."""

_CONNECTING = (
    (r"password authentication failed|SASL authentication failed", _POSTGRESQL["28P01"]),
    (r"no password supplied", "the server asks for a password: in the URL, PGPASSWORD or ~/.pgpass"),
    (r'role ".*" does not exist', "there is no role of this name at the server"),
    (r'database ".*" does not exist|no such database', _POSTGRESQL["3D000"]),
    (r"no pg_hba\.conf entry", "the server's pg_hba.conf lets this user, host or database not in, or not"
     " without TLS (?sslmode=require)"),
    (r"too many (clients|connections)|remaining connection slots", _POSTGRESQL["53300"]),
    (r"no more connections allowed|query_wait_timeout|server login has been failing",
     "a pooler has no connection to give: its log says why"),
    (r"unsupported startup parameter", "a pooler does not pass this parameter on: leave it out of the URL"
     " (ALTER ROLE ... SET does as well), or name it in the pooler's ignore_startup_parameters"),
    (r"statement pooling", "a pooler in statement mode allows no transactions: connect to the server"
     " itself, or to a pooler in session mode"),
    (r"session is (not )?read-only|server is (not )?in hot standby",
     "no host that was named lets anything be written (target_session_attrs)"),
    (r"could not translate host name", "the host's name cannot be resolved"),
    (r"definition of service|service file", "the service is not in pg_service.conf (PGSERVICEFILE,"
     " ~/.pg_service.conf)"),
    (r"invalid connection option|invalid .* value", "the URL has an option that libpq does not know, or a"
     " value that it does not take"),
    (r"the database system is (starting up|shutting down|in recovery mode)", _POSTGRESQL["57P03"]),
)  # fmt: skip
"""What is said where a connection is refused: there is no SQLSTATE then."""

_SQLITE = {
    "SQLITE_AUTH": "the file is not let be opened",
    "SQLITE_BUSY": "another program holds the file: it was waited for as long as ?timeout= says",
    "SQLITE_CANTOPEN": "the file cannot be opened: its folder must be there, and be writable",
    "SQLITE_CONSTRAINT": "a constraint that the database has does not hold",
    "SQLITE_CORRUPT": "the file is damaged: restore it from a copy, or save what there is (sqlite3 FILE"
    " .recover)",
    "SQLITE_FULL": "no room on the file's disk, or for temporary files (--temp-dir names a folder)",
    "SQLITE_IOERR": "the disk, or the file system below the file, failed",
    "SQLITE_LOCKED": "another connection holds a table",
    "SQLITE_NOTADB": "the file is no SQLite database: it was left alone; name another file",
    "SQLITE_PROTOCOL": "the file system's locks do not work: move the file to another",
    "SQLITE_READONLY": "the file or its folder cannot be written",
    "SQLITE_READONLY_DIRECTORY": "what was written last stands in a file beside it (-wal or -journal): its"
    " folder must be writable",
    "SQLITE_READONLY_DBMOVED": "the file was moved or deleted meanwhile",
    "SQLITE_IOERR_LOCK": "the file system has no locks that work: move the file to another",
    "SQLITE_IOERR_SHMOPEN": "the -shm file beside it cannot be opened: its folder must be writable",
    "SQLITE_TOOBIG": "a value is longer than SQLite keeps",
}  # fmt: skip

_VALUE = re.compile(r'(value|missing "=" after):? ".*?"(?= for| in|$)')


def named(cause: BaseException) -> str:
    """Return what a driver's error is, in one line: kind, code, and what to do where that is known."""
    code = getattr(cause, "pgcode", None)
    if code is not None:
        return _joined(f"{type(cause).__name__} ({code})", of_postgresql(cause))
    name = getattr(cause, "sqlite_errorname", None)
    if name is not None:
        what = f"{type(cause).__name__} ({name})"
        if (notes := getattr(cause, "__notes__", None)) is not None:  # which disk is full was found out
            return f"{what}: {notes[-1]}"
        if name == "SQLITE_CONSTRAINT_TRIGGER":  # which may say anything
            return _joined(what, of_sqlite(name))
        return _joined(f"{what} {_first_line(cause)}", of_sqlite(name))
    # Where libpq cannot take a value, it may be a part of what was meant to be a password.
    said = _VALUE.sub(r"\1", _first_line(cause))
    text = f"{type(cause).__name__} {said}".strip()
    return _joined(text, of_connection(str(cause)))


def of_postgresql(cause: Any) -> str | None:
    """Return what to do about an error that has an SQLSTATE."""
    names = _names(getattr(cause, "diag", None))
    if (text := _VIOLATIONS.get(cause.pgcode)) is not None:
        return f"{text}{names}: no constraint of ours; whoever made it has to loosen it" if names else None
    if (text := _POSTGRESQL.get(cause.pgcode)) is not None:
        return f"{text}{names}"
    return None


def _names(diag: Any) -> str:
    """Return which constraint, column and table an error is about, as far as the server says."""
    parts = [
        f"{kind} {name}"
        for kind in ("constraint", "column", "table")
        if (name := getattr(diag, f"{kind}_name", None))
    ]
    return f" ({', '.join(one_line(part) for part in parts)})" if parts else ""


def of_connection(said: str) -> str | None:
    """Return what to do about a connection that was refused, by what was said."""
    return next((text for pattern, text in _CONNECTING if re.search(pattern, said)), None)


def of_sqlite(name: str) -> str | None:
    """Return what to do about an error of SQLite, by its name: that of its kind, if it has none itself."""
    while name:
        if (text := _SQLITE.get(name)) is not None:
            return text
        name = name.rpartition("_")[0]
    return None


def _joined(what: str, todo: str | None) -> str:
    return what if todo is None else f"{what}: {todo}"


def _first_line(cause: BaseException) -> str:
    """Return the message of SQLite's own errors and of refused connections, which hold no values."""
    first = str(cause).strip().splitlines()
    return one_line(first[0]) if first else ""
