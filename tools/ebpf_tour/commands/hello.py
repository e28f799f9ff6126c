"""ebpf-hello: a tracepoint, and nothing else.

The smallest tool there is. The others have its shape.
"""

from __future__ import annotations

import mmap
import os

from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Session, Tool, cli
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.loader.trace_instance import TraceInstance


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        program.load()
        with TraceInstance() as trace:
            # The lines of every program on the machine arrive at this tracepoint.
            trace.enable("bpf_trace", "bpf_trace_printk", 'bpf_string == "Hello, World!"')
            program.attach()

            session.attached("Greeting every exec", demo())
            for line in program.read(trace, session):
                session.row(line._asdict())
            session.lost = trace.lost + program.missed()


def demo() -> Demo:
    tids = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("i")  # the child shares it
    # Rows have the IDs of the first PID namespace. In a container ours are others, so
    # there any row may be the child's.
    known = features.pid_in_first_namespace() > 0
    return Demo(
        "a child process executes /bin/true 3 times.",
        workload=lambda: execute_true(tids),
        rows=3,
        caused=lambda row: row["tid"] in tids.tolist() if known else True,
    )


def execute_true(tids: memoryview) -> None:
    for number in range(3):
        child = os.fork()
        if child == 0:
            tids[number] = os.getpid()
            os.execv("/bin/true", ["true"])
        os.waitpid(child, 0)


EXECVE = Tracepoint("syscalls", "sys_enter_execve")
EXECVEAT = Tracepoint("syscalls", "sys_enter_execveat")

TOOL = Tool(
    name="hello",
    lesson=10,
    summary='print "Hello, World!" whenever a program is executed',
    description=(
        'Show the line "Hello, World!" that a BPF program prints in the kernel at every execve(2) '
        "and execveat(2) of every process. The smallest tool of the suite: begin here."
    ),
    via={"tracepoint": (EXECVE, EXECVEAT)},
    maps=(Map(".rodata", "array (.rodata)", "the text; in the BCC dialect it is in the code"),),
    picture=(
        Flow(
            "a process calls execve or execveat",
            {EXECVE: "handle_execve", EXECVEAT: "handle_execveat"},
            reads=(".rodata",),
            writes=("the trace buffer",),
        ),
    ),
    columns=(
        Column("time_s", "TIME(s)", "seconds since boot", width=14, form="%.6f", right=True),
        Column("cpu", "CPU", "the processor that the program ran on", width=3, right=True),
        Column(
            "comm", "COMM", "name of the thread that called, if known", width=16, kernel_bytes=True
        ),
        Column(
            "tid",
            "TID",
            "its thread ID; if the process has one thread, the PID",
            width=7,
            right=True,
        ),
        Column("message", "MESSAGE", "what bpf_printk() printed"),
    ),
    examples=(
        Example("ebpf-hello", "a line for each program that is executed"),
        Example("ebpf-hello --demo", "see programs that the demo executes"),
        Example("ebpf-hello --show source", "read the C program"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_FTRACE_SYSCALLS, tracefs, and root (or CAP_BPF and "
        "CAP_PERFMON, with write access to tracefs)."
    ),
    see_also=("execve(2)", "bpf-helpers(7)"),
)

main = cli.command(TOOL, run)
