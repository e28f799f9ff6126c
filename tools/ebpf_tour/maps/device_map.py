"""device-map: network interfaces, to send packets to."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Unsupported
from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.loader import interfaces, netlink
from ebpf_tour.loader.hooks.prog_run import ProgRun
from ebpf_tour.loader.hooks.xdp import Xdp
from ebpf_tour.loader.maps import Slots

if TYPE_CHECKING:
    from ebpf_tour.loader import Program

ROOM = 2
PACKETS = 100
ARRIVE = Xdp("arrive")

_PATIENCE_SECONDS = 10.0


def run(steps: Steps) -> None:
    program = steps.program
    devices = Slots(program.map_fd("devices"))
    interfaces.enter_own_network()  # which ends with the tool, and what is in it
    pair, peer = interfaces.add_pair("first", "peer")
    first = pair.ifindex
    program.attach_to(ARRIVE, peer)
    arrived = Arrived(program)

    def send() -> object:
        return program.run("to_first_or_drop", repeat=PACKETS, live=True)

    require_live_packets(program)

    steps.part("What goes in and comes out")
    steps.run("to_first_or_drop", note="XDP_DROP, as the call says: nothing is at index 0")
    steps.run("to_second_or_pass", note="XDP_PASS, as this one says")
    steps.act("put first at 0", lambda: devices.put(0, first), "an interface")
    steps.run("to_first_or_drop", note="XDP_REDIRECT: the packet goes out there")
    steps.act(f"send {PACKETS} packets", send, "through to_first_or_drop()")
    steps.tool("arrived at its peer", lambda: arrived.new(PACKETS), "each of them")
    steps.act("delete 0", lambda: devices.empty(0))
    steps.act(f"send {PACKETS} packets", send)
    steps.tool("arrived at its peer", lambda: arrived.new(0), "they were dropped")

    steps.part(f"When it is full: it has room for {ROOM}")
    steps.act("put first at 2", lambda: devices.put(ROOM, first), "there is no such index")
    steps.act("put no. 999 at 1", lambda: devices.put(1, 999), "there is no such interface")

    steps.part("Two CPUs at once")
    steps.act("put first at 0", lambda: devices.put(0, first))
    if steps.both(f"send {PACKETS} packets each", send):
        steps.tool("arrived at its peer", lambda: arrived.new(2 * PACKETS))

    steps.part("How user space reads it")
    steps.tool("lookup 0", lambda: socket.if_indextoname(devices.get(0) or 0), "by its number")
    steps.act("remove the interface", lambda: netlink.remove_link(first))
    steps.tool("lookup 0", lambda: devices.get(0), "it is gone from the map, too")


def require_live_packets(program: Program) -> None:
    """Raise Unsupported where BPF_PROG_RUN sends no packet.

    Commit b530e9e1063e ("bpf: Add "live packet" mode for XDP in BPF_PROG_RUN") (in v5.18) has
    brought the flag. Older kernels ignore it, and return what the program does.
    """
    if program.run("to_first_or_drop", live=True).result:
        raise Unsupported(
            "this kernel does not send packets by BPF_PROG_RUN", "boot Linux 5.18 or newer"
        )


class Arrived:
    """How many packets have come to the peer, which takes them some time after they are sent."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._before = 0

    def new(self, expected: int) -> int:
        """Wait until so many have come; return how many have since the last call."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while self._since() < expected and time.monotonic() < until:
            time.sleep(0.001)
        new = self._since()
        self._before += new
        return new

    def _since(self) -> int:
        return self._program.counter("packets") - self._before


def prepare(program: Program) -> None:
    Slots(program.map_fd("devices")).put(0, 1)  # lo: without `live`, no packet gets there


LESSON = MapLesson(
    name="device-map",
    type="DEVMAP",
    place=16,
    about="network interfaces, to send packets to",
    when=(
        "An XDP program sends packets out through another interface, without the kernel's "
        "network stack, and user space says which one. ebpf-xdp teaches XDP."
    ),
    full="It has the size that you gave it: there is no other index (-E2BIG).",
    gone="User space; and the kernel, when an interface goes away.",
    shared="Each CPU sends packets of its own.",
    rather="bpf_redirect() with the number of the interface, if user space need not choose.",
    programs=(
        ProgRun("to_first_or_drop", "xdp"),
        ProgRun("to_second_or_pass", "xdp"),
        ARRIVE,
    ),
    run=run,
    measured={"lookup": ("to_first_or_drop", ())},
    prepare=prepare,
)
