"""Network interfaces: what programs for packets are attached to."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error, UsageError
from ebpf_tour.base.text import printable
from ebpf_tour.loader import features, syscall

if TYPE_CHECKING:
    from collections.abc import Iterator

# From include/uapi/linux/sockios.h and if.h.
_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_UP = 1


class Interface(NamedTuple):
    """A network interface, by its index in this network namespace.

    With `egress`, what it sends; otherwise what it receives.
    """

    ifindex: int
    name: str
    egress: bool = False

    def __str__(self) -> str:
        return self.name


def find(name: str) -> Interface:
    """Return the interface of that name. Raises UsageError, which says what there are."""
    import socket

    # A name that is too long, or has a NUL, is none.
    with contextlib.suppress(OSError, ValueError):
        return Interface(socket.if_nametoindex(name), name)
    there = ", ".join(printable(name) for _, name in socket.if_nameindex())
    raise UsageError(f"there is no network interface {name}", f"name one of these: {there}")


def enter_own_network() -> None:
    """Move this process, which has one thread, into a network namespace of its own.

    Nobody else sends a packet there, and what is attached there goes with it. Its
    only interface is lo. Raises NotPermitted, Error.
    """
    try:
        syscall.leave_network()
        _switch_on("lo")
    except OSError as error:
        if error.errno == errno.EPERM:
            without = features.without_capability("CAP_NET_ADMIN")  # which lo asks for
            raise without or features.explain_eperm("make a network namespace") from None
        raise Error(
            f"cannot make a network namespace: {os.strerror(error.errno or 0)}"
            f"{features.without('NET_NS')}",
            "run it without --demo, which needs a network namespace",
        ) from None


def enter_network(path: str) -> None:
    """Move this process, which has one thread, into the network namespace at a path.

    Raises UsageError, NotPermitted.
    """
    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscall.enter_network(namespace)
        finally:
            os.close(namespace)
    except (OSError, ValueError) as error:  # ValueError: the path has a NUL
        number = error.errno if isinstance(error, OSError) else 0
        if number == errno.EPERM:
            raise features.explain_eperm("enter a network namespace") from None
        # EINVAL: that is no namespace, or one of another kind.
        why = os.strerror(number) if number and number != errno.EINVAL else "it is something else"
        raise UsageError(
            f"cannot use {path} as a network namespace: {why}",
            "name one as /run/netns/NAME or /proc/PID/ns/net",
        ) from None


def add_pair(name: str, peer: str) -> tuple[Interface, Interface]:
    """Make two Ethernet interfaces (veth), and switch them on: what one sends, the other receives.

    Raises Error.
    """
    from ebpf_tour.loader import netlink

    try:
        netlink.add_veth(name, peer)
    except OSError as error:
        raise Error(
            f"cannot make a pair of interfaces: {os.strerror(error.errno or 0)}"
            f"{features.without('VETH')}",
            "load the kernel's module: modprobe veth",
        ) from None
    return find(name), find(peer)


def send_to_ourselves() -> None:
    """Send a datagram over lo to a socket of our own."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.sendto(b"x", opened.getsockname())


def _switch_on(name: str) -> None:
    """Do what `ip link set NAME up` does. Raises OSError."""
    with _socket() as fd:
        # struct ifreq: ifr_name, ifr_flags
        request = struct.pack("16sH22x", name.encode(), 0)
        (flags,) = struct.unpack_from("=H", fcntl.ioctl(fd, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(fd, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags | _UP))


@contextlib.contextmanager
def _socket() -> Iterator[int]:
    """Open a socket for questions about interfaces; any kind does. Raises OSError."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        yield opened.fileno()
