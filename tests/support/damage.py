"""Ways to damage or respell a document of records, and a compressed stream of one."""

from __future__ import annotations

import bz2
import gzip
import random
import re
import struct
from collections.abc import Callable, Sequence

import lz4.frame
import zstandard

Mutator = Callable[[random.Random, bytes], bytes]

_TOKEN = re.compile(
    rb'"[^"\\]*+(?>(?:\\.[^"\\]*+)*)"|[{}\[\]:,]|[ \t\r\n]++|[^{}\[\]:," \t\r\n]++|"', re.DOTALL
)
_VALUE = re.compile(rb'["{\[0-9tfn-]')

NUMBERS = (
    b"NaN", b"Infinity", b"-Infinity", b"-NaN", b"1e400", b"-1e400", b"1e-400", b"1E+2", b"0.1", b"-0",
    b"00",
    b"01", b"+1", b"1.", b".5", b"1e", b"0x10", b"1_0", b"-", b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809", b"18446744073709551616", b"1" * 30, b"7" * 400, b"8" * 4301,
    b"1e99999999999999999999",
    b"-1" + b"0" * 5000, b"0." + b"3" * 800,
)  # fmt: skip
WORDS = (
    b"null", b"true", b"false", b"nul", b"True", b"None", b"undefined", b"{}", b"[]", b'""', b'"f01000"',
    b"[[]]",
    b'{"Proposal":{"Client":"f01000"}}', b'{"a":1,"a":2}', b'{"":null}', b"'a'", b"/**/", b"//",
)  # fmt: skip
STRINGS = (
    rb'"\ud800"', rb'"\udc00\ud800"', rb'"\uD83D\uDE00"', rb'"\u0000"', rb'"\u00"', rb'"\u12G4"',
    rb'"\x41"', rb'"\/"',
    rb'"\u005c"', rb'"\u0022"', b'"\t"', b'"\n"', b'"\x00"', b'"\x1f"', b'"\x7f"', b'"\xff"', b'"\xc0\x80"',
    b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x80\xa8"', b'"\xef\xbf\xbf"', b'"\xe9"', b'"\\',
    b'"\\"', b'"\\\\"',
    rb'"\u0066\u0030\u0031000"', rb'"\u0050roposal"', rb'"Proposa\u006c"', rb'"\u0072esult"',
    b'"result"', b'"error"',
    b'"Proposal"', b'"Client"', b'"DealID"',
)  # fmt: skip
PIECES = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b'\\"', b"},", b'},"1":{"Proposal":{',
    b'},{"Proposal":{', b"\n",
    b"\r\n", b" ", b"\x00", b"\x0b", b"\x0c", b"\xa0", b"\xc2\xa0", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\x85", b"\x1c",
    b'"error":1,', b'"result":{},', b'"1":{},', b'"Proposal":{},', b"{},", b",{}", b"\xc3", b"\xed\xb0\x80",
)  # fmt: skip


def tokens(document: bytes) -> list[bytes]:
    """Return the pieces of a document, well-formed or not; joined, they are the document again."""
    return _TOKEN.findall(document)


def _place(rng: random.Random, parts: Sequence[object]) -> int:
    """Return an index, rather often near either end, where what stands around the records is."""
    most = min(len(parts), 15)
    return rng.choice(
        (rng.randrange(len(parts)),) * 4 + (rng.randrange(most), len(parts) - 1 - rng.randrange(most))
    )


# Tokens ----------------------------------------------------------------------------------------------


def drop_token(rng: random.Random, document: bytes) -> bytes:
    parts = tokens(document)
    del parts[_place(rng, parts)]
    return b"".join(parts)


def double_token(rng: random.Random, document: bytes) -> bytes:
    parts = tokens(document)
    at = _place(rng, parts)
    return b"".join([*parts[:at], parts[at], *parts[at:]])


def swap_tokens(rng: random.Random, document: bytes) -> bytes:
    parts = tokens(document)
    one = _place(rng, parts)
    other = min(len(parts) - 1, one + rng.choice((1, 2, 4))) if rng.random() < 0.7 else _place(rng, parts)
    parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


def drop_structure(rng: random.Random, document: bytes) -> bytes:
    """Leave out one bracket, comma, colon or quote."""
    return _at_structure(rng, document, lambda _: b"")


def double_structure(rng: random.Random, document: bytes) -> bytes:
    return _at_structure(rng, document, lambda byte: byte + byte)


def change_structure(rng: random.Random, document: bytes) -> bytes:
    return _at_structure(rng, document, lambda _: bytes([rng.choice(b'{}[],:"')]))


def stray_comma(rng: random.Random, document: bytes) -> bytes:
    """Put a comma where a value or a bracket comes or has come."""
    return _at_structure(rng, document, lambda byte: rng.choice((byte + b",", b"," + byte, byte + b" ,")))


def _at_structure(rng: random.Random, document: bytes, change: Callable[[bytes], bytes]) -> bytes:
    places = [found.start() for found in re.finditer(rb'[{}\[\],:"]', document)]
    if not places:
        return document
    at = places[_place(rng, places)]
    return document[:at] + change(document[at : at + 1]) + document[at + 1 :]


def insert_piece(rng: random.Random, document: bytes) -> bytes:
    """Put something between two tokens."""
    parts = tokens(document)
    parts.insert(_place(rng, [*parts, b""]), rng.choice((*PIECES, *PIECES, *WORDS, *STRINGS, *NUMBERS)))
    return b"".join(parts)


def replace_value(rng: random.Random, document: bytes) -> bytes:
    """Put a strange value, or a strange name, in the place of a scalar one."""
    parts = tokens(document)
    places = [at for at, part in enumerate(parts) if part[:1] not in b"{}[]:, \t\r\n"]
    if places:
        parts[places[_place(rng, places)]] = rng.choice(rng.choice((NUMBERS, WORDS, STRINGS)))
    return b"".join(parts)


def truncate(rng: random.Random, document: bytes) -> bytes:
    """End at the edge of some token."""
    parts = tokens(document)
    return b"".join(parts[: rng.randrange(1, len(parts) + 1)])


# Values of any depth ---------------------------------------------------------------------------------


def _spans(parts: list[bytes]) -> list[tuple[int, int]]:
    """Return where objects and arrays begin and end, in tokens."""
    opened, spans = [], []
    for at, part in enumerate(parts):
        if part in (b"{", b"["):
            opened.append(at)
        elif part in (b"}", b"]") and opened:
            spans.append((opened.pop(), at + 1))
    return spans


def move_value(rng: random.Random, document: bytes) -> bytes:
    """Copy, drop or move an object or array, with its name and its comma or without."""
    parts = tokens(document)
    spans = _spans(parts)
    if not spans:
        return document
    start, stop = rng.choice(spans)
    if rng.random() < 0.7:  # the name before it
        start = max(0, start - 2)
    if rng.random() < 0.7 and parts[stop : stop + 1] == [b","]:
        stop += 1
    value = parts[start:stop]
    if rng.random() < 0.5:
        del parts[start:stop]
    if rng.random() < 0.8:
        at = rng.randrange(len(parts) + 1)
        parts[at:at] = value
    return b"".join(parts)


def nest(rng: random.Random, document: bytes) -> bytes:
    """Put many brackets around some value, seldom with one too few."""
    parts = tokens(document)
    places = [at for at, part in enumerate(parts) if part[:1] not in b"{}[]:, \t\r\n"] or [0]
    at = places[_place(rng, places)]
    depth = rng.choice((3, 100, 600, 1000, 1024, 1500, 3000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"Proposal":', b"}]")))
    missing = rng.random() < 0.2
    parts[at] = opening * depth + parts[at] + closing * (depth - missing)
    return b"".join(parts)


def wrap(rng: random.Random, document: bytes) -> bytes:
    """Make the whole document part of another one."""
    before, after = rng.choice(
        (
            (b"[", b"]"), (b'{"result":', b"}"), (b'{"id":0,"result":', b',"error":null}'),
            (b'{"x":', b"}"),
            (b'{"result":', b',"error":{"code":1,"message":"no"}}'), (b"", b"\n5"), (b"5\n", b""),
            (b"\xef\xbb\xbf", b""),
            (b'{"a":{"Proposal":1},"result":', b"}"), (b'{"result":null,"result":', b"}"), (b"", b" "),
            (b"\n", b"\n"),
            (b'{"result":', b',"result":null}'), (b'{"error":1,"result":', b',"error":null}'),
            (b"{}\n", b""), (b"", b"\x00"),
        )
    )  # fmt: skip
    return before + document + after


# Bytes -----------------------------------------------------------------------------------------------


def flip_bit(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(8 * len(data))
    damaged = bytearray(data)
    damaged[place // 8] ^= 1 << place % 8
    return bytes(damaged)


def replace_byte(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return (
        data[:at]
        + bytes([rng.choice((*b'{}[],:"\\ \n0a\x00\x1f\x7f\xff', rng.randrange(256)))])
        + data[at + 1 :]
    )


def insert_bytes(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((*PIECES, *STRINGS, rng.randbytes(rng.randrange(1, 5)))) + data[at:]


def drop_bytes(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 1, 2, 10, 100)) :]


def repeat_bytes(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    length = rng.choice((1, 5, 50, 500))
    return data[: at + length] + data[at:]


def cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.choice((rng.randrange(len(data)), max(0, len(data) - rng.randrange(1, 13))))]


def junk_behind(rng: random.Random, data: bytes) -> bytes:
    return data + rng.choice(
        (b"\x00", b"\x00" * 600, b"x", b"}", rng.randbytes(rng.randrange(1, 20)), data[:7])
    )


# The same in other words -------------------------------------------------------------------------------


def indent(rng: random.Random, document: bytes) -> bytes:
    """Print a document pretty: one that holds no raw newline between tokens means the same."""
    step = rng.choice((b"  ", b"\t", b" "))
    made, depth = [], 0
    for part in tokens(document):
        if part in (b"{", b"["):
            depth += 1
            made += [part, b"\n", step * min(depth, 50)]
        elif part in (b"}", b"]"):
            depth -= 1
            made += [b"\n", step * min(depth, 50), part]
        elif part == b",":
            made += [part, b"\n", step * min(depth, 50)]
        elif not part.isspace():
            made.append(b": " if part == b":" else part)
    return b"".join(made)


def space_out(rng: random.Random, document: bytes) -> bytes:
    """Add white space between tokens."""
    spaces = (b"", b"", b"", b" ", b"\t", b"\r", b" " * 40)
    return b"".join(part + rng.choice(spaces) for part in tokens(document))


def escape(rng: random.Random, document: bytes) -> bytes:
    """Escape some characters of strings that need not be."""
    share = rng.choice((0.02, 0.3, 1))

    def spelled(part: bytes) -> bytes:
        if part[:1] != b'"' or b"\\" in part or not part.isascii() or rng.random() > share:
            return part
        inside = (rb"\u%04x" % byte if rng.random() < 0.3 else bytes([byte]) for byte in part[1:-1])
        return part[:1] + b"".join(inside) + part[:1]

    return b"".join(map(spelled, tokens(document)))


DAMAGES: tuple[Mutator, ...] = (
    drop_token, double_token, swap_tokens, drop_structure, double_structure, change_structure, stray_comma,
    insert_piece, replace_value, truncate, move_value, nest, wrap, flip_bit, replace_byte, insert_bytes,
    drop_bytes, repeat_bytes,
)  # fmt: skip
RESPELLINGS: tuple[Mutator, ...] = (indent, space_out, escape)
STREAM_DAMAGES: tuple[Mutator, ...] = (
    flip_bit, replace_byte, cut, cut, drop_bytes, repeat_bytes, junk_behind, insert_bytes,
)  # fmt: skip


def splice(rng: random.Random, one: bytes, other: bytes) -> bytes:
    """Join the beginning of a document to the end of another one, at edges of tokens."""
    head, tail = tokens(one), tokens(other)
    return b"".join(head[: rng.randrange(len(head) + 1)] + tail[rng.randrange(len(tail) + 1) :])


# Streams ---------------------------------------------------------------------------------------------


def _zstd(rng: random.Random, data: bytes) -> bytes:
    compressor = zstandard.ZstdCompressor(
        level=rng.choice((1, 3, 19)),
        write_checksum=rng.random() < 0.5,
        write_content_size=rng.random() < 0.5,
    )
    return compressor.compress(data)


def _lz4(rng: random.Random, data: bytes) -> bytes:
    frame: bytes = lz4.frame.compress(
        data,
        content_checksum=rng.random() < 0.5,
        block_checksum=rng.random() < 0.5,
        store_size=rng.random() < 0.5,
    )
    return frame


COMPRESSORS: dict[str, Mutator] = {
    "zstd": _zstd,
    "gzip": lambda rng, data: gzip.compress(data, rng.randrange(10), mtime=0),
    "bz2": lambda rng, data: bz2.compress(data, rng.choice((1, 9))),
    "lz4": _lz4,
}


def skippable(rng: random.Random) -> bytes:
    """Return a frame of zstd's or LZ4's that means nothing."""
    body = rng.randbytes(rng.choice((0, 1, 7, 40)))
    return struct.pack("<II", 0x184D2A50 + rng.randrange(16), len(body)) + body


def compress(rng: random.Random, codec: str, data: bytes) -> bytes:
    """Compress data, seldom into several frames with skippable ones between."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3))))
    frames = [
        COMPRESSORS[codec](rng, data[start:stop])
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)
    ]
    if codec in ("zstd", "lz4") and rng.random() < 0.3:
        at = rng.randrange(1 if codec == "lz4" else 0, len(frames) + 1)
        frames.insert(at, skippable(rng))
    return b"".join(frames)
