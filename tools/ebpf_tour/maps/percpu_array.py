"""percpu-array: values by number, one for each CPU."""

from __future__ import annotations

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.frame.maps.steps import lost_of
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 4
TIMES = 1_000_000


def run(steps: Steps) -> None:
    array = steps.program.map("array")
    steps.part("What goes in and comes out")
    steps.run("lookup", 3, note="each element is there at once, as 0")
    steps.run("update", 3, 5)
    steps.run("lookup", 3)
    steps.run_elsewhere("lookup", 3, note="on another CPU: it has its own value")

    steps.part(f"When it is full: it has room for {ROOM}, and all are there")
    steps.run("lookup", ROOM, note="past the end: check what you get")
    steps.run("update", ROOM, 7, note="past the end: it does not grow")

    steps.part("Two CPUs at once")
    shared = steps.two_cpus("add", 0, times=TIMES, note="a plain +=, no atomic one")
    if shared:
        steps.run("lookup", 0, note="a program sees what its CPU counted")

    steps.part("How user space reads it")
    if shared:
        each = [value for value in array.get(0) if value]
        steps.tool("lookup 0", lambda: each, note="one for each CPU; zeros are left out here")
        steps.tool("their sum", lambda: sum(each), note=lost_of(2 * TIMES, sum(each)))
    steps.tool("all keys", array.keys)


LESSON = MapLesson(
    name="percpu-array",
    type="PERCPU_ARRAY",
    place=3,
    about="values by number, one for each CPU",
    when=(
        "You count by number, often, on many CPUs, and only user space reads the sums. Or a "
        "program needs more memory than its stack has (512 bytes), for itself alone."
    ),
    full=(
        "Never: all elements are there from the start, once for each CPU. Past the end is "
        "an error (-E2BIG)."
    ),
    gone="Nobody: an element cannot be removed, only set to 0.",
    shared=(
        "Each has a value of its own: no addition is lost. A program cannot see the sum, and the "
        "map takes its memory once for each CPU."
    ),
    rather="array, if a program needs the sum, or for settings.",
    programs=tuple(map(ProgRun, ("lookup", "update", "add"))),
    run=run,
    measured={"lookup": ("lookup", (1,)), "update": ("update", (1, 5))},
)
