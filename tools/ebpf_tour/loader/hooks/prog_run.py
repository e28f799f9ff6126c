"""Programs without an event: user space runs them, by BPF_PROG_RUN of bpf(2).

The kernel has this for tests, and called it BPF_PROG_TEST_RUN at first.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features, raw_btf
from ebpf_tour.loader.hooks import Hook

if TYPE_CHECKING:
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction

# What the program gets by its SEC(): BPF_PROG_TYPE_* and the structure.
_TYPES = {
    "tc": (3, "__sk_buff"),
    "xdp": (6, "xdp_md"),
    "raw_tp": (17, "bpf_raw_tracepoint_args"),
}
_CB = 48  # where cb is in struct __sk_buff


class ProgRun(Hook):
    """No event: `Program.run()` runs the program, with numbers that it finds in its context.

    `section` is the type of the program: "tc" (they are in skb->cb), "raw_tp" (in ctx->args)
    or "xdp" (a packet only, no numbers). `map_type`, without BPF_MAP_TYPE_, is the type of map
    that it is about, if not every kernel has it: the first that does is Linux `since`. BCC may
    have no word for it: then `engines` is only libbpf.
    """

    kind = "prog run"
    about = (
        "No place in the kernel: the tool itself runs the program, with a context that is made "
        "for it."
    )
    rank = 99

    def __init__(
        self,
        function: str,
        section: str = "tc",
        map_type: str = "",
        since: str = "",
        engines: tuple[str, ...] = Hook.engines,
    ) -> None:
        self.name = self.function = self.libbpf_function = function
        self.section = section
        self.map_type = map_type
        self.since = since
        self.engines = engines
        self.program_type, self.context = _TYPES[section]

    def unsupported(self) -> Error | None:
        # BPF_PROG_RUN itself: since commit 1cf1cae963c2 ("bpf: introduce BPF_PROG_TEST_RUN
        # command") (in v4.12), for raw tracepoints since v5.10.
        name = f"BPF_MAP_TYPE_{self.map_type}"
        if not self.map_type or not features.has_kernel_btf():
            return None
        if name in raw_btf.of_kernel().enumeration("bpf_map_type"):
            return None
        return Unsupported(f"this kernel has no {name}", f"boot Linux {self.since} or newer")

    def input(self, numbers: tuple[int, ...]) -> tuple[bytes, bytes]:
        """Return the packet and the context to run it with. Raises struct.error."""
        if self.section == "raw_tp":
            return b"", struct.pack(f"={len(numbers)}Q", *numbers)
        if self.section == "xdp":
            return bytes(64), b""  # what the shortest packet of Ethernet has
        packet = bytes(14)  # the least that there can be: an Ethernet header
        return packet, bytes(_CB) + struct.pack("=5I", *numbers, *bytes(5 - len(numbers)))

    def attach_libbpf(self, function: LibbpfFunction, target: Any) -> Detach:  # noqa: ARG002
        return lambda: None  # it is loaded, and that is all

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:  # noqa: ARG002
        return lambda: None
