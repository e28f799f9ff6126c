"""ebpf-usdt: a USDT probe and a ring buffer.

The hook is a place in a program that its author marked for tracers, and that has
arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
from typing import TYPE_CHECKING, Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.text import from_kernel, printable
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.frame.probed import add_files, check_files, text_of, text_or_value
from ebpf_tour.frame.repeat import OnceASecond
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.usdt import Usdt, places

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ebpf_tour.userland.usdt import Probe


def run(session: Session) -> None:
    args = session.args
    check(args)
    pace = session if names_one(args) else OnceASecond(session, collect)
    with session.open(TOOL) as program:
        with find(session) as probe:
            where = places(probe.path, probe.places, probe.tid)

            # Configure: before the program is loaded.
            program.globals["only_pid"] = probe.pid
            program.globals["pidns_dev"] = features.kernel_dev(probe.namespace.st_dev)
            program.globals["pidns_ino"] = probe.namespace.st_ino
            PROBE.configure(program, where[0])

            program.load()
            for place in where:
                program.attach_to(PROBE, place)

        what = f"{args.probe} of {probe.file}" if names_one(args) else OWN
        session.attached(f"Tracing {what}", demo())
        for event in program.events("rb", pace):
            session.row(row_of(event, args.probe))
        session.lost = program.lost()


OWN = "our own garbage collector once a second"


def names_one(args: argparse.Namespace) -> bool:
    """Say whether the command line names a file or process. Without one, it is our own Python."""
    return args.binary is not None or args.pid is not None


def check(args: argparse.Namespace) -> None:
    """Raise UsageError where options do not go together."""
    check_files(args)
    if not (names_one(args) or args.show) and args.probe != GC_START:
        raise UsageError(
            f"which program has {args.probe}?", "name a file or a process: --binary FILE, -p PID"
        )


def find(session: Session) -> AbstractContextManager[Probe]:
    """Find the probe; the file is open until the end of the `with` statement."""
    from ebpf_tour.userland import usdt

    args = session.args
    if args.show:
        nowhere = usdt.Probe("", [(0, 0, "")], "", os.stat("/proc/self/ns/pid"))
        return contextlib.nullcontext(nowhere)
    provider, name = args.probe.split(":")
    if args.pid:
        return usdt.in_process(provider, name, args.pid, session.wake)
    if args.binary is not None:
        return usdt.in_file(provider, name, args.binary, session.wake)
    return usdt.in_file(provider, name, usdt.own_python(), session.wake, os.getpid())


def row_of(event: Any, probe: str) -> Row:
    """Return the row for a record: struct event of usdt.h."""
    return {
        "time": local_time(event.time_ns),
        "comm": from_kernel(event.comm),
        "pid": event.pid,
        "probe": probe,
        "text": text_of(event),
        "value": event.value,
    }


GC_START = "python:gc__start"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probe",
        type=provider_and_name,
        metavar="PROVIDER:NAME",
        default=GC_START,
        help=f"the probe (default: {GC_START}, with the generation that is collected)",
    )
    add_files(parser)


def provider_and_name(text: str) -> str:
    if text.count(":") != 1:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not PROVIDER:NAME")
    return text


def collect() -> None:
    gc.disable()  # so that Python does not collect by itself
    gc.collect()


def demo() -> Demo:
    return Demo(
        "a child process collects generation 0 1000 times, we collect generation 2 3 times.",
        workload=collect_often,
        rows=3,
        caused=lambda row: row["value"] == FULL,
        exclusive=True,
    )


FULL = 2  # the generation that has all objects


def collect_often() -> None:
    for _ in range(1000):
        gc.collect(0)


PROBE = Usdt("handle_probe")

TOOL = Tool(
    name="usdt",
    lesson=27,
    summary="show a probe that a program's author placed, such as Python's garbage collector",
    description=(
        "Show a row whenever a program passes a USDT probe, a place that its author marked for "
        "tracers, with the first argument. The program need not be restarted. Without options it "
        "shows the garbage collector of its own Python, which it calls once a second."
    ),
    via={"usdt": (PROBE,)},
    maps=(Map("rb", "ring buffer", "the records, on their way to the tool", tool="reads"),),
    picture=(Flow("a process passes the probe", {PROBE: "handle_probe"}, writes=("rb",)),),
    columns=(
        Column("time", "TIME", "when it happened, local time", width=8),
        Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
        Column(
            "pid", "PID", "its process ID, as the first PID namespace counts", width=7, right=True
        ),
        Column("probe", "PROBE", "the probe, as --probe names it", width=20),
        Column(
            "text",
            "VALUE",
            "the text, up to 127 bytes of it, if the argument is the address of one",
            text=text_or_value,
            kernel_bytes=True,
        ),
        Column("value", "", "the first argument as a number; 0 if the probe has none"),
    ),
    examples=(
        Example("ebpf-usdt", "the garbage collector of its own Python, until Ctrl-C"),
        Example("ebpf-usdt -p 4711", "that of a Python that runs already"),
        Example("ebpf-usdt --binary python3 --probe python:import__find__load__start", "imports"),
        Example("ebpf-usdt --demo", "see that another process is filtered out"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_UPROBES and CONFIG_UPROBE_EVENTS, root, "
        "and a program with such probes, such as the Python of Debian."
    ),
    see_also=("bpf-helpers(7)", "readelf(1)"),
)

main = cli.command(TOOL, run, options)
