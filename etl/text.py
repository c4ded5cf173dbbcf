"""What others have made, as text that is shown: it acts on no terminal, and looks like no other line."""

from __future__ import annotations

from datetime import UTC, datetime


def visible(text: str, keep: str = "") -> str:
    r"""Return a text with an escape (`\x1b`, `\u202e`, `\n`) for every character that is not printed.

    Such are controls, marks of direction, characters of no width, blanks other than the space, and lone
    surrogates (`str.isprintable`). Those in `keep` stay. What is already escaped stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text
    )


def rfc3339(time: datetime, timespec: str = "auto") -> str:
    """Return a time in UTC, with its zone; one without a zone is in UTC, as SQLite keeps them."""
    known = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return known.isoformat(timespec=timespec)
