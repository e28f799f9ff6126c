"""ebpf-procinfo: a raw tracepoint, pointers and an LRU hash.

The program gets a pointer to the kernel's own description of a process and
follows it from structure to structure.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, processes
from ebpf_tour.frame.pattern import is_named
from ebpf_tour.loader import Program
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.userland.process import Process


def run(session: Session) -> None:
    args = session.args
    if args.pid is not None and args.demo:
        raise UsageError("--demo starts its own processes", "leave out PID")
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(session.open(TOOL))
        process = stack.enter_context(Process(args.pid)) if args.pid is not None else None
        configure(program, args)

        program.load()
        program.attach()

        if process:
            find(program, process, session)
            session.attached(f"Tracing what {process.comm} ({process.pid}) executes")
            session.end_with(process.pidfd)
        else:
            session.attached("Tracing what is executed", demo())
        for event in program.events("rb", session):
            if is_named(args.name, event.comm):
                session.row(row_of(event))

        session.lost = program.lost()


def configure(program: Program, args: argparse.Namespace) -> None:
    program.globals["only_pid"] = args.pid or 0
    program.globals["only_uid"] = -1 if args.user is None else args.user
    program.globals["tool_pid"] = os.getpid()
    program.globals["tool_pidns"] = our_namespaces()["pid"] or 0
    program.max_entries["last"] = REMEMBERED
    program.max_entries["rb"] = args.buffer


# How many processes are remembered, more or less, for the column WAS.
REMEMBERED = 8192


def find(program: Program, process: Process, session: Session) -> None:
    """Have the program look the process up, which it does when we execute something."""
    import subprocess

    subprocess.run(["/bin/sh", "-c", ":"], check=False)
    if session.running and not program.counter("target"):
        raise process.ended()


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of procinfo.h."""
    return {
        "time": local_time(event.time_ns),
        "event": "NOW" if event.kind == EVENT_NOW else "EXEC",
        "comm": from_kernel(event.comm),
        "process_comm": from_kernel(event.comm),
        "pid": event.pid,
        "ppid": event.ppid,
        "ns_pid": event.ns_pid,
        "ns_ppid": event.ns_ppid,
        "was": from_kernel(event.was) or None,
        "pid_ns": event.pid_ns or None,
        "mnt_ns": event.mnt_ns or None,
        "net_ns": event.net_ns or None,
        "uts_ns": event.uts_ns or None,
        "ipc_ns": event.ipc_ns or None,
        "user_ns": event.user_ns or None,
        "cgroup_ns": event.cgroup_ns or None,
        "time_ns": event.time_ns_id or None,
        "cgroup_id": event.cgroup_id,
        "uid": event.uid,
        "gid": event.gid,
    }


EVENT_NOW = 0  # enum event_kind of procinfo.h


def other_namespaces(row: Row) -> str:
    """Return the last cell of a row: the namespaces that are not the tool's own."""
    ours = our_namespaces()
    others = [
        f"{name}:{row[f'{name}_ns']}" for name in NAMESPACES if row[f"{name}_ns"] != ours[name]
    ]
    return " ".join(others) or "-"


# As in /proc/PID/ns.
NAMESPACES = ("pid", "mnt", "net", "uts", "ipc", "user", "cgroup", "time")


@functools.cache
def our_namespaces() -> dict[str, int | None]:
    """Return the numbers of the tool's own namespaces, None for what the kernel lacks."""
    return {name: namespace(name) for name in NAMESPACES}


def namespace(name: str) -> int | None:
    try:
        return os.stat(f"/proc/self/ns/{name}").st_ino
    except FileNotFoundError:
        return None


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pid", nargs="?", type=cli.positive_int, metavar="PID", help="only this process"
    )
    processes.add_options(parser, several_words=False, events="execs")
    cli.add_filters(parser, "un")
    cli.add_buffer_option(parser)
    cli.add_fields(parser, TOOL.columns)


def demo() -> Demo:
    return Demo(
        "a child process runs `true` in a UTS namespace, then in a PID namespace.",
        workload=unshare,
        rows=4,
        caused=lambda row: (
            row["comm"] == "unshare" or (row["comm"] == "true" and other_namespaces(row) != "-")
        ),
    )


def unshare() -> None:
    import subprocess

    subprocess.run(["unshare", "--uts", "true"], check=True)
    subprocess.run(["unshare", "--pid", "--fork", "true"], check=True)


# The kernel's headers would not do: they lack, for one, struct mnt_namespace,
# which is defined in fs/mount.h.
EXEC = RawTracepoint("sched_process_exec", needs_btf=True)

TOOL = Tool(
    name="procinfo",
    lesson=210,
    for_work=True,
    read_before=("bootstrap", "syscount"),
    summary="show who a process is inside its container: its PIDs and its namespaces",
    description=(
        "Show a row for each program that is executed, with its PID and its parent's on the host "
        "and inside its PID namespace, and its namespaces. With PID, show what that process is "
        "now and each program that it executes, until it ends."
    ),
    via={"raw tracepoint": (EXEC,)},
    maps=(
        Map("last", "LRU hash", "what each process was when it last executed a program"),
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
        *processes.MAPS,
    ),
    picture=(
        Flow(
            "a program is executed",
            {EXEC: "handle_exec"},
            reads=("last",),
            writes=("last", "rb"),
        ),
    ),
    columns=(
        Column("time", "", "local time of the event"),
        Column("event", "", "EXEC, or NOW for the current state of the process PID"),
        Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
        Column(
            "process_comm",
            "",
            "its thread ID: the leader's, so the same as the PID",
            kernel_bytes=True,
        ),
        Column("pid", "PID", "its process ID, in the initial PID namespace", width=7, right=True),
        Column(
            "ppid", "PPID", "its parent's process ID, in the same namespace", width=7, right=True
        ),
        Column(
            "ns_pid", "NSPID", "its process ID inside its own PID namespace", width=7, right=True
        ),
        Column(
            "ns_ppid",
            "NSPPID",
            "its parent's process ID in that namespace; 0 if the parent is outside",
            width=7,
            right=True,
        ),
        Column(
            "was",
            "WAS",
            "its name before the exec, if the tool saw it and still has it",
            width=16,
            kernel_bytes=True,
        ),
        Column(
            "pid_ns",
            "NAMESPACES",
            "its PID namespace; in the table, all namespaces that differ from the tool's",
            text=other_namespaces,
        ),
        Column("mnt_ns", "", "its mount namespace"),
        Column("net_ns", "", "its network namespace"),
        Column("uts_ns", "", "its UTS namespace (host name)"),
        Column("ipc_ns", "", "its IPC namespace"),
        Column("user_ns", "", "its user namespace"),
        Column("cgroup_ns", "", "its cgroup namespace"),
        Column("time_ns", "", "its time namespace"),
        Column("cgroup_id", "", "its cgroup (version 2): the inode number of the directory"),
        Column("uid", "", "its user ID, in the initial user namespace"),
        Column("gid", "", "its group ID, in the same namespace"),
    ),
    examples=(
        Example("ebpf-procinfo", "every program that is executed"),
        Example("ebpf-procinfo 1234", "who process 1234 is, and what it executes"),
        Example("ebpf-procinfo --json --limit 1 1234", "all its namespaces, for a script"),
        Example("ebpf-procinfo -c 'make -j2'", "all that a build executes"),
        Example("ebpf-procinfo --demo", "see programs that the demo executes"),
    ),
    requirements="Linux 5.8 or newer with kernel BTF, and root (or CAP_BPF and CAP_PERFMON).",
    see_also=("namespaces(7)", "pid_namespaces(7)", "lsns(8)", "unshare(1)"),
)

main = cli.command(TOOL, run, options)
