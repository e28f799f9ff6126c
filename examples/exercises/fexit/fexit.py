#!/usr/bin/env python3
import os
import sys
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.fentry import Fentry

def run(session):
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Tracing do_unlinkat")
        for event in program.events("rb", session):
            session.row(event._asdict() | {"comm": from_kernel(event.comm)})
        session.lost = program.lost()

RETURN = Fentry("do_unlinkat", returns=True, renamed={"filename_unlinkat": "7.0"})

TOOL = Tool(
    "fexit", summary="show what came of each unlink", directory=os.path.dirname(__file__),
    via={"fentry": (RETURN,)},
    columns=(
        Column("comm", "COMM", width=16, kernel_bytes=True),
        Column("dfd", "DFD", width=8),
        Column("result", "RESULT")))

sys.exit(cli.main(TOOL, run))
