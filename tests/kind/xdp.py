"""A kind of hook in one file: XDP, a program at a network interface, by a link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.loader.hooks import Hook
from ebpf_tour.loader.syscall import create_link

if TYPE_CHECKING:
    from typing import Any

    from ebpf_tour.base.errors import Error
    from ebpf_tour.loader.hooks import Detach


class Xdp(Hook):
    """A program that gets each packet first; the target is the index of an interface."""

    kind = "xdp"
    about = "Each packet that an interface receives, before the kernel looks at it."
    rank = 90
    program_type = 6
    attach_type = 37  # BPF_XDP
    name = ""
    section = "xdp"
    needs_target = True

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        return None

    def attach_libbpf(self, function: Any, target: int) -> Detach:
        link = create_link(function.fd, target, self.attach_type)
        return lambda: os.close(link)

    attach_bcc = attach_libbpf
