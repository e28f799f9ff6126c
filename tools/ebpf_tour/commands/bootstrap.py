"""ebpf-bootstrap: two tracepoints, a hash map and a ring buffer.

The hash joins an exec with the exit that follows; the ring buffer takes a record of
each to user space.
"""

from __future__ import annotations

import argparse
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import signal_name
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, processes
from ebpf_tour.loader.hooks.tracepoint import Tracepoint


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program:
        use_perf = (args.transport or best_transport()) == "perf"

        # Configure: before the program is loaded.
        program.globals["min_duration_ns"] = (args.duration or 0) * 1_000_000
        program.globals["use_perf"] = use_perf
        program.max_entries["rb"] = program.perf_bytes = args.buffer
        program.omit_map("rb" if use_perf else "pb")

        program.load()
        program.attach()

        session.attached("Tracing exec and exit", demo())
        for event in program.events("pb" if use_perf else "rb", session):
            session.row(row_of(event))

        session.lost = program.lost()
        untimed = program.counter("untimed")
        if untimed:
            session.warn(f"{untimed} programs have no since_exec_ns: the map start was full")


def best_transport() -> str:
    from ebpf_tour.loader.syscall import has_ring_buffer

    return "ringbuf" if has_ring_buffer() else "perf"


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of bootstrap.h."""
    is_exec = event.kind == EVENT_EXEC
    number = event.exit_code & 0x7F  # as in wait(2); 0x80 means that a core was dumped
    return {
        "time": local_time(event.time_ns),
        "event": "EXEC" if is_exec else "EXIT",
        "comm": from_kernel(event.comm),
        "pid": event.pid,
        "ppid": event.ppid,
        "filename": from_kernel(event.filename) if is_exec else None,
        "truncated": bool(event.truncated) if is_exec else None,
        "exit_code": None if is_exec else event.exit_code >> 8 & 0xFF,
        "signal": signal_name(number) if number else None,
        "duration_ns": None if is_exec else event.duration_ns,
        "since_exec_ns": event.since_exec_ns or None,
    }


EVENT_EXEC = 0  # enum event_kind of bootstrap.h


def filename_or_exit(row: Row) -> str:
    """Return the last cell of a row: what was executed, or how it ended."""
    if row["event"] == "EXEC":
        return f"{row['filename']}..." if row["truncated"] else str(row["filename"])
    text = f"[{row['exit_code']}]"
    if isinstance(row["duration_ns"], int):
        text += f" ({row['duration_ns'] // 1_000_000}ms)"
    return f"{text} {row['signal']}" if row["signal"] else text


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-d",
        "--duration",
        type=cli.positive_int,
        metavar="MS",
        help="as in libbpf-bootstrap: only exits of processes that lived at least MS milliseconds",
    )
    parser.add_argument(
        "--transport",
        choices=("ringbuf", "perf"),
        help="how records reach user space (default: ringbuf if the kernel supports it)",
    )
    processes.add_options(parser, events="events")
    cli.add_buffer_option(parser, " (perf: of each CPU's buffer)")
    cli.add_fields(parser, TOOL.columns)


def demo() -> Demo:
    return Demo(
        "a child process runs `sh -c 'exit 7'` three times.",
        workload=run_shell,
        rows=6,
        caused=lambda row: row["filename"] == "/bin/sh" or row["exit_code"] == DEMO_CODE,
    )


DEMO_CODE = 7


def run_shell() -> None:
    import subprocess

    for _ in range(3):
        subprocess.run(["/bin/sh", "-c", f"exit {DEMO_CODE}"], check=False)


EXEC = Tracepoint("sched", "sched_process_exec")
EXIT = Tracepoint("sched", "sched_process_exit")

TOOL = Tool(
    name="bootstrap",
    lesson=110,
    read_before=("uprobe", "execcount"),
    summary="show processes as they begin and end, with exit code and duration",
    description=(
        "Show a row for each program that is executed and for each process that ends: its name, "
        "its parent, how it ended and how long it lived. A good starting point for an eBPF tool "
        "of your own."
    ),
    via={"tracepoint": (EXEC, EXIT)},
    maps=(
        Map("start", "hash", "PID to the time of its last exec, in nanoseconds"),
        Map("leaderless", "hash", "processes whose leader ended before the other threads"),
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
        Map("pb", "perf event array", "the same with --transport perf", tool="reads"),
        *processes.MAPS,
    ),
    picture=(
        Flow("a program is executed", {EXEC: "handle_exec"}, writes=("start", "leaderless", "rb")),
        Flow(
            "a thread ends",
            {EXIT: "handle_exit"},
            reads=("start", "leaderless"),
            writes=("leaderless", "rb"),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time of the event", width=8),
        Column("event", "EVENT", "EXEC or EXIT", width=5),
        Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
        Column("pid", "PID", "its process ID", width=7, right=True),
        Column("ppid", "PPID", "its parent's process ID", width=7, right=True),
        Column(
            "filename",
            "FILENAME/EXIT CODE",
            "what was executed (EXEC); exit code, duration and signal (EXIT)",
            text=filename_or_exit,
            kernel_bytes=True,
        ),
        Column("truncated", "", "whether the file's name was cut off; null for EXIT"),
        Column("exit_code", "", "0 to 255; 0 if a signal ended the process; null for EXEC"),
        Column("signal", "", "name of the signal that ended it, or null"),
        Column("duration_ns", "", "nanoseconds from its fork to its exit; null for EXEC"),
        Column(
            "since_exec_ns",
            "",
            "nanoseconds from its last exec to its exit; null if the tool saw no exec",
        ),
    ),
    examples=(
        Example("ebpf-bootstrap", "every exec and every process that ends"),
        Example("ebpf-bootstrap -d 50", "exits of processes that lived 50 ms or longer"),
        Example("ebpf-bootstrap -c 'make -j2'", "each process of a build, and how it ended"),
        Example("ebpf-bootstrap --demo", "see processes that the demo starts"),
        Example("ebpf-bootstrap --transport perf", "use a perf buffer, as older kernels need"),
    ),
    requirements="Linux 5.8 or newer, tracefs, and root (or CAP_BPF and CAP_PERFMON).",
    see_also=("wait(2)", "signal(7)"),
)

main = cli.command(TOOL, run, options)
