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
    ├── PipelineFailed         70   the code of a pipeline has a mistake that only a record showed
    ├── FiguresDisagree        70   the figures of a run contradict each other: an internal error
    ├── DatabaseError          74   the database or the disk refused
    │   └── ConnectionLost          what may go well on another connection
    ├── LockHeld               75   another run is at work
    ├── ConfigurationError     78   settings that contradict each other or are missing, and a pipeline that
    │                               cannot be loaded
    └── Stopped         130, 143   SIGINT came; SIGTERM or SIGHUP
        └── OutputClosed         0   whoever read the rows from standard output has had enough

A command line that cannot be understood is click's to refuse, with 2. Numbers above 64 follow BSD's
sysexits(3). Messages are one line, name the source, say where (a byte
offset into the decoded document, unless the text says compressed) and why, and hold no values of the
feed and no secrets.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import traceback
from pathlib import Path

from etl.text import visible

_LIMITS = {
    errno.EAGAIN: " (the limit on processes and threads: ulimit -u, or a service's TasksMax)",
    errno.EMFILE: " (the limit of a process: ulimit -n)",
    errno.ENFILE: "",
    errno.ENOMEM: "",
}
"""What the system refuses, and by which limit."""

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


class PipelineFailed(EtlError):
    """The code of a pipeline failed over a record, or makes rows that do not fit where they go."""

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
        self.exit_status = 128 + (number if number == signal.SIGINT else signal.SIGTERM)

    def after_commit(self) -> None:
        """Say that it came too late to undo anything."""
        self.message = Stopped(self.number, "after the run was committed").message


class OutputClosed(Stopped):
    """Nobody reads the rows that go to standard output any more, as after `| head`: that is no failure."""

    def __init__(self, message: str) -> None:
        EtlError.__init__(self, message)
        self.number = signal.SIGPIPE
        self.exit_status = 0


def reported(process: str, error: Exception) -> EtlError:
    """Return an error as it is reported: itself, or if it is none of ours, one with its kind and place.

    Where the system refused memory or files, that is said, whatever it was that could not be done then.
    """
    refused = _refused_before(error) if isinstance(error, EtlError) else refusal(error)
    if isinstance(error, EtlError) and (refused is None or isinstance(error, ProcessDied)):
        return error
    if refused is not None:
        return ProcessDied(f"{process} cannot go on: {refused}")
    place = traceback.extract_tb(error.__traceback__)[-1]
    kind, file = type(error).__name__, Path(place.filename).name
    # A library that lacks memory may fail without an exception of its own; the interpreter tells no more.
    why = ", as where memory is short" if isinstance(error, SystemError) else ""
    return ProcessDied(f"{process} failed inside: {kind} at {file}:{place.lineno}{why}")


def _refused_before(error: BaseException) -> str | None:
    """Return the refusal that led to an error, but that of a process: its number is a held lock's, too."""
    held = f"{os.strerror(errno.EAGAIN)}{_LIMITS[errno.EAGAIN]}"
    before = error.__cause__ or error.__context__
    while before is not None:
        if isinstance(before, Exception) and (refused := refusal(before)) not in (None, held):
            return refused
        before = before.__cause__ or before.__context__
    return None


def refusal(error: Exception) -> str | None:
    """Return what the system refuses to a process, if that is what an error is about."""
    code = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if isinstance(error, RuntimeError) and text.startswith("can't start new thread"):
        code = errno.EAGAIN
    # The latter is what glibc says of a library that it cannot load for want of memory.
    unmapped = isinstance(error, ImportError) and re.search("failed to map|allocate memory", text)
    if unmapped or isinstance(error, MemoryError):
        code = errno.ENOMEM
    return f"{os.strerror(code)}{_LIMITS[code]}" if code in _LIMITS else None


def stack_of(error: BaseException | None) -> str:
    """Return where an error comes from, as a traceback without its messages: these may hold values."""
    parts: list[str] = []
    while error is not None:
        parts.append(f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__name__}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nfollowed by:\n\n".join(reversed(parts))


def one_line(text: str) -> str:
    """Return what somebody else says as one line of a sane length, with escapes for what is not printed."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= SAID_LIMIT else f"{line[:SAID_LIMIT]}…"
