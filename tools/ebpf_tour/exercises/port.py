"""A socket filter that looks at the receiver's port."""

from __future__ import annotations

import os
import socket

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.socket_filter import SocketFilter

# The kernel gives out no such ports by itself: ip_local_port_range.
WANTED, OTHER = 62001, 62002
SECONDS = 10.0


def workload() -> str:
    """Send 4 datagrams to one port and 5 to another, over lo; return the address that sends.

    All of 127.0.0.0/8 is this machine, and nobody else has this address.
    """
    address = ".".join(str(byte) for byte in (127, *os.urandom(2), 10))

    def send_all() -> None:
        send(address, WANTED, 4)
        send(address, OTHER, 5)

    in_child(send_all)
    return address


def send(address: str, port: int, count: int) -> None:
    """Send datagrams and receive them: then the filter has seen them."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind((address, port))
        receiver.settimeout(SECONDS)
        sender.bind((address, 0))
        for _ in range(count):
            sender.sendto(b"x", (address, port))
            receiver.recv(1)


def judge(seen: Seen) -> str:
    ports = [row["port"] for row in seen.rows if row["source"] == seen.caused]
    wanted, others = ports.count(WANTED), len(ports) - ports.count(WANTED)
    if (wanted, others) == (4, 0) and all(row["port"] == WANTED for row in seen.rows):
        return ""
    return (
        f"of 4 datagrams to port {WANTED} and 5 to port {OTHER}, it showed {wanted} and {others}; "
        "expected are 4 and 0, and no row of another port"
    )


EXERCISE = Exercise(
    name="port",
    page="sockfilter",
    summary="show only the datagrams for one port",
    hooks=(SocketFilter("handle_packet"),),
    arguments=("--port", str(WANTED)),
    workload=workload,
    judge=judge,
    unsolved=f"of 4 datagrams to port {WANTED} and 5 to port {OTHER}, it showed 4 and 5",
    hints=(
        "A program returns 0 before it sends anything. Which two ports does it know there?",
        "Compare e.port, the receiver's port, with only_port. bpf_ntohs() has made both numbers.",
        "Where the TODO is, write: if (e.port != only_port) return 0;",
    ),
)
