"""Names for the addresses of a stack, from the files that the process has mapped.

The child without privileges reads their symbol tables, through files that were opened
while the process lived. So the names are right in any mount namespace, after the
process has ended, and after its files were deleted. What a stripped file lacks comes
from this machine's debug files, and what a JIT compiler has made from its own list,
/tmp/perf-PID.map.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ebpf_tour.userland import opening
from ebpf_tour.userland.child import ChildError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpf_tour.userland.child import Child
    from ebpf_tour.userland.target import Target

    # A frame: an address, and how many bytes before it the call is.
    Frame = tuple[int, int]


class Symbols:
    """Turns the addresses of one process into `function+0x1f`.

    Where nothing has a symbol for an address it is `file+0x1234`, the place in
    the file, and where no file is mapped, the address.
    """

    def __init__(self, target: Target, child: Child) -> None:
        self._target = target
        self._child = child
        self._known: dict[Frame, str] = {}
        # What the child takes for the number of the perf map: below that of any file.
        self._perf_map = -1 - target.pid

    @property
    def why_not(self) -> str:
        """Why there are no more names, "" if there are."""
        return self._child.died

    def stacks(self, stacks: Iterable[Sequence[int]]) -> list[list[str]]:
        """Return the names of the frames of several stacks, leaf first.

        The first address is the function's own. The others are where calls
        return to; the call is just before, and may be the caller's very last
        instruction.
        """
        frames = [[(a, min(index, 1)) for index, a in enumerate(stack)] for stack in stacks]
        new = {frame for stack in frames for frame in stack} - self._known.keys()
        with contextlib.suppress(ChildError):
            self._learn(sorted(new))
        return [[self._called(frame) for frame in stack] for stack in frames]

    def _called(self, frame: Frame) -> str:
        return self._known.get(frame) or self._place(*frame)

    def _learn(self, frames: list[Frame]) -> None:
        """Ask for names. Raises ChildError."""
        self._hand_over_debug_files()
        if any(not self._target.find(address - back) for address, back in frames):
            self._hand_over_perf_map()
        places = []
        for address, back in frames:
            found = self._target.find(address - back)
            jit = self._perf_map, address - back
            places.append((found[0].number, found[1]) if found else jit)
        for frame, name in zip(frames, self._ask(places), strict=True):
            if name:
                self._known[frame] = f"{name[0]}+{name[1] + frame[1]:#x}"

    def _ask(self, places: list[tuple[int, int]]) -> list[tuple[str, int] | None]:
        """Return the name for each place, and how far from its beginning. Raises ChildError."""
        answer = self._child.ask("names", places) if places else []
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

    def _hand_over_perf_map(self) -> None:
        target = self._target
        with (
            contextlib.suppress(OSError),
            opening.closing(opening.perf_map(target.tid, target.pid_in_namespace)) as fd,
        ):
            self._child.tell("add_perf_map", self._perf_map, fd=fd)

    def _place(self, address: int, back: int) -> str:
        found = self._target.find(address - back)
        if not found:
            return f"[unknown]+{address:#x}"
        module, offset = found
        return f"{module.name}+{offset + back:#x}"
