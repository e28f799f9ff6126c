"""A tool of one's own on the suite's loader: it counts the records of the flood."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ebpf_tour.frame import cli
from ebpf_tour.frame.record import Tool
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

if TYPE_CHECKING:
    from ebpf_tour.frame.session import Session

TOOL = Tool(
    "flood",
    directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_getppid"),)},
)


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Tracing")
        seen = sum(1 for event in program.events("rb", session) if event.pid)
        sys.stderr.write(f"{seen} events\n")


sys.exit(cli.main(TOOL, run))
