"""A histogram: count sizes by powers of two."""

from __future__ import annotations

import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

SIZES = (1, 2, 3, 3, 4, 7, 8, 1000, 1023, 1024, 65_536, 100_000)
EXPECTED = {1: 1, 2: 3, 4: 2, 8: 1, 512: 2, 1024: 1, 65_536: 2}


def workload() -> str:
    """Let a child write, each size once; return the child's name."""
    return in_child(write)


def write() -> None:
    nothing = os.open("/dev/null", os.O_WRONLY)
    for size in SIZES:
        os.pwrite(nothing, bytes(size), 0)


def judge(seen: Seen) -> str:
    counts: dict[int, int] = {}
    for row in seen.rows:
        if row["comm"] == seen.caused:
            counts[row["bytes"]] = counts.get(row["bytes"], 0) + row["count"]
    if counts == EXPECTED:
        return ""
    return f"of {len(SIZES)} writes, it counted {text(counts)}; expected are {text(EXPECTED)}"


def text(counts: dict[int, int]) -> str:
    """Return counts by their slots as a text for people."""
    return (
        ", ".join(f"{count} from {size}" for size, count in sorted(counts.items()) if count)
        or "none"
    )


EXERCISE = Exercise(
    name="histogram",
    page="execcount",
    summary="count sizes in a histogram",
    hooks=(Tracepoint("syscalls", "sys_enter_pwrite64"),),
    workload=workload,
    judge=judge,
    unsolved="of 12 writes, it counted 12 from 1; expected are",
    hints=(
        "A size from 4 to 7 can be halved twice before it is 1, so its slot is 2.",
        (
            "Write a loop that halves size and counts. The verifier must see that it ends, so "
            "give it a limit: a size has 64 bits."
        ),
        "int slot = 0; for (; slot < 63 && size > 1; slot++) size /= 2; return slot;",
    ),
)
