"""A command whose memory can be looked at for the last time, when it is about to end.

ptrace(2) with PTRACE_O_TRACEEXIT stops it when its code has run to the end, and all that it
has mapped is still there. It is not stopped otherwise, but for a moment at each signal.
"""

from __future__ import annotations

import ctypes as ct
import os
import signal
import threading
from typing import TYPE_CHECKING

from ebpf_tour.userland.command import StoppedCommand

if TYPE_CHECKING:
    from collections.abc import Callable

# linux/ptrace.h
_PTRACE_CONT, _PTRACE_SEIZE, _PTRACE_LISTEN = 7, 0x4206, 0x4208
_PTRACE_O_TRACEEXIT = 1 << 6
_EVENT_EXIT, _EVENT_STOP = 6, 128
_WALL = 0x40000000  # __WALL of waitpid(2)


class HeldCommand(StoppedCommand):
    """A command that waits before it executes, and again before it ends, until `let_end()`.

    From `begin()` on, `fd` is readable while it waits at its end, and once it has ended.
    `why_not` says why it cannot be held.
    """

    why_not = ""

    def begin(self) -> None:
        """Let it execute; returns once it has. Raises Error if it cannot."""
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._may_end = threading.Semaphore(0)
        self._seized = threading.Event()
        # All of ptrace(2) has to come from one thread. It goes when the tool goes: the kernel
        # lets the command run on then. (So it may use `fd` to the very end: never closed.)
        threading.Thread(target=self._trace, daemon=True).start()
        self._seized.wait()
        super().begin()

    def let_end(self, look: Callable[[], object]) -> None:
        """If it is at its end, call `look()`, and let it end: its memory is as it was last."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return
        look()
        self._may_end.release()

    def _trace(self) -> None:
        """Do all that has to be done about it until it has ended."""
        libc = ct.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ct.c_long, ct.c_int, ct.c_void_p, ct.c_void_p]
        libc.ptrace.restype = ct.c_long
        if libc.ptrace(_PTRACE_SEIZE, self.pid, None, _PTRACE_O_TRACEEXIT):
            self.why_not = os.strerror(ct.get_errno())
        self._seized.set()
        while not self.why_not:
            status = os.waitpid(self.pid, _WALL)[1]
            if not os.WIFSTOPPED(status):
                break
            request, number = _PTRACE_CONT, os.WSTOPSIG(status)
            event = status >> 16
            if event == _EVENT_EXIT:
                os.eventfd_write(self.fd, 1)
                self._may_end.acquire()
                number = 0
            elif event == _EVENT_STOP:
                # By Ctrl-Z it stays stopped until SIGCONT, which comes here as a SIGTRAP.
                request = _PTRACE_CONT if number == signal.SIGTRAP else _PTRACE_LISTEN
                number = 0
            libc.ptrace(request, self.pid, None, number)
        os.eventfd_write(self.fd, 1)
