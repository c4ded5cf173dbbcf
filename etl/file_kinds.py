"""What a file holds, as its first bytes tell: nothing replaces a file of another kind unasked."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """A kind of file, and how its first bytes look."""

    name: str
    """As in "is not a Parquet file"."""
    head: re.Pattern[bytes]
    is_stream: bool = False
    """It is written from beginning to end under its own name, so a pipe or a device will do."""
    may_replace: bool = True
    """One of another kind may be replaced, if that is asked for."""
