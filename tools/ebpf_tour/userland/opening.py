"""Files of other processes, opened by root: by descriptors, never by names they can choose.

/proc/PID/map_files leads to the very file that is mapped. A path in /proc/PID/maps may be
a lie, since its owner chose it. Only a regular file is opened, and that is checked
first: to open a FIFO or a device could hang the tool.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import errno
import os
import re
import stat
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Commit fddb5d430ad9 ("open: introduce openat2(2) syscall") (in v5.6).
_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10

_MOST_PERF_MAP_BYTES = 64 << 20
_DEBUG_FILES = "/usr/lib/debug/.build-id"


class NotRegularError(OSError):
    """It is no regular file."""


@contextlib.contextmanager
def closing(fd: int) -> Iterator[int]:
    """Close a descriptor at the end."""
    try:
        yield fd
    finally:
        os.close(fd)


def regular_file(path: str) -> int:
    """Return a descriptor of a regular file, opened for reading. Raises OSError."""
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        mode = os.fstat(place).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise NotRegularError(errno.EINVAL, "it is not a regular file")
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(place)


def path_of_mapping(pid: int, start: int, end: int) -> str:
    """Return the path that leads to the file that a process has mapped there."""
    return f"/proc/{pid}/map_files/{start:x}-{end:x}"


def identity(fd: int) -> tuple[int, int]:
    """Return what tells a file from all others: its device and inode."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def perf_map(pid: int, pid_in_namespace: int) -> int:
    """Return a descriptor of the file in which a JIT compiler names what it has made.

    It is /tmp/perf-PID.map as the process sees it, a regular file of its own user.
    Raises OSError.
    """
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = _openat2(root, f"tmp/perf-{pid_in_namespace}.map", flags)
    finally:
        os.close(root)
    status = os.fstat(fd)
    owner = os.stat(f"/proc/{pid}").st_uid
    if (
        not stat.S_ISREG(status.st_mode)
        or status.st_uid not in (owner, 0)
        or status.st_size > _MOST_PERF_MAP_BYTES
    ):
        os.close(fd)
        raise NotRegularError(errno.EINVAL, "it is not its user's map, or it is too large")
    return fd


def _openat2(directory: int, path: str, flags: int) -> int:
    """Open a file below a directory, which no link leads out of. Raises OSError."""
    libc = ct.CDLL(None, use_errno=True)
    how = struct.pack("=QQQ", flags, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    name = os.fsencode(path)
    fd = libc.syscall(_SYS_OPENAT2, directory, name, how, ct.c_size_t(len(how)))
    if fd < 0:
        number = ct.get_errno()
        raise OSError(number, os.strerror(number))
    return int(fd)


def debug_file(build_id: str) -> int:
    """Return a descriptor of this machine's debug file for a build. Raises OSError."""
    if not re.fullmatch(r"[0-9a-f]{4,128}", build_id):
        raise FileNotFoundError(errno.ENOENT, "there is no such build")
    return regular_file(f"{_DEBUG_FILES}/{build_id[:2]}/{build_id[2:]}.debug")
