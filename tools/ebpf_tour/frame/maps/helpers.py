"""Threads and child processes that run a function of the program when a lesson says so."""

from __future__ import annotations

import os
import struct
import threading
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpf_tour.loader import Program

_RESULT = struct.Struct("=i")


def in_a_thread(do: Callable[[], int]) -> int:
    """Call `do` in a new thread, which then ends; return its result."""
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(do()))
    thread.start()
    thread.join()
    return results[0]


class Child(Closing):
    """A child process, which can run functions of a program that is loaded.

    It calls `begin` first. It ends with the `with` statement, or with the tool. `pidfd` is a
    descriptor of it, `pid` is 0 once it has ended.
    """

    def __init__(self, program: Program, begin: Callable[[], object] = lambda: None) -> None:
        theirs, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._orders)  # or it would never see the end of them
            os.close(self._answers)
            _work(program, begin, theirs, answers)
        os.close(theirs)
        os.close(answers)
        self.pidfd = os.pidfd_open(self.pid)

    def run(self, function: str) -> int:
        """Let it run a function of the program; return the result. Raises OSError."""
        os.write(self._orders, function.encode())
        answer = os.read(self._answers, _RESULT.size)
        if len(answer) < _RESULT.size:
            raise ChildProcessError
        return int(_RESULT.unpack(answer)[0])

    def end(self) -> None:
        """Wait until it has ended, and nothing of it is left."""
        if self.pid:
            os.close(self._orders)
            os.close(self._answers)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def close(self) -> None:
        self.end()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def _work(program: Program, begin: Callable[[], object], orders: int, answers: int) -> None:
    """Do what the child is for. Does not return."""
    status = 1
    try:
        begin()
        while function := os.read(orders, 100):
            os.write(answers, _RESULT.pack(program.run(function.decode()).result))
        status = 0
    finally:
        os._exit(status)
