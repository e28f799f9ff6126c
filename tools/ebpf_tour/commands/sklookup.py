"""ebpf-sklookup: which socket gets a datagram or a connection.

The kernel looks for a socket by address and port, and a program may name another one. So
one socket can get what comes for many ports.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.errors import Error, UsageError
from ebpf_tour.base.names import address_text
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, network
from ebpf_tour.loader.hooks.sk_lookup import SkLookup


def run(session: Session) -> None:
    args = session.args
    check(args)
    ports = args.ports or (DEMO_PORTS if args.demo else None)
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(session.open(TOOL))
        network.enter_namespace(session)
        own = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        address = int.from_bytes(socket.inet_aton(args.address), sys.byteorder)
        program.globals["wanted_address"] = address
        program.globals["first_port"], program.globals["last_port"] = ports or (0, 0)
        program.max_entries["rb"] = args.buffer
        program.load()
        if ports:
            bind(own, args.address)
            program.map("sockets").set(0, own.fileno())
        program.attach()

        if not session.attached("Showing lookups of sockets", demo()):
            return
        assigned = received = 0
        for event in program.events("rb", session):
            session.row(row_of(event))
            assigned += event.assigned
            received += receive(own)
        session.lost = program.lost()
        if ports:
            received += receive(own, 0.2 if received < assigned else 0)
            session.warn(f"datagrams assigned to the socket: {assigned}, received: {received}")
        if args.demo and received != assigned and not session.ended_by:
            raise Error("the demo failed: the socket did not get each datagram", "run it again")


def check(args: argparse.Namespace) -> None:
    """Raise UsageError where options do not go together."""
    if args.ports and not (args.netns or args.demo or args.show):
        raise UsageError(
            "--ports takes datagrams in one network namespace: which one?",
            "name it, such as --netns /run/netns/NAME; this one is /proc/self/ns/net",
        )
    if args.netns and args.demo:
        raise UsageError("--demo makes its own network namespace", "leave out --netns")


def bind(own: socket.socket, address: str) -> None:
    """Give the socket an address. Raises UsageError."""
    try:
        own.bind((address, 0))
    except OSError as error:
        raise UsageError(
            f"no socket can have the address {address} there: {error.strerror}",
            "name an address of an interface: ip address",
        ) from None


def receive(own: socket.socket, seconds: float = 0) -> int:
    """Take the datagrams that have come out of the socket; return how many."""
    count = 0
    own.settimeout(seconds)
    with contextlib.suppress(BlockingIOError, TimeoutError):
        while True:
            own.recv(1)
            count += 1
    return count


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of sklookup.h."""
    return {
        "time": local_time(event.time_ns),
        "protocol": event.protocol,
        "source": address_text(event.version, event.source),
        "source_port": event.source_port,
        "destination": address_text(event.version, event.destination),
        "destination_port": event.destination_port,
        "result": "assigned" if event.assigned else "as usual",
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ports",
        type=network.port_range,
        metavar="FIRST-LAST",
        help="assign UDP datagrams for these ports to one socket, that of the tool",
    )
    parser.add_argument(
        "--address",
        type=network.ipv4_address,
        default="127.0.0.1",
        metavar="IPV4",
        help="the address that has these ports (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--netns", metavar="PATH", help="the network namespace (default: that of the tool)"
    )
    cli.add_buffer_option(parser)


def demo() -> Demo:
    return Demo(
        "in a network namespace of its own, a child process sends a datagram to each of the ports "
        "7000, 7050 and 7099.",
        workload=send,
        rows=3,
        caused=lambda row: row["result"] == "assigned",
        exclusive=True,
    )


def send() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for port in (7000, 7050, 7099):
            sender.sendto(b"x", ("127.0.0.1", port))


DEMO_PORTS = (7000, 7099)

PICK_SOCKET = SkLookup("pick_socket")

TOOL = Tool(
    name="sklookup",
    lesson=175,
    read_before=("sockfilter",),
    summary="show which ports are asked for, and let one socket have many of them",
    description=(
        "Show a row whenever the kernel looks for the socket that gets a datagram or a new "
        "connection. With --ports, assign the datagrams for many ports to one socket. It teaches "
        "the programs that choose a socket (sk_lookup)."
    ),
    via={"sk_lookup": (PICK_SOCKET,)},
    maps=(
        Map("sockets", "sockmap", "the one socket", tool="sets"),
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
    ),
    picture=(
        Flow(
            "the kernel looks for a socket",
            {PICK_SOCKET: "pick_socket"},
            reads=("sockets",),
            writes=("rb",),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time of the lookup", width=8),
        network.PROTOCOL,
        Column(
            "source",
            "SRC",
            "who sends: address and port",
            width=21,
            text=lambda row: network.endpoint(row, "source", "source_port"),
        ),
        Column("source_port", "", "the sender's port"),
        Column(
            "destination",
            "DST",
            "what is asked for: address and port",
            width=21,
            text=lambda row: network.endpoint(row, "destination", "destination_port"),
        ),
        Column("destination_port", "", "the port that is asked for"),
        Column(
            "result",
            "RESULT",
            'assigned: the tool\'s socket gets it; "as usual": the kernel looks for a socket',
        ),
    ),
    examples=(
        Example("ebpf-sklookup", "which ports of this machine are asked for"),
        Example(
            "ebpf-sklookup --netns /run/netns/x --ports 7000-7099",
            "one socket for a hundred ports, in the network namespace x",
        ),
        Example("ebpf-sklookup --demo", "see three ports arrive at one socket"),
    ),
    requirements=(
        "Linux 5.9 or newer, and root (or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN). --demo and "
        "--netns also need CAP_SYS_ADMIN."
    ),
    see_also=("udp(7)", "tcp(7)", "network_namespaces(7)"),
)

main = cli.command(TOOL, run, options)
