"""A member that is read before it is written."""

from __future__ import annotations

import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

NAMES = ("a", "exercise", 31 * "b", 40 * "c")


def workload() -> str:
    return in_child(make_files)


def make_files() -> None:
    for name in NAMES:
        os.close(os.memfd_create(name))


def judge(seen: Seen) -> str:
    rows = [row["name"] for row in seen.rows if row["comm"] == seen.caused]
    if rows == [name[:31] for name in NAMES]:
        return ""
    lengths = [len(name) for name in rows]
    return (
        f"of files whose names have 1, 8, 31 and 40 bytes, it showed {lengths or 'no'} bytes; "
        "expected are the first 1, 8, 31 and 31 bytes"
    )


EXERCISE = Exercise(
    name="unset",
    page="verifier",
    summary="mend a program that reads a name",
    hooks=(Tracepoint("syscalls", "sys_enter_memfd_create"),),
    workload=workload,
    judge=judge,
    unsolved="R2 !read_ok",
    hints=(
        (
            "The error names a register. Which argument of the call is that, and where does the"
            " C give it a value?"
        ),
        "A struct text has two members. How many of them does the program set?",
        "After the line that sets name.address, write: name.size = sizeof(e.name);",
    ),
    place=4,
)
