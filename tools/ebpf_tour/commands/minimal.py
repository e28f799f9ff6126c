"""ebpf-minimal: a tracepoint and global variables.

The hook is `syscalls:sys_enter_write`, so the program runs at every write(2)
of every process. Global variables tell it which write is ours.
"""

from __future__ import annotations

import os

from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.loader.trace_instance import Line, TraceInstance


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        write_fd = os.open("/dev/null", os.O_WRONLY)
        pidns_dev, pidns_ino = features.pid_namespace()

        # Configure: global variables are set before the program is loaded.
        program.globals["my_pid"] = os.getpid()
        program.globals["my_fd"] = write_fd
        program.globals["pidns_dev"] = pidns_dev
        program.globals["pidns_ino"] = pidns_ino

        program.load()
        with TraceInstance() as trace:
            # bpf_printk() lines of the whole machine arrive at this tracepoint.
            trace.enable_for_this_thread("bpf_trace", "bpf_trace_printk")
            program.attach()

            session.attached("Tracing our own write() once a second", demo())
            while session.running:
                os.write(write_fd, b".")  # here the program runs
                for line in trace.drain():
                    session.row(row_of(line))
                session.lost = trace.lost
                session.sleep(1)
        os.close(write_fd)


def row_of(line: Line) -> Row:
    return {
        "time_s": line.time_s,
        "cpu": line.cpu,
        "comm": line.comm,
        "pid": line.tid,  # we have one thread: its ID is the PID
        "message": line.message,
    }


def demo() -> Demo:
    message = f"BPF triggered from PID {os.getpid()}."
    return Demo(
        "a child process writes 1000 times, we write 3 times.",
        workload=write_much,
        rows=3,
        caused=lambda row: row["message"] == message,
        exclusive=True,
    )


def write_much() -> None:
    fd = os.open("/dev/null", os.O_WRONLY)
    for _ in range(1000):
        os.write(fd, b".")


WRITE = Tracepoint("syscalls", "sys_enter_write")

TOOL = Tool(
    name="minimal",
    lesson=20,
    read_before=("hello",),
    summary="print a line from the kernel for each of its own writes",
    description=(
        "Write to /dev/null once a second and show the line that a BPF program prints in the "
        "kernel each time. The smallest program that has a reason to exist: a hook, a filter, an "
        "output."
    ),
    via={"tracepoint": (WRITE,)},
    maps=(Map(".bss", "array (.bss)", "global variables: which write is ours", tool="sets"),),
    picture=(
        Flow(
            "a process calls write",
            {WRITE: "handle_write"},
            reads=(".bss",),
            writes=("the trace buffer",),
        ),
    ),
    columns=(
        Column("time_s", "TIME(s)", "seconds since boot", width=14, form="%.6f", right=True),
        Column("cpu", "CPU", "the processor that the program ran on", width=3, right=True),
        Column("comm", "COMM", "name of the thread that wrote", width=16, kernel_bytes=True),
        Column("pid", "PID", "its process ID, in the initial PID namespace", width=7, right=True),
        Column("message", "MESSAGE", "what bpf_printk() printed, with the PID as the tool sees it"),
    ),
    examples=(
        Example("ebpf-minimal", "a line a second until Ctrl-C"),
        Example("ebpf-minimal --demo", "see that other writers are filtered out"),
        Example("ebpf-minimal --json --limit 3", "three records for a script"),
        Example("ebpf-minimal --show source", "read the C program"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_FTRACE_SYSCALLS, tracefs, and root (or CAP_BPF and "
        "CAP_PERFMON, with write access to tracefs)."
    ),
    see_also=("write(2)", "bpf-helpers(7)"),
)

main = cli.command(TOOL, run)
