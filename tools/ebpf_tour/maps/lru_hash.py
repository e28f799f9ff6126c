"""lru-hash: values by key, and room for new ones at the cost of old ones."""

from __future__ import annotations

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 4


def run(steps: Steps) -> None:
    hash_map = steps.program.map("hash")
    steps.part("What goes in and comes out")
    steps.run("update", 17, 5, note="the key is new: an element is made")
    steps.run("lookup", 17)
    steps.run("lookup", 18, note="there is no such key")
    steps.run("delete", 17, note="you may remove it, and need not")

    # A lookup by the program is a use. How many the kernel drops at once differs: up to 128 of
    # those that were not used, in a small map fewer since commit d4adf1c9ee77 ("bpf: Adjust free
    # target to avoid global starvation of LRU map") (in v6.16). So nothing here counts them.
    steps.part(f"When it is full: it has room for {ROOM}")
    for key in range(ROOM):
        steps.run("update", key, 10 + key)
    steps.run("lookup", 0, note="so this one was used lately")
    steps.run("update", ROOM, 10 + ROOM, note="a new key is not refused ...")
    steps.run("lookup", 1, note="... an old one went, silently")
    steps.run("lookup", 0, note="the one that was used is still there")
    steps.run_each("update", range(1001, 2001), 15, note="1000 new keys: none was refused")

    steps.part("How user space reads it")
    steps.tool("lookup 2000", lambda: hash_map.get(2000), note="the newest of all is there")
    steps.tool("lookup 1001", lambda: hash_map.get(1001), note="as if it had never been there")


LESSON = MapLesson(
    name="lru-hash",
    type="LRU_HASH",
    place=5,
    about="values by key, which drops old ones",
    when=(
        "The newest and most used matter, and the others may be forgotten: a cache, connections, "
        "calls that begin and may never end. Any number of keys may come."
    ),
    full=(
        "A new key takes the place of one that was not used lately, or of several at once: make "
        "it larger than what must not be forgotten."
    ),
    gone="The kernel removes elements, and says nothing. You may, too.",
    shared="Both change the same value, as in a hash: without an atomic addition, some are lost.",
    rather="hash, if nothing may be forgotten. task-storage, for something about a thread.",
    programs=tuple(map(ProgRun, ("lookup", "update", "delete", "update_delete"))),
    run=run,
    measured={
        "lookup": ("lookup", (1,)),
        "update": ("update", (1, 5)),
        "update_delete": ("update_delete", (2,)),
    },
)
