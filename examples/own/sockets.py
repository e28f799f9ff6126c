#!/usr/bin/env python3
import os
import socket
import sys
import time
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Tool, cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

def run(session):
    args = session.args
    with session.open(TOOL) as program:
        program.globals["only_uid"] = -1 if args.user is None else args.user
        program.load()
        program.attach()
        session.attached("Counting sockets", demo, report=True)
        for _ in program.intervals(session, args.interval):
            now = time.strftime("%H:%M:%S")
            rows = [{"time": now, "pid": caller.pid, "comm": from_kernel(caller.comm),
                     "count": count}
                    for caller, count in program.map("counts").items()]
            session.report(sorted(rows, key=lambda row: -row["count"])[:args.top])
        session.lost = program.lost()

def options(parser):
    cli.add_filters(parser, "u")
    cli.add_interval(parser, 5, "time between reports (default: 5)")
    parser.add_argument("--top", type=cli.top, default="10", metavar="N",
                        help="only the N processes with the most, 0 for all (default: 10)")

def make_sockets():
    for _ in range(7):
        socket.socket().close()

demo = Demo("a child process makes 7 sockets.", make_sockets,
            rows=1, counted=7, caused=lambda row: row["count"] == 7)

TOOL = Tool(
    "sockets", summary="count who makes sockets", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_socket"),)},
    columns=(
        Column("time", "TIME", "local time of the report", width=8),
        Column("pid", "PID", "the process", width=7, right=True),
        Column("comm", "COMM", "its thread's name", width=16, kernel_bytes=True),
        Column("count", "COUNT", "its calls of socket(2) so far", width=8, right=True)))

sys.exit(cli.main(TOOL, run, options))
