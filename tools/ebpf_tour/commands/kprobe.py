"""ebpf-kprobe: a kprobe and a kretprobe.

Almost any function of the kernel can have one, here the one that every way to remove
a file reaches. The kprobe sees the arguments, the kretprobe the result.
"""

from __future__ import annotations

import argparse

from ebpf_tour.frame import Example, Flow, Map, Session, Tool, cli, unlink
from ebpf_tour.loader.hooks.kprobe import Kprobe


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        program.globals["only_pid"] = session.args.pid or 0
        program.max_entries["rb"] = session.args.buffer
        program.load()
        program.attach()

        session.attached(f"Tracing {ENTRY.target} via kprobe", unlink.demo())
        for event in program.events("rb", session):
            session.row(unlink.row_of(event))
        session.lost = program.lost("calls")


def options(parser: argparse.ArgumentParser) -> None:
    cli.add_filters(parser, "p")
    cli.add_buffer_option(parser)


ENTRY = Kprobe("do_unlinkat", renamed=unlink.RENAMED)
RETURN = Kprobe("do_unlinkat", returns=True, renamed=unlink.RENAMED)

TOOL = Tool(
    name="kprobe",
    lesson=50,
    read_before=("uprobe",),
    summary="show each call of unlink and each return",
    description=(
        "Show a row when the kernel begins to remove a file for a process, and another when it "
        "succeeds or fails. It teaches kprobes and kretprobes."
    ),
    via={"kprobe": (ENTRY, RETURN)},
    maps=(
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
        Map("calls", "hash", "calls in progress, by thread"),
    ),
    picture=(
        Flow("the kernel calls do_unlinkat", {ENTRY: "enter_unlinkat"}, writes=("calls", "rb")),
        Flow("do_unlinkat returns", {RETURN: "leave_unlinkat"}, reads=("calls",), writes=("rb",)),
    ),
    columns=unlink.COLUMNS,
    examples=(
        Example("ebpf-kprobe", "every file that is removed"),
        Example("ebpf-kprobe -p 1", "files that process 1 removes"),
        Example("ebpf-kprobe --demo", "see files that the demo removes"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_KPROBE_EVENTS, and root (or CAP_BPF and CAP_PERFMON)."
    ),
    see_also=("unlink(2)",),
)

main = cli.command(TOOL, run, options)
