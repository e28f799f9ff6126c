"""ebpf-ksyscall: a kprobe on a system call.

A system call is a function of the kernel, whose name depends on the architecture.
Two of them send a signal: kill(2) to a process, tgkill(2) to one of its threads.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import signal_name
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.loader.hooks.ksyscall import Ksyscall
from ebpf_tour.loader.hooks.tracepoint import Tracepoint


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        program.globals["only_pid"] = session.args.pid or 0
        program.max_entries["rb"] = session.args.buffer
        program.load()
        program.attach()

        session.attached(f"Tracing kill and tgkill via {program.via}", demo())
        for event in program.events("rb", session):
            session.row(row_of(event))
        session.lost = program.lost()


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of ksyscall.h."""
    row = event._asdict() | {"time": local_time(event.time_ns), "comm": from_kernel(event.comm)}
    return {column.key: row[column.key] for column in TOOL.columns}


def options(parser: argparse.ArgumentParser) -> None:
    cli.add_filters(parser, "p")
    cli.add_buffer_option(parser)


def demo() -> Demo:
    tool = os.getpid()  # the child's first thread has the number of its process
    return Demo(
        "a child process sends signal 0 to us 3 times, and to its own thread once.",
        workload=send_signals,
        rows=4,
        caused=lambda row: not row["signal"] and row["target"] in (tool, row["tid"]),
    )


def send_signals() -> None:
    for _ in range(3):
        os.kill(os.getppid(), 0)
    signal.pthread_kill(threading.get_ident(), 0)


KILL, TGKILL = Ksyscall("kill"), Ksyscall("tgkill")
ENTER_KILL = Tracepoint("syscalls", "sys_enter_kill")
ENTER_TGKILL = Tracepoint("syscalls", "sys_enter_tgkill")

TOOL = Tool(
    name="ksyscall",
    lesson=70,
    read_before=("kprobe",),
    summary="show who sends a signal to whom",
    description=(
        "Show a row for each call of kill(2) and tgkill(2), by any process, whether it succeeds or "
        "not. It teaches kprobes on system calls."
    ),
    via={"ksyscall": (KILL, TGKILL), "tracepoint": (ENTER_KILL, ENTER_TGKILL)},
    maps=(Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),),
    picture=(
        Flow(
            "a process calls kill or tgkill",
            {KILL: "ksyscall_kill", TGKILL: "ksyscall_tgkill"},
            writes=("rb",),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time of the call", width=8),
        Column("comm", "COMM", "name of the calling thread", width=16, kernel_bytes=True),
        Column("pid", "PID", "its process, in the initial PID namespace", width=7, right=True),
        Column(
            "signal",
            "SIGNAL",
            "the signal; 0 only tests whether one could be sent",
            width=9,
            text=lambda row: signal_name(int(str(row["signal"]))) if row["signal"] else "0",
        ),
        Column(
            "target",
            "TARGET",
            "the target's ID in the caller's PID namespace; below 1, a group: see kill(2)",
            text=lambda row: f"{row['target']}" + (f" thread {row['tid']}" if row["tid"] else ""),
        ),
        Column("tid", "", "the target's thread; 0: any of its threads"),
    ),
    examples=(
        Example("ebpf-ksyscall", "every signal that a process sends"),
        Example("ebpf-ksyscall -p 1", "signals that process 1 sends"),
        Example("ebpf-ksyscall --demo", "see signals that the demo sends"),
        Example("ebpf-ksyscall --via tracepoint", "the same without kprobes"),
    ),
    requirements=(
        "Linux 5.8 or newer, and root (or CAP_BPF and CAP_PERFMON). --via ksyscall needs "
        "CONFIG_KPROBE_EVENTS; --via tracepoint CONFIG_FTRACE_SYSCALLS and tracefs."
    ),
    see_also=("kill(2)", "tgkill(2)", "signal(7)"),
)

main = cli.command(TOOL, run, options)
