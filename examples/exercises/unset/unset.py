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
        session.attached("Tracing memfd_create")
        for event in program.events("rb", session):
            session.row({"comm": from_kernel(event.comm), "name": from_kernel(event.name)})
        session.lost = program.lost()

TOOL = Tool(
    "unset", summary="show files that are made in memory", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_memfd_create"),)},
    columns=(
        Column("comm", "COMM", width=16, kernel_bytes=True),
        Column("name", "NAME", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run))
