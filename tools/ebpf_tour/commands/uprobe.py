"""ebpf-uprobe: a uprobe, a uretprobe and a ring buffer.

The hook is a function of a program or library: where it begins, and where it
returns to.
"""

from __future__ import annotations

import argparse

from ebpf_tour.frame import Demo, Example, Flow, Map, Session, Tool, cli, probed
from ebpf_tour.frame.record import Column
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.uprobe import Instruction, Uprobe


def run(session: Session) -> None:
    probed.check(session.args, OWN)
    with session.open(TOOL) as program, probed.find(session, OWN) as function:
        pidns_dev, pidns_ino = features.pid_namespace(function.namespace)

        # Configure: global variables are set before the program is loaded.
        program.globals["only_pid"] = function.pid
        program.globals["pidns_dev"] = pidns_dev
        program.globals["pidns_ino"] = pidns_ino
        program.max_entries["rb"] = session.args.buffer

        program.load()
        where = Instruction(function.path, function.places[0].offset, function.tid)
        program.attach_to(RETURN, where)  # first, so that no call is seen without its return
        program.attach_to(ENTRY, where)

        session.attached(probed.tracing(session, OWN, function), demo())
        for event in program.events("rb", probed.pace(session, OWN)):
            session.row(probed.row_of(event, event="RETURN" if event.returned else "ENTRY"))
        session.lost = program.lost()


def options(parser: argparse.ArgumentParser) -> None:
    probed.add_options(parser, OWN, "NAME", "the function to trace")


def call_labs() -> None:
    from ebpf_tour.loader.syscall import call_in_libc

    assert call_in_libc("labs", -42) == 42


OWN = probed.Own("uprobe", "--function", "labs", "our own labs() once a second", call_labs)


def demo() -> Demo:
    return Demo(
        "a child process calls labs(-42) 1000 times, we call it 3 times.",
        workload=call_often,
        rows=6,
        caused=lambda row: row["pid"] is not None,
        exclusive=True,
    )


def call_often() -> None:
    for _ in range(1000):
        call_labs()


ENTRY = Uprobe("handle_entry")
RETURN = Uprobe("handle_return", returns=True)

TOOL = Tool(
    name="uprobe",
    lesson=40,
    read_before=("minimal",),
    summary="show each call and each return of a function of a program",
    description=(
        "Show a row for each call of a function of a program or library, with its first "
        "argument, and one for each return, with the result. It needs no debugger, and the "
        "program need not be restarted. Without --binary and -p it shows its own calls: "
        "labs(-42) of the C library, once a second."
    ),
    via={"uprobe": (ENTRY, RETURN)},
    maps=(Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),),
    picture=(
        Flow("a process calls the function", {ENTRY: "handle_entry"}, writes=("rb",)),
        Flow("the function returns", {RETURN: "handle_return"}, writes=("rb",)),
    ),
    columns=(
        *probed.WHO,
        Column("event", "EVENT", "ENTRY or RETURN", width=6),
        *probed.value_columns("the first argument (ENTRY) or the result (RETURN)"),
    ),
    examples=(
        Example("ebpf-uprobe", "its own calls of labs(), until Ctrl-C"),
        Example("ebpf-uprobe --binary bash --function readline", "what users type into bash"),
        Example(
            "ebpf-uprobe --binary libc --function getenv",
            "which environment variables programs look up",
        ),
        Example("ebpf-uprobe -p 1 --function malloc", "how much memory process 1 requests"),
        Example("ebpf-uprobe --demo", "see that calls by other processes are filtered out"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_UPROBES and CONFIG_UPROBE_EVENTS, and root. A function "
        "that the compiler inlined is never called."
    ),
    see_also=("labs(3)", "readline(3)", "bpf-helpers(7)"),
)

main = cli.command(TOOL, run, options)
