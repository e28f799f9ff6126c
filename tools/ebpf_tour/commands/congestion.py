"""ebpf-congestion: a congestion control of TCP, for connections that ask for it.

The kernel calls the programs, as it calls its own algorithms: when a connection begins,
when packets have arrived, and when one was lost. They decide how many may be on their way.
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, network
from ebpf_tour.loader.hooks.struct_ops import StructOps


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program:
        network.enter_namespace(session)
        name = f"tour_{os.getpid()}"
        program.globals["window"] = args.window
        program.max_entries["rb"] = args.buffer
        program.load()
        program.attach()
        program.attach_to(INIT, name)

        session.attached(f"Serving TCP sockets that ask for {name}", demo(args.window))
        for event in program.events("rb", session):
            session.row(row_of(event))
        session.lost = program.lost()


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of congestion.h."""
    return {
        "time": local_time(event.time_ns),
        "call": CALLS[event.call],
        "port": event.port,
        "peer_port": event.peer_port,
        "window": event.window,
        "acked": event.acked if CALLS[event.call] == "cong_avoid" else None,
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--window",
        type=cli.positive_int,
        default=10,
        metavar="N",
        help="how many packets of a connection may be on their way at once (default: 10)",
    )
    cli.add_buffer_option(parser)


def demo(window: int = 10) -> Demo:
    name = f"tour_{os.getpid()}"
    return Demo(
        "in a network namespace of its own, a child process connects to itself, and sends 20 "
        "times 1000 bytes.",
        workload=lambda: talk(name, window),
        rows=21,
        caused=lambda row: row["window"] == window,
        exclusive=True,
    )


def talk(name: str, window: int) -> None:
    """Send over a connection with that congestion control. Each time, wait for an answer."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.socket() as client,
    ):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, name.encode())
        client.connect(listening.getsockname())
        server, _ = listening.accept()
        with server:
            for _ in range(20):
                client.sendall(bytes(1000))
                server.recv(1000, socket.MSG_WAITALL)
                server.sendall(b"x")
                client.recv(1)
            # struct tcp_info: 8 bytes, then tcpi_snd_cwnd is the 19th number
            info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 84)
            if struct.unpack_from("=I", info, 80) != (window,):
                raise RuntimeError("the kernel has another window")
            # It ends with a reset: a FIN would be acknowledged, too.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
            client.close()


CALLS = ("init", "cong_avoid", "ssthresh", "undo_cwnd")  # enum call of congestion.h
HOOKS = tuple(StructOps("tcp_congestion_ops", "fixed", call) for call in CALLS)
INIT = HOOKS[0]

TOOL = Tool(
    name="congestion",
    lesson=177,
    read_before=("lsm",),
    summary="be a congestion control of TCP, and show when the kernel calls it",
    description=(
        "Register a congestion control of TCP, whose window is fixed, and show each call of its "
        "functions. It serves only sockets that ask for it by its name. It teaches struct_ops: "
        "programs in place of the kernel's own functions."
    ),
    via={"struct_ops": HOOKS},
    maps=(Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),),
    picture=(
        Flow(
            "the kernel asks a connection's congestion control",
            {hook: hook.function for hook in HOOKS},
            writes=("rb",),
        ),
    ),
    engines=("libbpf",),
    columns=(
        Column("time", "TIME", "local time of the call", width=8),
        Column("call", "CALL", "the function that the kernel has called", width=10),
        Column("port", "PORT", "the connection's port on this machine", width=5, right=True),
        Column("peer_port", "PEER", "the port at the other end", width=5, right=True),
        Column("window", "WINDOW", "packets that may be on their way", width=6, right=True),
        Column(
            "acked",
            "ACKED",
            "of cong_avoid: packets that have arrived; otherwise null",
            width=5,
            right=True,
            text=lambda row: "" if row["acked"] is None else str(row["acked"]),
        ),
    ),
    examples=(
        Example("ebpf-congestion --window 100", "serve sockets that ask for tour_PID"),
        Example("ebpf-congestion --demo", "see a connection that the demo makes"),
        Example("ebpf-congestion --demo --window 2", "the same, with two packets at a time"),
    ),
    keeps=("CAP_NET_ADMIN",),  # for the demo's child: who asks for such an algorithm needs it
    requirements=(
        "Linux 5.8 or newer with CONFIG_DEBUG_INFO_BTF and CONFIG_BPF_JIT, and root. libbpf only: "
        "BCC has no struct_ops. Before Linux 6.4, kill -9 leaves the congestion control "
        "registered, until the next start."
    ),
    see_also=("tcp(7)", "ss(8)", "sysctl(8)"),
)

main = cli.command(TOOL, run, options)
