"""Reader and parser together, in this process: no cut and no flipped bit passes for a whole feed."""

from __future__ import annotations

import bz2
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import zstandard
from lz4 import frame

from etl.errors import DataError, EtlError
from tests.acceptance.feeds import (
    OTHER,
    as_array,
    as_lines,
    as_object,
    as_reply,
    deal,
    lz4,
    zstd,
)
from tests.support import one_process
from tests.support.effort import sample

PAIRS = [("1", deal(Label='a"}\\,é')), ("2", deal(OTHER, PieceCID=None))]


def read(stream: bytes, chunk_bytes: int = 1 << 16) -> list[tuple[Any, ...]]:
    """The rows of a feed; raises an `EtlError` if it is not sound."""
    return one_process.read(stream, chunk_bytes).rows


OBJECT = as_object(PAIRS)
CLOSED = {
    "object": OBJECT,
    "reply, id last": as_reply(OBJECT),
    "reply, id first": as_reply(OBJECT, '"id":0,', ""),
    "array": as_array(PAIRS),
    "array in a reply": as_reply(as_array(PAIRS)),
}


@pytest.mark.parametrize("chunk_bytes", [1 << 16, 100])
@pytest.mark.parametrize("document", CLOSED.values(), ids=CLOSED.keys())
def test_a_document_cut_at_any_byte_is_refused(document: bytes, chunk_bytes: int) -> None:
    assert len(read(document, chunk_bytes)) == 1
    passed = []
    for cut in sample(range(len(document)), 150):
        try:
            read(document[:cut], chunk_bytes)
        except DataError:
            continue
        passed.append(cut)
    assert passed == []


MALFORMED = {
    "no colon": (b'"Client":', b'"Client"'),
    "no comma": (b'"VerifiedDeal":true,', b'"VerifiedDeal":true'),
    "no value": (b'"VerifiedDeal":true', b'"VerifiedDeal":'),
    "bad literal": (b"true", b"True"),
    "bad number": (b"34359738368", b"034"),
    "no number": (b"34359738368", b"-"),
    "bad escape": (b"\\\\", b"\\q"),
    "bad escape of a code": (b"\\\\", b"\\u12G4"),
    "raw newline in a string": (b"f0123", b"f01\n23"),
    "single quotes": (b'"f0123"', b"'f0123'"),
    "a comma too many": (b'"f0123",', b'"f0123",,'),
    "closed by the other bracket": (b'"SlashEpoch":-1', b'"SlashEpoch":[-1}'),
    "two values": (b'},"2"', b'} {},"2"'),
    "nothing between two commas": (b'},"2"', b'},,"2"'),
    "blanks between two commas": (b'},"2"', b'}, ,"2"'),
    "no comma between two records": (b'},"2"', b'} "2"'),
    "a key that is no string": (b'"2":', b"2:"),
    "no colon after a key": (b'"2":', b'"2"'),
    "junk behind the document": (b"}}}", b"}}} x"),
    "NaN": (b"34359738368", b"NaN"),
    "infinity": (b"34359738368", b"-Infinity"),
}


@pytest.mark.parametrize("wrong", ["first", "last"])
@pytest.mark.parametrize("chunk_bytes", [1 << 16, 100])
@pytest.mark.parametrize("name", MALFORMED)
def test_names_the_byte_at_which_a_document_goes_wrong(name: str, chunk_bytes: int, wrong: str) -> None:
    good, bad = MALFORMED[name]
    place = OBJECT.index(good) if wrong == "first" else OBJECT.rindex(good)
    document = OBJECT[:place] + bad + OBJECT[place + len(good) :]
    with pytest.raises(DataError) as caught:
        read(document, chunk_bytes)
    found = re.search(r"byte ([0-9,]+)", caught.value.message)
    assert found
    assert int(found[1].replace(",", "")) == json_error(document)


def json_error(document: bytes) -> int:
    """The byte offset at which Python's parser gives up, or of what it alone takes for JSON."""
    text = document.decode()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return len(text[: error.pos].encode())
    return document.index(b"-Infinity" if b"-Infinity" in document else b"NaN")


LINES = as_lines(PAIRS)  # which do not show by themselves that some are missing
CODECS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstd,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "lz4": lz4,
}


@pytest.mark.parametrize("compress", CODECS.values(), ids=CODECS.keys())
def test_a_compressed_stream_cut_at_any_byte_is_refused(compress: Callable[[bytes], bytes]) -> None:
    stream = compress(LINES)
    assert len(read(stream)) == 1
    passed = []
    for cut in sample(range(len(stream)), 150):
        try:
            read(stream[:cut])
        except DataError:
            continue
        passed.append(cut)
    assert passed == []


@pytest.mark.parametrize("compress", CODECS.values(), ids=CODECS.keys())
def test_a_second_frame_cut_at_any_byte_but_its_first_is_refused(
    compress: Callable[[bytes], bytes],
) -> None:
    first, second = compress(LINES), compress(LINES.replace(b'"DealID": ', b'"DealID": 7'))
    assert len(read(first + second)) == 2
    passed = []
    for cut in sample(range(1, len(second)), 150):
        try:
            read(first + second[:cut])
        except DataError:
            continue
        passed.append(cut)
    assert passed == []


def zstd_with_checksum(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def lz4_with_checksum(data: bytes) -> bytes:
    compressed: bytes = frame.compress(data, content_checksum=True)
    return compressed


CHECKED = {  # Arrow writes no checksums into zstd and LZ4; the commands of these names do
    "zstd": zstd_with_checksum,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "lz4": lz4_with_checksum,
}


@pytest.mark.parametrize("name", CHECKED)
def test_a_stream_with_any_bit_flipped_is_refused_or_makes_no_difference(name: str) -> None:
    stream = CHECKED[name](LINES)
    rows = read(stream)
    for place in sample(range(8 * len(stream)), 400):
        damaged = bytearray(stream)
        damaged[place // 8] ^= 1 << place % 8
        try:
            found = read(bytes(damaged))
        except EtlError:
            continue
        assert found == rows, f"bit {place}"


@pytest.mark.parametrize("name", ["zstd", "lz4"])
def test_any_bit_flipped_where_nothing_checks_it_ends_in_no_other_error(name: str) -> None:
    stream = CODECS[name](LINES)
    for place in sample(range(8 * len(stream)), 400):
        damaged = bytearray(stream)
        damaged[place // 8] ^= 1 << place % 8
        try:
            read(bytes(damaged))
        except EtlError:
            continue


def test_no_document_with_a_byte_replaced_passes_that_json_would_refuse() -> None:
    document = as_reply(OBJECT)
    for place in sample(range(len(document)), 100):
        for byte in b'"{}],:\\\xff\x00':
            damaged = document[:place] + bytes([byte]) + document[place + 1 :]
            try:
                read(damaged)
            except DataError:
                continue
            json.loads(damaged)  # raises what it refuses


# Taken back, damaged, and no text ------------------------------------------------------------------------


def test_a_cut_behind_the_records_is_taken_back_with_what_was_known_before_it() -> None:
    """The last record is too long; what looks like a boundary stands behind it, in another member."""
    long = deal(Label="x" * 70_000)
    document = as_reply(as_array([("1", deal()), ("2", long)]), "", ',"other":[{},{"Proposal":{}}]')
    assert len(read(document, 70_000)) == 1


def test_an_empty_bz2_stream_between_others_is_refused_in_plain_words() -> None:
    stream = bz2.compress(as_object(PAIRS)[:100]) + bz2.compress(b"") + bz2.compress(b"x")
    with pytest.raises(DataError, match="bz2 stream is truncated or damaged"):
        read(stream)


def test_records_may_begin_with_a_name_that_is_no_text() -> None:
    first = b'{"\\ud800":1,' + as_array([("1", deal(OTHER))])[2:-1]
    assert len(read(b"[" + first + b"," + as_array([("2", deal())])[1:], 100)) == 1
