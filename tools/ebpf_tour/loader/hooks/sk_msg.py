"""Messages that the sockets in a map send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor

if TYPE_CHECKING:
    from ebpf_tour.loader.hooks import Detach

_VERDICT = 7  # BPF_SK_MSG_VERDICT
_NETNS_COOKIE = 122  # BPF_FUNC_get_netns_cookie


class SkMsg(ByDescriptor):
    """What the sockets in a map send; the target is the map's file descriptor.

    The program ends with the map: nothing stays.
    """

    kind = "sk_msg"
    about = (
        "Each message that a socket in a map of sockets sends, before TCP gets it. The program "
        "can give it to another socket there."
    )
    rank = 103
    takes = "int"
    context = "sk_msg_md"
    program_type = 16
    name = ""
    section = "sk_msg"
    capability = "CAP_NET_ADMIN"

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        from ebpf_tour.loader import syscall

        if missing := features.without_capability(self.capability):
            return missing
        try:
            # Without it, a program would take sockets of two network namespaces for one pair.
            if syscall.has_helper(self.program_type, _NETNS_COOKIE):
                return None
        except OSError:
            return None  # who loads the program says what it may not
        return Unsupported(
            "this kernel has no sk_msg programs that can ask for the network namespace",
            "boot Linux 5.15 or newer",
        )

    def attach(self, program: int, target: int) -> Detach:
        from ebpf_tour.loader import syscall

        syscall.attach(program, target, _VERDICT)
        return lambda: syscall.detach(program, target, _VERDICT)
