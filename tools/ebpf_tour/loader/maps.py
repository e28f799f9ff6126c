"""Maps: key-value stores that the kernel's programs and user space share.

Both engines return a file descriptor; all else is done with bpf(2).
"""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import NotPermitted, UsageError
from ebpf_tour.loader import syscall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ebpf_tour.loader.layout import Layout

# enum bpf_map_type, from include/uapi/linux/bpf.h.
_HASH = 1
# Those with a value per CPU.
_PER_CPU = {5, 6, 10}  # PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH


class Map:
    """A map that is loaded; see `Program.map()`. `value` is the layout of its values.

    Queues, stacks and bloom filters have no keys: `peek()`, `pop()` and `may_have()` are for them.
    Every method raises OSError if the kernel refuses.
    """

    def __init__(self, fd: int, key: Layout, value: Layout) -> None:
        info = syscall.map_info(fd)
        self.fd = fd
        self.max_entries = info.max_entries
        self.value = value
        self._key = key
        self._cpus = syscall.possible_cpus() if info.type in _PER_CPU else 0
        # Each CPU's value begins at a multiple of 8 bytes.
        self._stride = (info.value_bytes + 7) & ~7
        self._value_bytes = self._stride * self._cpus if self._cpus else info.value_bytes

    def get(self, key: Any) -> Any:
        """Return the value of a key, or None if it is not there."""
        raw = syscall.lookup(self.fd, self._key.encode(key), self._value_bytes)
        return None if raw is None else self._decode(raw)

    def set(self, key: Any, value: Any) -> None:
        """Create or replace the value of a key. A struct is a tuple of its members."""
        raw = self.value.encode(value) if not self._cpus else self._encode_all(value)
        syscall.update(self.fd, self._key.encode(key), raw)

    def peek(self) -> Any:
        """Return the next value of a queue or a stack, or None if it is empty."""
        raw = syscall.lookup(self.fd, b"", self._value_bytes)
        return None if raw is None else self._decode(raw)

    def pop(self) -> Any:
        """Take the next value out of a queue or a stack; return None if it is empty."""
        raw = syscall.take(self.fd, self._value_bytes)
        return None if raw is None else self._decode(raw)

    def may_have(self, value: Any) -> bool:
        """Return False if the value was surely never added to a bloom filter."""
        return syscall.may_have(self.fd, self.value.encode(value))

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Yield each key with its value, in no order.

        Keys that come or go meanwhile may be missed.
        """
        for raw_key in self._raw_keys():
            raw = syscall.lookup(self.fd, raw_key, self._value_bytes)
            if raw is not None:
                yield self._key.decode(raw_key), self._decode(raw)

    def keys(self) -> list[Any]:
        """Return a list of the keys, in no order."""
        return [self._key.decode(raw) for raw in self._raw_keys()]

    def _raw_keys(self) -> list[bytes]:
        return list(syscall.keys(self.fd, self._key.size, self.max_entries))

    def _decode(self, raw: bytes) -> Any:
        if not self._cpus:
            return self.value.decode(raw)
        starts = range(0, self._value_bytes, self._stride)
        return [self.value.decode(raw[start : start + self._stride]) for start in starts]

    def _encode_all(self, values: list[Any]) -> bytes:
        return b"".join(self.value.encode(value).ljust(self._stride, b"\0") for value in values)


class Slots:
    """An array of programs, maps or interfaces, by its descriptor.

    Every method raises OSError if the kernel refuses.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def put(self, index: int, what: int) -> None:
        """Put a program or map there, by its descriptor, or an interface, by its index."""
        syscall.update(self._fd, struct.pack("=I", index), struct.pack("=I", what))

    def get(self, index: int) -> int | None:
        """Return the id of the program or map there, or the interface; None if it is empty."""
        raw = syscall.lookup(self._fd, struct.pack("=I", index), 4)
        return None if raw is None else int.from_bytes(raw, sys.byteorder)

    def empty(self, index: int) -> None:
        """Take out what is there."""
        syscall.delete(self._fd, struct.pack("=I", index))


def open_pinned_hash(path: str, key_bytes: int) -> int:
    """Return a file descriptor of a hash that somebody has pinned to a path in bpffs.

    Raises UsageError if it is none or its keys have another size, NotPermitted.
    """
    make = (
        f"make one: bpftool map create PATH type hash key {key_bytes} value 8 entries 1024 name set"
    )
    try:
        fd = syscall.open_pinned_map(path)
    except FileNotFoundError:
        raise UsageError(f"there is no {path}", make) from None
    except OSError as error:
        # For a file that is not in bpffs, the kernel's answer is EACCES, too.
        if isinstance(error, PermissionError) and not os.access(path, os.R_OK | os.W_OK):
            raise NotPermitted(f"may not open {path}") from None
        raise UsageError(f"{path} is not a pinned map", make) from None
    info = syscall.map_info(fd)
    if info.type == _HASH and info.key_bytes == key_bytes:
        return fd
    os.close(fd)
    what = "a hash" if info.type == _HASH else "no hash but another map"
    raise UsageError(f"{path} is {what}, with keys of {info.key_bytes} bytes", make)
