"""Socket lookups: a program chooses the socket that gets a connection or a datagram."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor

if TYPE_CHECKING:
    from typing import Any

    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.trial import HookCheck, Trial

_SK_LOOKUP = 36  # BPF_SK_LOOKUP
_NAMESPACE = "/proc/thread-self/ns/net"


class SkLookup(ByDescriptor):
    """Lookups of a socket that listens, in our network namespace.

    The kernel makes one for each connection and each datagram that comes, unless there is
    a socket that is connected to the sender.
    """

    kind = "sk_lookup"
    about = (
        "The kernel looks for the socket that gets a new connection or a datagram. The program "
        "can name one."
    )
    rank = 99
    needs_target = False
    context = "bpf_sk_lookup"
    program_type = 30
    attach_type = _SK_LOOKUP
    name = ""
    section = "sk_lookup"
    capability = "CAP_NET_ADMIN"

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        from ebpf_tour.loader import syscall

        if missing := features.without_capability(self.capability):
            return missing
        try:
            namespace = os.open(_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
            try:
                if syscall.has_attach_type(namespace, _SK_LOOKUP):
                    return None
            finally:
                os.close(namespace)
        except OSError:
            return None  # who loads the program says what it may not
        return Unsupported(
            f"this kernel has no programs for socket lookups{features.without('NET')}",
            "boot Linux 5.9 or newer",
        )

    def attach(self, program: int, target: Any) -> Detach:  # noqa: ARG002
        link = _attach(program)
        return lambda: os.close(link)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("socket lookup", "ebpf-sklookup: which socket gets a connection or a datagram"),
                cls("").unsupported,
                _trial,
            )
        ]


def _attach(program: int) -> int:
    """Attach a program by a link, which ends with the descriptor that this returns."""
    from ebpf_tour.loader import syscall

    namespace = os.open(_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return syscall.create_link(program, namespace, _SK_LOOKUP)
    finally:
        os.close(namespace)


def _trial() -> Trial:
    """Return the trial: a datagram on lo. What returns 0 drops it: nobody misses it."""
    from ebpf_tour.loader import interfaces, trial

    return trial.Trial(
        *("sk_lookup", SkLookup.program_type, _attach, interfaces.send_to_ourselves),
        attach_type=_SK_LOOKUP,
        own_network=True,
    )
