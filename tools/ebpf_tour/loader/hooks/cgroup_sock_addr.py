"""Calls of connect(2) by a cgroup's processes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ebpf_tour.loader.hooks.cgroup import AtCgroup

if TYPE_CHECKING:
    from ebpf_tour.loader.trial import HookCheck

_CONNECT4, _CONNECT6 = 10, 11  # BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT


class CgroupSockAddr(AtCgroup):
    """Addresses of connect(2): "connect4" or "connect6"; the target is the path of a cgroup.

    The program runs in the process that calls, allows (1) or refuses (0), and may write
    another address.
    """

    kind = "cgroup_sock_addr"
    about = (
        "Each connect(2) of a process in a cgroup, before it is done. The program can refuse it, "
        "or change the address."
    )
    rank = 101
    context = "bpf_sock_addr"
    program_type = 18

    def __init__(self, call: str, function: str) -> None:
        self.name = call
        self.section = f"cgroup/{call}"
        self.function = function
        self.attach_type = _CONNECT6 if call == "connect6" else _CONNECT4

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        connect4 = cls("connect4", "")
        return [
            trial.HookCheck(
                *("cgroup_sock_addr", "ebpf-cgroup --connect: who connects to where"),
                connect4.unsupported,
                lambda: connect4.trial(_connect),
            )
        ]


def _connect() -> None:
    """Connect a socket for datagrams, which sends nothing."""
    import socket

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened,
        contextlib.suppress(PermissionError),  # the program refuses it
    ):
        opened.connect(("127.0.0.1", 9))
