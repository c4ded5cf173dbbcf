"""What the reference says of a stream of bytes, and whether what was found in it is the same.

The two must agree on which streams are sound and on what those hold, but for these rules:

- A well-formed record that is longer than a slab is a reject; so is one that is nested deeper than the
  interpreter allows (never one of under `SHALLOW` levels); with salvage, so is one that is malformed. The
  reference is asked about the document with a plain record, that nobody wants, in the place of each.
- An empty bz2 stream among others may be refused (Arrow does).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from etl.shape.layout import Container
from tests.support.documents import WANTED
from tests.support.interleaved import HEAD, NAMES, Found
from tests.support.twin.deals import Expected, expected
from tests.support.twin.reading import NotWellFormed, record_at, shape_of
from tests.support.twin.streams import NotDecodable, decoded

SHALLOW = 150


class Finding(Exception):
    """The package and the reference differ; `kind` says how, without the particulars."""

    def __init__(self, kind: str, details: str = "") -> None:
        super().__init__(f"{kind}: {details}" if details else kind)
        self.kind = kind


# The reference ---------------------------------------------------------------------------------------


def plain(document: bytes, refuse_nul: bool = False) -> Expected:
    """Return what a document holds.

    Raises:
        NotWellFormed: it is not sound.
    """
    with _deep():
        return expected(document, shape_of(document), set(WANTED), HEAD, refuse_nul)


@contextmanager
def _deep() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _may_be_refused(stream: bytes, reason: str) -> bool:
    """Say whether the rules let a sound feed be refused for this reason."""
    # An end without blocks before it.
    return "bz2 stream" in reason and b"\x17\x72\x45\x38\x50\x90" in stream


# The comparison --------------------------------------------------------------------------------------


def judge_refusal(stream: bytes, reason: str, refuse_nul: bool = False) -> None:
    """Hold a refusal to the reference.

    Raises:
        Finding: the reference finds nothing wrong.
    """
    try:
        document = decoded(stream)
        want = plain(document, refuse_nul)
    except (NotDecodable, NotWellFormed):
        return
    if not _may_be_refused(stream, reason):
        raise Finding("refused a sound feed", f"{reason} ({want.records} records)")


def judge(stream: bytes, found: Found, refuse_nul: bool, slab_bytes: int, salvage: bool) -> None:
    """Hold what was found to the reference.

    Raises:
        Finding: it is not the same.
    """
    try:
        document = decoded(stream)
    except NotDecodable as error:
        raise Finding("accepted a damaged stream", str(error)) from None
    document, count = _with_stand_ins(document, found, slab_bytes, salvage)
    try:
        want = plain(document, refuse_nul)
    except NotWellFormed as error:
        raise Finding("accepted a malformed document", str(error)) from None
    rows = [dict(zip(NAMES, row, strict=True)) for row in found.rows]
    positions = [row.pop("position") for row in rows]
    figures = found.records, len(rows), len(found.rejects) + len(found.oversize)
    if figures != (want.records, want.matched, want.rejected + count):
        raise Finding("other figures", f"{figures} instead of {want}, {count} besides")
    if positions != sorted(set(positions)):
        raise Finding("rows out of order", str(positions))
    by_id = {row["deal_id"]: row for row in rows}
    if by_id != want.rows:
        raise Finding("other rows", f"{by_id} instead of {want.rows}")


def _with_stand_ins(document: bytes, found: Found, slab_bytes: int, salvage: bool) -> tuple[bytes, int]:
    """Return the document with the records replaced that are rejects by a rule, and how many."""
    spans = [(task.offset, task.offset + task.size) for task in found.oversize]
    if any(stop - start < slab_bytes for start, stop in spans):
        raise Finding("a record that is not too long is oversize", str(spans))
    if not salvage and not all(_is_sound(document[start:stop], found.container) for start, stop in spans):
        raise Finding("a malformed record is oversize", str(spans))
    for reject in found.rejects:
        if not document.startswith(reject.raw, reject.offset):
            raise Finding("a reject is not where it says", str(reject))
        if reject.reason != "nested too deeply" and not reject.reason.startswith("malformed"):
            continue
        start, stop, depth = record_at(document, reject.offset, found.container is Container.LINES)
        if reject.reason == "nested too deeply":
            if depth < SHALLOW:
                raise Finding("a shallow record is too deep", str(reject))
        elif not salvage or _is_sound(document[start:stop], found.container):
            raise Finding("a sound record is malformed", str(reject))
        spans.append((start, stop))
    plain_record = b'{"Proposal":{}}'
    if found.container is Container.OBJECT:
        plain_record = b'"0":' + plain_record
    for start, stop in sorted(spans, reverse=True):
        document = document[:start] + plain_record + document[stop:]
    return document, len(spans)


def _is_sound(record: bytes, container: Container) -> bool:
    opening, closing = (b"{", b"}") if container is Container.OBJECT else (b"[", b"]")
    try:
        with _deep():
            value = json.loads(
                (opening + record + closing).decode(), parse_constant=_refuse, parse_int=float
            )
    except ValueError:
        return False
    return len(value) == 1


def _refuse(constant: str) -> None:
    raise ValueError(constant)
