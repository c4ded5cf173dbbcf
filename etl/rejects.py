"""The file of rejected records, for whoever wants to look at them: JSON lines, with raw data."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from etl.errors import DatabaseError
from etl.messages import Reject


class RejectsFile:
    """A new file of rejects, readable by its owner only; made at the first one, or when it is complete."""

    def __init__(self, path: Path) -> None:
        """See that the file can be written; what is in it stays for now.

        Raises:
            DatabaseError: the disk refuses, here and below.
        """
        self._path = path
        self._file: TextIO | None = None
        with self._refusals():
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
            self._file = open(self._path, "w", encoding="utf-8", opener=_private)  # noqa: SIM115
        return self._file

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DatabaseError(f"{self._path}: {error.strerror}") from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
