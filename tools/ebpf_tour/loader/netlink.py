"""rtnetlink: what the kernel has at its network interfaces, and changes of that.

See rtnetlink(7) and tc(8). Every function raises OSError where the kernel refuses.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# enum of message types, from include/uapi/linux/rtnetlink.h.
_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_LINKS = 1  # RTMGRP_LINK: who wants to hear of interfaces
_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38
_NEWTFILTER, _DELTFILTER, _GETTFILTER = 44, 45, 46

# From include/uapi/linux/netlink.h.
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _ECHO, _DUMP, _EXCL, _CREATE = 0x1, 0x4, 0x8, 0x300, 0x200, 0x400

# Classic BPF, from include/uapi/linux/filter.h: loads of so many bytes, a jump, the end.
_LOAD_1, _LOAD_2, _LOAD_4, _IS_EQUAL, _RETURN = 0x30, 0x28, 0x20, 0x15, 0x06

# Attributes, from include/uapi/linux/rtnetlink.h and pkt_cls.h.
_KIND, _OPTIONS = 1, 2
_BPF_FD, _BPF_NAME, _BPF_FLAGS = 6, 7, 8
_DIRECT_ACTION = 1  # the program itself says what becomes of the packet

# Where a clsact qdisc is, and its two chains, from include/uapi/linux/pkt_sched.h.
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
INGRESS, EGRESS = 0xFFFFFFF2, 0xFFFFFFF3

_EVERY_PROTOCOL = 0x0300  # ETH_P_ALL in network byte order


# From include/uapi/linux/if_link.h, if.h and veth.h.
_IFLA_NAME, _IFLA_LINKINFO, _INFO_KIND, _INFO_DATA, _VETH_PEER = 3, 18, 1, 2, 1
_UP = 1
_IFLA_XDP, _XDP_ATTACHED, _XDP_PROGRAM = 43, 2, 4
_XDP_MODES = {1: "native", 2: "generic", 3: "offloaded"}

# From include/uapi/linux/if_arp.h: Ethernet, and lo, which has the same header.
_WITH_ETHERNET = (1, 772)


class Link(NamedTuple):
    """A network interface: its kind of header, its XDP program by id, and how that is run."""

    has_ethernet: bool
    xdp_program: int
    xdp_mode: str


class Filter(NamedTuple):
    """A tc filter: the interface and the chain that it is in, its place there, its name.

    Only filters with a BPF program have a name.
    """

    ifindex: int
    chain: int
    handle: int
    info: int
    name: str


def _ask(kind: int, flags: int, body: bytes) -> list[bytes]:
    """Send a message, and return the bodies of the answers."""
    import socket

    answers: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as opened:  # NETLINK_ROUTE
        # nlmsg_len, nlmsg_type, nlmsg_flags, nlmsg_seq, nlmsg_pid
        opened.send(struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST, 1, 0) + body)
        while True:
            for kind_of_answer, answer in _messages(opened.recv(1 << 17)):
                if kind_of_answer == _ERROR:
                    (number,) = struct.unpack_from("=i", answer)
                    if number:
                        raise OSError(-number, os.strerror(-number))
                    return answers
                if kind_of_answer == _DONE:
                    return answers
                answers.append(answer)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of each message."""
    while data:
        length, kind = struct.unpack_from("=IH", data)
        yield kind, data[16:length]
        data = data[(length + 3) & ~3 :]


def _attribute(kind: int, value: bytes) -> bytes:
    head = struct.pack("=HH", 4 + len(value), kind)
    return (head + value).ljust((4 + len(value) + 3) & ~3, b"\0")


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]  # without the flag for nested ones
        data = data[(length + 3) & ~3 :]
    return found


def _tc(ifindex: int, handle: int, parent: int, info: int = 0) -> bytes:
    """Return a struct tcmsg."""
    return struct.pack("=BxHiIII", 0, 0, ifindex, handle, parent, info)


def _tcmsg(answer: bytes) -> tuple[int, int, int, int]:
    """Return what a struct tcmsg says: ifindex, handle, parent, info."""
    ifindex, handle, parent, info = struct.unpack_from("=4xiIII", answer)
    return ifindex, handle, parent, info


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def link(ifindex: int) -> Link:
    """Return what there is to know of an interface."""
    # struct ifinfomsg: family, type, index, flags, change
    (answer,) = _ask(_GETLINK, _ACK, struct.pack("=BxHiII", 0, 0, ifindex, 0, 0))
    (kind,) = struct.unpack_from("=H", answer, 2)
    xdp = _attributes(_attributes(answer[16:]).get(_IFLA_XDP, b""))
    program = int.from_bytes(xdp.get(_XDP_PROGRAM, b""), sys.byteorder)
    mode = int.from_bytes(xdp.get(_XDP_ATTACHED, b""), sys.byteorder)
    return Link(kind in _WITH_ETHERNET, program, _XDP_MODES.get(mode, ""))


def add_veth(name: str, peer: str) -> None:
    """Make two Ethernet interfaces, and switch them on: what one sends, the other receives."""
    # struct ifinfomsg: family, type, index, flags, change
    new, up = (struct.pack("=BxHiII", 0, 0, 0, flags, flags) for flags in (0, _UP))
    ours, theirs = (_attribute(_IFLA_NAME, text.encode() + b"\0") for text in (name, peer))
    info = _attribute(_INFO_KIND, b"veth\0")
    info += _attribute(_INFO_DATA, _attribute(_VETH_PEER, new + theirs))
    _ask(_NEWLINK, _ACK | _CREATE | _EXCL, new + ours + _attribute(_IFLA_LINKINFO, info))
    for each in (ours, theirs):  # none can be switched on before it has its peer
        _ask(_NEWLINK, _ACK, up + each)


def remove_link(ifindex: int) -> None:
    """Remove an interface, and its peer with it."""
    _ask(_DELLINK, _ACK, struct.pack("=BxHiII", 0, 0, ifindex, 0, 0))


def watch(ifindex: int) -> int:
    """Return a descriptor that becomes readable when an interface goes away.

    The kernel tells of every change of every interface. A filter lets nothing else through.
    """
    import socket

    from ebpf_tour.loader import syscall

    filters = [  # loads take the bytes as they come, so the first one is the highest
        (_LOAD_2, 0, 0, 4),  # nlmsg_type
        (_IS_EQUAL, 0, 5, socket.htons(_DELLINK)),
        (_LOAD_1, 0, 0, 16),  # ifi_family: a bridge says so when an interface leaves it
        (_IS_EQUAL, 0, 3, socket.AF_UNSPEC),
        (_LOAD_4, 0, 0, 20),  # ifi_index
        (_IS_EQUAL, 0, 1, socket.htonl(ifindex)),
        (_RETURN, 0, 0, 0xFFFFFFFF),
        (_RETURN, 0, 0, 0),
    ]
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in filters)
    syscall.attach_classic_filter(opened.fileno(), code)
    opened.bind((0, _LINKS))
    return opened.detach()


def qdiscs_for_filters() -> dict[int, str]:
    """Return the kind of qdisc that is there for filters, "clsact" or "ingress", by ifindex."""
    found = {}
    for answer in _ask(_GETQDISC, _DUMP, _tc(0, 0, 0)):
        ifindex, _, parent, _ = _tcmsg(answer)
        if parent == _CLSACT:
            found[ifindex] = _text(_attributes(answer[20:])[_KIND])
    return found


def add_clsact(ifindex: int) -> bool:
    """Give an interface a clsact qdisc; False if there is one for filters already."""
    body = _tc(ifindex, _CLSACT_HANDLE, _CLSACT) + _attribute(_KIND, b"clsact\0")
    try:
        _ask(_NEWQDISC, _ACK | _CREATE | _EXCL, body)
    except OSError as error:
        if error.errno == errno.EEXIST:
            return False
        raise
    return True


def remove_clsact(ifindex: int) -> None:
    """Remove the clsact qdisc of an interface, with every filter in it."""
    _ask(_DELQDISC, _ACK, _tc(ifindex, _CLSACT_HANDLE, _CLSACT))


def filters(ifindex: int) -> list[Filter]:
    """Return the filters in the two chains of an interface."""
    found = []
    for chain in (INGRESS, EGRESS):
        for answer in _ask(_GETTFILTER, _DUMP, _tc(ifindex, 0, chain)):
            _, handle, _, info = _tcmsg(answer)
            if handle:  # else it is about all of one priority
                found.append(Filter(ifindex, chain, handle, info, _name(answer)))
    return found


def _name(answer: bytes) -> str:
    options = _attributes(answer[20:]).get(_OPTIONS, b"")
    return _text(_attributes(options).get(_BPF_NAME, b""))


def add_filter(ifindex: int, chain: int, program: int, name: str) -> Filter:
    """Add a filter with a program. The kernel chooses its place: before others of such a place."""
    options = (
        _attribute(_BPF_FD, struct.pack("=I", program))
        + _attribute(_BPF_NAME, name.encode() + b"\0")
        + _attribute(_BPF_FLAGS, struct.pack("=I", _DIRECT_ACTION))
    )
    body = (
        _tc(ifindex, 0, chain, _EVERY_PROTOCOL)
        + _attribute(_KIND, b"bpf\0")
        + _attribute(_OPTIONS, options)
    )
    (answer,) = _ask(_NEWTFILTER, _ACK | _ECHO | _CREATE | _EXCL, body)
    _, handle, _, info = _tcmsg(answer)
    return Filter(ifindex, chain, handle, info, name)


def remove_filter(added: Filter) -> None:
    """Remove one filter, and no other one."""
    place = _tc(added.ifindex, added.handle, added.chain, added.info)
    _ask(_DELTFILTER, _ACK, place + _attribute(_KIND, b"bpf\0"))
