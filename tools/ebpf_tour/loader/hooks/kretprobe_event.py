"""A kretprobe that can follow many calls at once.

A kretprobe has to remember each call that it waits for. One that
perf_event_open(2) makes, as libbpf and BCC ask it to, follows twice as many calls
as there are CPUs, at least 10, and sees no other return. That is enough for a
function that does not sleep; execve(2) does, and hundreds of them run at once.
Only a kretprobe that is made in tracefs can follow more: `r4096:GROUP/NAME FUNCTION`. See
Documentation/trace/kprobetrace.rst.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error, NotPermitted
from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "ebpf_tour_"
_ROOM = 4096  # KRETPROBE_MAXACTIVE_MAX of kernel/trace/trace_kprobe.c


class KretprobeEvent(Closing):
    """A kretprobe in tracefs: a tracepoint `name` in the category `category`.

    Closing removes it; by then, nothing may be attached to it any more.
    """

    def __init__(self, function: str) -> None:
        self._file = f"{features.tracefs()}/kprobe_events"
        self.category = f"{_PREFIX}{os.getpid()}_{os.urandom(4).hex()}"
        self.name = function

    @contextlib.contextmanager
    def created(self) -> Iterator[None]:
        """Create it, for the `with` statement to attach to it.

        A program that is attached keeps it in use, and a starting tool removes
        what it can; no other one starts meanwhile. Raises Error, NotPermitted.
        """
        try:
            with self._locked() as file:
                self._remove_abandoned(file)
                os.write(file, f"r{_ROOM}:{self.category}/{self.name} {self.name}\n".encode())
                yield
        except PermissionError:
            raise NotPermitted(f"may not write {self._file}") from None
        except OSError as error:
            raise Error(f"cannot make a kretprobe in {self._file}: {error.strerror}") from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the list of kprobes, for one tool at a time. Raises OSError."""
        # Not to append but to truncate it would remove the kprobes of everybody.
        file = os.open(self._file, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _remove_abandoned(self, file: int) -> None:
        """Remove what a run that was killed has left; one in use answers EBUSY."""
        with open(self._file, encoding="ascii", errors="replace") as lines:
            left = re.findall(rf"(?m)^r\d*:({_PREFIX}\w+/\w+) ", lines.read())
        for event in left:
            with contextlib.suppress(OSError):
                os.write(file, f"-:{event}\n".encode())

    def close(self) -> None:
        with contextlib.suppress(OSError), self._locked() as file:
            os.write(file, f"-:{self.category}/{self.name}\n".encode())
