#!/usr/bin/env python3
"""Load one of the programs beside this file, which are broken on purpose."""

import os
import sys
from argparse import ArgumentParser

from ebpf_tour.frame import cli
from ebpf_tour.frame.record import Tool
from ebpf_tour.frame.session import Session
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

TOOL = Tool(
    name="load.py",
    summary="Load a program that the verifier refuses, and show why.",
    directory=os.path.dirname(__file__),
    via={"tracepoint": ()},
)
HOOKS = {
    "lookup": Tracepoint("syscalls", "sys_enter_execve"),
    "loop": Tracepoint("syscalls", "sys_enter_execve"),
    "context": Tracepoint("syscalls", "sys_enter_mkdirat"),
    "license": Tracepoint("syscalls", "sys_enter_execve"),
    "bound": Tracepoint("syscalls", "sys_enter_kill"),
    "unset": Tracepoint("syscalls", "sys_enter_execve"),
}


def options(parser: ArgumentParser) -> None:
    parser.add_argument("program", choices=list(HOOKS), help="the stem of its C files")


def run(session: Session) -> None:
    name = session.args.program
    with session.open(TOOL._replace(name=name, via={"tracepoint": (HOOKS[name],)})) as program:
        program.load()
        print(f"the kernel takes {program.source}")


sys.exit(cli.main(TOOL, run, options))
