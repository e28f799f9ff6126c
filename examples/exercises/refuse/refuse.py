#!/usr/bin/env python3
import os
import sys
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Tool, cli
from ebpf_tour.loader.hooks.lsm import Lsm
from ebpf_tour.userland.cgroup import OwnCgroup, cgroup_id

def run(session):
    with session.open(TOOL) as program, OwnCgroup() as own:
        program.globals["only_cgroup"] = cgroup_id(own.path)
        program.load()
        program.attach()
        session.attached(f"Tracing mkdir in {own.path}")
        for event in program.events("rb", session):
            session.row({"comm": from_kernel(event.comm), "name": from_kernel(event.name)})
        session.lost = program.lost()

TOOL = Tool(
    "refuse", summary="refuse mkdir in a cgroup", directory=os.path.dirname(__file__),
    via={"lsm": (Lsm("path_mkdir"),)},
    keeps=("CAP_DAC_OVERRIDE",),  # to remove the cgroup
    columns=(
        Column("comm", "COMM", width=16, kernel_bytes=True),
        Column("name", "NAME", kernel_bytes=True)))

sys.exit(cli.main(TOOL, run))
