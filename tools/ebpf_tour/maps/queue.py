"""queue: values in line, first in, first out."""

from __future__ import annotations

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.frame.maps.steps import lost_of
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 4
EXIST = 2  # BPF_EXIST
TIMES = 100_000


def run(steps: Steps) -> None:
    queue = steps.program.map("queue")
    steps.part("What goes in and comes out")
    for value in (11, 12, 13):
        steps.run("push", value)
    steps.run("peek", note="the first that came, and it stays")
    steps.run("pop", note="the first that came, and it goes")
    steps.run("pop")
    steps.run("pop")
    steps.run("pop", note="it is empty")

    steps.part(f"When it is full: it has room for {ROOM}")
    for value in range(1, ROOM + 1):
        steps.run("push", value)
    steps.run("push", 5, note="no place: count it as lost")
    steps.run("push", 6, EXIST, note="BPF_EXIST: the oldest makes room")
    steps.run("pop", note="1 is gone")
    for _ in range(ROOM - 1):
        steps.run("pop")

    # There are two values in it: at the most both are out at once, so it is never empty.
    steps.part("Two CPUs at once")
    steps.run("push", 0)
    steps.run("push", 0)
    shared = steps.two_cpus("add", times=TIMES, note="pops one, += 1, pushes it back")
    values = [queue.pop(), queue.pop()]
    if shared:
        steps.tool("pop 2: their sum", lambda: sum(values), note=lost_of(2 * TIMES, sum(values)))

    steps.part("How user space reads it")
    steps.run("push", 21)
    steps.tool("peek", queue.peek)
    steps.tool("pop", queue.pop, note="it goes for user space, too")
    steps.tool("pop", queue.pop, note="it is empty")
    steps.tool("all keys", queue.keys, note="it has no keys to look through")


LESSON = MapLesson(
    name="queue",
    type="QUEUE",
    place=6,
    about="values in line, first in, first out",
    when=(
        "Values wait for their turn, and each goes to one taker alone, a program or user space: "
        "work to do, free numbers to give out. Nothing wakes up who waits: to send events to user "
        "space, take a ring buffer."
    ),
    full="A new value is refused (-E2BIG), or the oldest makes room: you say which (BPF_EXIST).",
    gone="Who pops a value removes it.",
    shared="Each value goes to one of them alone, who may change it and push it back.",
    rather="stack, if the newest is to go first. ring-buffer, to tell user space of events.",
    programs=tuple(map(ProgRun, ("push", "peek", "pop", "add"))),
    run=run,
    # In this order: the first one fills it.
    measured={
        "update": ("push", (5, EXIST)),
        "lookup": ("peek", ()),
        "update_delete": ("add", ()),
    },
)
