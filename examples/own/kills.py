#!/usr/bin/env python3
import os
import sys
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Tool, cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

def run(session):
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Tracing kill", demo)
        for event in program.events("rb", session):
            session.row(event._asdict() | {"comm": from_kernel(event.comm)})
        session.lost = program.lost()

demo = Demo("a child process sends us signal 0.", lambda: os.kill(os.getppid(), 0),
            rows=1, caused=lambda row: row["target"] == os.getpid())

TOOL = Tool(
    "kills", summary="show who sends a signal to whom", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_kill"),)},
    columns=(
        Column("comm", "COMM", width=16, kernel_bytes=True),
        Column("pid", "PID", width=7, right=True),
        Column("signal", "SIGNAL", width=6, right=True), Column("target", "TARGET")))

sys.exit(cli.main(TOOL, run))
