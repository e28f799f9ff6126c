"""The result of a call: only those that failed, with the error number."""

from __future__ import annotations

import contextlib
import errno
import os

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

WORK = ("dev/null", "proc/self/stat", ".")
FAIL = {
    "no-such-file": errno.ENOENT,
    "dev/null/file": errno.ENOTDIR,
    "proc/self/exe": errno.ELOOP,  # a link, and O_NOFOLLOW
    "no-such-file/": errno.ENOENT,
}
EXPECTED = list(FAIL.values())


def workload() -> str:
    """Let a child open files, those that work in between; return the child's name."""
    root = os.open("/", os.O_PATH)
    name = in_child(lambda: open_all(root))
    os.close(root)
    return name


def open_all(root: int) -> None:
    for number, path in enumerate(FAIL):
        # With a directory, every C library calls openat(2).
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=root))
        if number < len(WORK):
            os.close(os.open(WORK[number], os.O_RDONLY, dir_fd=root))


def judge(seen: Seen) -> str:
    errors = [row["error"] for row in seen.rows if row["comm"] == seen.caused]
    if errors == EXPECTED:
        return ""
    return (
        f"of {len(WORK)} calls that worked and {len(EXPECTED)} that failed, it showed "
        f"{', '.join(map(str, errors)) or 'none'}; expected are the errors "
        f"{', '.join(map(str, EXPECTED))}"
    )


EXERCISE = Exercise(
    name="failed",
    page="ksyscall",
    summary="show only the calls that failed, and why",
    hooks=(Tracepoint("syscalls", "sys_exit_openat"),),
    workload=workload,
    judge=judge,
    unsolved="of 3 calls that worked and 4 that failed, it showed 0, 0, 0, 0, 0, 0, 0; expected",
    hints=(
        "At the end of a call, the tracepoint has the result. The comment names it.",
        (
            "Return 0 before anything is sent if the result is 0 or above. Otherwise, e.error is "
            "the result without its minus."
        ),
        "For libbpf: if (ctx->ret >= 0) return 0; e.error = -ctx->ret; BCC has args->ret.",
    ),
)
