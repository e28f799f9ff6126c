"""A file that a tool writes at its end, besides what it prints."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error
from ebpf_tour.base.text import printable
from ebpf_tour.frame.interrupt import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 4096  # what a pipe that is writable takes without waiting


class OutputFile(Closing):
    """A file that is opened before anything is done for it. What is in it stays until then.

    Every method raises Error where it cannot be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = self._open()

    def _open(self) -> int:
        try:
            # Not to wait for a reader, if it is a FIFO: a Ctrl-C would not end that.
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._error(error) from error
        os.set_blocking(fd, True)
        if os.path.samestat(os.fstat(fd), os.fstat(1)):
            os.dup2(1, fd, inheritable=False)  # goes on where standard output is
        return fd

    def write(self, text: str, wait_writable: Callable[[int], None]) -> bool:
        """Write all of it. An ordinary file that cannot hold it is left empty.

        `wait_writable` raises Blocked once the run is to end and nobody reads: then what
        is left is not written, and this returns False.
        """
        try:
            if self._has_vanished():
                os.close(self._fd)
                self._fd = -1
                self._fd = self._open()
            self._empty()
            data = memoryview(text.encode())
            while data:
                wait_writable(self._fd)
                data = data[os.write(self._fd, data[:_CHUNK]) :]
        except OSError as error:
            self._empty()
            raise self._error(error) from error
        except Blocked:
            return False
        return True

    def _has_vanished(self) -> bool:
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return True

    def _empty(self) -> None:
        status = os.fstat(self._fd)
        if stat.S_ISREG(status.st_mode) and not os.path.samestat(status, os.fstat(1)):
            os.ftruncate(self._fd, 0)

    def _error(self, error: OSError) -> Error:
        return Error(
            f"cannot write {printable(self._path)}: {error.strerror}",
            "start what reads it first" if error.errno == errno.ENXIO else "name another file",
        )

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
