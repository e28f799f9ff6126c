"""Names for the addresses of a stack, from the files that the process has mapped.

The child without privileges reads their symbol tables, through files that were opened
while the process lived. So the names are right in any mount namespace, after the
process has ended, and after its files were deleted. What a stripped file lacks comes
from this machine's debug files, and what a JIT compiler has made from its own list,
/tmp/perf-PID.map.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from ebpf_tour.userland import opening
from ebpf_tour.userland.child import ChildError, GivenUp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpf_tour.userland.child import Child
    from ebpf_tour.userland.target import Handed, Target

    # A frame: an address, and how many bytes before it the call is.
    Frame = tuple[int, int]
    # A place: a file's number in the child, and an offset in it; for the perf map an address.
    Spot = tuple[int, int]


class Symbols:
    """Turns the addresses of one process into `function+0x1f`.

    Where nothing has a symbol for an address it is `file+0x1234`, the place in
    the file, and where no file is mapped, the address. An address that was in two
    files, one after the other, is `[one or two]+0x7f1234`.
    """

    def __init__(self, target: Target, child: Child) -> None:
        self._target = target
        self._child = child
        self._known: dict[Spot, tuple[str, int]] = {}
        # What the child takes for the number of the perf map: below that of any file.
        self._perf_map = -1 - target.pid

    @property
    def why_not(self) -> str:
        """Why there are no more names, or not of some files, "" if there are."""
        return why_not(self._child, self._target.handed)

    def know(self, program: int) -> bool:
        """Say whether the process was looked at while it ran the program."""
        return self._target.comm_of(program) is not None

    def stacks(self, stacks: Iterable[Sequence[int]], program: int) -> list[list[str]]:
        """Return the names of the frames of several stacks, leaf first.

        The first address is the function's own. The others are where calls
        return to; the call is just before, and may be the caller's very last
        instruction. `program` is the one that the process ran, as Target.find() has it.
        """
        frames = [[(a, min(index, 1)) for index, a in enumerate(stack)] for stack in stacks]
        spots = {f: self._spots(f, program) for f in {f for stack in frames for f in stack}}
        with contextlib.suppress(ChildError):
            self._learn({spot for some in spots.values() for spot in some})
        named = {frame: self._called(frame, spots[frame]) for frame in spots}
        return [[named[frame] for frame in stack] for stack in frames]

    def _spots(self, frame: Frame, program: int) -> dict[Spot, str]:
        """Return where the call of a frame may be, each with the name of the file.

        What is in no file may be what a JIT compiler has made, if the program still runs.
        """
        address = frame[0] - frame[1]
        places = self._target.find(program, address)
        if places or not self._target.runs(program):
            return {(module.number, offset): module.name for module, offset in places}
        return {(self._perf_map, address): ""}

    def _called(self, frame: Frame, spots: dict[Spot, str]) -> str:
        """Return the name of a frame; all of them if the address was in several files."""
        names = [self._name(spot, file, frame[1]) for spot, file in spots.items()]
        functions = sorted({name.rpartition("+")[0] for name in names if name})
        if len(functions) > 1:
            return f"[{' or '.join(functions)}]+{frame[0]:#x}"
        return min(names, default="") or f"[unknown]+{frame[0]:#x}"

    def _name(self, spot: Spot, file: str, back: int) -> str:
        """Return what is known of a place, "" if nothing is."""
        if spot in self._known:
            function, offset = self._known[spot]
            return f"{function}+{offset + back:#x}"
        return f"{file}+{spot[1] + back:#x}" if file else ""

    def _learn(self, spots: Iterable[Spot]) -> None:
        """Ask for names. Raises ChildError."""
        # A JIT compiler may have made something else there since.
        new = sorted(s for s in spots if s[0] == self._perf_map or s not in self._known)
        self._hand_over_debug_files()
        if any(number == self._perf_map for number, _ in new):
            self.hand_over_perf_map()
        for spot, name in zip(new, self._ask(new), strict=True):
            self._known.pop(spot, None)
            if name:
                self._known[spot] = name

    def _ask(self, places: list[Spot]) -> list[tuple[str, int] | None]:
        """Return the name for each place, and how far from its beginning. Raises ChildError.

        Each file is a request of its own, since the child's limits are for a request.
        """
        names = []
        for _, of_a_file in itertools.groupby(places, key=lambda spot: spot[0]):
            names += self._ask_of_a_file(list(of_a_file))
        return names

    def _ask_of_a_file(self, places: list[Spot]) -> list[tuple[str, int] | None]:
        number = places[0][0]
        if number in self._target.handed.given_up:
            return [None] * len(places)
        try:
            answer = self._child.ask("names", places)
        except GivenUp:
            self._target.handed.given_up.add(number)
            return [None] * len(places)
        try:
            names = [None if name is None else (str(name[0]), int(name[1])) for name in answer]
        except (TypeError, ValueError, LookupError):
            self._child.broken()
        if len(names) != len(places):
            self._child.broken()
        return names

    def _hand_over_debug_files(self) -> None:
        """Open this machine's debug files for what is mapped, each once. Raises ChildError."""
        for item in self._child.ask("build_ids"):
            try:
                number, build = int(item[0]), str(item[1])
            except (TypeError, ValueError, LookupError):
                self._child.broken()
            if number not in self._target.handed.debugged:
                self._target.handed.debugged.add(number)
                with contextlib.suppress(OSError), opening.closing(opening.debug_file(build)) as fd:
                    self._child.tell("add_debug", number, fd=fd)

    def hand_over_perf_map(self) -> None:
        """Give the child what a JIT compiler has named by now, if the process has one."""
        target = self._target
        with (
            contextlib.suppress(OSError),
            opening.closing(opening.perf_map(target.tid, target.pid_in_namespace)) as fd,
        ):
            self._child.tell("add_perf_map", self._perf_map, fd=fd)


def why_not(child: Child, handed: Handed) -> str:
    """Return why a child has no names, or not of some files, "" if it has."""
    if child.died or not handed.given_up:
        return child.died
    return f"{len(handed.given_up)} of the files took too long to read"
