"""percpu-hash: values by key, one for each CPU."""

from __future__ import annotations

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.frame.maps.steps import lost_of
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 4
TIMES = 1_000_000


def run(steps: Steps) -> None:
    hash_map = steps.program.map("hash")
    steps.part("What goes in and comes out")
    steps.run("update", 17, 5, note="the key is new: an element is made")
    steps.run("lookup", 17)
    steps.run_elsewhere("lookup", 17, note="on another CPU: it has its own value")
    steps.run("delete", 17, note="the values of all CPUs go")
    steps.run_elsewhere("lookup", 17, note="on another CPU: the key is gone")

    steps.part(f"When it is full: it has room for {ROOM}")
    for key in range(ROOM):
        steps.run("update", key, 0)
    steps.run("update", ROOM, 0, note="a new key gets no place: count it as lost")

    steps.part("Two CPUs at once")
    shared = steps.two_cpus("add", 0, times=TIMES, note="a plain +=, no atomic one")
    if shared:
        steps.run("lookup", 0, note="a program sees what its CPU counted")

    steps.part("How user space reads it")
    if shared:
        each = [value for value in hash_map.get(0) if value]
        steps.tool("lookup 0", lambda: each, note="one for each CPU; zeros are left out here")
        steps.tool("their sum", lambda: sum(each), note=lost_of(2 * TIMES, sum(each)))
    steps.tool("all keys", lambda: sorted(hash_map.keys()), note="they come in no order")


LESSON = MapLesson(
    name="percpu-hash",
    type="PERCPU_HASH",
    place=4,
    about="values by key, one for each CPU",
    when=(
        "You count by key (a process, an address), often, on many CPUs, and only user space "
        "reads the sums."
    ),
    full="A new key is refused (-E2BIG).",
    gone="Only you remove elements.",
    shared=(
        "Each has a value of its own: no addition is lost. A program cannot see the sum, and the "
        "map takes its memory once for each CPU."
    ),
    rather="hash, if a program needs the sum. lru-hash, if strangers choose the keys.",
    programs=tuple(map(ProgRun, ("lookup", "update", "delete", "add", "update_delete"))),
    run=run,
    measured={
        "lookup": ("lookup", (1,)),
        "update": ("update", (1, 5)),
        "update_delete": ("update_delete", (2,)),
    },
)
