"""bpf(2) itself, for what both engines ask the kernel about what they loaded."""

from __future__ import annotations

import ctypes as ct
import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Iterator

# The system call's number, from the kernel's system call tables.
_NR_BPF = {"x86_64": 321, "aarch64": 280}

# enum bpf_cmd, from include/uapi/linux/bpf.h.
_MAP_CREATE = 0
_MAP_LOOKUP_ELEM, _MAP_UPDATE_ELEM, _MAP_DELETE_ELEM, _MAP_GET_NEXT_KEY = 1, 2, 3, 4
_OBJ_GET = 7
_OBJ_GET_INFO_BY_FD = 15

_libc = ct.CDLL(None, use_errno=True)
_libc.syscall.restype = ct.c_long


def bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    """Make the system call; return its result and the union bpf_attr as it came back.

    Raises OSError.
    """
    buffer = ct.create_string_buffer(attr, len(attr))
    nr = ct.c_long(_NR_BPF[os.uname().machine])
    result: int = _libc.syscall(nr, ct.c_int(command), buffer, ct.c_uint(len(attr)))
    if result < 0:
        number = ct.get_errno()
        raise OSError(number, f"bpf(2) command {command}: {os.strerror(number)}")
    return result, buffer.raw


def _element(command: int, fd: int, key: bytes | None, value: ct.Array[ct.c_char]) -> bool:
    """Call one of the commands on a map's element; False if there is none (ENOENT)."""
    key_buffer = ct.create_string_buffer(key, len(key)) if key is not None else None
    key_address = ct.addressof(key_buffer) if key_buffer else 0
    try:
        # map_fd, key, value or next_key, flags
        bpf(command, struct.pack("=I4xQQQ", fd, key_address, ct.addressof(value), 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def lookup(fd: int, key: bytes, value_bytes: int) -> bytes | None:
    """Return the value of a key, or None. Raises OSError."""
    value = ct.create_string_buffer(value_bytes)
    return value.raw if _element(_MAP_LOOKUP_ELEM, fd, key, value) else None


def update(fd: int, key: bytes, value: bytes) -> None:
    """Create or replace an element. Raises OSError."""
    _element(_MAP_UPDATE_ELEM, fd, key, ct.create_string_buffer(value, len(value)))


def delete(fd: int, key: bytes) -> None:
    """Remove an element, if it is there. Raises OSError."""
    _element(_MAP_DELETE_ELEM, fd, key, ct.create_string_buffer(1))


def keys(fd: int, key_bytes: int, most: int) -> Iterator[bytes]:
    """Yield the keys of a map, `most` at the most. Raises OSError.

    The limit matters: when a key is deleted meanwhile, the kernel begins anew.
    """
    key: bytes | None = None
    following = ct.create_string_buffer(key_bytes)
    for _ in range(most):
        if not _element(_MAP_GET_NEXT_KEY, fd, key, following):
            return
        key = following.raw
        yield key


def open_pinned_map(path: str) -> int:
    """Return a file descriptor of the map that is pinned at a path in bpffs.

    Raises OSError; EINVAL if it is a program or a link that is pinned there.
    """
    name = ct.create_string_buffer(os.fsencode(path))
    # pathname, bpf_fd, file_flags
    fd, _ = bpf(_OBJ_GET, struct.pack("=QII", ct.addressof(name), 0, 0))
    if os.readlink(f"/proc/self/fd/{fd}") != "anon_inode:bpf-map":
        os.close(fd)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return fd


def has_ring_buffer() -> bool:
    """Say whether the kernel has ring buffers, by creating a small one.

    commit 457f44363a88 ("bpf: Implement BPF ring buffer and verifier support
    for it") (in v5.8). Raises NotPermitted if it may not create maps, OSError.
    """
    ringbuf = 27  # BPF_MAP_TYPE_RINGBUF
    # map_type, key_size, value_size, max_entries, map_flags
    attr = struct.pack("=IIIII", ringbuf, 0, 0, os.sysconf("SC_PAGE_SIZE"), 0)
    try:
        fd, _ = bpf(_MAP_CREATE, attr)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        if error.errno == errno.EPERM:
            raise features.explain_eperm("create maps") from None
        raise
    os.close(fd)
    return True


def possible_cpus() -> int:
    """Return how many CPUs the kernel has room for, as per-CPU maps count them."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        return int(file.read().replace(",", "-").split("-")[-1]) + 1


def _info(fd: int, size: int) -> bytes:
    info = ct.create_string_buffer(size)
    bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, size, ct.addressof(info)))
    return info.raw


class ProgramInfo(NamedTuple):
    """A loaded program; sizes in bytes. Source: struct bpf_prog_info.

    `missed` says how often it did not run, since a BPF program was running on
    that CPU already; 0 before commit 9ed9e9ba2337 ("bpf: Count the number of
    times recursion was prevented") (in v5.12).
    """

    type: int
    id: int
    name: str
    jited_bytes: int
    xlated_bytes: int
    missed: int


class MapInfo(NamedTuple):
    """A map; sizes in bytes. Source: struct bpf_map_info."""

    type: int
    id: int
    name: str
    key_bytes: int
    value_bytes: int
    max_entries: int


def _name(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("ascii", "replace")


def program_info(fd: int) -> ProgramInfo:
    """Ask the kernel about the program behind `fd`. Raises OSError."""
    # type, id, tag[8], jited_len, xlated_len, two pointers, load_time, uid,
    # nr_map_ids, map_ids, name[16], more of the kind, recursion_misses
    form = "=II8xII16x8x8x8x16s128xQ"
    kind, number, jited, xlated, name, missed = struct.unpack(form, _info(fd, 216))
    return ProgramInfo(kind, number, _name(name), jited, xlated, missed)


def map_info(fd: int) -> MapInfo:
    """Ask the kernel about the map behind `fd`. Raises OSError."""
    # type, id, key_size, value_size, max_entries, map_flags, name[16]
    kind, number, key, value, entries, name = struct.unpack("=IIIII4x16s", _info(fd, 40))
    return MapInfo(kind, number, _name(name), key, value, entries)
