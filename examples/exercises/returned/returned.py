#!/usr/bin/env python3
import os
import sys
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.uprobe import Instruction, Uprobe, in_own_libc

def run(session):
    with session.open(TOOL) as program:
        program.load()
        path, offset = in_own_libc("labs")  # in all processes that use this file
        program.attach_to(RETURN, Instruction(path, offset))  # no call without its return
        program.attach_to(ENTRY, Instruction(path, offset))
        session.attached("Tracing labs")
        for event in program.events("rb", session):
            session.row({"comm": from_kernel(event.comm),
                         "event": "RETURN" if event.returned else "ENTRY",
                         "value": event.value})
        session.lost = program.lost()

ENTRY, RETURN = Uprobe("handle_entry"), Uprobe("handle_return", returns=True)

TOOL = Tool(
    "returned", summary="show calls of labs and what it returns",
    directory=os.path.dirname(__file__), via={"uprobe": (ENTRY, RETURN)},
    columns=(
        Column("comm", "COMM", width=16, kernel_bytes=True),
        Column("event", "EVENT", width=6),
        Column("value", "VALUE")))

sys.exit(cli.main(TOOL, run))
