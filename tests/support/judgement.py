"""What the reference says of a stream of bytes, and whether what was found in it is the same.

The two must agree on which streams are sound and on what those hold, but for these rules:

- A well-formed record that is longer than a slab is a reject; so is one that is nested deeper than the
  interpreter allows (never one of under `SHALLOW` levels); with salvage, so is one that is malformed. The
  reference is asked about the document with a plain record, that nobody wants, in the place of each.
- An empty bz2 stream among others may be refused (Arrow does).
"""

from __future__ import annotations

import bz2
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lz4.frame
import zstandard

from etl.shape.layout import Container
from tests.support.documents import WANTED
from tests.support.interleaved import HEAD, NAMES, Found
from tests.support.twin.reading import Expected, NotWellFormed, expected, shape_of

SHALLOW = 150
BOM = b"\xef\xbb\xbf"


class Finding(Exception):
    """The package and the reference differ; `kind` says how, without the particulars."""

    def __init__(self, kind: str, details: str = "") -> None:
        super().__init__(f"{kind}: {details}" if details else kind)
        self.kind = kind


class NotDecodable(Exception):
    """The compressed stream is cut short, damaged, or followed by something else."""


# The reference ---------------------------------------------------------------------------------------


def plain(document: bytes, refuse_nul: bool = False) -> Expected:
    """Return what a document holds.

    Raises:
        NotWellFormed: it is not sound.
    """
    with _deep():
        document = document.removeprefix(BOM)
        return expected(document, shape_of(document), set(WANTED), HEAD, refuse_nul)


@contextmanager
def _deep() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def decoded(stream: bytes) -> bytes:
    """Return what a stream decompresses to, by the codecs' own libraries; a plain one is itself.

    Raises:
        NotDecodable: not one or more whole frames or members, and nothing else.
    """
    new: Callable[[], Any]
    if stream[:4] == b"\x28\xb5\x2f\xfd" or (stream[1:4] == b"\x2a\x4d\x18" and stream[0] >> 4 == 5):
        new = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
    elif stream[:2] == b"\x1f\x8b":
        new = lambda: zlib.decompressobj(31)  # noqa: E731
    elif stream[:3] == b"BZh" and stream[3:4] in tuple(b"%d" % level for level in range(1, 10)):
        new = bz2.BZ2Decompressor
    elif stream[:4] == b"\x04\x22\x4d\x18":
        new = lz4.frame.LZ4FrameDecompressor
    else:
        return stream
    parts = []
    while stream:
        member = new()
        try:
            parts.append(member.decompress(stream))
        except (OSError, EOFError, RuntimeError, ValueError, zlib.error, zstandard.ZstdError) as error:
            raise NotDecodable(str(error)) from None
        if not member.eof:
            raise NotDecodable("cut short")
        stream = member.unused_data or b""
    return b"".join(parts)


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
        start, stop, depth = record_at(document, reject.offset, found.container)
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


def record_at(document: bytes, start: int, container: Container) -> tuple[int, int, int]:
    """Return where the record begins and ends that begins there, and its depth, by the plainest loop."""
    if container is Container.LINES:
        stop = document.find(b"\n", start)
        stop = len(document) if stop < 0 else stop
        line = document[start:stop]
        return start, stop, max(line.count(b"{"), line.count(b"["))
    depth = deepest = 0
    in_string = escaped = False
    for at in range(start, len(document)):
        byte = document[at : at + 1]
        if in_string:
            in_string = escaped or byte != b'"'
            escaped = not escaped and byte == b"\\"
        elif byte == b'"':
            in_string = True
        elif byte in (b"{", b"["):
            depth += 1
            deepest = max(depth, deepest)
        elif depth == 0 and byte in (b",", b"}", b"]"):
            return start, at, deepest
        elif byte in (b"}", b"]"):
            depth -= 1
    return start, len(document), deepest
