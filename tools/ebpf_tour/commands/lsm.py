"""ebpf-lsm: a hook of the security modules.

The kernel asks before it makes a directory, and the program answers. It refuses
only for one cgroup.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.loader.hooks.lsm import Lsm
from ebpf_tour.userland.cgroup import OwnCgroup, cgroup_id


def run(session: Session) -> None:
    args = session.args
    check(args)
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(session.open(TOOL))
        own = stack.enter_context(OwnCgroup()) if args.demo else None
        path = own.path if own else args.cgroup
        program.globals["only_cgroup"] = cgroup_id(path) if path else 0
        program.globals["deny"] = args.deny
        program.max_entries["rb"] = args.buffer
        program.load()
        if args.deny and path:
            session.warn(f"while this runs, no process in {path} can make a directory")
        program.attach()

        session.attached("Tracing mkdir", demo(own, args) if own else None)
        for event in program.events("rb", session):
            session.row(row_of(event))
        session.lost = program.lost()


def check(args: argparse.Namespace) -> None:
    """Raise UsageError where options do not go together."""
    if args.deny and not (args.cgroup or args.demo or args.show):
        raise UsageError("--deny refuses mkdir to one cgroup: which one?", "name it: --cgroup PATH")
    if args.cgroup and args.demo:
        raise UsageError("--demo makes its own cgroup", "leave out --cgroup")


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of lsm.h."""
    return {
        "time": local_time(event.time_ns),
        "comm": from_kernel(event.comm),
        "pid": event.pid,
        "action": "refused" if event.refused else "allowed",
        "name": from_kernel(event.name),
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cgroup", metavar="PATH", help="only calls by processes in this cgroup")
    cli.add_flag(parser, "--deny", help="refuse mkdir to the processes of that cgroup")
    cli.add_buffer_option(parser)


def demo(own: OwnCgroup, args: argparse.Namespace) -> Demo:
    def make_three() -> None:
        own.enter()
        for name in ("one", "two", "three"):
            with contextlib.suppress(PermissionError):
                os.mkdir(name)
        made = len(os.listdir())
        if made != (0 if args.deny else 3):
            raise RuntimeError(f"it has made {made} directories")

    return Demo(
        f"a child process in {own.path} makes 3 directories{', or tries to' * args.deny}.",
        workload=make_three,
        rows=3,
        caused=lambda row: row["action"] == ("refused" if args.deny else "allowed"),
        exclusive=True,
        makes_files=True,
    )


MKDIR = Lsm("path_mkdir")

TOOL = Tool(
    name="lsm",
    lesson=170,
    read_before=("fentry",),
    summary="show each mkdir before it happens, and refuse it in one cgroup",
    description=(
        "Show each directory that a process is about to make. With --deny, refuse it to the "
        "processes of one cgroup. It teaches the hooks for security modules (LSM)."
    ),
    via={"lsm": (MKDIR,)},
    maps=(Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),),
    picture=(Flow("a process calls mkdir", {MKDIR: "path_mkdir"}, writes=("rb",)),),
    columns=(
        Column("time", "TIME", "local time of the call", width=8),
        Column("comm", "COMM", "name of the calling thread", width=16, kernel_bytes=True),
        Column("pid", "PID", "its process, in the initial PID namespace", 7, right=True),
        Column("action", "ACTION", "allowed or refused by this program", width=7),
        Column("name", "NAME", "the directory's name, without the path", kernel_bytes=True),
    ),
    examples=(
        Example("ebpf-lsm", "every directory that is about to be made"),
        Example(
            "ebpf-lsm --cgroup /sys/fs/cgroup/x --deny",
            "refuse mkdir to the processes in the cgroup x",
        ),
        Example("ebpf-lsm --demo", "see three directories that the demo makes"),
        Example("ebpf-lsm --demo --deny", "the same, refused"),
    ),
    keeps=("CAP_DAC_OVERRIDE",),  # to remove the demo's cgroup: the directory is read-only
    requirements=(
        "Linux 5.8 or newer (on arm64 6.4) with CONFIG_BPF_LSM, CONFIG_SECURITY_PATH and "
        'CONFIG_DEBUG_INFO_BTF, booted with "bpf" in its list of security modules (lsm=), and '
        "root. --demo and --cgroup need cgroup2."
    ),
    see_also=("mkdir(2)", "cgroups(7)"),
)

main = cli.command(TOOL, run, options)
