"""A tool outside of the package, as a reader would write one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from support import ARCHITECTURE

from ebpf_tour.build import compile_object

if TYPE_CHECKING:
    from pathlib import Path


def own_tool(directory: Path, name: str, *events: str) -> None:
    """Write a tool.py that loads NAME.bpf.c of its directory, and compile that."""
    made = directory / ARCHITECTURE / f"{name}.bpf.o"
    compile_object(directory / f"{name}.bpf.c", made, ARCHITECTURE)
    path = directory / "tool.py"
    path.write_text(
        f"""\
#!{sys.executable}
import os, sys
from ebpf_tour.frame import cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.frame.record import Tool

TOOL = Tool(
    "{name}",
    directory=os.path.dirname(__file__),
    via={{"tracepoint": [Tracepoint("syscalls", event) for event in {events}]}},
)

def run(session):
    with session.open(TOOL) as program:
        program.load()

sys.exit(cli.main(TOOL, run))
"""
    )
    path.chmod(0o755)
