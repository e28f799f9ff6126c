#!/usr/bin/env python3
import os
import sys
from ebpf_tour.base.names import error_name
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

def run(session):
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Tracing openat")
        for event in program.events("rb", session):
            session.row({"error": event.error, "comm": from_kernel(event.comm)})
        session.lost = program.lost()

TOOL = Tool(
    "failed", summary="show calls of openat that failed", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_exit_openat"),)},
    columns=(
        Column("error", "ERROR", width=8, text=lambda row: error_name(row["error"])),
        Column("comm", "COMM", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run))
