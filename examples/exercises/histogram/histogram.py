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
        session.attached("Counting pwrite64", report=True)
        for _ in program.intervals(session, float("inf")):  # one report, at the end
            rows = [{"comm": from_kernel(key.comm), "bytes": 1 << key.slot, "count": count}
                    for key, count in program.map("counts").items()]
            session.report(sorted(rows, key=lambda row: (row["comm"], row["bytes"])))
        session.lost = program.lost()

TOOL = Tool(
    "histogram", summary="count writes by size", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_pwrite64"),)},
    columns=(
        Column("comm", "COMM", width=16, kernel_bytes=True),
        Column("bytes", "BYTES FROM", width=10, right=True),
        Column("count", "COUNT", width=8, right=True)))

sys.exit(cli.main(TOOL, run))
