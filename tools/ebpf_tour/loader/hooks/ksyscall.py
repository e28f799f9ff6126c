"""Kprobes on system calls, whose functions have a name for each architecture."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.kprobe import Kprobe

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.trial import HookCheck

# What the kernel's functions for system calls are called, before the call's name.
_PREFIXES = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}


def function_of(call: str) -> str:
    """Return the name of a system call's function here, such as `__x64_sys_execve`."""
    return _PREFIXES.get(os.uname().machine, "sys_") + call


class Ksyscall(Kprobe):
    """Entry to a system call, by a kprobe on its function; with `returns`, its return.

    Calls by 32-bit programs end in another function. A system call may sleep, and
    many threads may be in it at once: see kretprobe_event.py.
    """

    kinds = ("ksyscall", "kretsyscall")
    rank = 40

    def __init__(self, call: str, *, returns: bool = False) -> None:
        super().__init__(function_of(call), returns=returns)
        self.name = call
        self.section = f"{self.kind}/{call}"
        # BCC takes syscall__* for functions with the call's arguments.
        self.function = f"{'kretsyscall' if returns else 'syscall'}__{call}"

    def unsupported(self) -> Error | None:
        missing = super().unsupported()
        if missing is None and self.returns:
            try:
                features.tracefs()
            except Error as error:
                return error
        return missing

    def attach_libbpf(self, function: LibbpfFunction, target: Any) -> Detach:
        if not self.returns:
            return super().attach_libbpf(function, target)
        return self._attach_to_event(
            lambda category, event: function.call("attach_tracepoint", category, event)
        )

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:
        if not self.returns:
            return super().attach_bcc(function, target)
        from ebpf_tour.loader.hooks.tracepoint import attach_event

        return self._attach_to_event(
            lambda category, event: attach_event(function, category, event)
        )

    def _attach_to_event(self, attach: Callable[[str, str], Detach]) -> Detach:
        """Make a kretprobe in tracefs, and attach to its category and event."""
        from ebpf_tour.loader.hooks.kretprobe_event import KretprobeEvent

        event = KretprobeEvent(self.target)
        try:
            with event.created():
                detach = attach(event.category, event.name)
        except BaseException:
            event.close()
            raise

        def detach_and_remove() -> None:
            detach()
            event.close()

        return detach_and_remove

    @classmethod
    def checks(cls) -> list[HookCheck]:
        return []  # a kprobe's trial is about a system call
