"""hash: values by key."""

from __future__ import annotations

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.frame.maps.steps import lost_of
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 4
NOEXIST = 1  # BPF_NOEXIST
TIMES = 1_000_000


def run(steps: Steps) -> None:
    hash_map = steps.program.map("hash")
    steps.part("What goes in and comes out")
    steps.run("update", 17, 5, note="the key is new: an element is made")
    steps.run("lookup", 17)
    steps.run("update", 17, 6, note="the key is there: a new value")
    steps.run("update", 17, 7, NOEXIST, note="BPF_NOEXIST: only if the key is new")
    steps.run("lookup", 18, note="there is no such key")
    steps.run("delete", 17, note="somebody must do it: none goes by itself")

    steps.part(f"When it is full: it has room for {ROOM}")
    for key in range(ROOM):
        steps.run("update", key, 0)
    steps.run("update", ROOM, 0, note="a new key gets no place: count it as lost")
    steps.run("update", 1, 20, note="a key that is there does")

    steps.part("Two CPUs at once")
    for function in ("add", "add_atomic"):
        steps.run("update", 0, 0)
        if steps.two_cpus(function, 0, times=TIMES):
            found = steps.program.run("lookup", 0).result
            steps.run("lookup", 0, note=lost_of(2 * TIMES, found))

    steps.part("How user space reads it")
    steps.tool("lookup 1", lambda: hash_map.get(1))
    steps.tool("all keys", lambda: sorted(hash_map.keys()), note="they come in no order")


LESSON = MapLesson(
    name="hash",
    type="HASH",
    place=2,
    about="values by key",
    when=(
        "You look things up by what they are: a process, a file, an address. The elements come "
        "and go, and all of them matter."
    ),
    full="A new key is refused (-E2BIG).",
    gone="Only you remove elements.",
    shared="Both change the same value: without an atomic addition, some are lost.",
    rather=(
        "lru-hash, if strangers choose the keys. percpu-hash, to count often on many CPUs. "
        "task-storage, for something about a thread."
    ),
    programs=tuple(
        map(ProgRun, ("lookup", "update", "delete", "add", "add_atomic", "update_delete"))
    ),
    run=run,
    measured={
        "lookup": ("lookup", (1,)),
        "update": ("update", (1, 5)),
        "update_delete": ("update_delete", (2,)),
    },
)
