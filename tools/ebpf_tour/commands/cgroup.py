"""ebpf-cgroup: programs for the processes of one cgroup.

They see the packets of these processes' sockets, or each connect(2), which they can
refuse.
"""

from __future__ import annotations

import argparse
import errno
import socket
import time
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import address_text
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, network
from ebpf_tour.frame import cgroup as cgroups
from ebpf_tour.loader import Program
from ebpf_tour.loader.hooks.cgroup_skb import CgroupSkb
from ebpf_tour.loader.hooks.cgroup_sock_addr import CgroupSockAddr
from ebpf_tour.userland.cgroup import enter


def run(session: Session) -> None:
    args = session.args
    cgroups.check(args, a_part=args.deny_port > 0)
    with session.open(TOOL) as program:
        program.globals["denied_port"] = args.deny_port
        program.max_entries["rb"] = args.buffer
        program.load()
        with cgroups.place(session) as path:
            if args.deny_port:
                where = f"no process in {path}, or in cgroups below it,"
                session.warn(f"while this runs, {where} can connect to port {args.deny_port}")
            program.attach()
            watch(session, program, path)


def watch(session: Session, program: Program, path: str) -> None:
    args = session.args
    connect = args.connect or args.deny_port > 0
    for hook in (CONNECT4, CONNECT6) if connect else (INGRESS, EGRESS):
        program.attach_to(hook, path)

    doing = "Tracing connect" if connect else "Counting packets"
    demo = demo_of_connect(path, args.deny_port) if connect else demo_of_packets(path)
    if not connect:
        session.refuse_metrics("without --connect")
    session.attached(f"{doing} in {path}", demo, columns(connect=connect))
    if not connect:
        report_often(program, session)
        return
    for event in program.events("rb", session):
        session.row(row_of(event))
    session.lost = program.lost()


def report_often(program: Program, session: Session) -> None:
    """Make a row for each direction at each interval, and at the end of the session."""
    before = [(0, 0), (0, 0)]
    interval = float("inf") if session.args.demo else session.args.interval
    for passed in program.intervals(session, interval):
        for number, direction in enumerate(("ingress", "egress")):
            now = program.map("traffic").get(number)
            packets, size = before[number]
            row: Row = {"time": time.strftime("%H:%M:%S"), "direction": direction}
            row |= {"packets": now.packets - packets, "bytes": now.bytes - size}
            session.row({**row, "interval_s": passed})
            before[number] = now


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of cgroup.h."""
    return {
        "time": local_time(event.time_ns),
        "comm": from_kernel(event.comm),
        "pid": event.pid,
        "action": "refused" if event.refused else "allowed",
        "protocol": event.protocol,
        "address": address_text(event.version, event.address),
        "port": event.port,
    }


def options(parser: argparse.ArgumentParser) -> None:
    cgroups.add_path(parser)
    cli.add_flag(parser, "--connect", help="show each connect(2), not the number of packets")
    parser.add_argument(
        "--deny-port",
        type=network.port,
        default=0,
        metavar="PORT",
        help="--connect, and refuse each connect(2) to this port",
    )
    cli.add_interval(parser, 1.0, "time between reports of packets (default: 1)")
    cli.add_buffer_option(parser)


def columns(*, connect: bool) -> tuple[Column, ...]:
    counts = ("direction", "packets", "bytes", "interval_s")
    if not connect:
        return tuple(column for column in TOOL.columns if column.key in ("time", *counts))
    return tuple(column for column in TOOL.columns if column.key not in counts)


def demo_of_packets(path: str) -> Demo:
    def send() -> None:
        enter(path)
        for address in ("127.0.0.1", "::1"):
            network.send_datagrams(address, 5)

    return Demo(
        f"a child process in {path} sends 5 datagrams over IPv4 and 5 over IPv6 to itself.",
        workload=send,
        rows=2,
        caused=lambda row: (row["packets"], row["bytes"]) == (10, 5 * 29 + 5 * 49),
        exclusive=True,
        counted=20,
    )


PORTS = (5000, 6666, 7777)


def demo_of_connect(path: str, denied: int) -> Demo:
    """Return the demo: sockets for datagrams, for which nobody has to listen."""

    def connect() -> None:
        enter(path)
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            for port in PORTS:
                with socket.socket(family, socket.SOCK_DGRAM) as opened:
                    refused = opened.connect_ex((address, port)) == errno.EPERM
                if refused != (port == denied):
                    raise RuntimeError(f"port {port} is {'refused' if refused else 'allowed'}")

    return Demo(
        f"a child process in {path} connects to 3 ports over IPv4, and to 3 over IPv6.",
        workload=connect,
        rows=2 * len(PORTS),
        caused=lambda row: (row["action"] == "refused") == (row["port"] == denied),
        exclusive=True,
    )


INGRESS, EGRESS = CgroupSkb("ingress", "count_ingress"), CgroupSkb("egress", "count_egress")
CONNECT4 = CgroupSockAddr("connect4", "handle_connect4")
CONNECT6 = CgroupSockAddr("connect6", "handle_connect6")

TOOL = Tool(
    name="cgroup",
    lesson=171,
    read_before=("tc", "lsm"),
    summary="count the packets of a cgroup, show who connects to where, and refuse a port",
    description=(
        "Count what the processes of a cgroup send and receive. With --connect, show each "
        "connect(2) of these processes; with --deny-port, refuse those to one port. It teaches "
        "programs at a cgroup."
    ),
    via={"cgroup": (INGRESS, EGRESS, CONNECT4, CONNECT6)},
    maps=(
        Map("traffic", "array", "packets and bytes of each direction", tool="reads"),
        Map("rb", "ring buffer", "carries the records of --connect to the tool", tool="reads"),
    ),
    picture=(
        Flow(
            "a socket of the cgroup receives or sends a packet",
            {INGRESS: "count_ingress", EGRESS: "count_egress"},
            writes=("traffic",),
        ),
        Flow(
            "a process of the cgroup calls connect",
            {CONNECT4: "handle_connect4", CONNECT6: "handle_connect6"},
            writes=("rb",),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time of the report, or of the call", width=8),
        Column("direction", "DIRECTION", "ingress: received; egress: sent", width=9),
        Column("packets", "PACKETS", "packets in this interval", width=7, right=True),
        Column("bytes", "BYTES", "bytes of these packets, with IP headers", width=10, right=True),
        Column("interval_s", "", "seconds since the previous report"),
        Column("comm", "COMM", "name of the calling thread", width=16, kernel_bytes=True),
        Column("pid", "PID", "its process, in the initial PID namespace", 7, right=True),
        Column("action", "ACTION", "allowed or refused by this program", width=7),
        network.PROTOCOL,
        Column(
            "address",
            "TO",
            "with --connect: the address that it gives to connect(2), with the port",
            text=lambda row: network.endpoint(row, "address", "port"),
        ),
        Column("port", "", "with --connect: the port"),
    ),
    examples=(
        Example(
            "ebpf-cgroup /sys/fs/cgroup/system.slice",
            "how much the machine's services send and receive, each second",
        ),
        Example("ebpf-cgroup /sys/fs/cgroup/x --connect", "who in the cgroup x connects to where"),
        Example(
            "ebpf-cgroup /sys/fs/cgroup/x --deny-port 25", "keep its processes from sending mail"
        ),
        Example("ebpf-cgroup --demo", "count packets that the demo sends"),
        Example("ebpf-cgroup --demo --deny-port 6666", "see what the demo is refused"),
    ),
    keeps=("CAP_DAC_OVERRIDE",),  # to remove the demo's cgroup: the directory is read-only
    requirements=(
        "Linux 5.8 or newer with CONFIG_CGROUP_BPF, cgroup2, and root (or CAP_BPF, CAP_PERFMON "
        "and CAP_NET_ADMIN)."
    ),
    see_also=("cgroups(7)", "connect(2)", "bpftool-cgroup(8)"),
)

main = cli.command(TOOL, run, options)
