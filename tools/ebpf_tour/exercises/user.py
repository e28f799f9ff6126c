"""A filter: only the calls of one user."""

from __future__ import annotations

import os
from typing import Any

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

NOBODY = 65534


def workload() -> dict[str, int]:
    """Let root call 5 times and nobody 4 times; return the users by the callers' names."""
    return {in_child(lambda: call(5)): 0, in_child(lambda: call(4), NOBODY): NOBODY}


def call(times: int) -> None:
    for _ in range(times):
        os.getpriority(os.PRIO_PROCESS, 0)


def judge(seen: Seen) -> str:
    def rows_of(uid: int) -> list[dict[str, Any]]:
        return [row for row in seen.rows if seen.caused.get(row["comm"]) == uid]

    roots, others = len(rows_of(0)), len(rows_of(NOBODY))
    if (roots, others) == (0, 4) and all(row["uid"] == NOBODY for row in seen.rows):
        return ""
    return (
        f"of 5 calls by root and 4 by user {NOBODY}, it showed {roots} and {others}; expected "
        f"are 0 and 4, and no row of another user"
    )


EXERCISE = Exercise(
    name="user",
    page="ksyscall",
    summary="show only the calls of one user",
    hooks=(Tracepoint("syscalls", "sys_enter_getpriority"),),
    arguments=("--user", str(NOBODY)),
    workload=workload,
    judge=judge,
    unsolved="of 5 calls by root and 4 by user 65534, it showed 5 and 4",
    hints=(
        "A program returns 0 before it sends anything. Which two users does it know there?",
        "Compare e.uid, the user of the thread that calls, with only_uid. Both are numbers.",
        "Where the TODO is, write: if (e.uid != only_uid) return 0;",
    ),
)
