"""ebpf-runqlat: typed raw tracepoints (tp_btf), and histograms in a hash.

The kernel counts each wait in a slot of a histogram. So the tool reads a few numbers,
however many waits there were.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.frame.demo import own_comm
from ebpf_tour.frame.histogram import Histogram
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.loader.hooks.tp_btf import TpBtf

Found = Any  # struct histogram of runqlat.h


def run(session: Session) -> None:
    args = session.args
    unit = "ms" if args.milliseconds else "us"
    with session.open(TOOL) as program:
        program.globals["count_by"] = BY.index(args.by)
        program.globals["only_pid"] = args.pid or 0
        program.globals["unit_ns"] = UNITS_NS[unit]
        program.max_entries["histograms"] = args.entries

        program.load()
        program.attach()

        columns = columns_of(args.by, unit)
        session.attached("Measuring how long threads wait", demo(args.by), columns, report=True)
        interval = DEMO_INTERVAL if args.demo else args.interval
        before: dict[int, Found] = {}
        for reports, passed in enumerate(program.intervals(session, interval), 1):
            found = dict(program.map("histograms").items())
            session.report(rows_of(args.by, before, found, unit, passed))
            before = found
            if reports == args.count:
                break
        session.lost = program.lost()


def rows_of(
    by: str,
    before: dict[int, Found],
    found: dict[int, Found],
    unit: str,
    passed: float,
) -> list[Row]:
    """Return a row for each histogram that has changed, the one with most waits first."""
    now = time.strftime("%H:%M:%S")
    rows = []
    for key, histogram in found.items():
        old = before[key].slots if key in before else [0] * len(histogram.slots)
        slots = [count - had for count, had in zip(histogram.slots, old, strict=True)]
        own: Row = {"pid": histogram.pid, "tid": key, "comm": from_kernel(histogram.comm)}
        who = {key: own[key] for key in KEYS[by]}
        row: Row = {"time": now, **who, "waits": sum(slots), "unit": unit}
        rows.append({**row, "histogram": Histogram(slots), "interval_s": passed})
    changed = [row for row in rows if row["waits"]]
    return sorted(changed, key=lambda row: -int(str(row["waits"])))


def columns_of(by: str, unit: str) -> tuple[Column, ...]:
    """Return the columns of a report."""
    without = {"pid", "tid", "comm"}.difference(KEYS[by])
    return tuple(
        column._replace(header=f"{unit[0].upper()}SECS") if column.histogram else column
        for column in TOOL.columns
        if column.key not in without
    )


BY = ("nothing", "pid", "tid")  # enum by of runqlat.h
KEYS = {"nothing": (), "pid": ("pid", "comm"), "tid": ("pid", "tid", "comm")}
UNITS_NS = {"us": 1000, "ms": 1_000_000}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        *("interval",),
        nargs="?",
        type=cli.seconds,
        default=float("inf"),
        help="seconds between reports (default: one report, at the end)",
    )
    parser.add_argument("count", nargs="?", type=cli.positive_int, help="end after so many reports")
    cli.add_filters(parser, "p")
    each = parser.add_mutually_exclusive_group()
    for letter, name, what in (("P", "pid", "process"), ("L", "tid", "thread")):
        each.add_argument(
            *(f"-{letter}", f"--{name}s"),
            dest="by",
            action="store_const",
            const=name,
            default="nothing",
            help=f"as in bcc's runqlat: a histogram for each {what}",
        )
    cli.add_flag(
        *(parser, "-m", "--milliseconds"),
        help="as in bcc's runqlat: in milliseconds, not microseconds",
    )
    cli.add_flag(parser, "-T", "--time", help="add a column with the local time (HH:MM:SS)")
    parser.add_argument(
        "--entries",
        type=cli.entries,
        default=10240,
        metavar="N",
        help="how many histograms there can be (default: 10240)",
    )


def demo(by: str) -> Demo:
    comm = own_comm()
    waits = 0

    def caused(row: Row) -> bool:
        """Count the demo's waits, which may come in two reports."""
        nonlocal waits
        ours = by == "nothing" or row["comm"] == comm
        waits += int(str(row["waits"])) if ours else 0
        return ours and waits >= DEMO_SLEEPS

    return Demo(
        f"a child process sleeps {DEMO_SLEEPS} times, and then waits for a CPU.",
        workload=sleep_often,
        rows=1,
        caused=caused,
        counted=DEMO_SLEEPS,
    )


DEMO_INTERVAL = 1.0
DEMO_SLEEPS = 50


def sleep_often() -> None:
    for _ in range(DEMO_SLEEPS):
        time.sleep(0.002)


EVENTS = ("sched_wakeup", "sched_wakeup_new", "sched_switch")
WAKEUP, WAKEUP_NEW, SWITCH = map(TpBtf, EVENTS)

TOOL = Tool(
    name="runqlat",
    lesson=174,
    read_before=("execcount", "fentry"),
    summary="show how long threads wait for a CPU, as a histogram",
    description=(
        "Measure how long each thread waits for a CPU, from the moment when it could run until it "
        "runs, and show the waits as a histogram. It teaches raw tracepoints with types (tp_btf), "
        "and histograms that the kernel makes."
    ),
    via={
        "tp_btf": (WAKEUP, WAKEUP_NEW, SWITCH),
        "raw tracepoint": tuple(RawTracepoint(event, engines=("bcc",)) for event in EVENTS),
    },
    maps=(
        Map("waiting", "hash", "thread to the time since when it waits"),
        Map("histograms", "hash", "process, thread or all to a histogram", tool="reads"),
    ),
    picture=(
        Flow(
            "a thread could run from now on",
            {WAKEUP: "handle_wakeup", WAKEUP_NEW: "handle_wakeup_new"},
            writes=("waiting",),
        ),
        Flow(
            "a CPU goes to the next thread",
            {SWITCH: "handle_switch"},
            reads=("waiting",),
            writes=("waiting", "histograms"),
        ),
    ),
    columns=(
        Column("time", "TIME", "with -T: local time of the report", width=8, option="time"),
        Column("pid", "PID", "with -P or -L: the process, in the initial PID namespace", width=7),
        Column("tid", "TID", "with -L: the thread", width=7),
        Column(
            *("comm", "COMM", "with -P or -L: name of the thread that was first", 16),
            kernel_bytes=True,
        ),
        Column("waits", "WAITS", "how often a thread waited, since the previous report", width=8),
        Column("unit", "", "what from and to are in: us (microseconds) or ms"),
        Column(
            "histogram",
            "USECS",
            "how many waits took how long: a list of objects with from, to and count. CSV has a "
            "line for each of them",
            histogram=True,
        ),
        Column("interval_s", "", "seconds since the previous report, as measured"),
    ),
    examples=(
        Example("ebpf-runqlat", "the whole machine, with a report at Ctrl-C"),
        Example("ebpf-runqlat -T 1 10", "ten reports, one second apart, with the time"),
        Example("ebpf-runqlat -P --time-limit 5", "a histogram for each process"),
        Example("ebpf-runqlat -p 1", "only the threads of process 1"),
        Example("ebpf-runqlat --demo", "measure waits that the demo causes"),
    ),
    requirements=(
        "Linux 5.8 or newer with BTF, and root (or CAP_BPF and CAP_PERFMON). It needs no tracefs."
    ),
    see_also=("sched(7)", "perf-sched(1)"),
)

main = cli.command(TOOL, run, options)
