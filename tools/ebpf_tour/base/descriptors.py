"""File descriptors: closed by the `with` statement, asked whether they are readable, locked."""

from __future__ import annotations

import fcntl
import select
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Closing:
    """Gives a class with a `close()` the `with` statement."""

    def close(self) -> None:
        """Release everything. May be called twice."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_readable(fd: int) -> bool:
    """Say whether there is something to read, or a process has ended (a pidfd)."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def lock(fd: int, seconds: float) -> bool:
    """Lock a file or directory for this process, and say whether it could be done in that time."""
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.01)
        else:
            return True
