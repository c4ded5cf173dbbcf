"""Records that are not where they are looked for: what is wrong with the feed, and what would mend it."""

from __future__ import annotations

import json

from etl.errors import MalformedFeed, one_line
from etl.shape.layout import Container


def refuse_several(document: bytes, begin: int, container: Container, record: str | None) -> None:
    """Refuse a first line that is a document by itself, and no record, with another one after it.

    `record` is the name of the root's member that was taken for the first record, where it was one.

    Raises:
        MalformedFeed: several documents, or lines in which the records stand under a member.
    """
    text = document.lstrip()
    line, newline, rest = text.partition(b"\n")
    if container is Container.LINES:
        _refuse_broken_lines(text, begin)
        return
    if not newline or not rest.strip() or not line.rstrip().endswith((b"}", b"]")):
        return
    try:
        found = json.loads(line)
    except ValueError:
        return
    if isinstance(found, dict) and set(found) == {"key", "value"}:
        raise MalformedFeed(
            "these are lines of “key” and “value”, not of records: join them to one object, such as by"
            " “jq -s from_entries FILE | etl run ... --source -”"
        )
    is_record = isinstance(found, dict) and any(not isinstance(value, dict) for value in found.values())
    if record is not None and is_record:
        raise MalformedFeed(
            f"these are lines in which the records seem to be under the member “{one_line(record)}”:"
            " give these alone, a line each"
        )
    raise another_document(begin + len(document) - len(rest.lstrip()))


def another_document(offset: int) -> MalformedFeed:
    """Return what to say of a second document at an offset."""
    return MalformedFeed(
        f"another document begins at byte {offset:,}: several in one feed are not read; join them, such as"
        " by “jq -s add FILE | etl run ... --source -”"
    )


def _refuse_broken_lines(text: bytes, begin: int) -> None:
    """Refuse records that are no lines, though they stand by themselves."""
    lines = [line for line in text.split(b"\n") if line.strip()]
    if len(lines) > 1 and not any(_is_whole(line) for line in lines):
        raise MalformedFeed(
            f"the records, from byte {begin:,} on, stand by themselves over several lines each: give each"
            " a line, such as by “jq -c . FILE | etl run ... --source -”"
        )


def _is_whole(line: bytes) -> bool:
    text = line.strip()
    return text.startswith((b"{", b"[")) and text.endswith((b"}", b"]")) and len(text) > 2


def elsewhere(path: list[str | None], offset: int) -> str:
    """Return where records seem to be, as an addition to a sentence; None in the path is an array."""
    place = one_line("$" + "".join("[]" if name is None else f".{name}" for name in path))
    return (
        f"; some seem to be at {place}, from byte {offset:,} on, where they are not looked for: give that"
        f" part alone, such as by “jq -c '{place.removeprefix('$') or '.'}' FILE | etl run ... --source -”"
    )
