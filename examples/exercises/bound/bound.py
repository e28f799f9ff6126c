#!/usr/bin/env python3
import os
import sys
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

def run(session):
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Tracing pwrite64")
        for event in program.events("rb", session):
            session.row({"comm": from_kernel(event.comm), "bytes": event.bytes,
                         "text": from_kernel(event.text)})
        session.lost = program.lost()

TOOL = Tool(
    "bound", summary="show what pwrite64 writes", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_pwrite64"),)},
    columns=(
        Column("comm", "COMM", width=16, kernel_bytes=True),
        Column("bytes", "BYTES", width=7, right=True),
        Column("text", "TEXT", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run))
