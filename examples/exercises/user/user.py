#!/usr/bin/env python3
import os
import sys
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

def run(session):
    with session.open(TOOL) as program:
        program.globals["only_uid"] = session.args.user
        program.load()
        program.attach()
        session.attached("Tracing getpriority")
        for event in program.events("rb", session):
            session.row({"uid": event.uid, "comm": from_kernel(event.comm)})
        session.lost = program.lost()

def options(parser):
    parser.add_argument("--user", type=cli.user_id, default=os.getuid(), metavar="USER",
                        help="only calls by this user (default: you)")

TOOL = Tool(
    "user", summary="show a user's calls of getpriority", directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_getpriority"),)},
    columns=(
        Column("uid", "UID", width=7, right=True),
        Column("comm", "COMM", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run, options))
