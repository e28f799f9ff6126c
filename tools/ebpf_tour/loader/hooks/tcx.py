"""Programs of traffic control (tc), attached by a link: tcx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor
from ebpf_tour.loader.hooks.clsact import remove_abandoned

if TYPE_CHECKING:
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.interfaces import Interface
    from ebpf_tour.loader.trial import HookCheck, Trial

_INGRESS, _EGRESS = 46, 47  # BPF_TCX_INGRESS, BPF_TCX_EGRESS
_BEFORE = 1 << 3  # BPF_F_BEFORE
_LO = 1  # the index of lo, which every network namespace has


class Tcx(ByDescriptor):
    """Packets that an interface receives, or sends; the target is an Interface.

    Several programs can be there. Ours comes first, so it sees what others end.
    """

    kind = "tcx"
    about = (
        "Each packet that an interface receives or sends, at traffic control. A link attaches "
        "the program."
    )
    rank = 92
    takes = "Interface"
    context = "__sk_buff"
    program_type = 3
    name = ""
    section = "tc"
    capability = "CAP_NET_ADMIN"

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        from ebpf_tour.loader import syscall

        if missing := features.without_capability(self.capability):
            return missing
        try:
            if syscall.has_attach_type(_LO, _INGRESS):
                return None
        except OSError:
            return None  # who loads the program says what it may not
        return Unsupported("this kernel has no tcx", "boot Linux 6.6 or newer")

    def attach(self, program: int, target: Interface) -> Detach:
        return _attach(program, target)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("tcx", "ebpf-tc: packets that an interface receives or sends, by a link"),
                cls("").unsupported,
                _trial,
            )
        ]


def _attach(program: int, interface: Interface) -> Detach:
    """Attach a program; the link ends with its descriptor. Raises OSError."""
    from ebpf_tour.loader import syscall

    remove_abandoned()  # of a run that went by clsact, which is not by a link
    where = _EGRESS if interface.egress else _INGRESS
    link = syscall.create_link(program, interface.ifindex, where, flags=_BEFORE)
    return lambda: os.close(link)


def _trial() -> Trial:
    """Return the trial: a datagram on lo."""
    from ebpf_tour.loader import interfaces, syscall, trial

    def attach(program: int) -> int:
        return syscall.create_link(program, _LO, _INGRESS)

    cause = interfaces.send_to_ourselves
    return trial.Trial("tcx", Tcx.program_type, attach, cause, own_network=True)
