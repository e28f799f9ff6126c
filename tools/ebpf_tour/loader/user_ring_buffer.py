"""The user ring buffer: records that user space writes and a program reads.

Linux has it since 6.1: commit 205715673844 ("bpf: Add bpf_user_ringbuf_drain() helper").
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from _thread import allocate_lock  # importing threading takes longer

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.loader import syscall

_HEADER = 8


class UserRingBuffer(Closing):
    """A map of that type, by its descriptor.

    Its pages are those of a ring buffer, see reader.py, but here the kernel has the
    consumer's, and user space writes the producer's and the data. One thread may write.
    """

    def __init__(self, fd: int) -> None:
        page = mmap.PAGESIZE
        self._size = size = syscall.map_info(fd).max_entries
        shared = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, offset=page)
        consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ)
        self._consumer = memoryview(consumer).cast("Q")
        self._producer = memoryview(shared)[:8].cast("Q")
        self._data = memoryview(shared)[page:]
        self._lock = allocate_lock()

    def put(self, record: bytes) -> None:
        """Write a record. Raises OSError: ENOSPC if there is no room for it."""
        position = self._producer[0]
        stride = (_HEADER + len(record) + 7) & ~7
        if position + stride - self._consumer[0] > self._size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        start = position & (self._size - 1)
        # The program must not see the new position before the record. Releasing a lock and
        # taking it again keeps the order, which arm64 does not by itself.
        with self._lock:
            raw = struct.pack("=I4x", len(record)) + record
            self._data[start : start + len(raw)] = raw
        with self._lock:
            self._producer[0] = position + stride

    def close(self) -> None:
        for view in (self._data, self._producer, self._consumer):
            view.release()
