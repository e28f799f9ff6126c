"""bpf(2) itself, for what both engines ask the kernel about what they loaded."""

from __future__ import annotations

import ctypes as ct
import os
import struct
from typing import NamedTuple

# The system call's number, from the kernel's system call tables.
_NR_BPF = {"x86_64": 321, "aarch64": 280}

# enum bpf_cmd, from include/uapi/linux/bpf.h.
_OBJ_GET_INFO_BY_FD = 15

_libc = ct.CDLL(None, use_errno=True)
_libc.syscall.restype = ct.c_long


def _bpf(command: int, attr: bytes) -> bytes:
    """Call bpf(2) with a union bpf_attr and return it as the kernel left it."""
    buffer = ct.create_string_buffer(attr, len(attr))
    number = ct.c_long(_NR_BPF[os.uname().machine])
    if _libc.syscall(number, ct.c_int(command), buffer, ct.c_uint(len(attr))) < 0:
        errno = ct.get_errno()
        raise OSError(errno, f"bpf(2) command {command}: {os.strerror(errno)}")
    return buffer.raw


def _info(fd: int, size: int) -> bytes:
    info = ct.create_string_buffer(size)
    _bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, size, ct.addressof(info)))
    return info.raw


class ProgramInfo(NamedTuple):
    """A loaded program; sizes in bytes. Source: struct bpf_prog_info."""

    type: int
    id: int
    name: str
    jited_bytes: int
    xlated_bytes: int


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
    # nr_map_ids, map_ids, name[16]
    kind, number, jited, xlated, name = struct.unpack("=II8xII16x8x8x8x16s", _info(fd, 80))
    return ProgramInfo(kind, number, _name(name), jited, xlated)


def map_info(fd: int) -> MapInfo:
    """Ask the kernel about the map behind `fd`. Raises OSError."""
    # type, id, key_size, value_size, max_entries, map_flags, name[16]
    kind, number, key, value, entries, name = struct.unpack("=IIIII4x16s", _info(fd, 40))
    return MapInfo(kind, number, _name(name), key, value, entries)
