"""The file of rejected records, for whoever wants to look at them: JSON lines, with raw data."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from etl.errors import DatabaseError
from etl.records.found import Reject


class RejectsFile:
    """A new file of rejects, readable by its owner only; made at the first one, or when it is complete.

    What is no regular file (a pipe, a device), and what standard output or error goes to, is written as it
    is, from where it stands.
    """

    def __init__(self, path: Path) -> None:
        """See that the file can be written; what is in it stays for now.

        Raises:
            DatabaseError: the disk refuses, here and below.
        """
        self._path = path
        self._file: TextIO | None = None
        with self._refusals():
            if _is_shared(path):
                self._opened()  # a pipe's reader would take a second opening for a second writer
            else:
                open(path, "a", opener=_private).close()

    def write(self, reject: Reject) -> None:
        """Add a line."""
        line = reject._asdict() | {"raw": reject.raw.decode(errors="replace")}
        with self._refusals():
            self._opened().write(json.dumps(line) + "\n")

    def complete(self) -> None:
        """Write what is left, and close."""
        with self._refusals():
            self._opened().close()

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # there is an error to tell already
                self._file.close()

    def _opened(self) -> TextIO:
        if self._file is None:
            stream = _stream_of(self._path)
            file = self._path if stream is None else os.dup(stream)
            opener = _private if stream is None else None
            self._file = open(file, "w", encoding="utf-8", opener=opener)  # noqa: SIM115
        return self._file

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DatabaseError(f"{self._path}: {error.strerror}") from None


def _is_shared(path: Path) -> bool:
    return _stream_of(path) is not None or (path.exists() and not path.is_file())


def _stream_of(path: Path) -> int | None:
    """Return which of standard output and error goes to the very file, if one does.

    It has a position there, which another opening of the file would not have.
    """
    for stream, descriptor in ((sys.__stdout__, 1), (sys.__stderr__, 2)):
        if stream is None:  # closed from the start: its number may be anything by now
            continue
        with contextlib.suppress(OSError):
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
    return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
