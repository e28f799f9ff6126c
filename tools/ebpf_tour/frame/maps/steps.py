"""The steps of a lesson: each calls the program or the map, and becomes a row."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ebpf_tour.frame.maps.cpus import on_two_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ebpf_tour.frame.record import Row
    from ebpf_tour.loader import Program


class Steps:
    """What a lesson does, a row for each step.

    A result below 0 is an error: -2 is -ENOENT.
    """

    program: Program
    """The lesson's program, loaded."""

    rows: list[Row]
    """The steps so far."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.rows = []
        self._part = ""

    def part(self, title: str) -> None:
        """Begin a part of the lesson."""
        self._part = title

    def run(self, function: str, *numbers: int, note: str = "") -> int:
        """Run a function of the program once; return its result."""
        result = self.program.run(function, *numbers).result
        self._row("program", call_of(function, numbers), result, note)
        return result

    def tool(self, call: str, do: Callable[[], Any], note: str = "") -> Any:
        """Do what user space does, `call` in words; return its result.

        None counts as ENOENT: the map has no such element.
        """
        try:
            result = do()
        except OSError as error:
            result = -(error.errno or errno.EIO)
        result = -errno.ENOENT if result is None else result
        self._row("tool", call, result, note)
        return result

    def two_cpus(self, function: str, *numbers: int, times: int, note: str = "") -> bool:
        """Run a function many times on each of two CPUs at once.

        Returns False where there is only one CPU; then a row says so.
        """
        ran = on_two_cpus(lambda: self.program.run(function, *numbers, repeat=times))
        call = f"{call_of(function, numbers)} {times} times each"
        if not ran:
            self._row("2 CPUs", call, None, "left out: the tool may use only one CPU")
            return False
        self._row("2 CPUs", call, None, note)
        return True

    def _row(self, by: str, call: str, result: Any, note: str) -> None:
        failed = isinstance(result, int) and result < 0
        shown = list(map(str, result)) if isinstance(result, list | tuple) else result
        self.rows.append(
            {
                "part": self._part,
                "by": by,
                "call": call,
                "result": shown,
                "error": errno.errorcode.get(-result, str(-result)) if failed else None,
                "note": note or None,
            }
        )


def call_of(function: str, numbers: Iterable[int]) -> str:
    """Return a call as the table has it: "update(1, 10)"."""
    return f"{function}({', '.join(map(str, numbers))})"


def lost_of(expected: int, found: int) -> str:
    """Return the note on a counter that two CPUs have changed."""
    if found == expected:
        return "none was lost"
    return f"{expected - found} of {expected} were lost"
