"""Perf events: a clock or a counter of the processor, for profilers."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpf_tour.loader import Program
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.syscall import PerfEvent as Event
    from ebpf_tour.loader.trial import HookCheck, Trial

# PERF_TYPE_* and PERF_COUNT_*, from include/uapi/linux/perf_event.h.
_HARDWARE, _SOFTWARE = 0, 1
_CPU_CYCLES, _CPU_CLOCK, _PAGE_FAULTS = 0, 0, 2

EVENTS = {
    "cycles": (_HARDWARE, _CPU_CYCLES),
    "cpu-clock": (_SOFTWARE, _CPU_CLOCK),
    "page-faults": (_SOFTWARE, _PAGE_FAULTS),
}
"""What can be sampled, by the names that perf(1) has: "cycles", "cpu-clock", "page-faults"."""

_MAX_RATE = "/proc/sys/kernel/perf_event_max_sample_rate"
_ATTEMPTS = 20  # to find a moment in which a process begins no thread

NO_COUNTERS = (
    "this machine has no hardware counters that the kernel could use",
    "sample by the clock: ebpf-profile --event cpu-clock",
)


class PerfEvent(ByDescriptor):
    """An event of perf_event_open(2); which one is the target: syscall.PerfEvent."""

    kind = "perf event"
    about = (
        "A clock, or a counter of the processor, that runs the program at regular intervals. "
        "Profilers use it."
    )
    rank = 80
    takes = "PerfEvent"
    context = "bpf_perf_event_data"
    program_type = 7
    name = ""
    section = "perf_event"

    def __init__(self, function: str) -> None:
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        if os.path.exists("/proc/sys/kernel/perf_event_paranoid"):
            return None
        return Unsupported(
            f"this kernel has no perf events{features.without('PERF_EVENTS')}",
            "boot your distribution's stock kernel, which has them",
        )

    def attach(self, program: int, event: Event) -> Detach:
        from ebpf_tour.loader.trial import attach_to_perf_event

        fd = attach_to_perf_event(program, event)
        return lambda: os.close(fd)

    def attach_each(self, program: Program, event: Event, pids: Sequence[int] = ()) -> bool:
        """Attach it on each CPU, or to processes: each thread, and what it starts from now on.

        What else the program has is attached before. Returns False if threads may be missing.
        Raises Error, NotPermitted, Unsupported.
        """
        if not pids:
            from ebpf_tour.loader import syscall

            program.attach()
            for cpu in syscall.online_cpus():
                program.attach_to(self, event._replace(cpu=cpu))
            return True
        for _ in range(_ATTEMPTS):
            program.detach()
            program.attach()
            threads = _threads(pids)
            for tid in threads:
                self._attach_thread(program, event._replace(pid=tid, inherit=True))
            # A new one may be of another new one, which nobody has seen.
            if _threads(pids) <= threads:
                return True
        return False

    def _attach_thread(self, program: Program, event: Event) -> None:
        try:
            program.attach_to(self, event)
        except Error:
            if os.path.exists(f"/proc/{event.pid}"):
                raise  # otherwise it has ended meanwhile

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
                *("perf cycles", "profilers that count processor events"),
                lambda: None,
                lambda: _trial(_HARDWARE, _CPU_CYCLES, 100_000),
                otherwise=Unsupported(*NO_COUNTERS),
            ),
        ]


def sampled(name: str | None, frequency: int) -> Event:
    """Return the target for an event of EVENTS, sampled `frequency` times a second.

    Each page fault is a sample. None is the cycles, or the clock where the machine does
    not count cycles. Raises Error, Unsupported.
    """
    from ebpf_tour.loader.syscall import PerfEvent as Event

    if name == "page-faults":
        return Event(*EVENTS[name], period=1)
    if name == "cycles" and not _counts_cycles():
        raise Unsupported(*NO_COUNTERS)
    with open(_MAX_RATE, encoding="ascii") as file:
        most = int(file.read())
    if frequency > most:
        raise Error(
            f"the kernel takes {most} samples a second at most: {_MAX_RATE}",
            f"take at most that many: -F {most}",
        )
    name = name or ("cycles" if _counts_cycles() else "cpu-clock")
    return Event(*EVENTS[name], frequency=frequency)


def described(event: Event) -> str:
    """Return a sampled event in words."""
    name = next(name for name, numbers in EVENTS.items() if numbers == event[:2])
    return f"{name} at {event.frequency} Hz" if event.frequency else name


def _counts_cycles() -> bool:
    """Say whether the kernel counts cycles here, of this process."""
    from ebpf_tour.loader import syscall

    event = syscall.PerfEvent(*EVENTS["cycles"], pid=os.getpid(), frequency=1)
    try:
        os.close(syscall.open_perf_event(event))
    except OSError:
        return False
    return True


def _threads(pids: Iterable[int]) -> set[int]:
    """Return the threads of processes, none of those that have ended."""
    found: set[int] = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError):
            found.update(map(int, os.listdir(f"/proc/{pid}/task")))
    return found


def _trial(kind: int, config: int, period: int) -> Trial:
    """Return the trial of an event that samples this process."""
    from ebpf_tour.loader import syscall, trial

    def attach(program: int) -> int:
        event = syscall.PerfEvent(kind, config, pid=os.getpid(), period=period)
        return trial.attach_to_perf_event(program, event)

    return trial.Trial("perf event", PerfEvent.program_type, attach, trial.work)
