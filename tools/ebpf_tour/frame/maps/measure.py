"""What a map costs: ns of a lookup, an update and a delete, on one CPU and on two at once.

BPF_PROG_RUN repeats the program in the kernel, and says how long it took. What a program
that does nothing takes is subtracted.
"""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error
from ebpf_tour.frame.maps.cpus import on_two_cpus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ebpf_tour.frame.maps.record import MapLesson
    from ebpf_tour.frame.record import Row, Tool
    from ebpf_tour.frame.session import Session
    from ebpf_tour.loader.syscall import Ran

REPEAT = 100_000
ROUNDS = 5
OPERATIONS = ("lookup", "update", "update_delete")

_TC = 3  # BPF_PROG_TYPE_SCHED_CLS


def rows(plain: list[Row], lessons: list[tuple[MapLesson, Tool]], session: Session) -> list[Row]:
    """Return a row for each lesson: its map, its type and the ns, None where not measured."""
    nothing = {1: empty(1), 2: empty(2)}
    return [
        {key: row[key] for key in ("map", "type", "reason")}
        | {f"{what}_{cpus}_ns": None for what in OPERATIONS for cpus in nothing}
        | ({} if row["reason"] else of_lesson(lesson, tool, session, nothing))
        for row, (lesson, tool) in zip(plain, lessons, strict=True)
    ]


def empty(cpus: int) -> float | None:
    """Return the ns of a program that does nothing."""
    from ebpf_tour.loader import syscall, trial

    fd = syscall.load_program(_TC, trial.RETURN_0)
    try:
        return median(cpus, lambda: syscall.run_program(fd, bytes(14), b"", REPEAT))
    finally:
        os.close(fd)


def of_lesson(
    lesson: MapLesson, tool: Tool, session: Session, nothing: dict[int, float | None]
) -> Row:
    """Return the ns of what can be measured of a map, or the reason why nothing can."""
    found: Row = {}
    if session.args.engine not in ("auto", *lesson.engines):
        return {"reason": f"{session.args.engine} has no word for it"}
    try:
        with session.open(tool) as program:
            program.load()
            program.attach()
            lesson.prepare(program)
            for what, (function, numbers) in lesson.measured.items():
                for cpus, base in nothing.items():
                    ns = median(cpus, lambda: program.run(function, *numbers, repeat=REPEAT))  # noqa: B023
                    if ns is not None and base is not None:
                        found[f"{what}_{cpus}_ns"] = max(0.0, ns - base)
    except Error as error:
        return {"reason": str(error)}
    return found


def median(cpus: int, run: Callable[[], Ran]) -> float | None:
    """Return the median ns of several rounds; None if two CPUs are wanted and one is there."""
    times: list[int] = []
    for _ in range(ROUNDS):
        ran = [run()] if cpus == 1 else on_two_cpus(run)
        if not ran:
            return None
        times += [each.ns for each in ran]
    return statistics.median(times)


def lines(measured: Iterable[Row]) -> Iterator[str]:
    """Yield the table for a terminal."""
    yield f"{'':18}{'LOOKUP':>16}{'UPDATE':>18}{'UPDATE + DELETE':>20}"
    yield f"{'MAP (ns)':18}" + f"{'1 CPU':>9}{'2 CPUs':>9}" * 3
    for row in measured:
        cells = [
            "-" if (ns := row[f"{what}_{cpus}_ns"]) is None else f"{ns:.0f}"
            for what in OPERATIONS
            for cpus in (1, 2)
        ]
        yield f"{row['map']:18}" + "".join(f"{cell:>9}" for cell in cells)
        if row["reason"]:
            yield f"{'':18}{row['reason']}"
