"""What a compressed stream holds: the codecs' own libraries, member by member."""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from typing import Any

import lz4.frame
import zstandard


class NotDecodable(Exception):
    """The compressed stream is cut short, damaged, or followed by something else."""


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
