"""Whatever its frames, a zstd stream becomes what one decompressor makes of it, or is refused as by it."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.errors import EtlError, SourceUnavailable
from etl.source.feed import Counted, Feed, RawStream
from etl.source.frames import UnknownFrame, Walk
from tests.support.effort import examples, sample
from tests.support.interleaved import Trickle

SIZES = {
    "READ_BYTES": (1, 7, 100, 1 << 18),
    "RUN_BYTES": (1, 50, 1000, 1 << 19),
    "FRAME_BYTES": (0, 30, 300, 4 << 20),
    "BUFFER_BYTES": (1, 100, 10_000, 1 << 20),
    "STEP_BYTES": (1, 100, 1 << 20),
}
"""What is held, as it is and so small that every way is taken by a few bytes."""


@contextmanager
def some_sizes(chance: random.Random) -> Iterator[None]:
    sizes: dict[str, Any] = {name: chance.choice(choices) for name, choices in SIZES.items()}
    with patch.multiple("etl.source.frames", **sizes):
        yield


class Failing(Trickle):
    """A stream that fails where it should end."""

    def read(self, size: int = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise SourceUnavailable("broken")
        return data


class Bytewise(io.BytesIO):
    """A stream that gives one byte at a time."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1)

    def readinto(self, buffer: Any, /) -> int:
        return super().readinto(buffer[:1])


class Outcome(NamedTuple):
    """What a stream became."""

    data: bytes
    bytes_read: int
    error: type[EtlError] | None


def outcome(raw: RawStream, threads: int, buffer_bytes: int = 1 << 20) -> Outcome:
    feed = Feed(Counted(raw, b""), "zstd", None, threads=threads)
    data, error = io.BytesIO(), None
    buffer = memoryview(bytearray(buffer_bytes))
    try:
        while count := feed.readinto(buffer):
            data.write(buffer[:count])
    except EtlError as caught:
        error = type(caught)
    return Outcome(data.getvalue(), feed.bytes_read, error)


def assert_same(stream: bytes, chance: random.Random) -> Outcome:
    """Read a stream with one decompressor and with several; return what came of it.

    Where the one judges by what it is given at a time, several may judge either way: zstd holds a frame
    that ends with an empty block to the size in its header only if it is given the whole frame at once.
    """
    ones = [outcome(io.BytesIO(stream), 1), outcome(Bytewise(stream), 1)]
    source = chance.choice((io.BytesIO(stream), Bytewise(stream), Trickle(stream, chance)))
    with some_sizes(chance):
        several = outcome(source, chance.choice((2, 3)), chance.choice((10, 1000, 1 << 20)))
    assert several.error in {one.error for one in ones}
    for one in ones:
        if several.error is None and one.error is None:
            assert several == one == (one.data, len(stream), None)
        else:
            assert several.data.startswith(one.data) or one.data.startswith(several.data)
    return several


# Frames ----------------------------------------------------------------------------------------------


def skippable(data: bytes, kind: int = 0) -> bytes:
    """A frame that decoders pass over (RFC 8878, 3.1.2)."""
    return bytes([0x50 + kind]) + b"\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


def compressed(data: bytes, checksum: bool, size: bool, level: int = 3) -> bytes:
    compressor = zstandard.ZstdCompressor(level, write_checksum=checksum, write_content_size=size)
    if size:
        return compressor.compress(data)
    stream = compressor.compressobj()
    return stream.compress(data) + stream.flush()


def as_pzstd(data: bytes, frame_bytes: int) -> bytes:
    """What `pzstd` writes: before each frame a skippable one with its length."""
    parts = []
    for start in range(0, len(data), frame_bytes):
        frame = compressed(data[start : start + frame_bytes], checksum=True, size=False)
        parts += [skippable(len(frame).to_bytes(4, "little")), frame]
    return b"".join(parts)


texts = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda part, times: part * times, st.binary(max_size=50), st.integers(0, 2000)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0), st.integers(0, 3000)),
)
frames = st.one_of(
    st.builds(compressed, texts, st.booleans(), st.booleans(), st.sampled_from((-5, 1, 3, 19))),
    st.builds(skippable, st.binary(max_size=100), st.integers(0, 15)),
    st.builds(as_pzstd, texts, st.integers(100, 1000)),
)
streams = st.builds(b"".join, st.lists(frames, min_size=1, max_size=8)).filter(bool)
chances = st.integers(0, 1 << 32).map(random.Random)


@given(streams, chances)
def test_frames_become_what_one_decompressor_makes_of_them(stream: bytes, chance: random.Random) -> None:
    assert assert_same(stream, chance).error is None


@given(streams, st.binary(min_size=1, max_size=20), chances)
def test_what_follows_the_last_frame_is_refused(stream: bytes, junk: bytes, chance: random.Random) -> None:
    assert_same(stream + junk, chance)


@given(streams, st.data(), chances)
@settings(max_examples=examples(300))
def test_damage_is_judged_alike(stream: bytes, data: st.DataObject, chance: random.Random) -> None:
    damaged = bytearray(stream)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(stream) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert_same(bytes(damaged), chance)


@given(streams, chances)
def test_a_source_that_fails_is_what_the_run_ends_with(stream: bytes, chance: random.Random) -> None:
    with some_sizes(chance):
        found = outcome(Failing(stream, chance), 2)
    assert found.error is SourceUnavailable
    assert outcome(io.BytesIO(stream), 1).data.startswith(found.data)


@given(st.lists(frames, max_size=8), chances)
@example([skippable(b"x" * 1000)] * 3, random.Random(1))
def test_ends_are_found_whatever_comes_at_a_time(parts: list[bytes], chance: random.Random) -> None:
    stream, walk = Trickle(b"".join(parts), chance), Walk()
    ends, place = [], 0
    while piece := stream.read():
        ends += [place + end for end in walk.ends(piece)]
        place += len(piece)
    found = set(ends)
    assert sorted(found) == ends
    place = 0
    for part in parts:
        place += len(part)
        assert place in found or not part


# Every byte ------------------------------------------------------------------------------------------

TEXT = b'{"Proposal":{"Client":"f01000"}}\n' * 3
STREAMS = {
    "pzstd": as_pzstd(TEXT, 40),
    "seekable": compressed(TEXT, False, True) * 2 + skippable(b"\x01\x00\x00\x00\x00\xb1\xea\x92\x8f", 14),
    "checksums and sizes": compressed(TEXT, True, True) + compressed(b"\0" * 1000, True, True),
    "stored": compressed(random.Random(1).randbytes(100), True, True, -5) * 2,
    "empty ones": compressed(b"", True, True)
    + compressed(TEXT, True, True)
    + compressed(b"", False, False),
}

CHECKED = STREAMS["checksums and sizes"], STREAMS["stored"]
"""Nothing in them is without a checksum, as the length of what is to be skipped always is."""


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_cut_at_any_byte_is_judged_alike(stream: bytes) -> None:
    for cut in sample(range(1, len(stream)), 100):
        assert_same(stream[:cut], random.Random(cut))


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_with_any_bit_flipped_is_judged_alike(stream: bytes) -> None:
    whole = assert_same(stream, random.Random(0))
    for place in sample(range(8 * len(stream)), 200):
        damaged = bytearray(stream)
        damaged[place // 8] ^= 1 << place % 8
        found = assert_same(bytes(damaged), random.Random(place))
        assert found.error is not None or found.data == whole.data or stream not in CHECKED


def test_what_is_no_frame_is_not_taken_for_one() -> None:
    frame = STREAMS["checksums and sizes"]
    for damaged in (
        b"\x29" + frame[1:],
        frame[:4] + bytes([frame[4] | 0x08]) + frame[5:],  # RFC 8878, 3.1.1.1.1.4: reserved
        frame[:6] + bytes([frame[6] | 0x06]) + frame[7:],  # 3.1.1.2.2: reserved
    ):
        with pytest.raises(UnknownFrame):
            list(Walk().ends(damaged))
