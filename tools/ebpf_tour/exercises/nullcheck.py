"""A map lookup whose result is not compared with NULL."""

from __future__ import annotations

import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

# Policies with the highest priority that each one has: sched(7). The program leaves
# SCHED_OTHER out.
HIGHEST = {
    os.SCHED_FIFO: 99,
    os.SCHED_RR: 99,
    os.SCHED_BATCH: 0,
    os.SCHED_IDLE: 0,
}


def workload() -> str:
    policies = [os.SCHED_OTHER, *HIGHEST, os.SCHED_OTHER]
    return in_child(lambda: [os.sched_get_priority_max(policy) for policy in policies])


def judge(seen: Seen) -> str:
    rows = [row for row in seen.rows if row["comm"] == seen.caused]
    right = [(row["policy"], row["highest"]) for row in rows] == list(HIGHEST.items())
    if right:
        return ""
    found = sum(HIGHEST.get(row["policy"]) == row["highest"] for row in rows)
    return (
        f"of 4 calls with a policy and 2 with policy 0, it showed {len(rows)}, and {found} of "
        "these with a policy and its result; expected are 4 and 4, in the order of the calls"
    )


EXERCISE = Exercise(
    name="nullcheck",
    page="verifier",
    summary="mend a program that looks up a key",
    hooks=(
        Tracepoint("syscalls", "sys_enter_sched_get_priority_max"),
        Tracepoint("syscalls", "sys_exit_sched_get_priority_max"),
    ),
    workload=workload,
    judge=judge,
    unsolved="invalid mem access 'map_value_or_null'",
    hints=(
        (
            "Read the error from its end: which line does it name, and what may the register "
            "hold there?"
        ),
        (
            "A call with policy 0 has no element in the hash, nor has one that began before the "
            "tool was attached. What does the lookup return then?"
        ),
        "Before the program reads *policy, write: if (!policy) return 0;",
    ),
    place=1,
)
