"""ebpf-sockops: a map of sockets.

One program puts the TCP sockets of a cgroup into a map. Another gets what they send, and
gives it to the socket at the other end, past TCP.
"""

from __future__ import annotations

import argparse
import socket
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import address_text
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, network
from ebpf_tour.frame import cgroup as cgroups
from ebpf_tour.loader.hooks.sk_msg import SkMsg
from ebpf_tour.loader.hooks.sock_ops import SockOps
from ebpf_tour.userland.cgroup import enter


def run(session: Session) -> None:
    args = session.args
    cgroups.check(args, a_part=True)
    with session.open(TOOL) as program:
        program.max_entries["sockets"] = program.max_entries["passed"] = args.entries
        program.max_entries["rb"] = args.buffer
        program.load()
        with cgroups.place(session) as path:
            program.attach()
            program.attach_to(MESSAGES, program.map("sockets").fd)
            program.attach_to(SOCKETS, path)

            session.attached(f"Taking new connections within {path} past TCP", demo(path))
            for event in program.events("rb", session):
                session.row(row_of(event))
            session.lost = program.lost(begun="passed")  # those that are still open
            if left_out := program.counter("left_out"):
                session.warn(f"{left_out} sockets found the map full: raise --entries")


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of sockops.h."""
    return {
        "time": local_time(event.time_ns),
        "local": address_text(4, event.local),
        "local_port": event.local_port,
        "remote": address_text(4, event.remote),
        "remote_port": event.remote_port,
        "messages": event.messages,
        "bytes": event.bytes,
        "segments": event.segments,
    }


def options(parser: argparse.ArgumentParser) -> None:
    cgroups.add_path(parser)
    parser.add_argument(
        "--entries",
        type=cli.entries,
        default=65536,
        metavar="N",
        help="how many sockets the map holds (default: 65536)",
    )
    cli.add_buffer_option(parser)


MESSAGES_SENT = 100


def demo(path: str) -> Demo:
    def exchange_twice() -> None:
        with socket.create_server(("127.0.0.1", 0)) as outside:
            enter(path)
            exchange(outside)
        with socket.create_server(("127.0.0.1", 0)) as inside:
            exchange(inside)

    def caused(row: Row) -> bool:
        past, segments = row["messages"] == MESSAGES_SENT, int(str(row["segments"]))
        return (past and segments < 10) or (not row["messages"] and segments > MESSAGES_SENT)

    return Demo(
        f"a child process in {path} connects to a socket outside, then to one inside. Over each "
        f"connection go {MESSAGES_SENT} messages, and {MESSAGES_SENT} answers.",
        workload=exchange_twice,
        rows=3,
        caused=caused,
        exclusive=True,
    )


def exchange(server: socket.socket) -> None:
    """Send messages of ten bytes to a server, and let it answer each."""
    with socket.create_connection(server.getsockname()) as near, server.accept()[0] as far:
        for _ in range(MESSAGES_SENT):
            for sender, receiver in ((near, far), (far, near)):
                sender.sendall(b"0123456789")
                if receiver.recv(10, socket.MSG_WAITALL) != b"0123456789":
                    raise RuntimeError("it received something else than it sent")


SOCKETS, MESSAGES = SockOps("follow_socket"), SkMsg("pass_message")

TOOL = Tool(
    name="sockops",
    lesson=172,
    read_before=("cgroup",),
    summary="let the processes of a cgroup talk past TCP, and show what TCP sent",
    description=(
        "Take what the processes of a cgroup send each other over TCP, and give it to the "
        "receiver at once. Show each TCP socket at its end: what went past TCP, and how many "
        "segments TCP sent. It teaches maps of sockets, sock_ops and sk_msg."
    ),
    via={"sockops": (SOCKETS, MESSAGES)},
    maps=(
        Map("sockets", "sockhash", "the connected sockets, by their addresses"),
        Map("passed", "hash", "what each socket has sent past TCP"),
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
    ),
    picture=(
        Flow(
            "a TCP socket of the cgroup is connected, or closed",
            {SOCKETS: "follow_socket"},
            reads=("passed",),
            writes=("sockets", "passed", "rb"),
        ),
        Flow(
            "a socket in the map sends a message",
            {MESSAGES: "pass_message"},
            reads=("sockets", "passed"),
            writes=("passed",),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time when the socket was closed", width=8),
        Column(
            "local",
            "LOCAL",
            "its address and port",
            width=21,
            text=lambda row: network.endpoint(row, "local", "local_port"),
        ),
        Column("local_port", "", "its port"),
        Column(
            "remote",
            "REMOTE",
            "the address and port of the other end",
            width=21,
            text=lambda row: network.endpoint(row, "remote", "remote_port"),
        ),
        Column("remote_port", "", "the port of the other end"),
        Column("messages", "MESSAGES", "messages that it sent past TCP", width=8, right=True),
        Column("bytes", "BYTES", "bytes of these messages", width=8, right=True),
        Column("segments", "SEGMENTS", "segments that TCP sent", width=8, right=True),
    ),
    examples=(
        Example("ebpf-sockops /sys/fs/cgroup/x", "speed up what the processes in the cgroup x say"),
        Example("ebpf-sockops --demo", "see a connection with TCP, and one past it"),
    ),
    keeps=("CAP_DAC_OVERRIDE",),  # to remove the demo's cgroup: the directory is read-only
    requirements=(
        "Linux 5.15 or newer with CONFIG_CGROUP_BPF, cgroup2, and root (or CAP_BPF, CAP_PERFMON "
        "and CAP_NET_ADMIN)."
    ),
    see_also=("cgroups(7)", "tcp(7)", "nstat(8)"),
)

main = cli.command(TOOL, run, options)
