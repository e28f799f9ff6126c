"""ebpf-xdp: packets before the kernel looks at them.

The program gets a packet from the driver and can drop it there, at the lowest cost. It
counts by source; a full map drops the least recently used source.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from ebpf_tour.base.names import address_text
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, network
from ebpf_tour.loader import Program
from ebpf_tour.loader.hooks.xdp import Xdp, mode


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program:
        interface = network.interface(session)
        network.require_ethernet(interface)
        program.globals["drop_any"] = bool(args.drop)
        program.max_entries["drop"] = len(args.drop) or 1
        program.max_entries["sources"] = args.entries
        program.load()
        for dropped in args.drop:
            session.warn(f"while this runs, {interface} drops what it receives from {dropped}")
            program.map("drop").set(key_of(dropped), 1)
        program.attach()
        program.attach_to(XDP, interface)

        doing = f"Counting what {interface} receives, by source, by {mode(interface)} XDP"
        session.attached(doing, demo(), report=True)
        for _ in program.intervals(session, float("inf") if args.demo else args.interval):
            rows = rows_of(program)
            session.report(rows[: args.top])
        session.lost = program.counter("packets") - sum(int(str(row["packets"])) for row in rows)
        if session.lost:
            session.warn(
                f"{session.lost} packets are in no row, since the map was full: raise --entries"
            )


def rows_of(program: Program) -> list[Row]:
    """Return a row for each source in the map, the one with most packets first."""
    now = time.strftime("%H:%M:%S")
    rows: list[Row] = [
        {
            "time": now,
            "source": address_text(key.version, key.address) if key.version else None,
            **counts._asdict(),
        }
        for key, counts in program.map("sources").items()
    ]
    return sorted(rows, key=lambda row: (-int(str(row["packets"])), str(row["source"])))


def key_of(dropped: Any) -> tuple[int, int, bytes]:
    """Return the key of a network in the map: struct network of xdp.h."""
    address = dropped.network_address.packed.ljust(16, b"\0")
    return 32 + dropped.prefixlen, dropped.version, address


def options(parser: argparse.ArgumentParser) -> None:
    network.add_interface(parser)
    parser.add_argument(
        "--drop",
        type=network.cidr,
        action="append",
        default=[],
        metavar="CIDR",
        help=(
            "drop packets from this network, such as 192.0.2.0/24, or from this address; may be "
            "repeated"
        ),
    )
    cli.add_interval(parser, float("inf"), "report at this interval (default: once, at the end)")
    parser.add_argument(
        "--top",
        type=cli.top,
        default=20,
        metavar="N",
        help="show the N sources with the most packets, 0 for all (default: 20)",
    )
    parser.add_argument(
        "--entries",
        type=cli.entries,
        default=10240,
        metavar="N",
        help="how many sources the map holds (default: 10240)",
    )


def demo() -> Demo:
    return Demo(
        "in a network namespace of its own, a child process sends datagrams: 5 from 127.0.0.1, 3 "
        "from 127.0.0.2, 2 from ::1.",
        workload=send,
        rows=len(DATAGRAMS),
        caused=lambda row: DATAGRAMS.get(str(row["source"])) == row["packets"],
        exclusive=True,
        counted=sum(DATAGRAMS.values()),
    )


DATAGRAMS = {"127.0.0.1": 5, "127.0.0.2": 3, "::1": 2}


def send() -> None:
    for address, count in DATAGRAMS.items():
        network.send_datagrams(address, count)


XDP = Xdp("handle_packet")

TOOL = Tool(
    name="xdp",
    lesson=160,
    read_before=("execcount", "tc"),
    summary="count packets by sender, and drop those from networks that you name",
    description=(
        "Count the packets that a network interface receives, and their bytes, by source "
        "address. With --drop, drop the packets from some networks. It teaches XDP, where a "
        "program gets a packet before the kernel does."
    ),
    via={"xdp": (XDP,)},
    maps=(
        Map("sources", "LRU hash", "source address to packets and bytes", tool="reads"),
        Map("drop", "LPM trie", "the networks of --drop", tool="sets"),
    ),
    picture=(
        Flow(
            "an interface receives a packet",
            {XDP: "handle_packet"},
            reads=("drop",),
            writes=("sources",),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time of the report", width=8),
        Column(
            "source",
            "SOURCE",
            "the sender's address; null if the packet is not IP",
            width=36,
            text=lambda row: str(row["source"] or "[not IP]"),
        ),
        Column("packets", "PACKETS", "packets since the tool was attached", 10, right=True),
        Column("bytes", "BYTES", "bytes of these packets, with Ethernet headers", 12, right=True),
        Column("dropped", "DROPPED", "how many of them were dropped", width=10, right=True),
    ),
    examples=(
        Example("ebpf-xdp -i eth0 --interval 5", "who sends most, every five seconds"),
        Example("ebpf-xdp -i eth0 --drop 192.0.2.0/24", "drop what comes from a network"),
        Example("ebpf-xdp --demo", "count packets that the demo sends"),
    ),
    requirements=(
        "Linux 5.9 or newer, and root (or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN); an interface "
        "with the header of Ethernet."
    ),
    see_also=("ip-link(8)", "bpftool-net(8)"),
)

main = cli.command(TOOL, run, options)
