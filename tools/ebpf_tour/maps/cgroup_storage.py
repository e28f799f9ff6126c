"""cgroup-storage: a value for each cgroup. BCC has no word for it."""

from __future__ import annotations

import os

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.frame.maps.helpers import Child
from ebpf_tour.loader.hooks.prog_run import ProgRun
from ebpf_tour.userland.cgroup import OwnCgroup

TIMES = 1000


def run(steps: Steps) -> None:
    program = steps.program
    calls = program.map("calls")
    steps.part("What goes in and comes out")
    with OwnCgroup() as cgroup:
        directory = os.open(cgroup.path, os.O_RDONLY | os.O_DIRECTORY)
        with Child(program, cgroup.enter) as first, Child(program, cgroup.enter) as second:
            steps.other("child 1", "lookup()", lambda: first.run("lookup"), "no value yet")
            steps.other("child 1", "count()", lambda: first.run("count"), "it is made")
            steps.other(
                *("child 2", "count()", lambda: second.run("count")),
                note="in the same cgroup: the same value",
            )
            steps.run("count", note="the tool is in another cgroup")

        steps.part("Two CPUs at once")
        with Child(program, cgroup.enter) as first, Child(program, cgroup.enter) as second:
            children = [first, second]

            def count() -> None:
                child = children.pop()
                os.sched_setaffinity(child.pid, os.sched_getaffinity(0))  # to this CPU
                for _ in range(TIMES):
                    child.run("count")

            if steps.both(f"a child's count() {TIMES} times each", count):
                steps.other(
                    *("child 1", "lookup()", lambda: first.run("lookup")),
                    note="2 and 2000: an atomic addition, and none was lost",
                )

        steps.part("How user space reads it")
        steps.tool(
            "lookup the directory",
            lambda: calls.get(directory),
            "for user space, the key is a descriptor",
        )
    steps.tool("lookup it, removed", lambda: calls.get(directory), "gone with the cgroup")
    os.close(directory)


LESSON = MapLesson(
    name="cgroup-storage",
    type="CGRP_STORAGE",
    place=15,
    about="a value for each cgroup",
    when=(
        "You keep something about a container or a service, which is a cgroup: what all its "
        "processes did together. It needs no key, and nobody has to remove it."
    ),
    full="It has no size: a new value fails only if there is no memory (NULL).",
    gone="The kernel, with the cgroup. A program or user space can do so before.",
    shared="All processes of a cgroup change the same value: add atomically.",
    rather="hash by the number of the cgroup, before Linux 6.2.",
    programs=tuple(
        ProgRun(name, "raw_tp", map_type="CGRP_STORAGE", since="6.2", engines=("libbpf",))
        for name in ("count", "lookup")
    ),
    run=run,
)
