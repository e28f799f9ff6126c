"""ebpf-tc: packets at traffic control.

Each packet that an interface receives or sends passes programs there, one after the
other. Each of them may change it or drop it, or leave the decision to the next one.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, network
from ebpf_tour.loader import Program
from ebpf_tour.loader.hooks.clsact import Clsact
from ebpf_tour.loader.hooks.tcx import Tcx


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program:
        if args.count:
            session.refuse_metrics("--count")
        interface = network.interface(session)._replace(egress=args.egress)
        program.globals["only_count"] = args.count
        program.max_entries["rb"] = args.buffer
        program.load()
        program.attach()
        program.attach_to(TCX if program.via == "tcx" else CLSACT, interface)

        does = "sends" if args.egress else "receives"
        doing = f"Watching what {interface} {does} via {program.via}"
        session.attached(doing, demo(count=args.count), columns(count=args.count))
        if args.count:
            report_often(program, session)
            return
        for event in program.events("rb", session):
            session.row(row_of(event, args.interface))
        session.lost = program.lost()


def row_of(event: Any, interface: str) -> Row:
    """Return the row for a record: struct event of tc.h."""
    return {
        "time": local_time(event.time_ns),
        "interface": interface,
        "protocol": event.protocol,
        "length": event.length or None,
        "ttl": event.ttl,
    }


def report_often(program: Program, session: Session) -> None:
    """Make a row at each interval, and a last one when the session ends."""
    before = (0, 0)
    interval = float("inf") if session.args.demo else session.args.interval
    for passed in program.intervals(session, interval):
        now = (program.counter("packets"), program.counter("bytes"))
        row: Row = {"time": time.strftime("%H:%M:%S"), "interface": session.args.interface}
        row |= {"packets": now[0] - before[0], "bytes": now[1] - before[1], "interval_s": passed}
        session.row(row)
        before = now


def options(parser: argparse.ArgumentParser) -> None:
    network.add_interface(parser)
    cli.add_flag(parser, "--egress", help="what the interface sends, not what it receives")
    cli.add_flag(
        parser, "--count", help="show the number of packets in each interval, not the packets"
    )
    cli.add_interval(parser, 1.0, "time between reports of --count (default: 1)")
    cli.add_buffer_option(parser)


def columns(*, count: bool) -> tuple[Column, ...]:
    others = ("protocol", "length", "ttl") if count else ("packets", "bytes", "interval_s")
    return tuple(column for column in TOOL.columns if column.key not in others)


def demo(*, count: bool) -> Demo:
    if count:
        return network.datagrams(1, lambda row: row["packets"] == 10, counted=10)
    return network.datagrams(10, lambda row: row["length"] in (29, 49))


TCX, CLSACT = Tcx("handle_packet"), Clsact("handle_packet")

TOOL = Tool(
    name="tc",
    lesson=150,
    read_before=("sockfilter",),
    summary="show the packets that a network interface receives or sends",
    description=(
        "Show the length and the time to live of each IP packet that a network interface "
        "receives, or with --egress sends. It changes and delays no packet. It teaches the "
        "programs of traffic control (tc), which could do both."
    ),
    via={"tcx": (TCX,), "clsact": (CLSACT,)},
    maps=(Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),),
    picture=(
        Flow("an interface receives or sends a packet", {TCX: "handle_packet"}, writes=("rb",)),
    ),
    columns=(
        Column("time", "TIME", "local time of the packet, or of the report", width=8),
        Column("interface", "IF", "the interface", width=15, kernel_bytes=True),
        network.PROTOCOL,
        Column(
            "length",
            "LENGTH(B)",
            "the length in the IP header; null if it does not fit there",
            width=9,
            right=True,
        ),
        Column(
            "ttl",
            "TTL",
            "how many more routers it may pass; for IPv6, the hop limit",
            width=3,
            right=True,
        ),
        Column(
            "packets",
            "PACKETS",
            "with --count: IP packets in this interval",
            width=10,
            right=True,
        ),
        Column(
            "bytes",
            "BYTES",
            "with --count: bytes of these packets, with Ethernet headers",
            width=12,
            right=True,
        ),
        Column("interval_s", "", "with --count: seconds since the previous report"),
    ),
    examples=(
        Example("ebpf-tc -i eth0", "what eth0 receives"),
        Example("ebpf-tc -i eth0 --egress --count", "how much it sends, once a second"),
        Example("ebpf-tc --demo", "see packets that the demo sends"),
        Example("ebpf-tc --via clsact --demo", "the same with a filter, as before Linux 6.6"),
    ),
    keeps=("CAP_NET_ADMIN",),  # to remove the filter that --via clsact has made
    requirements=(
        "Linux 5.8 or newer, and root (or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN). --via tcx needs "
        "Linux 6.6; --via clsact CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF."
    ),
    see_also=("tc(8)", "tc-bpf(8)", "rtnetlink(7)"),
)

main = cli.command(TOOL, run, options)
