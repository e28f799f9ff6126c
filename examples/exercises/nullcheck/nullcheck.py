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
        session.attached("Tracing sched_get_priority_max")
        for event in program.events("rb", session):
            session.row(event._asdict() | {"comm": from_kernel(event.comm)})
        session.lost = program.lost()

TOOL = Tool(
    "nullcheck", summary="show calls of sched_get_priority_max",
    directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_sched_get_priority_max"),
                        Tracepoint("syscalls", "sys_exit_sched_get_priority_max"))},
    columns=(
        Column("policy", "POLICY", width=6, right=True),
        Column("highest", "HIGHEST", width=7, right=True),
        Column("comm", "COMM", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run))
