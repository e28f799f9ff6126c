"""What the tools for packets have in common: -i, and a network namespace for the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.base.names import protocol_name
from ebpf_tour.frame.record import Column

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from ipaddress import IPv4Network, IPv6Network

    from ebpf_tour.frame.demo import Demo
    from ebpf_tour.frame.record import Row
    from ebpf_tour.frame.session import Session
    from ebpf_tour.loader.interfaces import Interface

PROTOCOL = Column(
    "protocol",
    "PROTO",
    "the protocol in the IP packet; in JSON, its number",
    width=6,
    text=lambda row: protocol_name(int(str(row["protocol"]))),
)


def add_interface(parser: argparse.ArgumentParser) -> None:
    """Add -i."""
    parser.add_argument(
        *("-i", "--interface"),
        default="lo",
        metavar="NAME",
        help="the network interface, as in libbpf-bootstrap's examples (default: lo)",
    )


def cidr(text: str) -> IPv4Network | IPv6Network:
    """Convert a network such as 192.0.2.0/24; for argparse. Raises ArgumentTypeError."""
    import argparse
    import ipaddress

    from ebpf_tour.base.text import printable

    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{printable(text)!r} is not a network such as 192.0.2.0/24 or 2001:db8::/32"
        ) from None


def port(text: str) -> int:
    """Convert the number of a port; for argparse. Raises ArgumentTypeError."""
    import argparse

    from ebpf_tour.base.text import printable

    number = int(text) if text.isdecimal() and len(text) < 6 else 0
    if not 0 < number < 1 << 16:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a port: 1 to 65535")
    return number


def port_range(text: str) -> tuple[int, int]:
    """Convert ports, 7000 or 7000-7099, to the first and the last; for argparse.

    Raises ArgumentTypeError.
    """
    import argparse
    import re

    from ebpf_tour.base.text import printable

    found = re.fullmatch(r"([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?", text, re.ASCII)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 0 < first <= last < 1 << 16:
        raise argparse.ArgumentTypeError(
            f"{printable(text)!r} are no ports such as 7000-7099, from 1 to 65535"
        )
    return first, last


def ipv4_address(text: str) -> str:
    """Convert an address such as 192.0.2.1; for argparse. Raises ArgumentTypeError."""
    import argparse
    import ipaddress

    from ebpf_tour.base.text import printable

    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{printable(text)!r} is not an address such as 192.0.2.1"
        ) from None


def endpoint(row: Row, address: str, port: str) -> str:
    """Return one end of a packet or connection: "127.0.0.1:53", "[::1]:53".

    `address` and `port` are the keys. Without a port, it is the address.
    """
    host = str(row[address])
    if row[port] is None:
        return host
    return f"[{host}]:{row[port]}" if ":" in host else f"{host}:{row[port]}"


def enter_namespace(session: Session) -> None:
    """With --demo, move to a network namespace of the demo's own; otherwise to that of --netns.

    The process moves, and so do its children. Not every tool has --netns. Raises
    UsageError, NotPermitted, Error.
    """
    from ebpf_tour.loader import interfaces

    if session.args.demo:
        interfaces.enter_own_network()
    elif path := getattr(session.args, "netns", None):
        interfaces.enter_network(path)


def interface(session: Session) -> Interface:
    """Return the interface of -i. With --demo, it is in a network namespace of the demo's own.

    When the interface goes away, the run ends. Raises UsageError, NotPermitted, Error.
    """
    from ebpf_tour.loader import interfaces, netlink

    enter_namespace(session)
    found = interfaces.find(session.args.interface)
    session.end_with(netlink.watch(found.ifindex), f"the interface {found} is gone")
    return found


def require_ethernet(interface: Interface) -> None:
    """Raise Error unless packets have the header of Ethernet at an interface."""
    from ebpf_tour.base.errors import Error
    from ebpf_tour.loader import netlink

    if not netlink.link(interface.ifindex).has_ethernet:
        raise Error(
            f"packets at {interface} have no Ethernet header, which this program reads first",
            "use ebpf-tc or ebpf-sockfilter, which read packets of any interface",
        )


def datagrams(rows: int, caused: Callable[[Row], bool], counted: int = 0) -> Demo:
    """Return the demo that sends ten datagrams over lo; see Demo."""
    from ebpf_tour.frame.demo import Demo

    def send() -> None:
        for address in ("127.0.0.1", "::1"):
            send_datagrams(address, 5)

    return Demo(
        "in a network namespace of its own, a child process sends 5 datagrams over IPv4 and 5 over "
        "IPv6.",
        send,
        rows,
        caused,
        exclusive=True,
        counted=counted,
    )


def send_datagrams(address: str, count: int) -> None:
    """Send datagrams of one byte from an address of this machine to the same address.

    To a socket of our own: without one, the kernel would answer each of them. One that a
    program drops does not come.
    """
    import contextlib
    import socket

    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as receiver,
        socket.socket(family, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind((address, 0))
        receiver.settimeout(0.2)
        sender.bind((address, 0))
        for _ in range(count):
            sender.sendto(b"x", receiver.getsockname())
            with contextlib.suppress(TimeoutError):
                receiver.recv(1)
