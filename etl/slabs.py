"""The shared memory that decompressed bytes live in, from the reader to the workers.

Bytes never travel through a queue: the reader fills slabs, and queues carry only their numbers. The
memory is one anonymous shared mapping, made by the parent before it forks, so it has no name that
could outlive the processes, however they end. Pages that no feed needs are never touched.
"""

from __future__ import annotations

import mmap


class Slabs:
    """A fixed number of equal slabs of shared memory; `slabs[i]` is a writable view of one."""

    def __init__(self, count: int, size: int) -> None:
        """Map `count` slabs of `size` bytes each."""
        self.count = count
        self.size = size
        self._view = memoryview(mmap.mmap(-1, count * size))

    def __getitem__(self, index: int) -> memoryview:
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self._view[index * self.size : (index + 1) * self.size]
