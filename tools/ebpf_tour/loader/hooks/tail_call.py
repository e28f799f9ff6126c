"""Tail calls: a program that is loaded only, and that another program jumps to."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error
from ebpf_tour.loader.hooks import Hook
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint

if TYPE_CHECKING:
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction


class TailCall(Hook):
    """A program in an array of programs, at an index; a program at the hook `caller` jumps there.

    The kernel wants both to be of the same type. In the libbpf dialect, the C declares which
    program is where; BCC's has no words for it, so the loader puts the program there.
    """

    kind = "tail call"
    about = (
        "No place in the kernel: another program jumps to this one, by its index in an array of "
        "programs. It is loaded and never attached."
    )
    rank = 98

    def __init__(
        self, function: str, array: str, index: int = 0, caller: Hook | None = None
    ) -> None:
        caller = caller or RawTracepoint("")
        self.name = self.function = self.libbpf_function = function
        self.array = array
        self.index = index
        self.section = caller.section.partition("/")[0]
        self.program_type, self.attach_type = caller.program_type, caller.attach_type
        self.context, self.capability = caller.context, caller.capability

    def unsupported(self) -> Error | None:
        return None  # since commit 04fd61ab36ec ("bpf: allow bpf programs to tail-call") (in v4.2)

    def attach_libbpf(self, function: LibbpfFunction, target: Any) -> Detach:  # noqa: ARG002
        from ebpf_tour.loader import syscall

        there = syscall.lookup(function.of.map_fd(self.array), self._key, 4)
        if there != struct.pack("=I", syscall.program_info(function.fd).id):
            raise Error(
                f"{self.function}() is not at index {self.index} of {self.array}",
                f"declare it there: .values = {{ [{self.index}] = (void *)&{self.function} }}",
            )
        return lambda: None  # it is unloaded with the array

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:  # noqa: ARG002
        from ebpf_tour.loader import syscall

        array = function.bpf.get_table(self.array.encode()).map_fd
        syscall.update(array, self._key, struct.pack("=I", function.fd))
        return lambda: None

    @property
    def _key(self) -> bytes:
        return struct.pack("=I", self.index)
