"""ebpf-netfilter: the way of a packet through the hooks of the firewall.

A packet passes one to three of netfilter's five hooks. One program is at all of them, and
its answer is a verdict: the packet goes on, or it ends there.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.names import address_text
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, network
from ebpf_tour.loader.hooks.netfilter import HOOKS, Netfilter, Place


def run(session: Session) -> None:
    args = session.args
    check(args)
    hooks = [hook for hook in HOOKS if hook in (args.hook or HOOKS)]
    with session.open(TOOL) as program:
        network.enter_namespace(session)
        program.globals["drop_protocol"] = PROTOCOLS.get(args.drop, 0)
        program.max_entries["rb"] = args.buffer
        program.load()
        if args.drop:
            where = args.netns or "the demo's network"
            session.warn(f"while this runs, {where} drops packets of {args.drop}")
        program.attach()
        for hook in hooks:
            for version in (4, 6):
                program.attach_to(NETFILTER, Place(hook, version))

        session.attached("Showing packets at netfilter", demo(hooks, args.drop))
        for event in program.events("rb", session):
            session.row(row_of(event))
        session.lost = program.lost()


def check(args: argparse.Namespace) -> None:
    """Raise UsageError where options do not go together."""
    if args.drop and not (args.netns or args.demo or args.show):
        raise UsageError(
            "--drop drops packets in one network namespace: which one?",
            "name it, such as --netns /run/netns/NAME; this one is /proc/self/ns/net",
        )
    if args.netns and args.demo:
        raise UsageError("--demo makes its own network namespace", "leave out --netns")


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of netfilter.h."""
    return {
        "time": local_time(event.time_ns),
        "hook": HOOKS[event.hook],
        "verdict": "drop" if event.dropped else "accept",
        "protocol": event.protocol,
        "bytes": event.bytes,
        "source": address_text(event.version, event.source),
        "destination": address_text(event.version, event.destination),
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--hook", action="append", choices=HOOKS, help="only packets at this hook; may be repeated"
    )
    parser.add_argument(
        "--netns", metavar="PATH", help="the network namespace (default: that of the tool)"
    )
    parser.add_argument("--drop", choices=list(PROTOCOLS), help="drop packets of this protocol")
    cli.add_buffer_option(parser)


PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}

# What a packet passes that a machine sends to itself.
WAY = ("output", "postrouting", "prerouting", "input")


def demo(hooks: Sequence[str] = HOOKS, drop: str = "") -> Demo:
    passed = [hook for hook in WAY if hook in hooks]
    verdict = "accept"
    if drop == "udp":
        passed, verdict = passed[:1], "drop"
    return Demo(
        "in a network namespace of its own, a child process sends 2 datagrams over IPv4 and 2 "
        "over IPv6.",
        workload=send,
        rows=4 * len(passed),
        caused=lambda row: row["hook"] in passed and row["verdict"] == verdict,
        exclusive=True,
    )


def send() -> None:
    for address in ("127.0.0.1", "127.0.0.1", "::1", "::1"):
        with contextlib.suppress(PermissionError):  # one that is dropped at output
            network.send_datagrams(address, 1)


NETFILTER = Netfilter("handle_packet")

TOOL = Tool(
    name="netfilter",
    lesson=176,
    read_before=("xdp",),
    summary="show the way of packets through the firewall's hooks, and drop some",
    description=(
        "Show each IP packet at each hook of netfilter that it passes, such as prerouting and "
        "input. With --drop, drop the packets of one protocol. It teaches the BPF programs at "
        "netfilter, the kernel's place for firewalls."
    ),
    via={"netfilter": (NETFILTER,)},
    maps=(Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),),
    picture=(
        Flow("a packet comes to a hook of netfilter", {NETFILTER: "handle_packet"}, writes=("rb",)),
    ),
    columns=(
        Column("time", "TIME", "local time", width=8),
        Column("hook", "HOOK", "the hook of netfilter", width=11),
        Column("verdict", "VERDICT", "accept or drop", width=7),
        network.PROTOCOL,
        Column("bytes", "BYTES", "its length, from the IP header on", width=5, right=True),
        Column("source", "SRC", "the sender's address", width=15),
        Column("destination", "DST", "the receiver's address"),
    ),
    examples=(
        Example("ebpf-netfilter --hook input", "what arrives for this machine"),
        Example(
            "ebpf-netfilter --netns /run/netns/x --drop icmp", "no ping in the network namespace x"
        ),
        Example("ebpf-netfilter --demo", "see the way of packets that the demo sends"),
        Example("ebpf-netfilter --demo --drop udp", "the same, with a way that ends early"),
    ),
    requirements=(
        "Linux 6.4 or newer with CONFIG_NETFILTER_BPF_LINK and CONFIG_DEBUG_INFO_BTF, and root (or "
        "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; with --netns, CAP_SYS_ADMIN)."
    ),
    see_also=("nft(8)", "iptables(8)", "network_namespaces(7)"),
)

main = cli.command(TOOL, run, options)
