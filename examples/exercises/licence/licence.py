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
        session.attached("Tracing chroot")
        for event in program.events("rb", session):
            session.row({"comm": from_kernel(event.comm), "path": from_kernel(event.path)})
        session.lost = program.lost()

TOOL = Tool(
    "licence", summary="show calls of chroot", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_chroot"),)},
    columns=(
        Column("comm", "COMM", width=16, kernel_bytes=True),
        Column("path", "PATH", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run))
