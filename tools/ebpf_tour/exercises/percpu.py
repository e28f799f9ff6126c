"""A per-CPU array: a counter that no other CPU changes."""

from __future__ import annotations

import contextlib
import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

CALLS = 5000  # on each of two CPUs
WHICH = 1000 + os.getpid()  # nobody else calls with this argument, which makes no sense
PERCPU_ARRAY = 6  # enum bpf_map_type


def workload() -> None:
    in_child(call_on_two)


def call_on_two() -> None:
    """Call on two CPUs at the same time."""
    first, second, *_ = sorted(os.sched_getaffinity(0))
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.sched_setaffinity(0, {second})
            os.write(theirs, b"x")
            call()
            status = 0
        finally:
            os._exit(status)
    os.sched_setaffinity(0, {first})
    os.read(ours, 1)  # the child is on its CPU
    call()
    if os.waitpid(child, 0)[1]:
        raise ChildProcessError


def call() -> None:
    for _ in range(CALLS):
        with contextlib.suppress(OSError):
            os.getpriority(WHICH, 0)


def judge(seen: Seen) -> str:
    counted = [row["count"] for row in seen.rows]
    total = 2 * CALLS
    if PERCPU_ARRAY not in seen.maps:
        return (
            f"the CPUs share the counter; it has {', '.join(map(str, counted)) or 'no number'} of "
            f"{total} calls, and expected are a per-CPU array and all calls"
        )
    if counted == [total]:
        return ""
    if any(isinstance(count, list) for count in counted):
        return "there is a counter for each CPU, and the count is a list; expected is the sum"
    return (
        f"there is a counter for each CPU, but of {total} calls it counted "
        f"{', '.join(map(str, counted)) or 'none'}; expected is one row with {total}"
    )


EXERCISE = Exercise(
    name="percpu",
    page="syscount",
    summary="count with a per-CPU array",
    hooks=(Tracepoint("syscalls", "sys_enter_getpriority"),),
    arguments=("--which", str(WHICH)),
    workload=workload,
    judge=judge,
    unsolved="the CPUs share the counter; it has",
    hints=(
        (
            "Only the type of the map changes in the C. In syscount.bpf.c and syscount.bcc.c, the "
            "map is a per-CPU hash."
        ),
        (
            "bpf(2) lists the types of maps. BCC has a macro for each. In Python, sum() adds up "
            "the numbers of a list."
        ),
        (
            "For libbpf: BPF_MAP_TYPE_PERCPU_ARRAY in the line with the type. For BCC: "
            "BPF_PERCPU_ARRAY(counts, u64, 1). In Python: sum(value) in place of value."
        ),
    ),
    cpus=2,
)
