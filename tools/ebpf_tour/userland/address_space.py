"""What a process has mapped while it runs one program: its address space."""

from __future__ import annotations

import bisect
import itertools
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


class Mapping(NamedTuple):
    """A part of a file in the memory of a process, as a line in /proc/PID/maps."""

    start: int
    end: int
    offset: int
    device: str
    inode: int
    path: str


class Module(NamedTuple):
    """A file that is mapped for execution: its name, its number in the child, what it is.

    `file` is its device and inode, None if it could not be opened.
    """

    name: str
    number: int
    file: tuple[int, int] | None


class AddressSpace:
    """The memory of a process from one exec to the next.

    What is not mapped any more stays known, so an address may have been in several
    files, one after the other. `comm` is the name that the process had.
    """

    def __init__(self, comm: str) -> None:
        self.comm = comm
        self.mappings: dict[Mapping, Module] = {}
        self._sorted: list[Mapping] = []
        self._reach: list[int] = []  # how far the mappings up to this one go

    def add(self, mappings: Iterable[tuple[Mapping, Module]]) -> None:
        """Remember mappings, each with its file."""
        self.mappings.update(mappings)
        self._sorted = []

    def forget_all_but(self, mapped: Container[Mapping]) -> None:
        """Keep only those that are mapped now."""
        self.mappings = {m: module for m, module in self.mappings.items() if m in mapped}
        self._sorted = []

    def places(self, address: int) -> set[tuple[Module, int]]:
        """Return the files that the address was in, and where in each."""
        if not self._sorted:
            self._sorted = sorted(self.mappings)
            self._reach = list(itertools.accumulate((m.end for m in self._sorted), max))
        found = set()
        index = bisect.bisect_right(self._sorted, address, key=lambda mapping: mapping.start) - 1
        while index >= 0 and address < self._reach[index]:
            mapping = self._sorted[index]
            if address < mapping.end:
                found.add((self.mappings[mapping], address - mapping.start + mapping.offset))
            index -= 1
        return found


def parse(line: bytes) -> Mapping | None:
    """Return a line of /proc/PID/maps, or None if it is no file mapped for execution."""
    # start-end perms offset dev inode path
    fields = line.split(None, 5)
    if len(fields) < 6 or b"x" not in fields[1] or not fields[5].startswith(b"/"):
        return None
    start, _, end = fields[0].partition(b"-")
    return Mapping(
        int(start, 16),
        int(end, 16),
        int(fields[2], 16),
        fields[3].decode(),
        int(fields[4]),
        os.fsdecode(fields[5]),
    )
