"""The file of rejected records, for whoever wants to look at them: JSON lines, with raw data."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType

from etl.errors import DatabaseError
from etl.messages import Reject


class RejectsFile:
    """A new file of rejects, readable by its owner only; complete when closed."""

    def __init__(self, path: Path) -> None:
        """Create the file, or empty it.

        Raises:
            DatabaseError: the disk refuses, here and below.
        """
        self._path = path
        try:
            self._file = open(path, "w", encoding="utf-8", opener=_private)  # noqa: SIM115
        except OSError as error:
            raise self._refusal(error) from None

    def write(self, reject: Reject) -> None:
        """Add a line."""
        line = reject._asdict() | {"raw": reject.raw.decode(errors="replace")}
        try:
            self._file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise self._refusal(error) from None

    def close(self) -> None:
        """Write what is left, and close; again does nothing."""
        try:
            self._file.close()
        except OSError as error:
            raise self._refusal(error) from None

    def __enter__(self) -> RejectsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        with contextlib.suppress(OSError):  # there is an error to tell already
            self._file.close()

    def _refusal(self, error: OSError) -> DatabaseError:
        return DatabaseError(f"{self._path}: {error.strerror}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
