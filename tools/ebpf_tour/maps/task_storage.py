"""task-storage: a value for each thread."""

from __future__ import annotations

import os

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.frame.maps.helpers import Child, in_a_thread
from ebpf_tour.loader.hooks.prog_run import ProgRun

TIMES = 1000


def run(steps: Steps) -> None:
    program = steps.program
    calls = program.map("calls")
    own = os.pidfd_open(os.getpid())

    steps.part("What goes in and comes out")
    steps.run("lookup", note="this thread has no value yet")
    steps.run("count", note="the value is made, with 0, and goes up")
    steps.run("count")
    steps.other(
        *("thread 2", "count()", lambda: in_a_thread(lambda: program.run("count").result)),
        note="a value of its own: no key says whose",
    )
    steps.run("lookup", note="still that of this thread")

    steps.part("Two CPUs at once")
    steps.both(
        f"count() {TIMES} times each",
        lambda: [program.run("count").result for _ in range(TIMES)][-1],
        note="a plain addition, and none was lost",
    )

    steps.part("How user space reads it")
    with Child(program) as child:
        steps.other("child", "count()", lambda: child.run("count"))
        steps.tool(
            "lookup itself",
            lambda: calls.get(own),
            note="for user space, the key is a pidfd: a descriptor of a process",
        )
        steps.tool("lookup child", lambda: calls.get(child.pidfd))
        child.end()
        steps.tool("lookup child, ended", lambda: calls.get(child.pidfd), note="gone with it")
    os.close(own)


LESSON = MapLesson(
    name="task-storage",
    type="TASK_STORAGE",
    place=14,
    about="a value for each thread",
    when=(
        "You keep something about the thread that runs the program: when its call began, say. "
        "It needs no key, and nobody has to remove it when the thread ends."
    ),
    full="It has no size: a new value fails only if there is no memory (NULL).",
    gone="The kernel, with the thread. A program or user space can do so before.",
    shared="Threads have values of their own: nothing is lost.",
    rather="hash by process or thread, for a whole process, or before Linux 5.11.",
    programs=tuple(
        ProgRun(name, "raw_tp", map_type="TASK_STORAGE", since="5.11")
        for name in ("count", "lookup")
    ),
    run=run,
)
