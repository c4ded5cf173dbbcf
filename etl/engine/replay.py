"""Rows that are kept until they are committed: what was staged is gone with a connection that breaks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from etl import temporary
from etl.declare.destination import Staging


class KeptRows:
    """Packed rows in a temporary file without a name.

    Raises:
        DatabaseError: the disk refuses, here and below.
    """

    def __init__(self) -> None:
        with temporary.failures_named("staged rows"):
            self._file = temporary.unnamed_file()

    def add(self, parts: Sequence[bytes]) -> None:
        """Keep more rows."""
        with temporary.failures_named("staged rows"):
            self._file.writelines(parts)
            self._file.flush()  # a disk that is full must not come to light after the commit

    def load_into(self, staging: Staging) -> None:
        """Load all of them, if there are any.

        Raises:
            SQLAlchemyError: the database refuses.
        """
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(0)
            staging.restore(self._file)

    def close(self) -> None:
        """Remove them."""
        with suppress(OSError):  # what could not be written was told
            self._file.close()
