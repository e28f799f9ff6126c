"""fexit: the result of a kernel function, behind its arguments."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.frame.unlink import RENAMED
from ebpf_tour.loader.hooks.fentry import Fentry

# What is removed, with the result: 0, -ENOENT, -EISDIR, -ENOTDIR.
RESULTS = {"one": 0, "not-there": -2, "directory": -21, "two/file": -20, "two": 0}


def workload() -> tuple[str, int]:
    """Let a child remove files and fail to; return its name, and the directory's descriptor."""
    path = tempfile.mkdtemp(prefix="exercise-")
    try:
        os.mkdir(f"{path}/directory")
        for name in ("one", "two"):
            with open(f"{path}/{name}", "wb"):
                pass
        directory = os.open(path, os.O_PATH)
        try:
            return in_child(lambda: remove(directory)), directory
        finally:
            os.close(directory)
    finally:
        shutil.rmtree(path)


def remove(directory: int) -> None:
    for name in RESULTS:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=directory)


def judge(seen: Seen) -> str:
    comm, directory = seen.caused
    rows = [row for row in seen.rows if row["comm"] == comm]
    results = [row["result"] for row in rows]
    expected = list(RESULTS.values())
    if results == expected and all(row["dfd"] == directory for row in rows):
        return ""
    right = sum(row["dfd"] == directory for row in rows)
    return (
        f"{right} rows have the right dfd, and the results are "
        f"{', '.join(map(str, results)) or 'none'}; expected are {len(expected)} rows with "
        f"{', '.join(map(str, expected))}"
    )


EXERCISE = Exercise(
    name="fexit",
    page="fentry",
    summary="show the result of a kernel function",
    hooks=(Fentry("do_unlinkat", returns=True, renamed=RENAMED),),
    workload=workload,
    judge=judge,
    unsolved="5 rows have the right dfd, and the results are 0, 0, 0, 0, 0; expected are 5",
    hints=(
        "The lesson has a program at the same return. What does it have that this one lacks?",
        "A program at a return has the arguments of the function, and behind them the result.",
        "Add an argument, int result, behind struct filename *name; then e.result = result;",
    ),
)
