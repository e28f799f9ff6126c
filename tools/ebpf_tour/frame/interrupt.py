"""Signals that end a run, and streams that do not delay its end."""

from __future__ import annotations

import io
import os
import select
import signal
import stat
import sys
import time
from typing import Any

# poll(2) takes no more than INT_MAX milliseconds, 24 days.
_LONGEST_POLL_MS = 2**31 - 1

# How long, once the run is to end, nobody may read what is written.
_GRACE_SECONDS = 0.4

# A pipe that is writable takes so many bytes without waiting: PIPE_BUF.
_CHUNK = 4096


class Blocked(Exception):  # noqa: N818 - nothing of ours failed
    """The run is to end, and nobody reads what it writes."""


class Interrupt:
    """SIGINT, SIGTERM and SIGHUP as a flag, `seen`, and a file descriptor, `fd`.

    Until `take()`, they end the process at once. The flag survives a Ctrl-C inside a
    ctypes callback, where Python would drop a KeyboardInterrupt; the descriptor ends a
    wait that Python would otherwise resume. What was ignored at the start stays so:
    nohup(1) and a shell's background jobs count on it. `deadline` is when the run is to
    end without a signal.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.seen = False
        self.deadline = float("inf")
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._previous: dict[int, object] = {}
        self._taken = False
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._set(signal.SIGINT, signal.SIG_DFL)  # no traceback

    def _set(self, number: int, handler: object) -> None:
        before = signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous.setdefault(number, before)

    def take(self) -> None:
        """Take the signals over: from now on there is something to remove at the end."""
        if self._taken:
            return
        self._taken = True
        for number in self.SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._set(number, self._note)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def _note(self, _number: int, _frame: object) -> None:
        self.seen = True

    def wait(self, seconds: float, *fds: int) -> list[int]:
        """Wait so long, or until a signal comes or some of `fds` are readable; return those."""
        poll = select.poll()
        for fd in (self.fd, *fds):
            poll.register(fd, select.POLLIN)
        until = time.monotonic() + seconds
        ready: list[tuple[int, int]] = []
        while not ready and (left := until - time.monotonic()) > 0:
            ready = poll.poll(min(left * 1000, _LONGEST_POLL_MS))
        return [fd for fd, _ in ready]

    def wait_writable(self, fd: int) -> None:
        """Wait until `fd` takes a chunk. Raises Blocked once the run is to end and it does not."""
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        if poll.poll(0):
            return
        if not self._is_to_end():
            poll.register(self.fd, select.POLLIN)
            while not self._is_to_end():
                left = max(0.0, self.deadline - time.monotonic())
                if fd in dict(poll.poll(min(left * 1000, _LONGEST_POLL_MS))):
                    return
            poll.unregister(self.fd)
        if not poll.poll(_GRACE_SECONDS * 1000):
            raise Blocked

    def _is_to_end(self) -> bool:
        return self.seen or time.monotonic() >= self.deadline

    def forget(self) -> None:
        """Give the signals back to whoever had them before."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self.fd)
        os.close(self._write)


class PatientStream(io.RawIOBase):
    """A stream that waits for its reader, but not past the end of the run."""

    def __init__(self, fd: int, interrupt: Interrupt) -> None:
        self._fd = fd
        self._interrupt = interrupt

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def write(self, data: Any) -> int:
        """Write a part of the data. Raises Blocked, OSError."""
        self._interrupt.wait_writable(self._fd)
        return os.write(self._fd, memoryview(data)[:_CHUNK])


def be_patient(interrupt: Interrupt) -> None:
    """Let standard output and error wait for their readers, but not past the end of the run.

    A file needs no reader, so one is left as it is.
    """
    for fd, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            continue
        stream.flush()
        raw = io.BufferedWriter(PatientStream(fd, interrupt), 2 * _CHUNK)
        patient = io.TextIOWrapper(
            raw, stream.encoding, "backslashreplace", line_buffering=fd == 2 or os.isatty(fd)
        )
        setattr(sys, name, patient)
