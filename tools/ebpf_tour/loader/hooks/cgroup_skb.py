"""Packets of a cgroup's sockets."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ebpf_tour.loader.hooks.cgroup import AtCgroup

if TYPE_CHECKING:
    from ebpf_tour.loader.trial import HookCheck

_INGRESS, _EGRESS = 0, 1  # BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS


class CgroupSkb(AtCgroup):
    """What sockets of a cgroup receive ("ingress") or send ("egress"); the target is its path."""

    kind = "cgroup_skb"
    about = (
        "Each packet that a socket of a process in a cgroup receives or sends. The program can "
        "drop it."
    )
    rank = 100
    context = "__sk_buff"
    program_type = 8

    def __init__(self, direction: str, function: str) -> None:
        self.name = direction
        self.section = f"cgroup_skb/{direction}"
        self.function = function
        self.attach_type = _EGRESS if direction == "egress" else _INGRESS

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import interfaces, trial

        egress = cls("egress", "")

        def send() -> None:
            with contextlib.suppress(PermissionError):  # the program drops it
                interfaces.send_to_ourselves()

        return [
            trial.HookCheck(
                *("cgroup_skb", "ebpf-cgroup: the packets of some processes"),
                egress.unsupported,
                lambda: egress.trial(send),
            )
        ]
