"""A zstd feed of several frames: read as any other, whoever decompresses them, or refused as any other."""

from __future__ import annotations

import random
import signal
import time
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest
import zstandard

from etl.engine.memory import proportional_bytes
from tests.property.test_frames import as_pzstd, compressed, skippable
from tests.support.command import Etl
from tests.support.databases import Database
from tests.support.effort import slow
from tests.support.processes import children
from tests.support.web_server import Web, resumable

from .checks import assert_refused
from .feeds import OTHER, as_lines, as_object, deal, expected

MEBIBYTE = 1 << 20


@cache
def document() -> bytes:
    """Some megabytes of records that are hard to compress, so that their frames are no trifle."""
    chance = random.Random(1)
    ours = [(str(number), deal()) for number in range(1, 5)]
    others = [(str(number), deal(OTHER, Label=chance.randbytes(300).hex())) for number in range(5, 9000)]
    return as_object([*ours[:2], *others, *ours[2:]])


def seekable(data: bytes, frame_bytes: int) -> bytes:
    """Frames with their sizes, and a table of them at the end, which nobody needs to look at."""
    starts = range(0, len(data), frame_bytes)
    frames = [compressed(data[start : start + frame_bytes], checksum=False, size=True) for start in starts]
    return b"".join(frames) + skippable(bytes(8 * len(frames) + 9), 14)


def streams() -> dict[str, bytes]:
    whole = document()
    return {
        "pzstd": as_pzstd(whole, MEBIBYTE),
        "seekable": seekable(whole, MEBIBYTE // 8),
        "a short frame, then a long one": compressed(whole[:100], True, False)
        + compressed(whole[100:], True, True),
        "tiny ones": seekable(whole[: MEBIBYTE // 4], 100) + compressed(whole[MEBIBYTE // 4 :], True, True),
    }


LAYOUTS = ("pzstd", "seekable", "a short frame, then a long one", "tiny ones")


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_frames_however_they_are_cut(etl: Etl, database: Database, layout: str, threads: str) -> None:
    stream = streams()[layout]
    report = etl.loaded(stream, "--threads", threads)
    assert (report["bytes_read"], report["bytes_decoded"]) == (len(stream), len(document()))
    assert database.deals() == expected(document()).rows


def test_reads_frames_from_a_pipe(etl: Etl, database: Database) -> None:
    stream = streams()["pzstd"]
    completed = etl.load("--source", "-", "--threads", "3", input=stream)
    assert (completed.status, completed.stderr) == (0, "")
    assert completed.report["bytes_read"] == len(stream)
    assert database.deals() == expected(document()).rows


def test_reads_frames_of_a_transfer_that_breaks(etl: Etl, database: Database, web: Web) -> None:
    stream = streams()["seekable"]
    cuts = [len(stream) // 4, 1, len(stream) // 4]
    completed = etl.load("--source", web.serve(resumable(stream, cuts, ETag='"1"')), "--threads", "2")
    assert (completed.status, completed.stderr) == (0, "")
    assert completed.report["bytes_read"] == len(stream)
    assert database.deals() == expected(document()).rows


def test_explain_says_how_many_threads(etl: Etl) -> None:
    completed = etl.load("--source", etl.file(streams()["pzstd"]), "--explain", "--threads", "3")
    assert "3 to decompress zstd of several frames" in completed.stdout


# Damaged ---------------------------------------------------------------------------------------------


def damaged(how: str) -> bytes:
    # Lines do not show by themselves that some are missing.
    lines = as_lines([(str(number), deal(OTHER)) for number in range(3000)])
    whole = as_pzstd(lines, 100_000)
    last = whole.rindex(skippable(b"")[:4])
    changed = bytearray(whole)
    if how == "a bit of the last frame is flipped":
        changed[(last + len(whole)) // 2] ^= 4
    elif how == "a bit of a checksum is flipped":
        changed[last - 1] ^= 1
    elif how == "the last frame is cut":
        del changed[-5:]
    else:
        changed += b"junk"
    return bytes(changed)


@pytest.mark.parametrize(
    "how",
    [
        "a bit of the last frame is flipped",
        "a bit of a checksum is flipped",
        "the last frame is cut",
        "junk",
    ],
)
def test_damage_to_a_later_frame_is_refused(etl: Etl, database: Database, before: object, how: str) -> None:
    completed = etl.load("--source", etl.file(damaged(how)), "--threads", "3")
    message = assert_refused(completed, 65, database, before)
    assert "the zstd stream is truncated or damaged, after " in message


def test_a_run_is_stopped_while_threads_decompress(etl: Etl) -> None:
    running = etl.start(*etl.loading("--source", "-", "--threads", "3"), stdin=-1)
    assert running.stdin is not None
    running.stdin.write(as_pzstd(document()[:-1], MEBIBYTE))
    running.stdin.flush()
    time.sleep(1)
    asked = time.monotonic()
    running.send_signal(signal.SIGTERM)
    assert running.wait(5) == 143
    assert time.monotonic() - asked < 5


# Memory ----------------------------------------------------------------------------------------------


def peak(directory: Path, stream: bytes, threads: int = 3) -> int:
    """The most that a run took; it ended well, whatever it rejected."""
    directory.mkdir()
    with closing(Etl(directory)) as command:
        source = command.file(stream)
        most = 0
        running = command.start(*command.loading("--source", source, "--threads", str(threads)))
        while running.poll() is None:
            most = max(most, proportional_bytes([running.pid, *children(running.pid)]))
            time.sleep(0.005)
        completed = running.done()
        assert (completed.status, completed.stderr) == (0, "")
        return most


def with_bombs(bomb: bytes) -> bytes:
    """Records among which one is too long; where it is, frames of next to nothing become very much."""
    before, after = as_object([("2", deal(more={"X": "MARK"})), ("3", deal())])[1:-1].split(b"MARK")
    return b"".join(map(packed, (OPENING, BLOCK, BLOCK, b"," + before))) + bomb + packed(after + b"}")


def packed(data: bytes, window: int = 21) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=window)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return stream.compress(data) + stream.flush()


OPENING = as_object([("1", deal())])[:-1]
BLOCK = b"," + as_object((str(number), deal(OTHER)) for number in range(10, 17_000))[1:-1]
"""About 8 MB."""

FACTOR, MARGIN = 1.3, 20_000_000
"""What a run may take beside that on an ordinary feed."""


@slow
@pytest.mark.timeout(120)
def test_frames_made_to_fill_the_memory_do_not(tmp_path: Path) -> None:
    ordinary = peak(tmp_path / "one", packed(OPENING + BLOCK * 10 + b"}"))
    frames = packed(OPENING) + packed(BLOCK) * 10 + packed(b"}")
    assert peak(tmp_path / "frames", frames) < FACTOR * ordinary + MARGIN
    bomb = packed(b"a" * (256 * MEBIBYTE))
    assert len(bomb) < 40_000
    assert peak(tmp_path / "bombs", with_bombs(bomb * 3)) < FACTOR * ordinary + MARGIN


@slow
@pytest.mark.timeout(120)
def test_frames_whose_windows_have_to_be_held_take_no_more_for_several_threads(tmp_path: Path) -> None:
    wide = with_bombs(packed(b"a" * (256 * MEBIBYTE), 27) * 3)
    one = peak(tmp_path / "wide, one", wide, threads=1)
    assert peak(tmp_path / "wide", wide) < FACTOR * one + MARGIN
