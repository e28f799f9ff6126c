"""ring-buffer: records to user space, of any size."""

from __future__ import annotations

from ebpf_tour.base.descriptors import is_readable
from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 65536  # whole pages, also where a page has 64 KiB
TIMES = 100


def run(steps: Steps) -> None:
    program = steps.program
    fd = program.map_fd("rb")

    def read() -> list[int]:
        return [event.number for event in program.records("rb")]

    steps.part("What goes in and comes out")
    steps.run("small", 1, note="4 bytes: reserved, filled, submitted")
    steps.run("large", 2, note="16000 bytes: a record has any size")
    steps.run("discard", 3, note="reserved, then given up")
    steps.run("copy", 4, note="made elsewhere, then copied")
    steps.tool("read", read, note="in the order of reservation")
    steps.tool("read", read, note="what was read is gone")

    steps.part(f"When it is full: it has room for {ROOM} bytes")
    for number in range(1, 5):
        steps.run("large", number)
    steps.run("large", 5, note="reserve gives NULL: nothing is replaced, the new record is lost")
    steps.run("small", 6, note="a small one has room still")
    steps.tool("lost", lambda: program.counter("lost"), note="the program itself must count")
    steps.tool("read", read)
    steps.run("large", 7, note="the reader has made room")
    steps.tool("read", read)

    steps.part("Two CPUs at once")
    if steps.two_cpus("small", 1, times=TIMES):
        steps.tool("count what is read", lambda: len(read()), note="one buffer for all CPUs")
        steps.tool("lost", lambda: program.counter("lost"), note="no more than before")

    steps.part("How user space reads it")
    steps.tool("poll", lambda: int(is_readable(fd)), note="nothing to read: it can sleep")
    steps.run("small", 8)
    steps.tool("poll", lambda: int(is_readable(fd)), note="there is a record")
    steps.tool("read", read, note="in mapped memory, without a call for each record")


LESSON = MapLesson(
    name="ring-buffer",
    type="RINGBUF",
    place=10,
    about="records to user space, of any size",
    when=(
        "The program tells user space of each event, as a record, in order. For numbers that "
        "only add up, take a map and read it now and then."
    ),
    full="A new record gets no room (NULL, or -EAGAIN): it is lost, and you must count it.",
    gone="The reader: what it has read is gone.",
    shared="All CPUs put into one buffer, and the records are in the order of reservation.",
    rather=(
        "a map that you read now and then, for numbers that add up. queue, if another program "
        "takes the values."
    ),
    programs=tuple(map(ProgRun, ("small", "large", "copy", "discard"))),
    run=run,
)
