"""ebpf-replace: a function in place of one of another program.

Two objects: a program that calls a function, and a function that takes its place. The
tool runs the first one on a packet of its own, before, while and after it is replaced.
"""

from __future__ import annotations

import argparse
import time

from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.loader import Program, open_program
from ebpf_tour.loader.hooks.freplace import Freplace


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program, open_target() as target:
        target.load()
        (VERDICT.of,) = target.program_fds()
        program.globals["answer"] = ANSWERS.index(args.answer)
        program.load()
        before = run_once(target, program)
        program.attach()

        session.attached("Running a program while its verdict() is replaced", demo(args.answer))
        session.row(before)
        session.row(run_once(target, program))
        for _ in program.intervals(session, float("inf") if args.demo else args.interval):
            session.row(run_once(target, program))  # the last time, it is detached


def open_target() -> Program:
    """Open the program with the function that is replaced."""
    from ebpf_tour.loader.hooks.xdp import Xdp

    return open_program("replace_target", [Xdp("handle_packet")], engine="libbpf")


def run_once(target: Program, program: Program) -> Row:
    """Run the target, which is attached nowhere, on a packet of zeros; return the row."""
    from ebpf_tour.loader import syscall

    calls = program.counter("calls")
    answer = syscall.run_program(target.program_fds()[0], bytes(64)).result
    replaced = program.counter("calls") > calls
    return {
        "time": time.strftime("%H:%M:%S"),
        "function": "new_verdict" if replaced else "verdict",
        "answer": ANSWERS[answer],
        "calls": program.counter("calls"),
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--answer",
        choices=("aborted", "drop", "tx"),
        default="drop",
        help="what the new function returns (default: drop)",
    )
    cli.add_interval(parser, 1.0, "time between two runs (default: 1)")


def demo(answer: str = "drop") -> Demo:
    return Demo(
        "the tool runs the program before, while and after its function is replaced.",
        workload=lambda: None,
        rows=3,
        caused=lambda row: row["answer"] == {"verdict": "pass"}.get(str(row["function"]), answer),
        exclusive=True,
        counted=3,
    )


ANSWERS = ("aborted", "drop", "pass", "tx", "redirect")  # enum xdp_action

VERDICT = Freplace("verdict", "new_verdict")

TOOL = Tool(
    name="replace",
    lesson=178,
    read_before=("xdp",),
    summary="replace a function of a program that is loaded",
    description=(
        "Load a program, and replace one of its functions by another program, while it is "
        "loaded. Show what the first one returns before, meanwhile and after. It teaches "
        "freplace, by which several XDP programs share an interface."
    ),
    via={"freplace": (VERDICT,)},
    maps=(
        Map(".bss", "array (.bss)", "how often the new function ran", tool="reads"),
        Map(".rodata", "array (.rodata)", "what it returns", tool="sets"),
    ),
    picture=(
        Flow(
            "the other program calls verdict()",
            {VERDICT: "new_verdict"},
            reads=(".rodata",),
            writes=(".bss",),
        ),
    ),
    engines=("libbpf",),
    columns=(
        Column("time", "TIME", "local time of the run", width=8),
        Column("function", "FUNCTION", "which function was called", width=11),
        Column("answer", "ANSWER", "what the program returned: an action of XDP", width=8),
        Column("calls", "CALLS", "how often the new function has run until then"),
    ),
    examples=(
        Example("ebpf-replace", "a run a second, until Ctrl-C"),
        Example("ebpf-replace --answer tx", "the same, with another answer"),
        Example("ebpf-replace --demo", "three runs: before, meanwhile and after"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_DEBUG_INFO_BTF and CONFIG_BPF_JIT, and root (or CAP_BPF, "
        "CAP_PERFMON, CAP_NET_ADMIN and CAP_SYS_ADMIN). libbpf only: BCC has no freplace."
    ),
    see_also=("bpf(2)", "ip-link(8)"),
)

main = cli.command(TOOL, run, options)
