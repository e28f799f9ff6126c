"""Hooks: the places in the kernel where a program can be attached.

A hook knows its name in both dialects, whether this kernel has it, and why
not. It asks for the feature itself; it never compares version numbers.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ebpf_tour.errors import Error, NotPermitted, Unsupported
from ebpf_tour.loader import features

BOTH = ("libbpf", "bcc")


class Tracepoint(NamedTuple):
    """A tracepoint: a place the kernel's developers marked and named.

    `ls /sys/kernel/tracing/events` lists the categories and their events. With
    `optional`, a way can do without it: arm64 has no system call mkdir, for
    instance, only mkdirat.
    """

    category: str
    event: str
    optional: bool = False

    @property
    def kind(self) -> str:
        """What the field calls this type of hook."""
        return "tracepoint"

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that can attach to it."""
        return BOTH

    def __str__(self) -> str:
        return f"{self.kind} {self.category}:{self.event}"

    @property
    def section(self) -> str:
        """SEC() of its program in the libbpf dialect."""
        return f"tp/{self.category}/{self.event}"

    @property
    def function(self) -> str:
        """Name of the function that TRACEPOINT_PROBE() makes in the BCC dialect."""
        return f"tracepoint__{self.category}__{self.event}"

    def unsupported(self) -> Error | None:
        """Return why this hook cannot be used here, or None if it can."""
        try:
            events = f"{features.tracefs()}/events"
        except Error as error:
            return error
        if os.path.isdir(f"{events}/{self.category}/{self.event}"):
            return None
        why = features.without("FTRACE_SYSCALLS") if self.category == "syscalls" else ""
        return Unsupported(
            f"this kernel has no {self}{why}",
            f"see which it has: ls {events}",
        )


class Kprobe(NamedTuple):
    """Entry to a kernel function; with `returns`, its return (a kretprobe)."""

    target: str
    returns: bool = False

    @property
    def kind(self) -> str:
        return "kretprobe" if self.returns else "kprobe"

    @property
    def engines(self) -> tuple[str, ...]:
        return BOTH

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"

    @property
    def section(self) -> str:
        return f"{self.kind}/{self.target}"

    @property
    def function(self) -> str:
        return f"{self.kind}__{self.target}"

    def unsupported(self) -> Error | None:
        if not os.path.exists("/sys/bus/event_source/devices/kprobe"):
            return Unsupported(
                f"this kernel has no kprobes{features.without('KPROBES')}",
                "a kernel with CONFIG_KPROBES and CONFIG_KPROBE_EVENTS has them",
            )
        return _without_function(self.target)


class Fentry(NamedTuple):
    """Entry to a kernel function through BPF's own trampoline; with `returns`, its return.

    Cheaper than a kprobe, and typed: the program gets the arguments by BTF.
    """

    target: str
    returns: bool = False

    @property
    def kind(self) -> str:
        return "fexit" if self.returns else "fentry"

    @property
    def engines(self) -> tuple[str, ...]:
        # BCC's KFUNC_PROBE() writes the function's prototype from BTF, with
        # types that only the real kernel headers define.
        return ("libbpf",)

    def __str__(self) -> str:
        return f"{self.kind} {self.target}"

    @property
    def section(self) -> str:
        return f"{self.kind}/{self.target}"

    @property
    def function(self) -> str:
        return f"{self.kind}__{self.target}"

    def unsupported(self) -> Error | None:
        from ebpf_tour.loader.btf import probe_tracing

        if not features.has_kernel_btf():
            return Unsupported(f"{self.kind} needs kernel BTF, and this kernel has none")
        if not probe_tracing():
            return NotPermitted(
                f"this kernel refuses {self.kind} programs",
                "a hardened kernel does, and one without CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
            )
        return _without_function(self.target)


class RawTracepoint(NamedTuple):
    """A tracepoint without its record: the program gets the arguments as they are."""

    event: str

    @property
    def kind(self) -> str:
        return "raw tracepoint"

    @property
    def engines(self) -> tuple[str, ...]:
        return BOTH

    def __str__(self) -> str:
        return f"{self.kind} {self.event}"

    @property
    def section(self) -> str:
        return f"raw_tp/{self.event}"

    @property
    def function(self) -> str:
        return f"raw_tracepoint__{self.event}"

    def unsupported(self) -> Error | None:
        return (
            None
            if features.in_kallsyms(f"__tracepoint_{self.event}")
            else Unsupported(f"this kernel has no {self}")
        )


class Uprobe(NamedTuple):
    """Entry to a function of a program or library; with `returns`, its return.

    `function` is the C function of the BPF program. Which function it probes
    is known at run time only: see `Program.attach_uprobe()`.
    """

    function: str
    returns: bool = False

    @property
    def kind(self) -> str:
        return "uretprobe" if self.returns else "uprobe"

    @property
    def engines(self) -> tuple[str, ...]:
        return BOTH

    def __str__(self) -> str:
        return self.kind

    @property
    def section(self) -> str:
        return self.kind

    def unsupported(self) -> Error | None:
        if os.path.exists("/sys/bus/event_source/devices/uprobe"):
            return None
        return Unsupported(
            f"this kernel has no uprobes{features.without('UPROBES')}",
            "a kernel with CONFIG_UPROBES and CONFIG_UPROBE_EVENTS has them",
        )


Hook = Tracepoint | Kprobe | Fentry | RawTracepoint | Uprobe


def what_is_missing(hooks: tuple[Hook, ...]) -> Error | None:
    """Return why a way cannot be used here, or None if it can."""
    for hook in hooks:
        error = hook.unsupported()
        if error and not is_optional(hook):
            return error
    return None


def is_optional(hook: Hook) -> bool:
    """Say whether a way works without this hook."""
    return isinstance(hook, Tracepoint) and hook.optional


def _without_function(name: str) -> Error | None:
    if features.in_kallsyms(name):
        return None
    return Unsupported(
        f"this kernel has no function {name} to probe",
        "it may have been renamed or inlined: grep it in /proc/kallsyms",
    )
