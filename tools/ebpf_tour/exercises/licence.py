"""A licence under which a program may not call the helper that it needs."""

from __future__ import annotations

import contextlib
import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

# There is nothing with these names, so chroot fails.
PATHS = [f"/nonexistent/{number}" for number in range(5)]


def workload() -> str:
    return in_child(call)


def call() -> None:
    for path in PATHS:
        with contextlib.suppress(FileNotFoundError):
            os.chroot(path)


def judge(seen: Seen) -> str:
    rows = [row["path"] for row in seen.rows if row["comm"] == seen.caused]
    if rows == PATHS:
        return ""
    right = sum(path in PATHS for path in rows)
    return (
        f"of 5 calls with 5 paths, it showed {len(rows)}, {right} of them with one of the paths; "
        "expected are 5 and 5, in the order of the calls"
    )


EXERCISE = Exercise(
    name="licence",
    page="verifier",
    summary="mend a program that nobody may load",
    hooks=(Tracepoint("syscalls", "sys_enter_chroot"),),
    workload=workload,
    judge=judge,
    unsolved="cannot call GPL-restricted function",
    hints=(
        "The error names a line. Which helper does it call, and for whom is that helper?",
        (
            "The kernel reads the licence from the object, not from a comment. Which licence "
            "does this program name, and is the GPL a part of it?"
        ),
        (
            'In licence.bpf.c, write: char LICENSE[] SEC("license") = "Dual MIT/GPL"; in '
            "licence.bcc.c write: #define BPF_LICENSE GPL, or remove that line."
        ),
    ),
    place=5,
)
