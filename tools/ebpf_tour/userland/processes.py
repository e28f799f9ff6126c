"""Names for the stacks of many processes: each process is read while it lives."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error
from ebpf_tour.userland import reader
from ebpf_tour.userland.child import Child
from ebpf_tour.userland.symbols import Symbols, why_not
from ebpf_tour.userland.target import Handed, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Each takes a descriptor while it lives, and its files are open in the child.
_MOST_PROCESSES = 500


class Processes(Closing):
    """Processes by PID, as this machine counts, and the child that reads their files.

    `wake` is a file descriptor that is readable once the tool is to end. `unknown` are
    those that there is nothing of, or of a program that they ran: they had ended before
    somebody looked, or may not be looked at.
    """

    def __init__(self, wake: int = -1) -> None:
        self._child = Child(reader.make, wake)
        self._handed = Handed()
        self._targets: dict[int, Target] = {}
        self._symbols: dict[int, Symbols] = {}
        self.unknown: set[int] = set()

    def look(self, pids: Iterable[int]) -> None:
        """Open the files of those that are new, and of the others what they have mapped since."""
        for pid in set(pids) - self._symbols.keys() - self.unknown:
            self.unknown.add(pid)
            if len(self._symbols) < _MOST_PROCESSES:
                with contextlib.suppress(Error):
                    target = self._targets[pid] = Target(pid, self._child, self._handed)
                    self._symbols[pid] = Symbols(target, self._child)
                    self.unknown.discard(pid)
        for pid, target in list(self._targets.items()):
            if target.alive:
                target.refresh()
            else:  # another one may get its PID
                self._targets.pop(pid).close()

    @property
    def why_not(self) -> str:
        """Why there are no more names, or not of some files, "" if there are."""
        return why_not(self._child, self._handed)

    def stacks(self, pid: int, stacks: Sequence[Sequence[int]], program: int) -> list[list[str]]:
        """Return the names of several stacks of a process, innermost first.

        `program` is the one that it ran, by where the stack of that began.
        """
        if pid in self._symbols and self._symbols[pid].know(program):
            return self._symbols[pid].stacks(stacks, program)
        self.unknown.add(pid)
        return [[f"[unknown]+{address:#x}" for address in stack] for stack in stacks]

    def close(self) -> None:
        """Let go of the processes, and end the child. May be called twice."""
        while self._targets:
            self._targets.popitem()[1].close()
        self._child.close()
