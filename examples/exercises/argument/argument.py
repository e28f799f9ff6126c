#!/usr/bin/env python3
import os
import sys
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.loader.trace_instance import TraceInstance

def run(session):
    with session.open(TOOL) as program:
        program.load()
        with TraceInstance() as trace:
            # The lines of every program on the machine arrive at this tracepoint.
            trace.enable("bpf_trace", "bpf_trace_printk", 'bpf_string ~ "kill *"')
            program.attach()
            session.attached("Tracing kill")
            for line in program.read(trace, session):
                session.row({"message": line.message})
            session.lost = trace.lost + program.missed()

TOOL = Tool(
    "argument", summary="show calls of kill", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_kill"),)},
    columns=(Column("message", "MESSAGE", kernel_bytes=True),))

sys.exit(cli.main(TOOL, run))
