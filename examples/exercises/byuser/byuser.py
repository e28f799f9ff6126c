#!/usr/bin/env python3
import os
import sys
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

def run(session):
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Counting getpriority", report=True)
        for _ in program.intervals(session, float("inf")):  # one report, at the end
            counts = program.map("counts").items()
            session.report({"uid": key, "count": count} for key, count in sorted(counts))
        session.lost = program.lost()

TOOL = Tool(
    "byuser", summary="count calls of getpriority by user", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_getpriority"),)},
    columns=(
        Column("uid", "UID", width=7, right=True),
        Column("count", "COUNT", width=8, right=True)))

sys.exit(cli.main(TOOL, run))
