"""ebpf-syscount: a raw tracepoint and a hash with a value for each CPU.

A program that runs at each system call of the machine must be short. It only counts,
in a value that no other CPU uses; the tool does the rest when it makes a report.
Compare two other hooks at the same place: tp_btf, whose arguments have types, and
the ordinary tracepoint with its record.
"""

from __future__ import annotations

import argparse
import collections
import os
import time

from ebpf_tour.base.names import error_number, syscall_name, syscall_numbers
from ebpf_tour.base.text import from_kernel, printable
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, processes
from ebpf_tour.frame.counted import Key, Seen, by_process, read, since
from ebpf_tour.frame.demo import own_comm
from ebpf_tour.frame.histogram import Histogram
from ebpf_tour.frame.record import Counter
from ebpf_tour.frame.stacks import top_of
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.loader.hooks.tp_btf import TpBtf
from ebpf_tour.loader.hooks.tracepoint import Tracepoint


def run(session: Session) -> None:
    args = session.args
    failed = args.failed or args.errno is not None
    with session.open(TOOL, without=() if failed or args.latency else RETURNS) as program:
        if args.latency or args.by != "syscall":
            session.refuse_metrics("-L" if args.latency else f"--by {args.by}")
        # Configure: before the program is loaded.
        program.globals["count_by"] = BY.index(args.by) if args.name is None else BY_ALL
        program.globals["own_pid"] = features.pid_in_first_namespace()
        program.globals["only_tid"] = args.tid or 0
        program.globals["only_uid"] = -1 if args.user is None else args.user
        program.globals["only_number"] = args.syscall
        program.globals["returns"] = failed * ONLY_FAILED | args.latency * LATENCY
        program.globals["only_errno"] = args.errno or 0
        program.max_entries["counts"] = args.entries
        program.max_entries["process_names"] = args.entries if args.name else 1
        program.max_entries["calls"] = args.entries if failed or args.latency else 1
        program.max_entries["times"] = 4 * args.entries if args.latency else 1

        program.load()
        program.attach()

        session.count(lambda: [by_name(read(program, args.by, args.name))])
        doing = f"Counting {'failed ' * failed}system calls"
        session.attached(doing, demo(args.by), columns_of(args), report=True)
        interval = min(args.interval, DEMO_INTERVAL) if args.demo else args.interval
        if args.live and interval == float("inf"):
            interval = LIVE_INTERVAL
        before: dict[Key, Seen] = {}
        for passed in program.intervals(session, interval):
            seen = read(program, args.by, args.name)
            session.report(rows_of(args, since(before, seen), passed))
            before = seen

        session.warn(total_of(args, before, "failed calls" if failed else "calls"))
        session.lost = program.lost()
        if no_room := program.counter("lost"):
            session.warn(
                f"{no_room} calls were not {'timed' if args.latency else 'counted'}, since the map "
                "was full: raise --entries"
            )


ONLY_FAILED, LATENCY = 1, 2  # as in syscount.h


def columns_of(args: argparse.Namespace) -> tuple[Column, ...]:
    """Return the columns of a report."""
    own = {"syscall": {"syscall", "number", "bits"}, "pid": {"pid", "comm"}, "comm": {"comm"}}
    keys = {"time", *own[args.by], "count", "rate_per_s", "interval_s"}
    keys |= {"latency_ns", "histogram"} if args.latency else set()
    return tuple(column for column in TOOL.columns if column.key in keys)


def by_name(seen: dict[Key, Seen]) -> Counter:
    """Return what there is for --metrics: calls without a name are one series."""
    calls: collections.Counter[str] = collections.Counter()
    for key, sums in seen.items():
        name = syscall_name(key.number, 32 if key.is_32bit else 64)
        calls[name if name.isidentifier() else "other"] += sums["count"]
    return Counter("syscalls", "system calls that were counted", "syscall", calls)


def total_of(args: argparse.Namespace, seen: dict[Key, Seen], calls: str) -> str:
    """Return the last line: how many calls there were."""
    if args.by == "pid":
        seen = by_process(seen)
    # Of several reports, each has rows of its own.
    rest = "" if args.interval < float("inf") else top_of(args.top, len(seen))
    return f"{sum(sums['count'] for sums in seen.values())} {calls}{rest}"


def rows_of(args: argparse.Namespace, seen: dict[Key, Seen], passed: float) -> list[Row]:
    """Return the rows of a report on so many seconds, largest counts or times first."""
    now = time.strftime("%H:%M:%S")
    if args.by == "pid":
        seen = by_process(seen)
    largest = "ns" if args.latency else "count"
    rows = []
    for key, sums in sorted(seen.items(), key=lambda item: (-item[1][largest], item[0])):
        row: Row = {"time": now, **what(args.by, key), "count": sums["count"]}
        if args.latency:
            row["latency_ns"] = sums["ns"]
            row["histogram"] = Histogram([sums[slot] for slot in range(SLOTS)])
        rows.append({**row, "rate_per_s": sums["count"] / passed, "interval_s": passed})
    return rows


SLOTS = 64


def what(by: str, key: Key) -> Row:
    """Return the part of a row that says what was counted."""
    if by == "syscall":
        bits = 32 if key.is_32bit else 64
        name = syscall_name(key.number, bits)
        return {"syscall": name, "number": key.number, "bits": bits}
    comm: Row = {"comm": from_kernel(key.comm)}
    return {"pid": key.pid, **comm} if by == "pid" else comm


LIVE_INTERVAL = 1.0

# enum by of syscount.h
BY = ("syscall", "pid", "comm")
BY_ALL = 3


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--by", choices=BY, default="syscall", help="what to count by (default: syscall)"
    )
    parser.add_argument(
        "-P",
        dest="by",
        action="store_const",
        const="pid",
        help="as in bcc's syscount: same as --by pid",
    )
    parser.add_argument(
        "-i",
        "--interval",
        type=cli.seconds,
        default=float("inf"),
        metavar="SECONDS",
        help="as in bcc's syscount: report at this interval (default: once, at the end)",
    )
    parser.add_argument(
        "-d",
        "--duration",
        type=cli.seconds,
        metavar="SECONDS",
        dest="time_limit",
        help="as in bcc's syscount: same as --time-limit",
    )
    parser.add_argument(
        "--top",
        type=cli.top,
        default="10",
        metavar="N",
        help="show only the N largest counts, 0 for all of them (default: 10)",
    )
    parser.add_argument(
        "-s",
        "--syscall",
        type=syscall_number,
        default=-1,
        metavar="NAME",
        help="count only this system call (name, number)",
    )
    cli.add_filters(parser, "unx")
    parser.add_argument(
        "-e",
        "--errno",
        type=error,
        metavar="ERROR",
        help="as in bcc's syscount: only calls that fail with this error (EPERM, or a number)",
    )
    cli.add_flag(
        *(parser, "-L", "--latency"),
        help="as in bcc's syscount: also the time that calls took, with a histogram",
    )
    processes.add_options(parser)
    parser.add_argument(
        "--tid", type=cli.positive_int, metavar="TID", help="only calls by this thread"
    )
    parser.add_argument(
        "--entries",
        type=cli.entries,
        default=10240,
        metavar="N",
        help="how many different counts the map holds (default: 10240)",
    )
    cli.add_fields(parser, TOOL.columns, report=True)
    cli.add_live(parser)
    cli.add_metrics(parser)


def syscall_number(text: str) -> int:
    if text.isdecimal():
        return 0 if text == "0" else cli.positive_int(text)
    number = syscall_numbers().get(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"there is no system call {printable(text)!r}")
    return number


def error(text: str) -> int:
    is_number = text.isdecimal() and len(text) <= len("4095")  # the largest there can be
    number = int(text) if is_number else error_number(text)
    if not number or number > 4095:
        raise argparse.ArgumentTypeError(f"there is no error {printable(text)!r}")
    return number


def demo(by: str) -> Demo:
    calls = 0
    comm = own_comm()

    def caused(row: Row) -> bool:
        """Count the demo's calls, which may come in two reports."""
        nonlocal calls
        ours = row["syscall"] == "getppid" if by == "syscall" else row["comm"] == comm
        calls += int(str(row["count"])) if ours else 0
        return ours and calls >= DEMO_CALLS

    return Demo(
        f"a child process calls getppid {DEMO_CALLS} times.",
        workload=call_getppid,
        rows=1,
        caused=caused,
        counted=DEMO_CALLS,
    )


DEMO_INTERVAL = 1.0

DEMO_CALLS = 50_000


def call_getppid() -> None:
    for _ in range(DEMO_CALLS):
        os.getppid()


SYS_ENTER, SYS_EXIT = RawTracepoint("sys_enter"), RawTracepoint("sys_exit", within=True)
TYPED_EXIT = TpBtf("sys_exit")  # BCC cannot load such programs
EXIT_RECORD = Tracepoint("raw_syscalls", "sys_exit")
THREAD_ENDS = RawTracepoint("sched_process_exit", within=True)
RETURNS = (SYS_EXIT, TYPED_EXIT, EXIT_RECORD, THREAD_ENDS)

TOOL = Tool(
    name="syscount",
    lesson=190,
    for_work=True,
    read_before=("execcount",),
    summary="count system calls, by call, by process or by command",
    description=(
        "Count the system calls of the whole machine, or of some processes, and show who makes "
        "most of them, or which ones. Every call is counted, and the counts are exact; if the "
        "kernel prevents that, the tool says by how much they differ."
    ),
    via={
        "raw tracepoint": (SYS_ENTER, SYS_EXIT, THREAD_ENDS),
        "tp_btf": (TpBtf("sys_enter"), TYPED_EXIT, THREAD_ENDS),
        "tracepoint": (Tracepoint("raw_syscalls", "sys_enter"), EXIT_RECORD, THREAD_ENDS),
    },
    maps=(
        Map(
            "counts",
            "per-CPU hash",
            "system call, process or command to number of calls",
            tool="reads",
        ),
        Map("calls", "hash", "for -L, -x and -e: calls in progress, by thread"),
        Map("times", "per-CPU hash", "for -L: slots of the histograms", tool="reads"),
        Map("process_names", "hash", "for -n: the name of a counter's process", tool="reads"),
        *processes.MAPS,
    ),
    picture=(
        Flow(
            "a thread makes a system call",
            {SYS_ENTER: "handle_sys_enter"},
            writes=("counts", "calls", "process_names"),
        ),
        Flow(
            "the call returns (-L, -x, -e)",
            {SYS_EXIT: "handle_sys_exit"},
            reads=("calls",),
            writes=("calls", "counts", "times"),
        ),
        Flow("a thread ends", {THREAD_ENDS: "handle_thread_exit"}, writes=("calls",)),
    ),
    columns=(
        Column("time", "TIME", "local time of the report", width=8),
        Column("syscall", "SYSCALL", "the system call's name", width=13),
        Column("number", "", "its number"),
        Column("bits", "", "64, or 32 for a call by a 32-bit program"),
        Column(
            "pid",
            "PID",
            "with --by pid: the process ID, in the initial PID namespace",
            width=7,
            right=True,
        ),
        Column(
            "comm",
            "COMM",
            "with --by pid or comm: name of the thread that called",
            width=16,
            kernel_bytes=True,
        ),
        Column("count", "COUNT", "calls since the previous report", width=8, right=True),
        Column(
            "latency_ns",
            "TIME(us)",
            "with -L: nanoseconds in the calls that returned (in the table, microseconds)",
            text=lambda row: f"{int(str(row['latency_ns'])) / 1000:.3f}",
            width=8,
            right=True,
            option="latency",
        ),
        Column("rate_per_s", "RATE(/s)", "calls a second", width=8, form="%.1f", right=True),
        Column("interval_s", "", "seconds since the previous report, as measured"),
        Column(
            "histogram",
            "USECS",
            "with -L: how many calls took how many microseconds: a list of objects with from, to "
            "and count. CSV has a line for each of them, with from, to and bucket_count",
            histogram=True,
        ),
    ),
    examples=(
        Example("ebpf-syscount", "which system calls are made, with a report at Ctrl-C"),
        Example("ebpf-syscount --by comm --interval 1", "who makes them, every second"),
        Example("ebpf-syscount -p 1 -d 10", "what process 1 does in ten seconds"),
        Example("ebpf-syscount -c 'make -j2' --top 0", "all that a build does"),
        Example("ebpf-syscount --by pid --syscall futex --top 3", "who calls futex most"),
        Example("ebpf-syscount -x --by comm", "whose calls fail"),
        Example("ebpf-syscount -L -s fsync", "how long fsync takes"),
        Example("ebpf-syscount --demo", "count calls that the demo makes"),
        Example("ebpf-syscount --via tracepoint --demo", "the same by an ordinary tracepoint"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_HAVE_SYSCALL_TRACEPOINTS (x86-64 and arm64 have it), and "
        "root (or CAP_BPF and CAP_PERFMON). --via tp_btf needs the libbpf engine and kernel BTF; "
        "--via tracepoint tracefs, and on arm64 Linux 5.15. The raw tracepoint needs no tracefs."
    ),
    see_also=("syscalls(2)", "syscall(2)", "strace(1)"),
)

main = cli.command(TOOL, run, options)
