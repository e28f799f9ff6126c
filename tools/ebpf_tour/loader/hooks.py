"""Hooks: the places in the kernel where a program can be attached.

A hook knows its name in both dialects, whether this kernel has it, and why
not. It asks for the feature itself; it never compares version numbers.
"""

from __future__ import annotations

import os

from ebpf_tour.errors import Error, NotPermitted, Unsupported
from ebpf_tour.loader import features


class Hook:
    """A place where a program can be attached. Two of the same kind and name are equal.

    `kind` is what the field calls it, `about` a sentence on it for people,
    `name` the place, `section` the SEC() of its program in the libbpf dialect,
    `function` the name of its function in the BCC dialect. `engines` are those
    that can attach to it; a way to see an event can do without an `optional`
    hook. `needs_btf` says that its program needs kernel BTF on BCC, too: it is
    told by it where its arguments are, or reads what no header defines.
    """

    kind: str
    about: str
    name: str
    section: str
    function: str
    engines: tuple[str, ...] = ("libbpf", "bcc")
    optional = False
    needs_btf = False
    returns = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hook) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str, str]:
        return self.kind, self.name, self.function

    def unsupported(self) -> Error | None:
        """Return why this hook cannot be used here, or None if it can."""
        raise NotImplementedError


class Tracepoint(Hook):
    """A tracepoint: a place the kernel's developers marked and named.

    `ls /sys/kernel/tracing/events` lists the categories and their events. An
    optional one need not be there: arm64 has no system call mkdir, for
    instance, only mkdirat.
    """

    kind = "tracepoint"
    about = (
        "A place that the kernel's developers marked and named, with a record of what happens "
        "there. The names stay; /sys/kernel/tracing/events lists them."
    )

    def __init__(self, category: str, event: str, *, optional: bool = False) -> None:
        self.category = category
        self.event = event
        self.optional = optional
        self.returns = event.startswith("sys_exit_")
        self.name = f"{category}:{event}"
        self.section = f"tp/{category}/{event}"
        # What TRACEPOINT_PROBE() makes.
        self.function = f"tracepoint__{category}__{event}"

    def unsupported(self) -> Error | None:
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


class RawTracepoint(Hook):
    """A tracepoint without its record: the program gets the arguments as they are."""

    kind = "raw tracepoint"
    about = (
        "A tracepoint without its record: the program gets the arguments as the kernel passes "
        "them, which costs less and may be pointers into its structures."
    )

    def __init__(self, event: str, *, needs_btf: bool = False) -> None:
        self.name = self.event = event
        self.needs_btf = needs_btf
        self.section = f"raw_tp/{event}"
        # What RAW_TRACEPOINT_PROBE() makes.
        self.function = f"raw_tracepoint__{event}"

    def unsupported(self) -> Error | None:
        # The function that calls the programs, since commit d25e37d89dd2 ("tracepoint:
        # Optimize using static_call()") (in v5.10); the tracepoint's data, which
        # is there only with CONFIG_KALLSYMS_ALL.
        for prefix in ("__traceiter_", "__tracepoint_"):
            if features.in_kallsyms(prefix + self.event):
                return None
        return Unsupported(
            f"this kernel has no {self}",
            "see which it has: ls /sys/kernel/tracing/events (without the categories)",
        )


class _KernelFunction(Hook):
    """A hook on a function of the kernel."""

    kinds: tuple[str, str]
    """The hook's kind at the function's entry, and at its return."""

    def __init__(self, target: str, *, returns: bool = False) -> None:
        self.name = self.target = target
        self.returns = returns
        self.kind = self.kinds[returns]
        self.section = f"{self.kind}/{target}"
        self.function = f"{self.kind}__{target}"

    def _without_function(self) -> Error | None:
        if features.in_kallsyms(self.target):
            return None
        return Unsupported(
            f"this kernel has no function {self.target} to probe",
            "it may have been renamed or inlined: grep it in /proc/kallsyms",
        )


class Kprobe(_KernelFunction):
    """Entry to a kernel function; with `returns`, its return (a kretprobe)."""

    kinds = ("kprobe", "kretprobe")
    about = (
        "Entry to almost any function of the kernel, or (kretprobe) its return. Nobody prepared "
        "the function for it, and the next kernel may have renamed it."
    )

    def __init__(self, target: str, *, returns: bool = False, needs_btf: bool = False) -> None:
        super().__init__(target, returns=returns)
        self.needs_btf = needs_btf

    @staticmethod
    def none_here() -> Error | None:
        """Return why no function at all can be probed here, or None."""
        if not os.path.exists("/sys/bus/event_source/devices/kprobe"):
            return Unsupported(
                f"this kernel has no kprobes{features.without('KPROBES')}",
                "a kernel with CONFIG_KPROBES and CONFIG_KPROBE_EVENTS has them",
            )
        if features.lockdown() == "confidentiality":
            return features.explain_eperm("attach to functions of the kernel")
        return None

    def unsupported(self) -> Error | None:
        return self.none_here() or self._without_function()


# What the kernel's functions for system calls are called, before the call's name.
_SYSCALL_PREFIXES = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_"}


class Ksyscall(Kprobe):
    """Entry to a system call, by a kprobe on its function; with `returns`, its return.

    `target` is that function's name here, such as `__x64_sys_execve`. Calls by
    32-bit programs end in another one. A system call may sleep, and many
    threads may be in it at once: see loader/kretprobe.py.
    """

    kinds = ("ksyscall", "kretsyscall")

    def __init__(self, call: str, *, returns: bool = False) -> None:
        prefix = _SYSCALL_PREFIXES.get(os.uname().machine, "sys_")
        super().__init__(prefix + call, returns=returns)
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


class Fentry(_KernelFunction):
    """Entry to a kernel function through BPF's own trampoline; with `returns`, its return.

    Cheaper than a kprobe, and typed: the program gets the arguments by BTF.
    """

    kinds = ("fentry", "fexit")
    about = (
        "Entry to a function of the kernel, or (fexit) its return with the arguments, by a direct "
        "call: cheaper than a kprobe, and the arguments have types, from BTF."
    )
    # BCC's KFUNC_PROBE() writes the function's prototype from BTF, with types
    # that only the real kernel headers define.
    engines = ("libbpf",)

    @classmethod
    def none_here(cls, returns: bool = False) -> Error | None:
        """Return why no function at all can be hooked in this way here, or None."""
        from ebpf_tour.loader.btf import probe_tracing

        kind = cls.kinds[returns]
        if missing := _without_btf(kind):
            return missing
        if not probe_tracing():
            return NotPermitted(
                f"this kernel refuses {kind} programs",
                "a hardened kernel does, and one without CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
            )
        return None

    def unsupported(self) -> Error | None:
        return self.none_here(self.returns) or self._without_function()


class Uprobe(Hook):
    """Entry to a function of a program or library; with `returns`, its return.

    `function` is the C function of the BPF program, in both dialects. Which
    function it probes is known at run time only: see
    `Program.attach_uprobe()`.
    """

    name = ""
    about = "Entry to a function of a program or library in user space, or its return (uretprobe)."

    def __init__(self, function: str, *, returns: bool = False) -> None:
        self.function = function
        self.returns = returns
        self.kind = self.section = "uretprobe" if returns else "uprobe"

    def unsupported(self) -> Error | None:
        if os.path.exists("/sys/bus/event_source/devices/uprobe"):
            return None
        return Unsupported(
            f"this kernel has no uprobes{features.without('UPROBES')}",
            "a kernel with CONFIG_UPROBES and CONFIG_UPROBE_EVENTS has them",
        )


def what_is_missing(hooks: tuple[Hook, ...]) -> Error | None:
    """Return why a way cannot be used here, or None if it can."""
    for hook in hooks:
        error = hook.unsupported()
        if not error and hook.needs_btf:
            error = _without_btf(f"the program at {hook}")
        if error and not hook.optional:
            return error
    return None


def _without_btf(what: str) -> Error | None:
    """Return the error for what needs kernel BTF, if the kernel has none."""
    if features.has_kernel_btf():
        return None
    return Unsupported(
        f"this kernel has no BTF in {features.KERNEL_BTF}{features.without('DEBUG_INFO_BTF')}, "
        f"which {what} needs",
        "a distribution's own kernel has it",
    )
