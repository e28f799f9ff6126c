"""ebpf-sockfilter: the filter of a socket.

A packet socket gets a copy of each packet of an interface. Its filter is a program
that returns how many bytes the socket gets; this one sends a record and returns 0.
"""

from __future__ import annotations

import argparse
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import address_text
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, network
from ebpf_tour.loader.hooks.socket_filter import SocketFilter


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        interface = network.interface(session)
        program.max_entries["rb"] = session.args.buffer
        program.load()
        program.attach()
        program.attach_to(FILTER, interface)

        session.attached(f"Showing packets that arrive at {interface}", demo())
        for event in program.events("rb", session):
            session.row(row_of(event, interface.name))
        session.lost = program.lost()


def row_of(event: Any, interface: str) -> Row:
    """Return the row for a record: struct event of sockfilter.h."""
    return {
        "time": local_time(event.time_ns),
        "interface": interface,
        "protocol": event.protocol,
        "source": address_text(event.version, event.source),
        "source_port": event.source_port if event.has_ports else None,
        "destination": address_text(event.version, event.destination),
        "destination_port": event.destination_port if event.has_ports else None,
        "bytes": event.bytes,
    }


def options(parser: argparse.ArgumentParser) -> None:
    network.add_interface(parser)
    cli.add_buffer_option(parser)


def demo() -> Demo:
    return network.datagrams(10, lambda row: row["destination"] in ("127.0.0.1", "::1"))


FILTER = SocketFilter("handle_packet")

TOOL = Tool(
    name="sockfilter",
    lesson=140,
    read_before=("bootstrap",),
    summary="show the packets that arrive at a network interface",
    description=(
        "Show a row for each IP packet that arrives at a network interface for this machine: who "
        "sends it to whom. It teaches socket filters, the BPF programs behind tcpdump."
    ),
    via={"socket filter": (FILTER,)},
    maps=(Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),),
    picture=(Flow("a packet comes to a packet socket", {FILTER: "handle_packet"}, writes=("rb",)),),
    columns=(
        Column("time", "TIME", "local time of arrival", width=8),
        Column("interface", "IF", "the interface", width=6, kernel_bytes=True),
        network.PROTOCOL,
        Column(
            "source",
            "SRC",
            "the sender's address, with the port if there is one",
            width=21,
            text=lambda row: network.endpoint(row, "source", "source_port"),
        ),
        Column("source_port", "", "the sender's port; null if this packet has none"),
        Column(
            "destination",
            "DST",
            "the receiver's address, with the port if there is one",
            width=21,
            text=lambda row: network.endpoint(row, "destination", "destination_port"),
        ),
        Column("destination_port", "", "the receiver's port, or null"),
        Column("bytes", "BYTES", "its length, with the Ethernet header", width=5, right=True),
    ),
    examples=(
        Example("ebpf-sockfilter -i eth0", "what arrives at eth0"),
        Example("ebpf-sockfilter --json --limit 10", "the next ten packets on lo, for a script"),
        Example("ebpf-sockfilter --demo", "see packets that the demo sends"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_PACKET, and root (or CAP_BPF, CAP_PERFMON and CAP_NET_RAW)."
    ),
    see_also=("packet(7)", "socket(7)", "tcpdump(8)"),
)

main = cli.command(TOOL, run, options)
