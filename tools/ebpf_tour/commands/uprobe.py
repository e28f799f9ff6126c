"""ebpf-uprobe: a uprobe, a uretprobe and a ring buffer.

The hook is a function of a program or library: where it begins, and where it
returns to.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import TYPE_CHECKING, Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.frame.probed import add_files, check_files, text_of, text_or_value
from ebpf_tour.frame.repeat import OnceASecond
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.uprobe import Instruction, Uprobe, in_own_libc

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ebpf_tour.userland.functions import Function


def run(session: Session) -> None:
    args = session.args
    check(args)
    pace = session if names_one(args) else OnceASecond(session, call_labs)
    with session.open(TOOL) as program, contextlib.ExitStack() as until_attached:
        function = until_attached.enter_context(find(session))
        where = Instruction(function.path, function.offset, function.tid)

        # Configure: before the program is loaded.
        program.globals["only_pid"] = function.pid
        program.globals["pidns_dev"] = features.kernel_dev(function.namespace.st_dev)
        program.globals["pidns_ino"] = function.namespace.st_ino

        program.load()
        program.attach_to(RETURN, where)  # first, so that no call is seen without its return
        program.attach_to(ENTRY, where)
        until_attached.close()

        what = f"{args.function} of {function.file}" if names_one(args) else OWN
        session.attached(f"Tracing {what}", demo())
        for event in program.events("rb", pace):
            session.row(row_of(event))
        session.lost = program.lost()


OWN = "our own labs() once a second"


def names_one(args: argparse.Namespace) -> bool:
    """Say whether the command line names a function. Without one, it is our own labs()."""
    return args.binary is not None or args.pid is not None or args.function is not None


def check(args: argparse.Namespace) -> None:
    """Raise UsageError where options do not go together."""
    check_files(args)
    if args.demo and args.function is not None:
        raise UsageError("--demo watches the tool itself", "leave --function out")
    if names_one(args) and args.function is None and not args.show:
        files = "-p PID" if args.pid else "--binary FILE"
        raise UsageError(
            "which function? --function is missing",
            f"see which there are: ebpf-probes {files} 'uprobe:*'",
        )


def find(session: Session) -> AbstractContextManager[Function]:
    """Find the function; the file is open until the end of the `with` statement."""
    from ebpf_tour.userland import functions

    args = session.args
    if args.show or not names_one(args):
        path, offset = in_own_libc("labs")
        namespace = os.stat("/proc/self/ns/pid")
        own = functions.Function(path, offset, "libc", namespace, os.getpid(), os.getpid())
        return contextlib.nullcontext(own)
    if args.pid:
        return functions.in_process(args.function, args.pid, session.wake)
    return functions.in_file(args.function, args.binary or "libc", session.wake)


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of uprobe.h."""
    return {
        "time": local_time(event.time_ns),
        "comm": from_kernel(event.comm),
        "pid": event.pid,
        "event": "RETURN" if event.returned else "ENTRY",
        "text": text_of(event),
        "value": event.value,
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--function",
        metavar="NAME",
        help="the function to trace, of libc unless a file is named (default: our own labs())",
    )
    add_files(parser)


def call_labs() -> None:
    from ebpf_tour.loader.syscall import call_in_libc

    assert call_in_libc("labs", -42) == 42


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
    lesson=21,
    summary="show a function of a program as it is called and returns",
    description=(
        "Show a row for each call of a function of a program or library, with its first "
        "argument, and one for each return, with the result. It needs no debugger, and the "
        "program need not be restarted. Without options it shows what it calls itself: labs(-42) "
        "of the C library, once a second."
    ),
    via={"uprobe": (ENTRY, RETURN)},
    maps=(Map("rb", "ring buffer", "the records, on their way to the tool", tool="reads"),),
    picture=(
        Flow("a process calls the function", {ENTRY: "handle_entry"}, writes=("rb",)),
        Flow("the function returns", {RETURN: "handle_return"}, writes=("rb",)),
    ),
    columns=(
        Column("time", "TIME", "when it happened, local time", width=8),
        Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
        Column(
            "pid", "PID", "its process ID, as the first PID namespace counts", width=7, right=True
        ),
        Column("event", "EVENT", "ENTRY or RETURN", width=6),
        Column(
            "text",
            "VALUE",
            "the text, up to 127 bytes of it, if the value is the address of one",
            text=text_or_value,
            kernel_bytes=True,
        ),
        Column("value", "", "the first argument (ENTRY) or the result (RETURN), as a number"),
    ),
    examples=(
        Example("ebpf-uprobe", "its own calls of labs(), until Ctrl-C"),
        Example("ebpf-uprobe --binary bash --function readline", "what is typed into each bash"),
        Example("ebpf-uprobe --function getenv", "which variables programs look for"),
        Example("ebpf-uprobe -p 4711 --function malloc", "how much a process asks for"),
        Example("ebpf-uprobe --demo", "see that calls of others are filtered out"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_UPROBES and CONFIG_UPROBE_EVENTS, and root. A function "
        "that the compiler has put into its callers is never called."
    ),
    see_also=("labs(3)", "readline(3)", "bpf-helpers(7)"),
)

main = cli.command(TOOL, run, options)
