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
        session.attached("Gathering getsid, until getpgid")
        for event in program.events("rb", session):
            session.row({"uid": event.uid, "comm": from_kernel(event.comm)})
        session.lost = program.lost()

TOOL = Tool(
    "loop", summary="show calls of getsid, many at once", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_getsid"),
                        Tracepoint("syscalls", "sys_enter_getpgid"))},
    columns=(
        Column("uid", "UID", width=7, right=True),
        Column("comm", "COMM", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run))
