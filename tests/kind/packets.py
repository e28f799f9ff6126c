"""A tool with a kind of hook of its own: five datagrams in a network namespace of its own."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

from xdp import Xdp

from ebpf_tour.frame import cli
from ebpf_tour.frame.record import Column, Tool

if TYPE_CHECKING:
    from ebpf_tour.frame.session import Session

COUNT, OTHER = Xdp("count_packet"), Xdp("count_other")
TOOL = Tool(
    "packets",
    directory=os.path.dirname(__file__),
    via={"xdp": (COUNT,), "none": (OTHER,)},
    keeps=("CAP_NET_ADMIN",),  # it sets lo up, once it is attached
    columns=(Column("packets", "PACKETS", "", 7), Column("others", "OTHERS", "", 7)),
)


def send(count: int) -> None:
    """Send datagrams to a socket of our own; without one, the kernel would answer each."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        # ifreq: the name, flags; SIOCSIFFLAGS, IFF_UP
        fcntl.ioctl(sender, 0x8914, struct.pack("16sH14x", b"lo", 1))
        receiver.bind(("127.0.0.1", 0))
        for _ in range(count):
            sender.sendto(b"x", receiver.getsockname())


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        program.load()
        program.attach()  # attaches nothing: the target is missing
        send(3)
        program.attach_to(COUNT, socket.if_nametoindex("lo"))
        send(5)
        session.attached("Counting packets")
        program.detach()
        send(3)
        session.row({name: program.counter(name) for name in ("packets", "others")})


sys.exit(cli.main(TOOL, run))
