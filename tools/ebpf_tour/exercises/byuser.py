"""A key for a hash: count by user, not in total."""

from __future__ import annotations

import functools
import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

# Nobody else is one of these users.
FIRST = 61_000 + 2 * (os.getpid() % 2_000)
CALLS = {FIRST: 7, FIRST + 1: 4}


def workload() -> None:
    for uid, calls in CALLS.items():
        in_child(functools.partial(call, calls), uid)


def call(times: int) -> None:
    for _ in range(times):
        os.getpriority(os.PRIO_PROCESS, 0)


def judge(seen: Seen) -> str:
    counts = [sum(row["count"] for row in seen.rows if row["uid"] == uid) for uid in CALLS]
    if counts == list(CALLS.values()):
        return ""
    first, second = counts
    return (
        f"of 7 calls by one user and 4 by another, the counters of these users have {first} and "
        f"{second}; expected are 7 and 4"
    )


EXERCISE = Exercise(
    name="byuser",
    page="execcount",
    summary="count by user, not in total",
    hooks=(Tracepoint("syscalls", "sys_enter_getpriority"),),
    workload=workload,
    judge=judge,
    unsolved="the counters of these users have 0 and 0; expected are 7 and 4",
    hints=(
        "A hash has a counter for each key. What is the key now, and is it ever another one?",
        "bpf-helpers(7) has a helper that returns the user and the group of the thread that runs.",
        "The key is bpf_get_current_uid_gid(): a __u32 keeps its lower half, which is the user.",
    ),
)
