"""ebpf-execcount: a hash map with a string key, shared by all CPUs.

The kernel counts, and the tool reads the counters at an interval. No event wakes
the tool, so this works at any rate of events.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable

from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, processes
from ebpf_tour.frame.demo import own_comm
from ebpf_tour.frame.record import Counter
from ebpf_tour.loader import Program
from ebpf_tour.loader.hooks.tracepoint import Tracepoint


def run(session: Session) -> None:
    args = session.args
    interval = args.interval = one_of("interval", args.interval, args.interval_option) or 5.0
    count = one_of("count", args.count, args.count_option)
    with session.open(TOOL) as program:
        program.globals["by_comm"] = args.by_comm

        program.load()
        if not args.by_comm:
            program.map("counts").set((ALL.ljust(16, b"\0"),), 0)
        program.attach()

        session.count(lambda: counters(read(program), by_comm=args.by_comm))
        columns = tuple(c for c in TOOL.columns if args.by_comm or c.key != "comm")
        session.attached("Counting execve and execveat", demo(), columns, report=args.by_comm)
        if args.demo:
            interval, count = 1.0, None
        report_often(program, session, interval, count)
        session.lost = program.lost()


def one_of(name: str, positional: float | None, option: float | None) -> float | None:
    if positional is not None and option is not None:
        raise UsageError(
            f"{name} is given twice", f"give it as --{name} or as an argument, not both"
        )
    return option if positional is None else positional


def report_often(program: Program, session: Session, interval: float, count: float | None) -> None:
    """Make a report at each interval, and a last one when the session ends."""
    before: dict[str, int] = {}
    for reports, passed in enumerate(program.intervals(session, interval), 1):
        counts = read(program)
        report(session, counts, before, passed)
        before = counts
        if reports == count:
            return


def read(program: Program) -> dict[str, int]:
    return {from_kernel(name.text): calls for name, calls in program.map("counts").items()}


def report(session: Session, counts: dict[str, int], before: dict[str, int], passed: float) -> None:
    rows: list[Row] = [
        {
            "time": time.strftime("%H:%M:%S"),
            "comm": name,
            "count": calls,
            "rate_per_s": (calls - before.get(name, 0)) / passed,
            "interval_s": passed,
        }
        for name, calls in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    if session.args.by_comm:
        session.report(rows)
        return
    for row in rows:
        del row["comm"]
        session.row(row)


def counters(counts: dict[str, int], *, by_comm: bool) -> Iterable[Counter]:
    """Yield what there is for --metrics."""
    yield Counter("execs", "calls of execve and execveat", "", {"": sum(counts.values())})
    if by_comm:
        doc = "the same by the caller's name before the exec, for the largest"
        yield Counter("execs_by_comm", doc, "comm", counts, most=SERIES)


# How many names there are in --metrics: a database keeps each of them.
SERIES = 100

ALL = b"execve_counter"


def options(parser: argparse.ArgumentParser) -> None:
    seconds, number = cli.seconds, cli.positive_int
    parser.add_argument("interval", nargs="?", type=seconds, help="same as --interval")
    parser.add_argument("count", nargs="?", type=number, help="same as --count")
    parser.add_argument(
        "--interval",
        type=seconds,
        metavar="SECONDS",
        dest="interval_option",
        help="time between reports (default: 5)",
    )
    parser.add_argument(
        "--count", type=number, metavar="N", dest="count_option", help="end after N reports"
    )
    processes.add_options(parser, several_words=False)
    cli.add_flag(parser, "--by-comm", help="a counter for each command, as a sorted table")
    cli.add_fields(parser, TOOL.columns, report=True)
    cli.add_live(parser)
    cli.add_metrics(parser)


def demo() -> Demo:
    comm = own_comm()
    return Demo(
        f"a child process executes /bin/true {DEMO_EXECS} times.",
        workload=execute_true,
        rows=1,
        caused=lambda row: int(str(row["count"])) >= DEMO_EXECS and row.get("comm", comm) == comm,
        counted=DEMO_EXECS,
    )


DEMO_EXECS = 50


def execute_true() -> None:
    import subprocess

    for _ in range(DEMO_EXECS):
        subprocess.run(["/bin/true"], check=True)


EXECVE = Tracepoint("syscalls", "sys_enter_execve")
EXECVEAT = Tracepoint("syscalls", "sys_enter_execveat")

TOOL = Tool(
    name="execcount",
    lesson=90,
    read_before=("minimal",),
    summary="count how often programs are executed, in total or by command",
    description=(
        "Count the calls of execve(2) and execveat(2), on the whole machine or by some processes, "
        "and report the count and the rate every few seconds."
    ),
    via={"tracepoint": (EXECVE, EXECVEAT)},
    maps=(
        Map("counts", "hash", "name to number of calls", tool="sets and reads"),
        *processes.MAPS,
    ),
    picture=(
        Flow(
            "a process calls execve or execveat",
            {EXECVE: "handle_execve", EXECVEAT: "handle_execveat"},
            writes=("counts",),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time of the report", width=8),
        Column(
            "comm",
            "COMM",
            "with --by-comm: the caller's name before the exec",
            width=16,
            kernel_bytes=True,
        ),
        Column("count", "COUNT", "calls since the tool was attached", width=10, right=True),
        Column(
            "rate_per_s",
            "RATE(/s)",
            "calls a second since the previous report",
            width=10,
            form="%.1f",
            right=True,
        ),
        Column("interval_s", "", "seconds since the previous report, as measured"),
    ),
    examples=(
        Example("ebpf-execcount --interval 5", "a report every five seconds"),
        Example("ebpf-execcount 1 3", "three reports, one second apart"),
        Example("ebpf-execcount --by-comm", "who executes programs"),
        Example("ebpf-execcount -c 'make -j2'", "how many programs a build executes"),
        Example("ebpf-execcount --demo", "count programs that the demo executes"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_FTRACE_SYSCALLS, tracefs, and root (or CAP_BPF and "
        "CAP_PERFMON)."
    ),
    see_also=("execve(2)", "execveat(2)"),
)

main = cli.command(TOOL, run, options)
