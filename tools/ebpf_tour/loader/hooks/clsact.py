"""Programs of traffic control (tc) as filters of a clsact qdisc: for kernels without tcx.

A filter stays after the process that added it ends. So each of our filters has a name
that says whether that process still lives: it holds a socket of the same name.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import lock
from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features, netlink
from ebpf_tour.loader.hooks import ByDescriptor

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.interfaces import Interface
    from ebpf_tour.loader.trial import HookCheck, Trial

# Names of our filters: ebpf-tour-1f2e3d4c, and ebpf-tour-1f2e3d4c+clsact where the
# qdisc is ours, too: then the last of us removes it.
_PREFIX, _OWN_QDISC = "ebpf-tour-", "+clsact"

# How long to wait for the lock, and at the end of a run, which is to come soon.
_PATIENCE_SECONDS, _PATIENCE_AT_END = 10.0, 0.3


class Clsact(ByDescriptor):
    """Packets that an interface receives, or sends; the target is an Interface."""

    kind = "clsact"
    about = "Each packet that an interface receives or sends, as a filter of its clsact qdisc."
    rank = 94
    takes = "Interface"
    context = "__sk_buff"
    program_type = 3
    name = ""
    section = "tc"
    capability = "CAP_NET_ADMIN"

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        # Whether the kernel has the qdisc only shows when it is asked for one: it may be
        # a module.
        return features.without_capability(self.capability)

    def attach(self, program: int, target: Interface) -> Detach:
        return _attach(program, target)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("clsact", "ebpf-tc: the same on kernels without tcx, as a filter"),
                cls("").unsupported,
                _trial,
            )
        ]


def _attach(program: int, interface: Interface) -> Detach:
    """Add a filter, and the qdisc if there is none; return what removes it. Raises OSError, Error.

    The qdisc goes with the last filter, if it is ours.
    """
    ifindex = interface.ifindex
    chain = netlink.EGRESS if interface.egress else netlink.INGRESS
    with _locked(_PATIENCE_SECONDS) as locked:
        if not locked:
            raise Error(
                "another process holds the lock on this network namespace's filters",
                "see which one: lslocks",
            )
        own_qdisc = _remove_abandoned(ifindex) or any(map(_has_own_qdisc, _ours(ifindex)))
        own_qdisc |= _require_clsact(interface)
        name = f"{_PREFIX}{os.urandom(4).hex()}{_OWN_QDISC if own_qdisc else ''}"
        alive = _socket_named(name)
        try:
            added = netlink.add_filter(ifindex, chain, program, name)
        except OSError:
            alive.close()
            if own_qdisc and not netlink.filters(ifindex):
                netlink.remove_clsact(ifindex)
            raise

    def detach() -> None:
        with contextlib.suppress(OSError), _locked(_PATIENCE_AT_END) as locked:
            if added in netlink.filters(ifindex):
                netlink.remove_filter(added)
            if own_qdisc and locked and not netlink.filters(ifindex):
                netlink.remove_clsact(ifindex)
        alive.close()

    return detach


def _require_clsact(interface: Interface) -> bool:
    """Make a clsact qdisc unless there is one; say whether it was made. Raises OSError, Error."""
    try:
        if netlink.add_clsact(interface.ifindex):
            return True
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        raise Unsupported(
            f"this kernel has no clsact qdisc{features.without('NET_SCH_INGRESS')}",
            "load it (modprobe sch_ingress), or boot your distribution's stock kernel, which "
            "has it",
        ) from None
    if interface.egress and netlink.qdiscs_for_filters().get(interface.ifindex) == "ingress":
        raise Error(
            f"{interface} has the older qdisc ingress, which sees no packets that the interface "
            "sends",
            f"see what uses it: tc filter show dev {interface} ingress",
        )
    return False


def remove_abandoned() -> None:
    """Remove what runs that were killed have left, at every interface, as far as it can."""
    with contextlib.suppress(OSError):
        if not any(map(_ours, netlink.qdiscs_for_filters())):
            return
        with _locked(_PATIENCE_AT_END) as locked:
            for ifindex in netlink.qdiscs_for_filters() if locked else ():
                if _remove_abandoned(ifindex) and not netlink.filters(ifindex):
                    netlink.remove_clsact(ifindex)


def _remove_abandoned(ifindex: int) -> bool:
    """Remove filters whose process has ended; say whether the qdisc was of one of them."""
    own_qdisc = False
    if ifindex in netlink.qdiscs_for_filters():
        for left in _ours(ifindex):
            if not _is_alive(left.name):
                own_qdisc |= _has_own_qdisc(left)
                netlink.remove_filter(left)
    return own_qdisc


def _ours(ifindex: int) -> list[netlink.Filter]:
    if ifindex not in netlink.qdiscs_for_filters():
        return []
    return [found for found in netlink.filters(ifindex) if found.name.startswith(_PREFIX)]


def _has_own_qdisc(found: netlink.Filter) -> bool:
    return found.name.endswith(_OWN_QDISC)


def _socket_named(name: str) -> socket.socket:
    """Return a socket of that name, which nobody else can have in this network namespace.

    It is gone when it is closed: there is no file. Raises OSError.
    """
    import socket

    opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        opened.bind(f"\0{name}")
    except OSError:
        opened.close()
        raise
    return opened


def _is_alive(name: str) -> bool:
    """Say whether a process has the socket of that name."""
    try:
        _socket_named(name).close()
    except OSError:
        return True
    return False


@contextlib.contextmanager
def _locked(seconds: float) -> Iterator[bool]:
    """Let only one tool at a time change filters; say whether that is so.

    Whoever may open the namespace can hold the lock for ever, so there is a limit to
    the wait. Raises OSError.
    """
    namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield lock(namespace, seconds)
    finally:
        os.close(namespace)


def _trial() -> Trial:
    """Return the trial: a datagram on lo. The filter goes with the network namespace."""
    from ebpf_tour.loader import interfaces, trial

    def attach(program: int) -> int:
        _attach(program, interfaces.find("lo"))
        return os.dup(program)

    cause = interfaces.send_to_ourselves
    return trial.Trial("clsact", Clsact.program_type, attach, cause, own_network=True)
