"""netfilter: the hooks on a packet's way through the kernel, where firewalls are."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor, without_btf

if TYPE_CHECKING:
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.trial import HookCheck, Trial

# NF_INET_*: their places here are their numbers.
HOOKS = ("prerouting", "input", "forward", "output", "postrouting")

_NETFILTER = 45  # BPF_NETFILTER
_FAMILIES = {4: 2, 6: 10}  # NFPROTO_IPV4, NFPROTO_IPV6

# Programs run from the lowest number up, and a number has room for one BPF program. Those of
# the firewalls begin at 0 (NF_IP_PRI_FILTER), those that change addresses at -100.
_PRIORITIES = range(-128, -101)


class Place(NamedTuple):
    """One of HOOKS, and the version of IP that it is for."""

    hook: str
    version: int = 4

    def __str__(self) -> str:
        return f"{self.hook} of IPv{self.version}"


class Netfilter(ByDescriptor):
    """Packets at one of netfilter's hooks, in our network namespace; the target is a Place."""

    kind = "netfilter"
    about = (
        "Each IP packet at a hook of the firewall, such as input or output. The program lets it "
        "pass, or drops it."
    )
    rank = 98
    takes = "Place"
    context = "bpf_nf_ctx"
    program_type = 32
    attach_type = _NETFILTER
    name = ""
    section = "netfilter"
    capability = "CAP_NET_ADMIN"
    needs_btf = True

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        if missing := features.without_capability(self.capability) or without_btf(self.kind):
            return missing
        if features.in_kallsyms("bpf_nf_link_attach"):
            return None
        return Unsupported(
            f"this kernel has no BPF programs at netfilter{features.without('NETFILTER_BPF_LINK')}",
            "boot Linux 6.4 or newer, built with CONFIG_NETFILTER_BPF_LINK",
        )

    def attach(self, program: int, target: Place) -> Detach:
        return _attach(program, target)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("netfilter", "ebpf-netfilter: packets at the hooks of the firewall"),
                cls("").unsupported,
                _trial,
            )
        ]


def _attach(program: int, place: Place) -> Detach:
    """Attach a program, with the first priority that is free. Raises OSError, Error."""
    for priority in _PRIORITIES:
        try:
            link = _create_link(program, place, priority)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        else:
            return lambda: os.close(link)
    raise Error(
        f"there are BPF programs with each priority from {_PRIORITIES[0]} to {_PRIORITIES[-1]} at "
        f"{place}",
        "see them: bpftool link show",
    )


def _create_link(program: int, place: Place, priority: int) -> int:
    from ebpf_tour.loader import syscall

    # netfilter.pf, hooknum, priority, flags
    hook = HOOKS.index(place.hook)
    extra = struct.pack("=IIiI", _FAMILIES[place.version], hook, priority, 0)
    return syscall.create_link(program, 0, _NETFILTER, extra)


def _trial() -> Trial:
    """Return the trial: a datagram on lo. What returns 0 drops it: nobody misses it."""
    from ebpf_tour.loader import interfaces, trial

    return trial.Trial(
        *("netfilter", Netfilter.program_type),
        lambda program: _create_link(program, Place("input"), _PRIORITIES[0]),
        interfaces.send_to_ourselves,
        attach_type=_NETFILTER,
        own_network=True,
    )
