"""What happens to the TCP sockets of a cgroup."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ebpf_tour.loader.hooks.cgroup import AtCgroup

if TYPE_CHECKING:
    from ebpf_tour.loader.trial import HookCheck


class SockOps(AtCgroup):
    """TCP sockets of a cgroup: connected, closed, and more; the target is the cgroup's path."""

    kind = "sock_ops"
    about = (
        "Something that happens to a TCP socket of a cgroup: it is connected, its state changes. "
        "The program can put it into a map."
    )
    rank = 102
    context = "bpf_sock_ops"
    program_type = 13
    attach_type = 3  # BPF_CGROUP_SOCK_OPS
    name = ""
    section = "sockops"

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        hook = cls("")
        return [
            trial.HookCheck(
                *("sock_ops", "ebpf-sockops: what happens to the TCP sockets of some processes"),
                hook.unsupported,
                lambda: hook.trial(_connect),
            )
        ]


def _connect() -> None:
    """Try to connect to a port where nobody listens."""
    import socket

    with socket.socket() as opened, contextlib.suppress(ConnectionRefusedError):
        opened.connect(("127.0.0.1", 9))
