"""The older buffer: one for each CPU."""

from __future__ import annotations

import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

CALLS = 8
PERF_EVENT_ARRAY, RINGBUF = 4, 27  # enum bpf_map_type


def workload() -> str:
    return in_child(call)


def call() -> None:
    """Call on several CPUs, one after the other."""
    cpus = sorted(os.sched_getaffinity(0))
    for number in range(CALLS):
        os.sched_setaffinity(0, {cpus[-1 - number % len(cpus)]})
        os.getpgid(0)


def judge(seen: Seen) -> str:
    count = sum(row["comm"] == seen.caused and row["uid"] == 0 for row in seen.rows)
    arrays, buffers = PERF_EVENT_ARRAY in seen.maps, RINGBUF in seen.maps
    if (count, arrays, buffers) == (CALLS, True, False):
        return ""
    return (
        f"of {CALLS} calls by root, it showed {count}, with {'a' if buffers else 'no'} ring buffer "
        f"and {'a' if arrays else 'no'} perf event array; expected are {CALLS}, with no ring "
        "buffer and a perf event array"
    )


EXERCISE = Exercise(
    name="perfbuf",
    page="bootstrap",
    summary="send records through a perf event array",
    hooks=(Tracepoint("syscalls", "sys_enter_getpgid"),),
    workload=workload,
    judge=judge,
    unsolved="it showed 8, with a ring buffer and no perf event array",
    hints=(
        "bpf/bootstrap.bpf.c and bpf/bootstrap.bcc.c have both maps: rb and pb. See send() there.",
        (
            "With libbpf, the map has a key_size and a value_size in place of max_entries, and "
            "bpf_perf_event_output() sends. With BCC: BPF_PERF_OUTPUT() and perf_submit()."
        ),
        (
            "Send by bpf_perf_event_output(ctx, &records, BPF_F_CURRENT_CPU, &e, sizeof(e)), in"
            " BCC by records.perf_submit(args, &e, sizeof(e))."
        ),
    ),
)
