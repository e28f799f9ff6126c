"""One more argument: the signal of a kill(2), beside the process."""

from __future__ import annotations

import contextlib
import os
import re

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

SIGNALS = [1, 15, 33]
# No PID is as large (PID_MAX_LIMIT is 4194304), so nobody gets these signals, and nobody
# else calls with this number.
PROCESS = 5_000_000 + os.getpid()


def workload() -> None:
    in_child(send)


def send() -> None:
    for signal in SIGNALS:
        with contextlib.suppress(ProcessLookupError):
            os.kill(PROCESS, signal)


def judge(seen: Seen) -> str:
    printed = [[int(number) for number in re.findall(r"\d+", row["message"])] for row in seen.rows]
    lines = [numbers for numbers in printed if PROCESS in numbers]
    expected = [[PROCESS, signal] for signal in SIGNALS]
    if lines == expected:
        return ""
    right = sum(line == wanted for line, wanted in zip(lines, expected, strict=False))
    ours = [row["message"] for row in seen.rows if str(PROCESS) in row["message"]] or ["none"]
    return (
        f"of 3 calls, {len(lines)} have a line, and {right} of these lines have the process, then "
        f"the signal; the first line is {ours[0]!r}, expected is 'kill {PROCESS} {SIGNALS[0]}'"
    )


EXERCISE = Exercise(
    name="argument",
    page="hello",
    summary="print one more argument of a call",
    hooks=(Tracepoint("syscalls", "sys_enter_kill"),),
    workload=workload,
    judge=judge,
    unsolved="of 3 calls, 3 have a line, and 0 of these lines have the process, then the signal",
    hints=(
        "kill(2) has two arguments. The file that the comment names has them in their order.",
        "bpf_printk() is like printf(3): one more %d needs one more value. Where is the signal?",
        'Print sig with "kill %d %d". For libbpf: int sig = ctx->args[1]; for BCC: args->sig.',
    ),
)
