"""Perf events: a clock or a counter of the processor, for profilers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import Hook

if TYPE_CHECKING:
    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.syscall import PerfEvent as Event
    from ebpf_tour.loader.trial import HookCheck, Trial

# PERF_TYPE_* and PERF_COUNT_*, from include/uapi/linux/perf_event.h.
_HARDWARE, _SOFTWARE = 0, 1
_CPU_CYCLES, _CPU_CLOCK = 0, 0


class PerfEvent(Hook):
    """An event of perf_event_open(2); which one is the target: syscall.PerfEvent."""

    kind = "perf event"
    about = "A clock, or a counter of the processor, every so often: what profilers use."
    rank = 80
    program_type = 7
    name = ""
    section = "perf_event"
    needs_target = True

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        if os.path.exists("/proc/sys/kernel/perf_event_paranoid"):
            return None
        return Unsupported(
            f"this kernel has no perf events{features.without('PERF_EVENTS')}",
            "a distribution's own kernel has them",
        )

    def attach_libbpf(self, function: LibbpfFunction, target: Event) -> Detach:
        return self._attach(function.fd, target)

    def attach_bcc(self, function: BccFunction, target: Event) -> Detach:
        return self._attach(function.fd, target)

    def _attach(self, program: int, event: Event) -> Detach:
        from ebpf_tour.loader.trial import attach_to_perf_event

        fd = attach_to_perf_event(program, event)
        return lambda: os.close(fd)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("perf clock", "profilers: a program many times a second"),
                lambda: None,
                lambda: _trial(_SOFTWARE, _CPU_CLOCK, 1_000_000),
            ),
            trial.HookCheck(
                *("perf cycles", "profilers that count what the processor does"),
                lambda: None,
                lambda: _trial(_HARDWARE, _CPU_CYCLES, 100_000),
                otherwise=Unsupported(
                    "this machine has no hardware counters that the kernel could use",
                    "most virtual machines have none; the clock takes their place",
                ),
            ),
        ]


def _trial(kind: int, config: int, period: int) -> Trial:
    """Return the trial of an event that samples this process."""
    from ebpf_tour.loader import syscall, trial

    def attach(program: int) -> int:
        event = syscall.PerfEvent(kind, config, pid=os.getpid(), period=period)
        return trial.attach_to_perf_event(program, event)

    return trial.Trial("perf event", PerfEvent.program_type, attach, trial.work)
