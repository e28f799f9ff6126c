"""user-ring-buffer: records from user space. BCC has no word for it."""

from __future__ import annotations

import struct

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.loader.hooks.prog_run import ProgRun
from ebpf_tour.loader.user_ring_buffer import UserRingBuffer

ROOM, LARGE = 65536, 16000  # whole pages, also where a page has 64 KiB


def run(steps: Steps) -> None:
    with UserRingBuffer(steps.program.map_fd("urb")) as buffer:
        steps.part("What goes in and comes out")
        put(steps, buffer, 1, 4, "written into mapped memory: no call")
        put(steps, buffer, 2, 4)
        steps.run("drain", note="one run of the program took both: the result is their sum")
        steps.run("drain", note="nothing is there; what was taken is gone")
        put(steps, buffer, 10, 4)
        put(steps, buffer, 20, LARGE, "each record has its own size")
        steps.run("drain_one", note="its callback returned 1: stop")
        steps.run("drain_one", note="the next one was still there")

        steps.part(f"When it is full: it has room for {ROOM} bytes")
        for number in range(1, 5):
            put(steps, buffer, number, LARGE)
        put(steps, buffer, 5, LARGE, "no room: user space knows at once, and can wait")
        steps.run("drain_one", note="a program makes room")
        put(steps, buffer, 5, LARGE)
        steps.run("drain", note="2 + 3 + 4 + 5: nothing is lost")


def put(steps: Steps, buffer: UserRingBuffer, number: int, size: int, note: str = "") -> None:
    record = struct.pack("=I", number).ljust(size, b"\0")
    steps.act(f"put {number}, {size} bytes", lambda: buffer.put(record), note)


LESSON = MapLesson(
    name="user-ring-buffer",
    type="USER_RINGBUF",
    place=11,
    about="records from user space",
    when=(
        "User space hands work or orders to a program, one after the other, and many of them. "
        "For a setting that is read again and again, take an array."
    ),
    full="User space gets no room (-ENOSPC): nothing is lost, it tries again later.",
    gone="The program: what it has drained is gone.",
    shared="One program drains at a time: for the other one, the buffer is busy (-EBUSY).",
    rather="array, for a setting that is read again and again.",
    programs=tuple(
        ProgRun(name, map_type="USER_RINGBUF", since="6.1", engines=("libbpf",))
        for name in ("drain", "drain_one")
    ),
    run=run,
)
