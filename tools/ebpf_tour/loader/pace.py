"""How long to read, and how to wait: what `Program.events()` follows."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import is_readable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Pace(Protocol):
        """Whoever reads: a tool's session, or `Until`."""

        @property
        def running(self) -> bool:
            """Whether to go on."""

        def sleep(self, seconds: float) -> None:
            """Wait, but not past the end."""

        def wait_readable(self, fd: int) -> None:
            """Wait until `fd` is readable, but not past the end."""


class Until:
    """Go on for so many seconds, until a function returns True, or until a descriptor is readable.

    Without any of them, for ever. `until` is asked after each event, and at least
    every tenth of a second.
    """

    def __init__(
        self,
        seconds: float = float("inf"),
        until: Callable[[], object] | None = None,
        wake: int | None = None,
    ) -> None:
        self._deadline = time.monotonic() + seconds
        self._until = until
        self._wake = wake

    @property
    def running(self) -> bool:
        """Whether to go on."""
        if time.monotonic() >= self._deadline or (self._until and self._until()):
            return False
        return self._wake is None or not is_readable(self._wake)

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the end."""
        self._wait_for(seconds)

    def wait_readable(self, fd: int) -> None:
        """Wait until `fd` is readable, but not past the end."""
        self._wait_for(float("inf"), fd)

    def _wait_for(self, seconds: float, *fds: int) -> None:
        longest = 0.1 if self._until else 3600.0  # poll(2) has a limit
        left = self._deadline - time.monotonic()
        if self._wake is not None:
            fds += (self._wake,)
        _wait(max(0.0, min(seconds, left, longest)), *fds)


def _wait(seconds: float, *fds: int) -> None:
    """Wait so long, or until one of `fds` is readable."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    poll.poll(seconds * 1000)
