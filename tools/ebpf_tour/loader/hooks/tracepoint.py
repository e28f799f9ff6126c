"""Tracepoints: places that the kernel's developers marked and named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import Hook

if TYPE_CHECKING:
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.trial import HookCheck


class Tracepoint(Hook):
    """A tracepoint: a place that the kernel's developers marked and named.

    `ls /sys/kernel/tracing/events` lists the categories and their events. The kernel
    need not have an `optional` one: arm64 has the system call mkdirat, but not mkdir.
    """

    kind = "tracepoint"
    about = (
        "A place that the kernel's developers marked and named, with a record of what happens "
        "there. The names do not change; /sys/kernel/tracing/events lists them."
    )
    rank = 10
    program_type = 5

    def __init__(self, category: str, event: str, *, optional: bool = False) -> None:
        self.category = category
        self.event = event
        self.optional = optional
        self.returns = event.startswith("sys_exit_")
        self.name = f"{category}:{event}"
        self.section = f"tp/{category}/{event}"
        # What TRACEPOINT_PROBE() makes.
        self.function = f"tracepoint__{category}__{event}"

    @property
    def in_bcc(self) -> str:
        return f"TRACEPOINT_PROBE({self.category}, {self.event})"

    def is_for(self, section: str, function: str) -> bool:
        # libbpf knows both spellings.
        return super().is_for(section.replace("tracepoint/", "tp/", 1), function)

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
            f"list what it has: ls {events}",
        )

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:  # noqa: ARG002
        return attach_event(function, self.category, self.event)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("tracepoint", "ebpf-bootstrap: events that the kernel's developers marked"),
                cls("sched", "sched_process_wait").unsupported,
                lambda: _trial("sched", "sched_process_wait", trial.wait),
            ),
            trial.HookCheck(
                *("syscall tracepoint", "ebpf-minimal: the beginning and end of system calls"),
                cls("syscalls", "sys_enter_getpgid").unsupported,
                lambda: _trial("syscalls", "sys_enter_getpgid", trial.own_group),
            ),
        ]


def attach_event(function: BccFunction, category: str, event: str) -> Detach:
    """Attach a program of BCC to an event of tracefs: a tracepoint, or a probe made there."""
    name = f"{category}:{event}".encode()
    function.bpf.attach_tracepoint(tp=name, fn_name=function.name)
    return lambda: function.bpf.detach_tracepoint(name)


def _trial(category: str, event: str, cause: Any) -> Any:
    """Return the trial of a tracepoint. Raises Error without tracefs."""
    from ebpf_tour.loader import syscall, trial

    path = f"{features.tracefs()}/events/{category}/{event}/id"
    perf_tracepoint = 2  # PERF_TYPE_TRACEPOINT

    def attach(program: int) -> int:
        with open(path, encoding="ascii") as file:
            event = syscall.PerfEvent(perf_tracepoint, int(file.read()))
        return trial.attach_to_perf_event(program, event)

    return trial.Trial("tracepoint", Tracepoint.program_type, attach, cause)
