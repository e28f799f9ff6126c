"""A security module that says no, in one cgroup."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import tempfile
from typing import NamedTuple

from ebpf_tour.base.errors import Error
from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.lsm import Lsm

NAMES = ("one", "two", "three")


class Made(NamedTuple):
    """What two children have done: one in the cgroup, then one outside."""

    inside: str
    outside: str
    refused: int
    made_inside: int
    made_outside: int


def workload() -> Made:
    cgroup = cgroup_of_tool()
    with tempfile.TemporaryDirectory() as directory:
        for place in ("inside", "outside"):
            os.mkdir(f"{directory}/{place}")

        def make_inside() -> None:
            with open(f"{cgroup}/cgroup.procs", "w", encoding="ascii") as file:
                file.write("0")
            make(f"{directory}/inside")

        inside = in_child(make_inside)
        outside = in_child(lambda: make(f"{directory}/outside"))
        return Made(
            *(inside, outside, count(directory, "inside/refused-*")),
            *(count(directory, "inside/made-*"), count(directory, "outside/made-*")),
        )


def make(directory: str) -> None:
    """Make directories, and a file for each that is refused: a hook for mkdir allows this."""
    for name in NAMES:
        try:
            os.mkdir(f"{directory}/made-{name}")
        except OSError as error:
            if error.errno == errno.EPERM:
                with open(f"{directory}/refused-{name}", "x", encoding="ascii"):
                    pass


def count(directory: str, pattern: str) -> int:
    return len(glob.glob(f"{glob.escape(directory)}/{pattern}"))


def cgroup_of_tool() -> str:
    """Return the cgroup that the learner's tool has made: its name ends with the tool's PID."""
    from ebpf_tour.userland.cgroup import own_cgroups

    for pid, path in own_cgroups():
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat", "rb") as file:
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                return path
    raise Error(
        "refuse.py has made no cgroup",
        "put refuse.py back as it came: ebpf-tour exercises reset refuse",
    )


def judge(seen: Seen) -> str:
    made: Made = seen.caused
    shown = [row["name"] for row in seen.rows if row["comm"] == made.inside]
    others = sum(row["comm"] == made.outside for row in seen.rows)
    right = [f"made-{name}" for name in NAMES]
    if made[2:] == (3, 0, 3) and shown == right and not others:
        return ""
    return (
        f"of 3 directories in the cgroup, {made.refused} were refused with EPERM, {len(shown)} "
        f"shown and {made.made_inside} made; of 3 outside, {made.made_outside} were made; "
        "expected are 3, 3 and 0, and 3"
    )


EXERCISE = Exercise(
    name="refuse",
    page="lsm",
    summary="refuse mkdir in one cgroup",
    hooks=(Lsm("path_mkdir"),),
    workload=workload,
    judge=judge,
    unsolved="of 3 directories in the cgroup, 0 were refused with EPERM, 3 shown and 3 made",
    hints=(
        "The return value of such a program is the answer to the kernel. What does it return?",
        "0 allows, a negative errno refuses. EPERM is in refuse.h, as a positive number.",
        "In place of the last line, return 0, write: return -EPERM;",
    ),
)
