#!/usr/bin/env python3
"""Load one of the programs beside this file, all of them broken on purpose."""

import os
import sys
from argparse import ArgumentParser

from ebpf_tour import cli
from ebpf_tour.loader import open_program
from ebpf_tour.loader.hooks import Tracepoint
from ebpf_tour.record import Tool
from ebpf_tour.session import Session

HOOKS = {"lookup": "sys_enter_execve", "loop": "sys_enter_execve", "context": "sys_enter_mkdirat"}


def options(parser: ArgumentParser) -> None:
    parser.add_argument("program", choices=list(HOOKS))


def run(session: Session) -> None:
    hook = Tracepoint("syscalls", HOOKS[session.args.program])
    tool = Tool(session.args.program, directory=os.path.dirname(__file__), via={"": (hook,)})
    with open_program(tool, session) as program:
        program.load()
        print(f"the kernel takes {program.source}")


TOOL = Tool("load.py", summary="load a broken program", directory="here", via={"": ()})
sys.exit(cli.main(TOOL, run, options))
