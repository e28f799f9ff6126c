"""A session that does something once a second: of a tool that shows what it does itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpf_tour.frame.session import Session


class OnceASecond:
    """The pace of a session which does `work` once a second while it waits for records."""

    def __init__(self, session: Session, work: Callable[[], object]) -> None:
        self._session = session
        self._work = work
        self._due = 0.0

    @property
    def running(self) -> bool:
        """Whether to go on."""
        return self._session.running

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the end."""
        self._session.sleep(seconds)

    def wait_readable(self, fd: int) -> None:
        """Wait until `fd` is readable, but not past the end, nor longer than until the work."""
        self._session.wait_readable(fd, self._due - time.monotonic())
        if self.running and time.monotonic() >= self._due:
            self._due = time.monotonic() + 1
            self._work()
