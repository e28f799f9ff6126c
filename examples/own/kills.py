#!/usr/bin/env python3
import os
import sys
from ebpf_tour.frame import cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.frame.record import Column, Tool
from ebpf_tour.frame.session import Demo
from ebpf_tour.base.text import from_kernel

TOOL = Tool(
    "kills", summary="show who sends a signal to whom", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_kill"),)},
    columns=(Column("comm", "COMM", "", 16, kernel_bytes=True),
             Column("pid", "PID", "", 7, right=True), Column("signal", "SIGNAL", "", 6, right=True),
             Column("target", "TARGET", "")))

def run(session):
    demo = Demo("a child process sends us signal 0.", lambda: os.kill(os.getppid(), 0),
                rows=1, caused=lambda row: row["target"] == os.getpid())
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Tracing kill", demo)
        for event in program.events("rb", session):
            session.row(event._asdict() | {"comm": from_kernel(event.comm)})
        session.lost = program.lost()

sys.exit(cli.main(TOOL, run))
