"""array-of-maps: maps that user space exchanges."""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.loader import syscall
from ebpf_tour.loader.hooks.prog_run import ProgRun
from ebpf_tour.loader.maps import Slots

if TYPE_CHECKING:
    from ebpf_tour.loader import Program

ROOM = 1
TIMES = 100_000


def run(steps: Steps) -> None:
    current = Slots(steps.program.map_fd("current"))
    with Array() as a, Array() as b, Array(value_bytes=4) as narrow:
        steps.part("What goes in and comes out")
        steps.run("count", 1, note="there is no map at index 0 yet")
        steps.act("put map a at 0", lambda: current.put(0, a.fd))
        steps.run("count", 1)
        steps.run("count", 1)
        steps.run("lookup", 1)
        steps.act("put map b at 0", lambda: current.put(0, b.fd), note="all counts change at once")
        steps.run("lookup", 1)
        steps.run("count", 1)
        steps.tool("counts in a", a.values, note="no new run adds to it")
        steps.tool("counts in b", b.values, note="the new one began at 0")

        steps.part(f"When it is full: it has room for {ROOM}")
        steps.act("put map a at 1", lambda: current.put(1, a.fd), note="there is no such index")
        steps.act(
            "put map c at 0",
            lambda: current.put(0, narrow.fd),
            note="its values have 4 bytes: all maps in it are alike",
        )

        steps.part("Two CPUs at once")
        exchange_while_counting(steps, current)

        steps.part("How user space reads it")
        steps.act("put map b at 0", lambda: current.put(0, b.fd))
        names = {syscall.map_info(a.fd).id: "id of a", syscall.map_info(b.fd).id: "id of b"}
        steps.tool(
            "lookup 0",
            lambda: names[current.get(0) or 0],
            note="a number for the map: it went in as a file descriptor",
        )
        steps.act("delete 0", lambda: current.empty(0), note="map b is there still, outside")
        steps.run("count", 1)


def exchange_while_counting(steps: Steps, current: Slots) -> None:
    """Let two CPUs count, each of which exchanges the map half-way."""
    with Array() as one, Array() as two, Array() as three:
        current.put(0, one.fd)
        next_maps = [three, two]

        def count_and_exchange() -> None:
            steps.program.run("count", 0, repeat=TIMES // 2)
            current.put(0, next_maps.pop().fd)
            steps.program.run("count", 0, repeat=TIMES // 2)

        call = f"count(0) {TIMES} times each, and put a new map at 0 half-way"
        if steps.both(call, count_and_exchange):
            steps.tool(
                "add up all maps used",
                lambda: sum(each.values()[0] for each in (one, two, three)),
                note="each run found a map: none was lost",
            )


class Array(Closing):
    """An array with two values, of the tool's own."""

    def __init__(self, value_bytes: int = 8) -> None:
        self._bytes = value_bytes
        self.fd = syscall.create_map(2, 4, value_bytes, 2)  # BPF_MAP_TYPE_ARRAY

    def values(self) -> list[int]:
        raw = (syscall.lookup(self.fd, struct.pack("=I", key), self._bytes) for key in (0, 1))
        return [int.from_bytes(each or b"", sys.byteorder) for each in raw]

    def close(self) -> None:
        os.close(self.fd)


def prepare(program: Program) -> None:
    with Array() as array:  # the map that it is in keeps it
        Slots(program.map_fd("current")).put(0, array.fd)


LESSON = MapLesson(
    name="array-of-maps",
    type="ARRAY_OF_MAPS",
    place=12,
    about="maps that user space exchanges",
    when=(
        "User space exchanges many values at once while the program runs: a whole set of "
        "settings, or the counts of the last minute. For maps by key, there is hash-of-maps."
    ),
    full="It has the size that you gave it: there is no other index (-E2BIG).",
    gone="User space puts another map there, or deletes it. The programs can only look it up.",
    shared="Each run uses the map that it finds when it looks, to its end.",
    rather="array, if user space changes one value at a time.",
    programs=(ProgRun("count"), ProgRun("lookup")),
    run=run,
    measured={"lookup": ("lookup", (1,))},
    prepare=prepare,
)
