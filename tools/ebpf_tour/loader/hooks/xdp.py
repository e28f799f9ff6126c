"""XDP: a program that gets a packet first, right after the driver. A link attaches it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor

if TYPE_CHECKING:
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.interfaces import Interface
    from ebpf_tour.loader.trial import HookCheck, Trial

_XDP = 37  # BPF_XDP


class Xdp(ByDescriptor):
    """Packets that an interface receives; the target is an Interface, which has room for one."""

    kind = "xdp"
    about = (
        "Each packet that an interface receives, before the kernel looks at it. The program can "
        "drop it."
    )
    rank = 96
    takes = "Interface"
    context = "xdp_md"
    program_type = 6
    name = ""
    section = "xdp"
    capability = "CAP_NET_ADMIN"
    alone = True

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        # Whether there are links only shows when one is made: see _refused().
        return features.without_capability(self.capability)

    def attach(self, program: int, target: Interface) -> Detach:
        return _attach(program, target)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("xdp", "ebpf-xdp: packets before the kernel looks at them"),
                cls("").unsupported,
                _trial,
            )
        ]


def mode(interface: Interface) -> str:
    """Return how the kernel runs the XDP program of an interface: "native", "generic".

    Native is in the driver; generic comes later, and where a driver has no XDP. Raises OSError.
    """
    from ebpf_tour.loader import netlink

    return netlink.link(interface.ifindex).xdp_mode


def _attach(program: int, interface: Interface) -> Detach:
    """Attach a program, in the mode that the kernel takes. Raises OSError, Error."""
    from ebpf_tour.loader import syscall

    try:
        link = syscall.create_link(program, interface.ifindex, _XDP)
    except OSError as error:
        raise _refused(interface, error) or error from None
    return lambda: os.close(link)


def _refused(interface: Interface, error: OSError) -> Error | None:
    """Return what there is to say of an attempt that the kernel has refused, if we know more."""
    from ebpf_tour.loader import netlink, syscall

    if error.errno in (errno.EBUSY, errno.EEXIST):
        there = netlink.link(interface.ifindex).xdp_program
        return Error(
            f"{interface} has another XDP program, {syscall.program_name(there)} (id {there}), and "
            "there can be only one",
            f"end the process that attached it, or, if none holds it: ip link set dev {interface} "
            "xdp off",
        )
    if error.errno == errno.EINVAL and not features.in_kallsyms("bpf_xdp_link_attach"):
        return Unsupported("this kernel has no links for XDP", "boot Linux 5.9 or newer")
    if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOMEM, errno.ENOSPC, errno.ERANGE):
        return Error(
            f"the driver of {interface} refuses the XDP program: {error.strerror}",
            "look for the reason in dmesg (a large MTU, too few queues), or use ebpf-tc, which "
            "sees the same packets",
        )
    return None


def _trial() -> Trial:
    """Return the trial: a datagram on lo. What returns 0 aborts the packet: nobody misses it."""
    from ebpf_tour.loader import interfaces, trial
    from ebpf_tour.loader.syscall import create_link

    def attach(program: int) -> int:
        return create_link(program, interfaces.find("lo").ifindex, _XDP)

    cause = interfaces.send_to_ourselves
    return trial.Trial("xdp", Xdp.program_type, attach, cause, own_network=True)
