"""ebpf-fentry: what ebpf-kprobe does, by fentry and fexit.

The kernel calls the programs directly, and BTF gives them the types of the arguments.
At the return, a program has both the arguments and the result.
"""

from __future__ import annotations

import argparse

from ebpf_tour.frame import Example, Flow, Map, Session, Tool, cli, unlink
from ebpf_tour.loader.hooks.fentry import Fentry


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        program.globals["only_pid"] = session.args.pid or 0
        program.max_entries["rb"] = session.args.buffer
        program.load()
        program.attach()

        session.attached(f"Tracing {ENTRY.target} via fentry", unlink.demo())
        for event in program.events("rb", session):
            session.row(unlink.row_of(event))
        session.lost = program.lost()


def options(parser: argparse.ArgumentParser) -> None:
    cli.add_filters(parser, "p")
    cli.add_buffer_option(parser)


ENTRY = Fentry("do_unlinkat", renamed=unlink.RENAMED)
RETURN = Fentry("do_unlinkat", returns=True, renamed=unlink.RENAMED)

TOOL = Tool(
    name="fentry",
    lesson=60,
    read_before=("kprobe",),
    summary="show each call of unlink and each return, at lower cost",
    description=(
        "Show a row when the kernel begins to remove a file for a process, and another when it "
        "succeeds or fails: the same rows as ebpf-kprobe. It teaches fentry and fexit."
    ),
    via={"fentry": (ENTRY, RETURN)},
    maps=(Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),),
    picture=(
        Flow("the kernel calls do_unlinkat", {ENTRY: "enter_unlinkat"}, writes=("rb",)),
        Flow("do_unlinkat returns", {RETURN: "leave_unlinkat"}, writes=("rb",)),
    ),
    columns=unlink.COLUMNS,
    examples=(
        Example("ebpf-fentry", "every file that is removed"),
        Example("ebpf-fentry -p 1", "files that process 1 removes"),
        Example("ebpf-fentry --demo", "see files that the demo removes"),
    ),
    requirements=(
        "Linux 5.8 or newer with kernel BTF and CONFIG_FUNCTION_TRACER (on arm64 6.4 or newer), "
        "and root (or CAP_BPF and CAP_PERFMON)."
    ),
    see_also=("unlink(2)",),
)

main = cli.command(TOOL, run, options)
