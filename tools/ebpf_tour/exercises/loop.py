"""A loop whose end the verifier cannot see."""

from __future__ import annotations

import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

CALLS = 32  # half of the queue: other processes have room, too


def workload() -> str:
    return in_child(call)


def call() -> None:
    for _ in range(CALLS):
        os.getsid(0)
    os.getpgid(0)


def judge(seen: Seen) -> str:
    count = sum(row["comm"] == seen.caused and row["uid"] == 0 for row in seen.rows)
    if count == CALLS:
        return ""
    return (
        f"root called getsid {CALLS} times, then getpgid once; it showed {count} of these calls; "
        f"expected are {CALLS}"
    )


EXERCISE = Exercise(
    name="loop",
    page="verifier",
    summary="mend a program with a loop",
    hooks=(
        Tracepoint("syscalls", "sys_enter_getsid"),
        Tracepoint("syscalls", "sys_enter_getpgid"),
    ),
    workload=workload,
    judge=judge,
    unsolved="infinite loop detected",
    hints=(
        (
            "Which line does the error name? What would end that loop, and how often may it run"
            " before that?"
        ),
        (
            "The verifier accepts a loop that counts up to a limit. It may end earlier, by "
            "break. How many elements can the queue have?"
        ),
        (
            "Begin the loop with: for (int i = 0; i < 64; i++), and leave it by break when "
            "nothing is in the queue."
        ),
    ),
    place=2,
)
