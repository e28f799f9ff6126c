"""A length that is not compared with the size of the buffer."""

from __future__ import annotations

import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

TEXT = b"abcdefghijklmnopqrstuvwxyz"
LENGTHS = (1, 15, 16, 17, 26)
WANTED = [(length, TEXT[: min(length, 16)].decode()) for length in LENGTHS]


def workload() -> str:
    return in_child(write)


def write() -> None:
    """Write beginnings of one text: behind each in memory is the rest."""
    with open(os.memfd_create("bound"), "wb", buffering=0) as file:
        for length in LENGTHS:
            os.pwrite(file.fileno(), memoryview(TEXT)[:length], 0)


def judge(seen: Seen) -> str:
    rows = [(row["bytes"], row["text"]) for row in seen.rows if row["comm"] == seen.caused]
    if rows == WANTED:
        return ""
    right = [len(text) for _, text in rows]
    return (
        f"of texts with 1, 15, 16, 17 and 26 bytes, it showed {right or 'none'} bytes; expected "
        "are the first 1, 15, 16, 16 and 16 bytes, and in each row the number of all"
    )


EXERCISE = Exercise(
    name="bound",
    page="verifier",
    summary="mend a program that reads a text",
    hooks=(Tracepoint("syscalls", "sys_enter_pwrite64"),),
    workload=workload,
    judge=judge,
    unsolved="R2 min value is negative",
    hints=(
        (
            "Which register does the error name, and which argument of the helper is that? What"
            " does the verifier know about it?"
        ),
        (
            "A process may write more bytes than e.text has room for. Copy the number into a "
            "variable of its own, and compare it with sizeof(e.text)."
        ),
        (
            "Before the helper, write: if (length > sizeof(e.text)) length = sizeof(e.text); "
            "and give it length in place of e.bytes."
        ),
    ),
    place=3,
)
