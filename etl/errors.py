"""Everything that can end a run, and the exit status that each gives.

    EtlError                    1
    ├── DataError              65   the feed cannot be trusted
    │   ├── MalformedFeed           not well-formed JSON, or not the document that was expected
    │   ├── TruncatedFeed           the stream or the document ends early
    │   ├── ReplyError              a JSON-RPC reply that carries an error
    │   ├── EmptyFeed               a feed with no records
    │   └── TooManyRejects          more rejects than --max-rejects, or one under --on-error fail
    ├── SourceUnavailable      69   no such file, refused connection, HTTP status
    ├── ProcessDied            70   a child was killed or failed inside
    ├── FiguresDisagree        70   the figures of a run contradict each other: an internal error
    ├── DatabaseError          74   the database or the disk refused
    │   └── ConnectionLost          what may go well on another connection
    ├── LockHeld               75   another run is at work
    ├── ConfigurationError     78   settings that contradict each other or are missing
    └── Stopped         130, 143   a signal came

A command line that cannot be understood is click's to refuse, with 2. Numbers above 64 follow BSD's
sysexits(3). Messages are one line, name the source, say where (a byte
offset into the decoded document, unless the text says compressed) and why, and hold no values of the
feed and no secrets.
"""

from __future__ import annotations

import signal
import traceback
from pathlib import Path

SAID_LIMIT = 500
"""How much of what somebody else says is shown, in characters."""


class EtlError(Exception):
    """A run cannot go on; `str()` is the line for the user."""

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def after_commit(self) -> None:
        """Say that it came too late to undo anything."""
        self.message = f"{self.message}, after the run was committed"


class DataError(EtlError):
    """The feed cannot be trusted."""

    exit_status = 65


class MalformedFeed(DataError):
    """The feed is not well-formed JSON, or not the kind of document that was expected."""


class TruncatedFeed(DataError):
    """The compressed stream or the JSON document ends early."""


class ReplyError(DataError):
    """The feed is a JSON-RPC reply that carries an error in place of records."""


class EmptyFeed(DataError):
    """The feed holds no records, and `--allow-empty` was not given."""


class TooManyRejects(DataError):
    """More records were rejected than the run allows."""


class SourceUnavailable(EtlError):
    """The source cannot be opened or read."""

    exit_status = 69


class ProcessDied(EtlError):
    """A process of the run was killed, or failed inside."""

    exit_status = 70


class FiguresDisagree(EtlError):
    """Records or rows were lost or came to be on the way: nothing may be committed."""

    exit_status = 70


class DatabaseError(EtlError):
    """The database, or the disk below it, refused."""

    exit_status = 74


class ConnectionLost(DatabaseError):
    """The connection to the database broke, or the server asks to try again."""


class LockHeld(EtlError):
    """Another run of the pipeline is at work on the database."""

    exit_status = 75


class ConfigurationError(EtlError):
    """Settings contradict each other, or one that is needed is missing."""

    exit_status = 78


class Stopped(EtlError):
    """A signal ended the command."""

    def __init__(self, number: int, when: str = "nothing was committed") -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}, {when}")
        self.number = number
        self.exit_status = 128 + number

    def after_commit(self) -> None:
        """Say that it came too late to undo anything."""
        self.message = Stopped(self.number, "after the run was committed").message


def unexpected(process: str, error: Exception) -> ProcessDied:
    """Return what to say of an error that no user can cause: its kind and place, but no values."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    kind, file = type(error).__name__, Path(place.filename).name
    return ProcessDied(f"{process} failed inside: {kind} at {file}:{place.lineno}")


def stack_of(error: BaseException | None) -> str:
    """Return where an error comes from, as a traceback without its messages: these may hold values."""
    parts: list[str] = []
    while error is not None:
        parts.append(f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__name__}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nfollowed by:\n\n".join(reversed(parts))


def one_line(text: str) -> str:
    """Return what somebody else says as one line of a sane length, with � for what cannot be printed."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return line if len(line) <= SAID_LIMIT else f"{line[:SAID_LIMIT]}…"
