"""Frames as they are on the wire, byte by byte."""

from __future__ import annotations

import ipaddress
import struct

IPV4, ARP, VLAN, IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
ICMP, TCP, UDP, FRAGMENT = 1, 6, 17, 44

# What lo has, and who gets a frame with it that lo sends.
OWN_MAC, OTHER_MAC = bytes(6), b"\x02\0\0\0\0\1"


def ethernet(protocol: int, payload: bytes, to: bytes = OWN_MAC) -> bytes:
    return to + OWN_MAC + struct.pack("!H", protocol) + payload


def vlan(frame: bytes, tag: int = 7) -> bytes:
    """Return a frame with a tag in front of what it carries."""
    return frame[:12] + struct.pack("!HH", VLAN, tag) + frame[12:]


def ipv4(
    protocol: int,
    payload: bytes,
    source: str = "127.0.0.1",
    *,
    fragment: int = 0,
    options: bytes = b"",
    first: int = 0x40,
    ttl: int = 64,
) -> bytes:
    """Return an IPv4 packet to 127.0.0.1. `first` is its version, and the length is added."""
    length = 20 + len(options)
    header = struct.pack(
        *("!BBHHHBBH", first | length // 4, 0, length + len(payload), 1, fragment),
        *(ttl, protocol, 0),
    )
    addresses = (ipaddress.IPv4Address(text).packed for text in (source, "127.0.0.1"))
    return b"".join([header, *addresses, options, payload])


def ipv6(protocol: int, payload: bytes, source: str = "::1", *, ttl: int = 64) -> bytes:
    """Return an IPv6 packet to ::1."""
    header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, ttl)
    addresses = (ipaddress.IPv6Address(text).packed for text in (source, "::1"))
    return b"".join([header, *addresses, payload])


def udp(source: int, destination: int, payload: bytes = b"x") -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload
