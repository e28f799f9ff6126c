"""The steps of a lesson: each calls the program or the map, and becomes a row."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ebpf_tour.base.names import error_name
from ebpf_tour.frame.maps.cpus import on_cpu, on_two_cpus, usable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from ebpf_tour.frame.record import Row
    from ebpf_tour.loader import Program


_ONE_CPU = "left out: the tool may use only one CPU"


class Steps:
    """What a lesson does, a row for each step.

    A result below 0 is an error: -2 is -ENOENT. Where a step does not say otherwise, the
    program always runs on the same CPU: what a map has for each CPU is then the same, too.
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

    def run(self, function: str, *numbers: int, call: str = "", note: str = "") -> int:
        """Run a function of the program once; return its result.

        `call` is the call in words, where its numbers do not say enough.
        """
        result = on_cpu(usable()[0], lambda: self.program.run(function, *numbers)).result
        self._row("program", call or call_of(function, numbers), result, note)
        return result

    def run_elsewhere(self, function: str, *numbers: int, note: str = "") -> None:
        """Run a function of the program once, on another CPU than `run()` does."""
        call, others = call_of(function, numbers), usable()[1:]
        if not others:
            self._row("program", call, None, _ONE_CPU)
            return
        result = on_cpu(others[0], lambda: self.program.run(function, *numbers)).result
        self._row("program", call, result, note)

    def run_each(self, function: str, numbers: Sequence[int], *more: int, note: str = "") -> None:
        """Run a function once for each number; the result is how often there was no error.

        `more` are the numbers that come after it, always the same.
        """

        def run_all() -> int:
            return sum(self.program.run(function, each, *more).result >= 0 for each in numbers)

        call = call_of(function, (f"{numbers[0]}..{numbers[-1]}", *more))
        self._row("program", call, on_cpu(usable()[0], run_all), note)

    def tool(self, call: str, do: Callable[[], Any], note: str = "") -> Any:
        """Do what user space does, `call` in words; return its result.

        None counts as ENOENT: the map has no such element.
        """
        return self.other("tool", call, do, note)

    def other(self, by: str, call: str, do: Callable[[], Any], note: str = "") -> Any:
        """Let somebody else do it, such as a child; see `tool()`."""
        try:
            result = do()
        except OSError as error:
            result = -(error.errno or errno.EIO)
        result = -errno.ENOENT if result is None else result
        self._row(by, call, result, note)
        return result

    def act(self, call: str, do: Callable[[], object], note: str = "") -> None:
        """Do what returns nothing: the result is 0, or the error."""
        self.tool(call, lambda: (do(), 0)[1], note)

    def two_cpus(self, function: str, *numbers: int, times: int, note: str = "") -> bool:
        """Run a function many times on each of two CPUs at once.

        Returns False where there is only one CPU; then a row says so.
        """
        call = f"{call_of(function, numbers)} {times} times each"
        return self.both(call, lambda: self.program.run(function, *numbers, repeat=times), note)

    def both(self, call: str, do: Callable[[], object], note: str = "") -> bool:
        """Do something on each of two CPUs at once, `call` in words; see `two_cpus()`.

        Where it returns a number, the row has both.
        """
        done = on_two_cpus(do)
        if not done:
            self._row("2 CPUs", call, None, _ONE_CPU)
            return False
        numbers = [each for each in done if isinstance(each, int)]
        self._row("2 CPUs", call, numbers or None, note)
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
                "error": _error_name(-result) if failed else None,
                "note": note or None,
            }
        )


def _error_name(number: int) -> str:
    # Python's own name for it is ENOTSUP, which has the same number on Linux.
    return "EOPNOTSUPP" if number == errno.EOPNOTSUPP else error_name(number)


def call_of(function: str, numbers: Iterable[object]) -> str:
    """Return a call as the table has it: "update(1, 10)"."""
    return f"{function}({', '.join(map(str, numbers))})"


def lost_of(expected: int, found: int) -> str:
    """Return the note on a counter that two CPUs have changed."""
    if found == expected:
        return "none was lost"
    return f"{expected - found} of {expected} were lost"
