"""ebpf-opensnoop: entry and exit of a system call, joined by a hash.

At the beginning of a call we know what it opens, at the end we know the result. The
hash carries the first to the second, by thread.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import os
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import error_name, is_open_flag, open_flags
from ebpf_tour.base.text import from_kernel, printable
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, processes
from ebpf_tour.frame.pattern import is_named
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.tracepoint import Tracepoint


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program:
        # Configure: before the program is loaded.
        program.globals["only_tid"] = args.tid or 0
        program.globals["only_uid"] = -1 if args.user is None else args.user
        program.globals["only_failed"] = args.failed
        program.globals["own_pid"] = os.getpid()
        program.globals["pidns_dev"], program.globals["pidns_ino"] = features.pid_namespace()
        program.max_entries["calls"] = MAX_CALLS
        program.max_entries["rb"] = args.buffer

        program.load()
        program.attach()

        session.attached(f"Tracing {', '.join(CALLS[:-1])} and {CALLS[-1]}", demo())
        for event in program.events("rb", session):
            if is_named(args.name, event.comm, event.process_comm):
                row = row_of(event, session)
                if has_flag(row, args.flag) and has_path(row, args.path):
                    session.row(row)

        # A call whose end was missed is in the map, unless the thread's next one is there.
        session.lost = max(program.lost(), program.lost("calls"))


# How many calls can be under way at once.
MAX_CALLS = 10240

# enum call_kind of opensnoop.h
CALLS = ("open", "openat", "openat2", "creat", "open_by_handle_at")


def row_of(event: Any, session: Session) -> Row:
    """Return the row for a record: struct event of opensnoop.h."""
    error = -event.ret if event.ret < 0 else 0
    flags = None if event.flags_error else open_flags(event.flags)
    creates = flags and ("O_CREAT" in flags or "O_TMPFILE" in flags)
    return {
        "time": local_time(event.time_ns),
        "time_s": session.seconds(event.time_ns),
        "uid": event.uid,
        "pid": event.pid,
        "tid": event.tid,
        "ppid": event.ppid,
        "comm": from_kernel(event.comm),
        "process_comm": from_kernel(event.process_comm),
        "call": CALLS[event.kind],
        "fd": -1 if error else event.ret,
        "errno": error,
        "error": error_name(error) if error else None,
        "flags": flags,
        "mode": f"{event.mode & 0o7777:04o}" if creates else None,
        "dirfd": event.dirfd,
        # What is behind the path in the buffer is not of this record.
        "path": None if event.path_length < 0 else from_kernel(event.path[: event.path_length]),
    }


def path_of(row: Row) -> str:
    """Return the cell with the path."""
    if row["call"] == "open_by_handle_at":
        return "[by handle]"
    return "-" if row["path"] is None else str(row["path"])


def flags_of(row: Row) -> str:
    """Return the cell with the flags, as C has them."""
    return "|".join(row["flags"]) if isinstance(row["flags"], list) else "-"


def has_flag(row: Row, wanted: list[str] | None) -> bool:
    flags = row["flags"]
    return not wanted or (isinstance(flags, list) and bool(set(wanted) & set(flags)))


def has_path(row: Row, wanted: str | None) -> bool:
    return wanted is None or (
        row["path"] is not None and fnmatch.fnmatchcase(str(row["path"]), wanted)
    )


def options(parser: argparse.ArgumentParser) -> None:
    processes.add_options(parser)
    cli.add_filters(parser, "unx")
    parser.add_argument(
        "--tid", type=cli.positive_int, metavar="TID", help="only calls by this thread"
    )
    parser.add_argument(
        "-f",
        "--flag",
        action="append",
        type=open_flag,
        metavar="FLAG",
        help="as in bcc's opensnoop: only calls with this flag of open(2), such as O_WRONLY; "
        "repeat it for calls with any of several flags",
    )
    parser.add_argument(
        "--path",
        metavar="GLOB",
        help="only calls with a path that this pattern matches as a whole: * is any text, also "
        "with a /, ? any character, [ab] one of these",
    )
    cli.add_time_columns(parser)
    cli.add_flag(
        parser, "-U", "--print-uid", help="as in bcc's opensnoop: add a column with the user ID"
    )
    cli.add_flag(
        parser,
        "-e",
        "--extended",
        help="as in bcc's opensnoop: add columns with the flags and the mode",
    )
    parser.add_argument(
        "-d",
        "--duration",
        type=cli.seconds,
        metavar="SECONDS",
        dest="time_limit",
        help="as in bcc's opensnoop: same as --time-limit",
    )
    cli.add_buffer_option(parser)
    cli.add_fields(parser, TOOL.columns)


def open_flag(text: str) -> str:
    if not is_open_flag(text):
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a flag of open(2)")
    return text


def demo() -> Demo:
    shown = {from_kernel(name) for name in (*DEMO_NAMES, MISSING)}
    return Demo(
        f"a child process creates {len(DEMO_NAMES)} files and opens one that does not exist.",
        workload=open_files,
        rows=len(shown),
        caused=lambda row: row["path"] in shown,
        makes_files=True,
    )


# What can be in a name: anything but "/" and NUL. The second would move the
# cursor of a terminal, the third forge a row, the fourth is no UTF-8.
DEMO_NAMES = (b"plain", b"\x1b[1Aup", b"two\nlines", b"caf\xe9")

MISSING = b"missing"


def open_files() -> None:
    for name in DEMO_NAMES:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT, 0o644))
    with contextlib.suppress(FileNotFoundError):
        os.open(MISSING, os.O_RDONLY)


# arm64 has neither open nor creat; a kernel without CONFIG_FHANDLE opens nothing by handle.
OPEN = Tracepoint("syscalls", "sys_enter_open", optional=True)
OPENAT = Tracepoint("syscalls", "sys_enter_openat")
OPENAT2 = Tracepoint("syscalls", "sys_enter_openat2")
CREAT = Tracepoint("syscalls", "sys_enter_creat", optional=True)
BY_HANDLE = Tracepoint("syscalls", "sys_enter_open_by_handle_at", optional=True)
OPEN_RETURNS = Tracepoint("syscalls", "sys_exit_open", optional=True)
OPENAT_RETURNS = Tracepoint("syscalls", "sys_exit_openat")
OPENAT2_RETURNS = Tracepoint("syscalls", "sys_exit_openat2")
CREAT_RETURNS = Tracepoint("syscalls", "sys_exit_creat", optional=True)
BY_HANDLE_RETURNS = Tracepoint("syscalls", "sys_exit_open_by_handle_at", optional=True)

TOOL = Tool(
    name="opensnoop",
    lesson=200,
    for_work=True,
    read_before=("bootstrap",),
    summary="show each file that is opened, by whom and with which result",
    description=(
        "Show a row for each call of open(2), openat(2), openat2(2), creat(2) and "
        "open_by_handle_at(2), on the whole machine: the process, the file, and the new file "
        "descriptor or the error. Use it to find a program's configuration and log files, or "
        "the file that is missing when a program does not start."
    ),
    via={
        "tracepoint": (
            *(OPEN, OPENAT, OPENAT2, CREAT, BY_HANDLE),
            *(OPEN_RETURNS, OPENAT_RETURNS, OPENAT2_RETURNS, CREAT_RETURNS, BY_HANDLE_RETURNS),
        )
    },
    maps=(
        Map("calls", "hash", "calls in progress, by thread"),
        Map("scratch", "per-CPU array", "scratch space to build a record"),
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
        *processes.MAPS,
    ),
    picture=(
        Flow(
            "a thread calls open, openat, openat2, creat or open_by_handle_at",
            {
                OPEN: "enter_open",
                OPENAT: "enter_openat",
                OPENAT2: "enter_openat2",
                CREAT: "enter_creat",
                BY_HANDLE: "enter_open_by_handle_at",
            },
            writes=("calls",),
        ),
        Flow(
            "the call returns",
            {
                OPEN_RETURNS: "exit_open",
                OPENAT_RETURNS: "exit_openat",
                OPENAT2_RETURNS: "exit_openat2",
                CREAT_RETURNS: "exit_creat",
                BY_HANDLE_RETURNS: "exit_open_by_handle_at",
            },
            reads=("calls",),
            writes=("scratch", "rb"),
        ),
    ),
    columns=(
        Column(
            "time", "TIME", "with -T: local time at the end of the call", width=8, option="time"
        ),
        Column(
            "time_s",
            "TIME(s)",
            "with -t: the same, in seconds since the tool was attached",
            width=11,
            form="%.6f",
            right=True,
            option="timestamp",
        ),
        Column(
            "uid", "UID", "with -U: the caller's user ID", width=5, right=True, option="print_uid"
        ),
        Column("pid", "PID", "its process ID, in the initial PID namespace", width=7, right=True),
        Column("tid", "", "its thread ID"),
        Column("ppid", "", "the process ID of its parent"),
        Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
        Column("process_comm", "", "name of its process", kernel_bytes=True),
        Column("call", "", "the system call: open, openat, openat2, creat, open_by_handle_at"),
        Column("fd", "FD", "the new file descriptor; -1 if the call failed", width=4, right=True),
        Column("errno", "ERR", "the error number; 0 if there was none", width=3, right=True),
        Column("error", "", "its name, or null"),
        Column(
            "flags",
            "FLAGS",
            "with -e: the flags, by their names in open(2)",
            width=34,
            text=flags_of,
            option="extended",
        ),
        Column(
            "mode",
            "MODE",
            "with -e: permissions for a file to create, in octal, before the umask",
            width=4,
            option="extended",
        ),
        Column("dirfd", "", "the descriptor that a relative path starts from, or -100"),
        Column(
            "path",
            "PATH",
            "the path, as the caller gave it; open_by_handle_at has none",
            text=path_of,
            kernel_bytes=True,
        ),
    ),
    examples=(
        Example("ebpf-opensnoop", "every file that is opened"),
        Example("ebpf-opensnoop -x -n '^python'", "files that Python cannot open"),
        Example("ebpf-opensnoop -T -U -u nobody", "files that a user opens, with the time"),
        Example("ebpf-opensnoop -e -f O_WRONLY -f O_RDWR", "files that are opened for writing"),
        Example("ebpf-opensnoop -c 'make -j2'", "what a build opens, with all its processes"),
        Example("ebpf-opensnoop --path '/etc/*' --follow -p 1", "files of /etc, below process 1"),
        Example("ebpf-opensnoop --demo", "see files that the demo opens"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_FTRACE_SYSCALLS, tracefs, and root (or CAP_BPF and "
        "CAP_PERFMON)."
    ),
    see_also=("open(2)", "openat2(2)", "errno(3)", "fifo(7)"),
)

main = cli.command(TOOL, run, options)
