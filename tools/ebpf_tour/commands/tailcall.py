"""ebpf-tailcall: one program jumps to others.

The program at the hook only chooses: the number of the system call is the index in an
array of programs, and it jumps to the program there. Most numbers have none.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import signal_name, syscall_name, syscall_numbers
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.loader.hooks.tail_call import TailCall


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        program.globals["only_pid"] = session.args.pid or 0
        program.max_entries["rb"] = session.args.buffer
        program.load()
        program.attach()

        if not session.attached("Tracing getpgid, kill and umask", demo()):
            return
        for event in program.events("rb", session):
            session.row(row_of(event))
        session.lost = program.lost()
        session.warn(f"system calls without a program: {program.counter('others')}")


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of tailcall.h."""
    name = syscall_name(event.number)
    return {
        "time": local_time(event.time_ns),
        "comm": from_kernel(event.comm),
        "pid": event.pid,
        "syscall": name,
        "process": None if name == "umask" else event.process,
        "signal": event.signal if name == "kill" else None,
        "mask": event.mask if name == "umask" else None,
    }


def arguments(row: Row) -> str:
    """Return the arguments of a call for the table: "0022", "1204", "1204 SIGTERM"."""
    if row["mask"] is not None:
        return f"{row['mask']:04o}"
    signal = int(str(row["signal"] or 0))
    name = signal_name(signal) if signal else "0"
    return f"{row['process']}" + (f" {name}" if row["signal"] is not None else "")


def options(parser: argparse.ArgumentParser) -> None:
    cli.add_filters(parser, "p")
    cli.add_buffer_option(parser)


def demo() -> Demo:
    calls = [("getpgid", 0, None, None), ("kill", os.getpid(), 0, None), ("umask", None, None, 18)]
    return Demo(
        "a child process calls getpgid 5 times, and kill and umask once.",
        workload=call,
        rows=7,
        caused=lambda row: tuple(map(row.get, ("syscall", "process", "signal", "mask"))) in calls,
    )


def call() -> None:
    for _ in range(5):
        os.getpgid(0)
    os.kill(os.getppid(), 0)
    os.umask(0o022)


NUMBERS = syscall_numbers()  # none on a machine that no engine supports
SYS_ENTER = RawTracepoint("sys_enter")
GETPGID = TailCall("on_getpgid", "jump", NUMBERS.get("getpgid", 0))
KILL = TailCall("on_kill", "jump", NUMBERS.get("kill", 0))
UMASK = TailCall("on_umask", "jump", NUMBERS.get("umask", 0))

TOOL = Tool(
    name="tailcall",
    lesson=173,
    read_before=("ksyscall",),
    summary="show three system calls, each by a program of its own",
    description=(
        "Show a row for each call of getpgid(2), kill(2) and umask(2). One program sees every "
        "system call of the machine, and jumps to the program for this call, if there is one. It "
        "teaches tail calls and arrays of programs."
    ),
    via={"raw tracepoint": (SYS_ENTER, GETPGID, KILL, UMASK)},
    maps=(
        Map("jump", "program array", "number of a system call to program"),
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
    ),
    picture=(
        Flow("a thread makes a system call", {SYS_ENTER: "handle_sys_enter"}, reads=("jump",)),
        Flow(
            "a program is at its number in jump",
            {GETPGID: "on_getpgid", KILL: "on_kill", UMASK: "on_umask"},
            writes=("rb",),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time of the call", width=8),
        Column("comm", "COMM", "name of the calling thread", width=16, kernel_bytes=True),
        Column("pid", "PID", "its process, in the initial PID namespace", width=7, right=True),
        Column("syscall", "SYSCALL", "the system call", width=8),
        Column(
            "process",
            "ARGUMENTS",
            "getpgid and kill: the process, as the caller says; 0 is the caller, or its group",
            text=arguments,
        ),
        Column("signal", "", "kill: the signal; 0 only tests whether one could be sent"),
        Column("mask", "", "umask: the bits that new files are not to have"),
    ),
    examples=(
        Example("ebpf-tailcall", "every such call"),
        Example("ebpf-tailcall -p 1", "those of process 1, and how many others it makes"),
        Example("ebpf-tailcall --demo", "see calls that the demo makes"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_HAVE_SYSCALL_TRACEPOINTS (x86-64 and arm64 have it), and "
        "root (or CAP_BPF and CAP_PERFMON). It needs no tracefs."
    ),
    see_also=("getpgid(2)", "kill(2)", "umask(2)", "syscalls(2)"),
)

main = cli.command(TOOL, run, options)
