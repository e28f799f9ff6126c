"""ebpf-mkdir: a kprobe and a ring buffer.

A kprobe can be put on almost any function of the kernel, here on vfs_mkdir().
Compare two other hooks that see the same: fentry, which calls the program
directly, and the tracepoints of the system calls.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import error_name
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, processes
from ebpf_tour.frame.pattern import is_named
from ebpf_tour.loader.hooks.fentry import Fentry
from ebpf_tour.loader.hooks.kprobe import Kprobe
from ebpf_tour.loader.hooks.tracepoint import Tracepoint


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program:
        # Configure: before the program is loaded.
        program.globals["only_uid"] = -1 if args.user is None else args.user
        for name, number in arguments_of_vfs_mkdir(program.via).items():
            program.globals[name] = number
        program.max_entries["rb"] = args.buffer

        program.load()
        program.attach()

        session.attached(f"Tracing mkdir via {program.via}", demo(program.via))
        for event in program.events("rb", session):
            is_wanted = event.error or not args.failed
            if is_wanted and is_named(args.name, event.comm, event.process_comm):
                session.row(row_of(event))

        session.lost = program.lost("calls")


def arguments_of_vfs_mkdir(via: str) -> dict[str, int]:
    """Return where the programs find what they want, by the running kernel's BTF."""
    if via == "tracepoint":  # does not look at it
        return {"dentry_arg": 0, "mode_arg": 0, "returns_dentry": 0}

    from ebpf_tour.loader.btf import kernel_function

    vfs_mkdir = kernel_function("vfs_mkdir")
    found = {
        "dentry_arg": vfs_mkdir.position("dentry"),
        "mode_arg": vfs_mkdir.position("mode"),
        "returns_dentry": vfs_mkdir.returns == "struct dentry *",
    }
    if via == "fentry":
        found["arg_count"] = len(vfs_mkdir.parameters)
    return found


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of mkdir.h."""
    return {
        "time": local_time(event.time_ns),
        "comm": from_kernel(event.comm),
        "process_comm": from_kernel(event.process_comm),
        "pid": event.pid,
        "mode": f"{event.mode:04o}",
        "name": name_of(event),
        "errno": event.error,
    }


def name_of(event: Any) -> str | None:
    """Return the last name of the path, which may have slashes behind it."""
    if event.path_length < 0:
        return None
    path = event.path[: event.path_length]
    # "/" has no name but itself.
    return from_kernel(path.rstrip(b"/").rpartition(b"/")[2] or path[:1])


def name_and_error(row: Row) -> str:
    """Return the last cell of a row: the name, and before it what went wrong."""
    name = "-" if row["name"] is None else str(row["name"])
    error = row["errno"]
    return f"[{error_name(error)}] {name}" if isinstance(error, int) and error else name


def options(parser: argparse.ArgumentParser) -> None:
    processes.add_options(parser)
    cli.add_filters(parser, "unx")
    cli.add_buffer_option(parser)
    cli.add_fields(parser, TOOL.columns)


def demo(via: str) -> Demo:
    count = len(DEMO_NAMES)
    sees_failure = via == "tracepoint"
    return Demo(
        f"a child process makes {count} directories and fails to make one of them again"
        f"{'' if sees_failure else ' (which does not reach vfs_mkdir)'}.",
        workload=make_directories,
        rows=count + sees_failure,
        caused=lambda row: row["name"] in shown_names(),
        makes_files=True,
    )


# What can be in a name: anything but "/" and NUL. The second would move the
# cursor of a terminal, the third forge a row, the fourth is no UTF-8.
DEMO_NAMES = (b"plain", b"\x1b[1Aup", b"two\nlines", b"caf\xe9", b"x" * 40)


def shown_names() -> set[str]:
    return {from_kernel(name) for name in DEMO_NAMES}


def make_directories() -> None:
    os.umask(0o022)
    for name in DEMO_NAMES:
        os.mkdir(name)
    with contextlib.suppress(FileExistsError):
        os.mkdir(DEMO_NAMES[0])


CALLED = Kprobe("vfs_mkdir", needs_btf=True)
RETURNS = Kprobe("vfs_mkdir", returns=True)
# In BCC's KFUNC_PROBE(), the types of the arguments would have to be this kernel's.
FENTRY = Fentry("vfs_mkdir", engines=("libbpf",))
FEXIT = Fentry("vfs_mkdir", returns=True, engines=("libbpf",))

TOOL = Tool(
    name="mkdir",
    lesson=220,
    for_work=True,
    read_before=("fentry", "opensnoop"),
    summary="show each directory that is made, by whom and with which mode",
    description=(
        "Show a row for each directory that any process makes, and for each attempt that fails. "
        "It teaches kprobes, which hook functions of the kernel that nobody prepared for it."
    ),
    via={
        "kprobe": (CALLED, RETURNS),
        "fentry": (FENTRY, FEXIT),
        "tracepoint": (
            Tracepoint("syscalls", "sys_enter_mkdir", optional=True),
            Tracepoint("syscalls", "sys_enter_mkdirat"),
            Tracepoint("syscalls", "sys_exit_mkdir", optional=True),
            Tracepoint("syscalls", "sys_exit_mkdirat"),
        ),
    },
    maps=(
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
        Map("calls", "hash", "calls in progress, by thread"),
        Map("scratch", "per-CPU array", "scratch space to build a record"),
        *processes.MAPS,
    ),
    picture=(
        Flow("the kernel calls vfs_mkdir", {CALLED: "kprobe__vfs_mkdir"}, writes=("calls",)),
        Flow(
            "vfs_mkdir returns",
            {RETURNS: "kretprobe__vfs_mkdir"},
            reads=("calls",),
            writes=("scratch", "rb"),
        ),
    ),
    columns=(
        Column("time", "TIME", "local time at the start of the call", width=8),
        Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
        Column("process_comm", "", "name of its process", kernel_bytes=True),
        Column("pid", "PID", "its process ID, in the initial PID namespace", width=7, right=True),
        Column("mode", "MODE", "permissions asked for, less the umask, in octal", width=5),
        Column(
            "name",
            "NAME",
            "the directory's name, without the path. If the attempt failed, its error is first, "
            "in brackets",
            text=name_and_error,
            kernel_bytes=True,
        ),
        Column("errno", "", "0, or the error number of an attempt that failed"),
    ),
    examples=(
        Example("ebpf-mkdir", "every directory that is made"),
        Example("ebpf-mkdir --via tracepoint -x", "only the attempts that fail"),
        Example(
            "ebpf-mkdir -u root -n systemd",
            "directories that root's processes named systemd make",
        ),
        Example("ebpf-mkdir -c 'git init project'", "directories that git makes"),
        Example("ebpf-mkdir --demo", "see directories that the demo makes"),
        Example("ebpf-mkdir --show asm", "the bytecode that runs in the kernel"),
    ),
    requirements=(
        "Linux 5.8 or newer with kernel BTF, and root (or CAP_BPF and CAP_PERFMON). --via kprobe "
        "needs CONFIG_KPROBES; --via fentry the libbpf engine and CONFIG_FUNCTION_TRACER (on arm64 "
        "6.4 or newer); --via tracepoint CONFIG_FTRACE_SYSCALLS and tracefs, but no kernel BTF if "
        "BCC has headers."
    ),
    see_also=("mkdir(2)", "umask(2)"),
)

main = cli.command(TOOL, run, options)
