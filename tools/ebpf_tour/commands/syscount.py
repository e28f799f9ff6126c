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
from typing import TYPE_CHECKING, Any

from ebpf_tour.base.names import syscall_name, syscall_numbers
from ebpf_tour.base.text import from_kernel, printable
from ebpf_tour.frame import (
    Column,
    Demo,
    Example,
    Flow,
    Map,
    Row,
    Session,
    Tool,
    cli,
    processes,
    stacks,
)
from ebpf_tour.frame.demo import own_comm
from ebpf_tour.frame.pattern import is_named
from ebpf_tour.loader import Program, features
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.loader.hooks.tp_btf import TpBtf
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

if TYPE_CHECKING:
    import re

Key = Any  # struct key of syscount.h


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program:
        # Configure: before the program is loaded.
        program.globals["count_by"] = BY.index(args.by) if args.name is None else BY_ALL
        program.globals["own_pid"] = features.pid_in_first_namespace()
        program.globals["only_tid"] = args.tid or 0
        program.globals["only_uid"] = -1 if args.user is None else args.user
        program.globals["only_number"] = args.syscall
        program.max_entries["counts"] = args.entries
        program.max_entries["process_names"] = args.entries if args.name else 1

        program.load()
        program.attach()

        columns = tuple(column for column in TOOL.columns if column.key in keys(args.by))
        session.attached("Counting system calls", demo(args.by), columns, report=True)
        interval = min(args.interval, DEMO_INTERVAL) if args.demo else args.interval
        if args.live and interval == float("inf"):
            interval = LIVE_INTERVAL
        before: dict[Key, int] = {}
        for passed in program.intervals(session, interval):
            counts = read(program, args.by, args.name)
            rows = rows_of(args.by, since(before, counts), passed)
            session.report(rows)
            before = counts

        session.warn(total_of(args, before))
        session.lost = program.lost()
        if no_room := program.counter("lost"):
            session.warn(
                f"{no_room} calls were not counted, since the map was full: raise --entries"
            )


def keys(by: str) -> set[str]:
    """Return the keys of the columns that a report has."""
    own = {"syscall": {"syscall", "number", "bits"}, "pid": {"pid", "comm"}, "comm": {"comm"}}
    return {"time", *own[by], "count", "rate_per_s", "interval_s"}


def read(program: Program, by: str, wanted: re.Pattern[bytes] | None) -> dict[Key, int]:
    """Return the counts since the program was attached, those of all CPUs together.

    With -n, the keys say all of a call, and only here we count by one thing.
    """
    counts = {key: sum(per_cpu) for key, per_cpu in program.map("counts").items()}
    if not wanted:
        return counts
    names = dict(program.map("process_names").items())
    found = collections.Counter[Key]()
    for key, calls in counts.items():
        process = names[key].comm if key in names else b""
        if is_named(wanted, key.comm, process):
            found[key._replace(**NOT_COUNTED_BY[by])] += calls
    return found


NOT_COUNTED_BY: dict[str, dict[str, Any]] = {
    "syscall": {"pid": 0, "comm": b""},
    "pid": {"number": 0, "is_32bit": 0},
    "comm": {"number": 0, "is_32bit": 0, "pid": 0},
}


def total_of(args: argparse.Namespace, counts: dict[Key, int]) -> str:
    """Return the last line: how many calls there were."""
    if args.by == "pid":
        counts = by_process(counts)
    # Of several reports, each has rows of its own.
    rest = "" if args.interval < float("inf") else stacks.top_of(args.top, len(counts))
    return f"{sum(counts.values())} calls{rest}"


def since(before: dict[Key, int], counts: dict[Key, int]) -> dict[Key, int]:
    """Return what was counted after `before`."""
    return {key: n - before.get(key, 0) for key, n in counts.items() if n > before.get(key, 0)}


def rows_of(by: str, counts: dict[Key, int], passed: float) -> list[Row]:
    """Return the rows of a report on so many seconds, largest counts first."""
    now = time.strftime("%H:%M:%S")
    if by == "pid":
        counts = by_process(counts)
    return [
        {
            "time": now,
            **what(by, key),
            "count": calls,
            "rate_per_s": calls / passed,
            "interval_s": passed,
        }
        for key, calls in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def by_process(counts: dict[Key, int]) -> dict[Key, int]:
    """Return one count for each process, under the name that it used most."""
    totals: dict[int, int] = {}
    names: dict[int, Key] = {}
    for key, calls in sorted(counts.items(), key=lambda item: item[1]):
        totals[key.pid] = totals.get(key.pid, 0) + calls
        names[key.pid] = key  # the last one is the largest
    return {names[pid]: calls for pid, calls in totals.items()}


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
    cli.add_filters(parser, "un")
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


def syscall_number(text: str) -> int:
    if text.isdecimal():
        return 0 if text == "0" else cli.positive_int(text)
    number = syscall_numbers().get(text)
    if number is None:
        raise argparse.ArgumentTypeError(f"there is no system call {printable(text)!r}")
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


SYS_ENTER = RawTracepoint("sys_enter")

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
        "raw tracepoint": (SYS_ENTER,),
        "tp_btf": (TpBtf("sys_enter"),),  # BCC cannot load such programs
        "tracepoint": (Tracepoint("raw_syscalls", "sys_enter"),),
    },
    maps=(
        Map(
            "counts",
            "per-CPU hash",
            "system call, process or command to number of calls",
            tool="reads",
        ),
        Map("process_names", "hash", "for -n: the name of a counter's process", tool="reads"),
        *processes.MAPS,
    ),
    picture=(
        Flow("a thread makes a system call", {SYS_ENTER: "handle_sys_enter"}, writes=("counts",)),
    ),
    columns=(
        Column("time", "TIME", "local time of the report", width=8),
        Column("syscall", "SYSCALL", "the system call's name", width=20),
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
        Column("count", "COUNT", "calls since the previous report", width=10, right=True),
        Column("rate_per_s", "RATE(/s)", "calls a second", width=10, form="%.1f", right=True),
        Column("interval_s", "", "seconds since the previous report, as measured"),
    ),
    examples=(
        Example("ebpf-syscount", "which system calls are made, with a report at Ctrl-C"),
        Example("ebpf-syscount --by comm --interval 1", "who makes them, every second"),
        Example("ebpf-syscount -p 1 -d 10", "what process 1 does in ten seconds"),
        Example("ebpf-syscount -c 'make -j2' --top 0", "all that a build does"),
        Example("ebpf-syscount --by pid --syscall futex --top 3", "who calls futex most"),
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
