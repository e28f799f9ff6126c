"""A pointer into the memory of a process: read the end of a path, not its beginning."""

from __future__ import annotations

import contextlib
import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

ROOM = 31  # without the NUL
SIZES = (9, 31, 32, 100, 255)
LONGEST = "/nowhere" + "".join(f"/{number}" for number in range(10, 99))
PATHS = [LONGEST[:size] for size in SIZES]


def workload() -> str:
    """Let a child try to open files that do not exist; return the child's name."""
    return in_child(open_all)


def open_all() -> None:
    for path in PATHS:
        with contextlib.suppress(FileNotFoundError):
            os.open(path, os.O_RDONLY, dir_fd=0)  # with a directory, it is always openat(2)


def judge(seen: Seen) -> str:
    shown = [row["path"] for row in seen.rows if row["comm"] == seen.caused]
    expected = [path[-ROOM:] for path in PATHS]
    if shown == expected:
        return ""
    right = [
        size for size, path, wanted in zip(SIZES, shown, expected, strict=False) if path == wanted
    ]
    return (
        f"of {len(SIZES)} paths with {', '.join(map(str, SIZES))} bytes, {len(shown)} have a row, "
        f"and right are those with {', '.join(map(str, right)) or 'no'} bytes; expected are all, "
        f"and of each the last {ROOM} bytes"
    )


EXERCISE = Exercise(
    name="tail",
    page="opensnoop",
    summary="show the end of a long path",
    hooks=(Tracepoint("syscalls", "sys_enter_openat"),),
    workload=workload,
    judge=judge,
    unsolved="5 have a row, and right are those with 9, 31 bytes; expected are all",
    hints=(
        "path is an address. The second read begins there. Where is the end of the path?",
        (
            "The path and its NUL end at path + size. Begin ROOM bytes before that, but never "
            "before the path itself."
        ),
        "Where the TODO is, write: if (size > ROOM) path += size - ROOM;",
    ),
)
