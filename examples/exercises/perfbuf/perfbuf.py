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
        session.attached("Tracing getpgid")
        for event in program.events("records", session):
            session.row({"uid": event.uid, "comm": from_kernel(event.comm)})
        session.lost = program.lost()

TOOL = Tool(
    "perfbuf", summary="show calls of getpgid", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_getpgid"),)},
    columns=(
        Column("uid", "UID", width=7, right=True),
        Column("comm", "COMM", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run))
