"""Feeds made to fill the memory: a run takes no more for them than for any other, and ends as it should."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from etl.engine.memory import proportional_bytes
from tests.acceptance.feeds import OTHER, OURS, as_lines, as_object, as_reply, deal
from tests.support.command import Completed, Etl
from tests.support.databases import Database
from tests.support.processes import children

from .cases import SHORT, TALLY

MEGABYTE = 10**6
SIZE = 128 * MEGABYTE if SHORT else 1000 * MEGABYTE
DEPTH = 100_000
RECORD = 4 << 20
"""How long a record may be."""

FACTOR, MARGIN = 1.3, 20 * MEGABYTE
"""What a run may take beside that on an ordinary feed of the same size."""

Parts = Iterator[bytes]


def _many(part: bytes, size: int = SIZE) -> Parts:
    block = part * max(1, MEGABYTE // len(part))
    for _ in range(max(1, size // len(block))):
        yield block


def _object(client: str, *parts: Parts | bytes) -> Parts:
    """An object of three records; the one in the middle is of `client`, its last member is the parts."""
    around = as_object([("1", deal()), ("2", deal(client, more={"X": "MARK"})), ("3", deal(OTHER))])
    return _filled(around, *parts)


def _filled(document: bytes, *parts: Parts | bytes) -> Parts:
    before, after = document.split(b'"MARK"')
    yield before
    for part in parts:
        yield from [part] if isinstance(part, bytes) else part
    yield after


def _labelled(*parts: bytes) -> Parts:
    """A record of ours with a label that is no text."""
    return _filled(as_object([("1", deal()), ("2", deal(Label="MARK"))]), *parts)


def _nested(client: str) -> Parts:
    return _object(client, b"[" * DEPTH, b"]" * DEPTH)


PLAIN = as_object([("1", deal()), ("2", deal(OTHER))])


def _reply(after: bool, *parts: Parts | bytes) -> Parts:
    member = '"X":"MARK"'
    return _filled(as_reply(PLAIN, "", "," + member) if after else as_reply(PLAIN, member + ","), *parts)


def _between(*parts: Parts | bytes) -> Parts:
    before, after = PLAIN.split(b',"2":')
    return _filled(before + b',"MARK""2":' + after, *parts)


def _keys(text: bytes) -> Parts:
    yield PLAIN[:-1]
    for _ in range(100):
        yield text * 10_000
    yield b"}"


def _ordinary() -> Parts:
    yield PLAIN[:-1]
    yield from _many(b"," + as_object((str(n), deal(OTHER)) for n in range(10, 2000))[1:-1])
    yield b"}"


@dataclass(frozen=True)
class Attack:
    """A feed, and how a run over it ends."""

    parts: Callable[[], Parts]
    rejects: str | None = None
    """The reason for which a record is rejected."""
    refused: str | None = None
    """What is said of a feed that is refused; it has the byte."""
    codec: str = "zstd"
    more: int = 0
    """What it takes besides: a record that the typed decoder refuses is decoded to Python's own objects,
    of some 25 times its length at worst."""


LONG = "longer than a record may be"
NO_RECORD = "no record found in the first [0-9,]+ bytes"
GOES_ON = "goes on at byte [0-9,]+, more than"
ATTACKS = {
    "depth, matching": Attack(lambda: _nested(OURS[0]), "nested too deeply"),
    "depth, not matching": Attack(lambda: _nested(OTHER), "nested too deeply"),
    "depth before the records": Attack(lambda: _reply(False, b"[" * DEPTH, b"]" * DEPTH)),
    "depth after the records": Attack(lambda: _reply(True, b"[" * DEPTH, b"]" * DEPTH)),
    "string in a record": Attack(lambda: _object(OTHER, b'"', _many(b"a"), b'"'), LONG),
    "string of quotes in a record": Attack(lambda: _object(OTHER, b'"', _many(b'\\"'), b'"'), LONG),
    "record of many members": Attack(lambda: _object(OURS[0], b"{", _many(b'"a":1,'), b'"a":1}'), LONG),
    "record of records": Attack(
        lambda: _object(OTHER, b"[", _many(b'{"a":[1,{"b":"c"}],"d":null},'), b"0]"), LONG
    ),
    "mistake in the last byte of a record": Attack(
        lambda: _object(OTHER, b"[", _many(b'{"a":"b"},'), b"01]"),
        refused="not well-formed JSON at byte [0-9,]{11,}: Expecting ',' delimiter",
    ),
    "brackets without end": Attack(
        lambda: _object(OTHER, _many(b"[")), refused="more than 1,048,576 brackets are open"
    ),
    "number in a record": Attack(lambda: _object(OURS[0], _many(b"7", SIZE // 10)), LONG),
    "number of a record's length": Attack(lambda: _object(OURS[0], b"7" * (RECORD // 2))),
    "blanks in a record": Attack(lambda: _object(OTHER, _many(b" "), b"1"), LONG),
    "blanks between records": Attack(lambda: _between(_many(b" \n\t"))),
    "names twice": Attack(lambda: _object(OURS[0], b"{", b'"a":1,' * 600_000, b'"a":1}')),
    "names twice, not matching": Attack(lambda: _object(OTHER, b"{", b'"a":1,' * 600_000, b'"a":1}')),
    "keys twice": Attack(lambda: _keys(b',"7":{"Proposal":{},"State":{}}')),
    "keys twice, no records": Attack(lambda: _keys(b',"7":{}')),
    "small values": Attack(lambda: _object(OURS[0], b"[", b"[]," * 1_300_000, b"[]]")),
    "small values, not matching": Attack(lambda: _object(OTHER, b"[", b"[]," * 1_300_000, b"[]]")),
    "small values that are no label": Attack(
        lambda: _labelled(b"[", b"[]," * 1_300_000, b"[]]"), "Expected `str | null`", more=110 * MEGABYTE
    ),
    "string before the records": Attack(
        lambda: _reply(False, b'"', _many(b"a"), b'"'), refused=NO_RECORD
    ),
    "string after the records": Attack(
        lambda: _reply(True, b'"', _many(b"a"), b'"'), refused=GOES_ON
    ),
    "values after the records": Attack(
        lambda: _reply(True, b"[", _many(b"[],"), b"[]]"), refused=GOES_ON
    ),
    "blanks after the document": Attack(
        lambda: _filled(PLAIN + b'"MARK"', _many(b" ")), refused=GOES_ON
    ),
    "head without end": Attack(
        lambda: _filled(b'{"a":["MARK"', _many(b"[1],")), refused=NO_RECORD
    ),
    "blanks without end": Attack(lambda: _many(b"\n"), refused=NO_RECORD),
    "zeros": Attack(lambda: _many(b"\0"), refused="byte 0"),
    "zeros, gzip": Attack(lambda: _many(b"\0"), refused="byte 0", codec="gzip"),
    "string in a record, gzip": Attack(
        lambda: _object(OTHER, b'"', _many(b"a"), b'"'), LONG, codec="gzip"
    ),
    "zeros after the records": Attack(
        lambda: _filled(PLAIN + b'"MARK"', _many(b"\0")), refused="byte [0-9,]+"),
    "line without end": Attack(
        lambda: _filled(as_lines([("1", deal())]) + b'{"X":"MARK"', _many(b"[1],"), b"1"),
        refused="byte [0-9,]+",
    ),
    "string in a line": Attack(
        lambda: _filled(as_lines([("1", deal())]) + b'{"X":"MARK"}\n', b'"', _many(b"a"), b'"'), LONG
    ),
}  # fmt: skip


def _write(path: Path, parts: Parts, codec: str) -> None:
    if codec == "gzip":
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.writelines(parts)
    else:
        with pa.CompressedOutputStream(str(path), codec) as stream:
            for part in parts:
                stream.write(part)


def _run(directory: Path, attack: Attack) -> tuple[Completed, int, float]:
    """Run the command over a feed; returns its end, the peak of its memory and its seconds."""
    directory.mkdir()
    feed = directory / "feed"
    _write(feed, attack.parts(), attack.codec)
    with closing(Etl(directory)) as command:
        started, peak = time.monotonic(), 0
        running = command.start(*command.loading("--source", feed))
        while running.poll() is None:
            peak = max(peak, proportional_bytes([running.pid, *children(running.pid)]))
            time.sleep(0.01)
        return running.done(), peak, time.monotonic() - started


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> int:
    """What a run takes for an ordinary feed of that size, compressed."""
    completed, peak, _ = _run(tmp_path_factory.mktemp("ordinary") / "run", Attack(_ordinary))
    assert completed.status == 0, completed.stderr
    return peak


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ATTACKS)
def test_a_feed_made_to_fill_the_memory_does_not(name: str, ordinary: int, tmp_path: Path) -> None:
    attack = ATTACKS[name]
    with TALLY.case("memory") as entry:
        completed, peak, entry.noticed = _run(tmp_path / "run", attack)
        if attack.refused is not None:
            assert completed.status == 65, completed.stderr
            assert re.search(attack.refused, completed.message)
        else:
            assert (completed.status, completed.stderr) == (0, "")
            rejects = Database(tmp_path / "run" / "deals.db").rows("etl_rejects")
            reasons = [reject["reason"][: len(attack.rejects or "")] for reject in rejects]
            assert reasons == ([] if attack.rejects is None else [attack.rejects])
        assert peak < FACTOR * ordinary + MARGIN + attack.more
