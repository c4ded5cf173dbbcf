"""Output that is compressed on its way: one frame, or gzip member, after the other."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

from etl.file_kinds import FileKind
from etl.sink.output_file import Output

FRAME_BYTES = 1 << 20
"""How much is compressed at a time. Frames that stand one after the other are one file to all readers, and
those of zstd can be decompressed at the same time."""

GZIP_LEVEL = 6

FILE_KINDS = {
    "gzip": FileKind("a gzip file", re.compile(rb"\x1f\x8b")),
    "zstd": FileKind("a zstd file", re.compile(rb"\x28\xb5\x2f\xfd")),
}
"""Files of each kind."""


class Compressed:
    """An output that compresses what it is given, for another one."""

    def __init__(self, output: Output, compression: str) -> None:
        self._output = output
        self._compress = _COMPRESSORS[compression]
        self._waiting = bytearray()
        self._is_empty = True

    def write(self, data: bytes) -> None:
        """Add data; it may wait until there is enough for a frame."""
        self._waiting += data
        if len(self._waiting) >= FRAME_BYTES:
            self._write_frame()

    def put_in_place(self) -> None:
        """Write what waits, if only a frame of nothing: an empty file is none to whoever decompresses."""
        if self._waiting or self._is_empty:
            self._write_frame()
        self._output.put_in_place()

    def close(self) -> None:
        """As the output does."""
        self._output.close()

    def _write_frame(self) -> None:
        self._output.write(self._compress(bytes(self._waiting)))
        self._waiting.clear()
        self._is_empty = False


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, GZIP_LEVEL, mtime=0)


def _zstd(data: bytes) -> bytes:
    import pyarrow  # which is slow to import, and gzip needs it not

    compressed: bytes = pyarrow.Codec("zstd").compress(data, asbytes=True)
    return compressed


_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "zstd": _zstd}
