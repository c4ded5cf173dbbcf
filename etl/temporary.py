"""Where temporary files go: rows that are kept in case a connection breaks, SQLite's temporary tables.

One folder for a process and its children, chosen once: the first that has room. SQLite is told of it by the
environment (SQLITE_TMPDIR, read when its library is loaded) and on each connection.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from etl.errors import ConfigurationError, DatabaseError

ENOUGH = 64 << 20
"""How much room a folder must have to be taken before others, in bytes."""

_PROBE = bytes(1 << 14)

_chosen: str | None = None


def use(given: str | None, beside: str | None) -> None:
    """Choose the folder: the one that is given, or else the first that has room, or the most.

    `beside` is the database's file: its folder serves where the system's are full or cannot be written.

    Raises:
        ConfigurationError: in the folder that is given no file can be made.
        DatabaseError: there is no folder that serves.
    """
    global _chosen
    if given is not None:
        with suppress(OSError):
            given = os.path.abspath(given)
        try:
            _room(given)
        except OSError as error:
            raise ConfigurationError(
                f"--temp-dir {given}: no temporary file can be made there: {error.strerror}"
            ) from None
        _chosen = given
    else:
        _chosen = _first_with_room(_usual(beside))
    os.environ["SQLITE_TMPDIR"] = _chosen


def folder() -> str:
    """Return the folder.

    Raises:
        DatabaseError: there is none that serves.
    """
    if _chosen is None:
        use(None, None)
    assert _chosen is not None
    return _chosen


def chosen() -> str | None:
    """Return the folder if one was chosen."""
    return _chosen


@contextmanager
def failures_named(what: str) -> Iterator[None]:
    """Say where a temporary file with `what` could not be kept, and why.

    Raises:
        DatabaseError: the disk refuses.
    """
    try:
        yield
    except OSError as error:
        raise DatabaseError(
            f"{_chosen}: {what} could not be kept in a temporary file: {error.strerror}; make room, or name"
            " another folder with --temp-dir"
        ) from None


def unnamed_file() -> IO[bytes]:
    """Open a file without a name.

    Left to itself, `tempfile` would try the folders first, with files that have names: one of these stays
    if the process is killed meanwhile.
    """
    return tempfile.TemporaryFile(prefix="etl-staged-", dir=folder())


def what_is_full(file: str | None) -> str | None:
    """Return which disk takes nothing more, a database file's or that of temporary files, and what to do.

    None: neither, by now. A database without a file is a temporary file itself.
    """
    there = folder()
    refused = _refusal(there)
    database = None if file is None else _refusal(os.path.dirname(file))
    if refused is not None and database is None:
        return (
            f"it is the folder for temporary files, {there}, that takes nothing: {refused}; make room"
            " there, or name another (--temp-dir)"
        )
    if database is not None:
        return f"the disk of {file} takes nothing: {database}; make room there"
    return None


def _refusal(path: str) -> str | None:
    """Return why a few pages cannot be kept in a folder, if they cannot."""
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(_PROBE)
            file.flush()
    except OSError as error:
        return os.strerror(error.errno) if error.errno is not None else str(error)
    return None


def _usual(beside: str | None) -> list[str]:
    given = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    last = [os.path.dirname(beside) if beside is not None else None, os.curdir]
    folders = [*filter(None, given), "/var/tmp", "/tmp", *filter(None, last)]
    absolute = []
    for name in folders:
        with suppress(OSError):  # of a working directory that is no more
            absolute.append(os.path.abspath(name))
    return list(dict.fromkeys(absolute))


def _first_with_room(folders: list[str]) -> str:
    rooms: dict[str, int] = {}
    for name in folders:
        with suppress(OSError):
            rooms[name] = _room(name)
            if rooms[name] >= ENOUGH:
                return name
    if not rooms:
        raise DatabaseError(
            f"no temporary file can be made in {', '.join(folders)}: name a folder with --temp-dir"
        )
    return max(rooms, key=lambda name: rooms[name])


def _room(name: str) -> int:
    """Return how many bytes a folder has room for.

    Raises:
        OSError: no file can be made there.
    """
    with tempfile.TemporaryFile(dir=name) as file:
        found = os.fstatvfs(file.fileno())
    return found.f_bavail * found.f_frsize
