"""A uretprobe: what a function of the C library returns."""

from __future__ import annotations

from ebpf_tour.frame.exercises import Exercise, Seen, in_child
from ebpf_tour.loader.hooks.uprobe import Uprobe
from ebpf_tour.loader.syscall import call_in_libc

NUMBERS = (-42, 1001, -1, 0, -70_000)


def workload() -> str:
    """Let a child call labs() with each number; return the child's name."""
    return in_child(call)


def call() -> None:
    for number in NUMBERS:
        call_in_libc("labs", number)


def judge(seen: Seen) -> str:
    rows = [(row["event"], row["value"]) for row in seen.rows if row["comm"] == seen.caused]
    expected = [pair for number in NUMBERS for pair in (("ENTRY", number), ("RETURN", abs(number)))]
    if rows == expected:
        return ""
    arguments, results = (
        ", ".join(str(value) for event, value in rows if event == kind) or "none"
        for kind in ("ENTRY", "RETURN")
    )
    return (
        f"its rows have the arguments {arguments} and the results {results}; expected are "
        f"{', '.join(map(str, NUMBERS))} and {', '.join(str(abs(n)) for n in NUMBERS)}, each "
        f"argument before its result"
    )


EXERCISE = Exercise(
    name="returned",
    page="uprobe",
    summary="show what a function returns",
    hooks=(Uprobe("handle_entry"), Uprobe("handle_return", returns=True)),
    workload=workload,
    judge=judge,
    unsolved="the arguments -42, 1001, -1, 0, -70000 and the results 0, 0, 0, 0, 0; expected",
    hints=(
        "A processor's register has the result. The lesson's table says how each dialect reads it.",
        (
            "For libbpf, BPF_KRETPROBE() gives the result a name and a type, behind the program's "
            "name. For BCC, PT_REGS_RC() reads the register."
        ),
        (
            "For libbpf: BPF_KRETPROBE(handle_return, long result), then send(result, 1). For BCC: "
            "send(PT_REGS_RC(ctx), 1)."
        ),
    ),
)
