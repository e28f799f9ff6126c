"""program-array: programs by number, to jump to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.loader import syscall
from ebpf_tour.loader.hooks.prog_run import ProgRun
from ebpf_tour.loader.maps import Slots

if TYPE_CHECKING:
    from ebpf_tour.loader import Program

ROOM = 2


def run(steps: Steps) -> None:
    program = steps.program
    programs = Slots(program.map_fd("programs"))

    def put(index: int, function: str, note: str = "") -> None:
        fd = program.function_fd(function)
        steps.act(f"put {function} at {index}", lambda: programs.put(index, fd), note)

    steps.part("What goes in and comes out")
    steps.run("jump", 0, note="nothing is there: no jump, it goes on behind the call")
    put(0, "hundred")
    steps.run("jump", 0, note="the result is that of hundred(): a jump does not come back")
    put(0, "two_hundred", note="while the program is loaded and could run")
    steps.run("jump", 0, note="from the next run on")
    steps.act("delete 0", lambda: programs.empty(0))
    steps.run("jump", 0)

    steps.part(f"When it is full: it has room for {ROOM}")
    put(ROOM, "hundred", note="there is no such index")
    steps.run("jump", ROOM, note="no jump, either")
    put(0, "other", note="it is for a raw tracepoint: all have the type of the first")
    put(1, "again")
    steps.run(
        "jump",
        1,
        note="it jumped to itself 32 times. With the first jump, 33 is the limit: then it goes on",
    )

    steps.part("How user space reads it")
    put(0, "hundred")
    names = {
        syscall.program_info(program.function_fd(name)).id: f"id of {name}"
        for name in ("hundred", "two_hundred")
    }
    steps.tool(
        "lookup 0",
        lambda: names[programs.get(0) or 0],
        note="a number for the program: it went in as a file descriptor",
    )


def prepare(program: Program) -> None:
    Slots(program.map_fd("programs")).put(0, program.function_fd("hundred"))


LESSON = MapLesson(
    name="program-array",
    type="PROG_ARRAY",
    place=13,
    about="programs by number, to jump to",
    when=(
        "One program chooses which one goes on, or user space exchanges a part while it runs; a "
        "program is too large for one. ebpf-tailcall shows it at work."
    ),
    full="It has the size that you gave it. A jump to an empty or unknown index is none.",
    gone="User space; and all of it when no descriptor of the map is open any more.",
    shared="Each jump goes to the program that is there at that moment.",
    rather="an if, for two or three ways. A function call, if it is to come back.",
    programs=(
        *map(ProgRun, ("jump", "hundred", "two_hundred", "again")),
        ProgRun("other", "raw_tp"),
    ),
    run=run,
    measured={"lookup": ("jump", (0,))},
    prepare=prepare,
)
