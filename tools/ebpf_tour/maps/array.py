"""array: values by number."""

from __future__ import annotations

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.frame.maps.steps import lost_of
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 4
NOEXIST = 1  # BPF_NOEXIST
TIMES = 1_000_000


def run(steps: Steps) -> None:
    array = steps.program.map("array")
    steps.part("What goes in and comes out")
    steps.run("lookup", 3, note="each element is there at once, as 0")
    steps.run("update", 3, 5)
    steps.run("lookup", 3)
    steps.run("update", 3, 6, NOEXIST, note="BPF_NOEXIST: it is there already")
    steps.run("delete", 3, note="an element cannot be removed")

    steps.part(f"When it is full: it has room for {ROOM}, and all are there")
    steps.run("lookup", ROOM, note="past the end: check what you get")
    steps.run("update", ROOM, 7, note="past the end: it does not grow")

    steps.part("Two CPUs at once")
    for function in ("add", "add_atomic"):
        steps.run("update", 0, 0)
        if steps.two_cpus(function, 0, times=TIMES):
            found = steps.program.run("lookup", 0).result
            steps.run("lookup", 0, note=lost_of(2 * TIMES, found))

    steps.part("How user space reads it")
    steps.tool("lookup 3", lambda: array.get(3))
    steps.tool("all keys", array.keys, note="always the same")


LESSON = MapLesson(
    name="array",
    type="ARRAY",
    place=1,
    about="values by number, from 0 on",
    when=(
        "What you count or set has a small number of its own, and you know the largest: a "
        "system call, an error, a slot of a histogram, a setting. No map is faster."
    ),
    full="Never: all elements are there from the start. Past the end is an error (-E2BIG).",
    gone="Nobody: an element cannot be removed, only set to 0.",
    shared="Both change the same value: without an atomic addition, some are lost.",
    rather="percpu-array, if many CPUs count often. hash, if there is no small number.",
    programs=tuple(map(ProgRun, ("lookup", "update", "delete", "add", "add_atomic"))),
    run=run,
    measured={"lookup": ("lookup", (1,)), "update": ("update", (1, 5))},
)
