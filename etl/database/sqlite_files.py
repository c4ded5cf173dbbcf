"""SQLite's files, opened so that nothing can be written, or as a copy that nobody else sees.

With Python's own module: SQLAlchemy takes long to import.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from etl.database.sqlite_urls import MEMORY, check, is_true

if TYPE_CHECKING:
    import sqlite3


def connect_to_read(url: str) -> sqlite3.Connection:
    """Open the database of a URL so that nothing can be written, and nothing comes to be.

    A transaction that a killed program has left half done is rolled back, as every reader has to.

    Raises:
        ConfigurationError: as `check`, for one that need not last.
        sqlite3.Error: it cannot be opened.
    """
    import sqlite3

    address = check(url, writes=False, lasting=False)
    if address.file is None:
        return _connect(MEMORY, address.timeout)
    if is_true(address.options.get("immutable", "")):
        return _connect(_uri(address.file, "immutable=1"), address.timeout)
    ways = ["mode=ro"]
    if (
        _is_wal(address.file)
        and not Path(f"{address.file}-wal").exists()
        and os.access(address.file, os.W_OK)
    ):
        # Who only reads would leave the companions behind; who may write takes them along at the end.
        ways.insert(0, "mode=rw")
    for way in ways:
        connection = _connect(_uri(address.file, way), address.timeout)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError as error:
            connection.close()
            name = error.sqlite_errorname
            if name in ("SQLITE_READONLY_ROLLBACK", "SQLITE_READONLY_RECOVERY") and "mode=rw" not in ways:
                ways.append("mode=rw")
            elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")) and _is_settled(address.file):
                ways.append("immutable=1")
            if way == ways[-1]:
                raise
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError


def connect_to_copy(url: str) -> sqlite3.Connection:
    """Return a copy of a URL's database as it is now, which nobody else sees and which ends with it.

    What does not fit into SQLite's cache (2 MB) is in a file without a name, where SQLite's temporary files
    go. Of a file that is not there the copy is empty.

    Raises:
        As `connect_to_read`.
    """
    address = check(url, writes=False, lasting=False)
    copy = _connect("", address.timeout)
    try:
        if address.file is not None and Path(address.file).exists():
            with closing(connect_to_read(url)) as original:
                original.backup(copy)
    except BaseException:
        copy.close()
        raise
    return copy


def _connect(name: str, timeout: float) -> sqlite3.Connection:
    import sqlite3

    return sqlite3.connect(name, timeout=timeout, uri=True, check_same_thread=False)


def _uri(file: str, options: str) -> str:
    """Return SQLite's URI of an absolute path, whatever bytes it is made of."""
    return f"file:{quote_from_bytes(os.fsencode(file))}?{options}"


def _is_wal(file: str) -> bool:
    """Say whether changes go to a write-ahead log first (SQLite's file format, 1.3.3).

    To close a file ends every lock that SQLite has on it in this process: none may have it open.
    """
    with suppress(OSError), open(file, "rb") as opened:
        return opened.read(20)[18:] == b"\2\2"
    return False


def _is_settled(file: str) -> bool:
    """Say whether all that was committed is in the file, in a place that cannot be written."""
    for suffix in ("-wal", "-journal", "-shm"):
        with suppress(OSError):
            if os.stat(file + suffix).st_size:
                return False
    return not (os.access(file, os.W_OK) and os.access(os.path.dirname(file), os.W_OK))
