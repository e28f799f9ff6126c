"""Readers of the two buffers that carry records to user space.

Both read all that is there at each call: a wake-up costs more than a record.
"""

from __future__ import annotations

import ctypes as ct
import itertools
import mmap
import os
import struct
from _thread import allocate_lock  # importing threading takes longer
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error
from ebpf_tour.loader import syscall

if TYPE_CHECKING:
    from typing import Any, Protocol

    from ebpf_tour.loader.layout import Layout

    class Reader(Protocol):
        """What `Program.read()` needs of a reader."""

        fd: int
        """Readable when there are records."""

        def drain(self) -> list[Any]:
            """Return the records that are there, decoded, oldest first; none at the end.

            Of very many it returns the first ones.
            """

        def close(self) -> None:
            """Release it."""


# Bits of the length in a record's header, from include/uapi/linux/bpf.h.
_BUSY, _DISCARD = 1 << 31, 1 << 30
_HEADER = 8

_RINGBUF = 27  # BPF_MAP_TYPE_RINGBUF

# The most to decode at once: the kernel has the room back only afterwards.
_MOST = 2 << 20


def open_reader(lib: ct.CDLL, fd: int, layout: Layout, perf_bytes: int) -> Reader:
    """Return the reader for the map behind `fd`, whichever of the two it is.

    `perf_bytes` is the size of the perf buffer of each CPU, a power of two.
    """
    info = syscall.map_info(fd)
    if info.type == _RINGBUF:
        return RingBuffer(fd, info.max_entries, layout)
    return PerfBuffer(lib, fd, layout, perf_bytes)


class RingBuffer:
    """A BPF ring buffer, read where the kernel wrote it.

    The map's file descriptor maps to a page with the consumer's position, a
    page with the producer's, and the data, twice in a row, so that a record
    that wraps around is in one piece. See Documentation/bpf/ringbuf.rst.
    """

    def __init__(self, fd: int, size: int, layout: Layout) -> None:
        self.fd = fd
        page = mmap.PAGESIZE
        self._mask = size - 1
        self._layout = layout
        self._stride = (_HEADER + layout.size + 7) & ~7
        tail = self._stride - _HEADER - layout.size
        self._record = struct.Struct(f"={_HEADER}x{layout.form}{tail}x")
        consumer = mmap.mmap(fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        shared = mmap.mmap(fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = memoryview(consumer).cast("Q")
        self._producer = memoryview(shared)[:8].cast("Q")
        self._data = memoryview(shared)[page:]
        self._words = self._data.cast("I")
        self._lock = allocate_lock()

    def _barrier(self) -> None:
        """Let no later read be done early.

        Taking a lock is a load-acquire, which arm64 needs between a position
        or a header and what it speaks of; x86-64 keeps the order by itself.
        """
        with self._lock:
            pass

    def drain(self) -> list[Any]:
        position, end = self._consumer[0], self._producer[0]
        self._barrier()
        end = min(end, position + _MOST)
        records: list[Any] = []
        while position < end:
            start = position & self._mask
            header = self._words[start // 4]
            if header & _BUSY:  # reserved, but not yet submitted
                break
            if header == self._layout.size:
                complete = self._complete(self._headers(start, end - position))
                stop = start + complete * self._stride
                records += self._layout.decode_all(self._record.iter_unpack(self._data[start:stop]))
                position += complete * self._stride
            else:
                pieces, position = self._others(position, end)
                records += itertools.starmap(self._layout.decode_at, pieces)
        self._consumer[0] = position
        return records

    def _others(self, position: int, end: int) -> tuple[list[tuple[memoryview, int, int]], int]:
        """Return where the records of other sizes are, and where the first one is that is not."""
        pieces = []
        while position < end:
            start = position & self._mask
            header = self._words[start // 4]
            if header & _BUSY or header == self._layout.size:
                break
            length = header & ~_DISCARD
            if header == length:
                pieces.append((self._data, start + _HEADER, start + _HEADER + length))
            position += (_HEADER + length + 7) & ~7
        self._barrier()
        return pieces, position

    def _headers(self, start: int, length: int) -> list[int]:
        """Return the lengths of the records, if all have the layout's size."""
        count = max(1, length // self._stride)
        stop = start + count * self._stride
        headers = self._words[start // 4 : stop // 4 : self._stride // 4].tolist()
        self._barrier()
        return headers

    def _complete(self, headers: list[int]) -> int:
        """Return how many records from the first on are submitted and of one size."""
        wanted = self._layout.size
        if headers.count(wanted) == len(headers):
            return len(headers)
        return next(i for i, header in enumerate(headers) if header != wanted)

    def close(self) -> None:
        for view in (self._words, self._data, self._producer, self._consumer):
            view.release()


_Sample = ct.CFUNCTYPE(None, ct.c_void_p, ct.c_int, ct.c_void_p, ct.c_uint32)
_Lost = ct.CFUNCTYPE(None, ct.c_void_p, ct.c_int, ct.c_uint64)


class PerfBuffer:
    """A perf event array, read by libbpf: a buffer for each CPU.

    What the kernel could not store is not counted here: the program knows
    (bpf_perf_event_output() fails) and counts it.
    """

    def __init__(self, lib: ct.CDLL, fd: int, layout: Layout, size: int) -> None:
        self._lib = lib
        self._layout = layout
        self._raw: list[bytes] = []
        lib.perf_buffer__new.restype = ct.c_void_p
        lib.perf_buffer__new.argtypes = [
            *(ct.c_int, ct.c_size_t, _Sample, _Lost, ct.c_void_p, ct.c_void_p)
        ]
        lib.perf_buffer__epoll_fd.argtypes = [ct.c_void_p]
        lib.perf_buffer__consume.argtypes = [ct.c_void_p]
        lib.perf_buffer__free.argtypes = [ct.c_void_p]
        lib.perf_buffer__free.restype = None
        self._callbacks = _Sample(self._sample), _Lost(self._lost)  # kept alive
        self._buffer = lib.perf_buffer__new(fd, size // mmap.PAGESIZE, *self._callbacks, None, None)
        if not self._buffer:
            raise Error(f"cannot open the perf buffers: {os.strerror(ct.get_errno())}")
        self.fd = lib.perf_buffer__epoll_fd(self._buffer)
        # A record that one CPU wrote later may be read first.
        self._by_time = "time_ns" in layout.names

    def _sample(self, _context: int, _cpu: int, data: int, size: int) -> None:
        self._raw.append(ct.string_at(data, size))

    def _lost(self, _context: int, _cpu: int, _count: int) -> None:
        pass

    def drain(self) -> list[Any]:
        self._lib.perf_buffer__consume(self._buffer)
        records = list(map(self._layout.decode, self._raw))
        self._raw.clear()
        if self._by_time:
            records.sort(key=lambda record: record.time_ns)
        return records

    def close(self) -> None:
        self._lib.perf_buffer__free(self._buffer)
