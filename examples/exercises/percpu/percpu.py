#!/usr/bin/env python3
import os
import sys
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

def run(session):
    with session.open(TOOL) as program:
        program.globals["only_which"] = session.args.which
        program.load()
        program.attach()
        session.attached("Counting getpriority", report=True)
        for _ in program.intervals(session, float("inf")):  # one report, at the end
            value = program.map("counts").get(0)
            session.report([{"count": value}])
        session.lost = program.missed()

def options(parser):
    parser.add_argument("--which", type=int, default=0, metavar="N",
                        help="only calls with this first argument (default: 0)")

TOOL = Tool(
    "percpu", summary="count calls of getpriority", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_getpriority"),)},
    columns=(Column("count", "COUNT", width=8, right=True),))

sys.exit(cli.main(TOOL, run, options))
