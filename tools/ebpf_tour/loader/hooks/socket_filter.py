"""Socket filters: a program that decides how much of each packet a socket gets."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor

if TYPE_CHECKING:
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.interfaces import Interface
    from ebpf_tour.loader.trial import HookCheck, Trial

_ATTACH_BPF = 50  # SO_ATTACH_BPF, from include/uapi/asm-generic/socket.h


class SocketFilter(ByDescriptor):
    """The filter of a packet socket of our own; the target is the Interface that it is bound to.

    It ends with the socket, and nobody else's packets are concerned.
    """

    kind = "socket filter"
    about = (
        "Each packet of an interface that a socket would get. The program says how much of it "
        "the socket gets."
    )
    rank = 90
    takes = "Interface"
    context = "__sk_buff"
    program_type = 1
    name = ""
    section = "socket"
    capability = "CAP_NET_RAW"

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        import socket

        if missing := features.without_capability(self.capability):
            return missing
        try:
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                return Unsupported(
                    f"this kernel has no packet sockets{features.without('PACKET')}",
                    "load them (modprobe af_packet), or boot your distribution's stock kernel, "
                    "which has them",
                )
        return None

    def attach(self, program: int, target: Interface) -> Detach:
        return _attach(program, target)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("socket filter", "ebpf-sockfilter: the packets of an interface"),
                cls("").unsupported,
                _trial,
            )
        ]


def _attach(program: int, interface: Interface) -> Detach:
    """Open a packet socket with the program as its filter; return what closes it.

    Of protocol 0 it gets no packet at first. When it is bound it gets all, and by then
    the filter is there. Raises OSError.
    """
    import socket

    from ebpf_tour.loader import syscall

    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _ATTACH_BPF, program)
        syscall.bind_packets(opened.fileno(), interface.ifindex)
    except OSError:
        opened.close()
        raise
    return opened.close


def _trial() -> Trial:
    """Return the trial: a pair of sockets, the second of which has the filter."""
    import os
    import socket

    from ebpf_tour.loader import trial

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def attach(program: int) -> int:
        theirs.setsockopt(socket.SOL_SOCKET, _ATTACH_BPF, program)
        return os.dup(theirs.fileno())

    return trial.Trial("socket filter", SocketFilter.program_type, attach, lambda: ours.send(b"x"))
