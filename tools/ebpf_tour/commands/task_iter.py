"""ebpf-task-iter: an iterator.

No event runs this program. You read a file descriptor, and the kernel calls the program
for each thread of the machine. What the program writes is what you read.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.names import error_name, state_letter
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Row, Session, Tool, cli
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.iterator import FileIterator, TaskIterator, Walk


def run(session: Session) -> None:
    args = session.args
    if args.pid and args.demo:
        raise UsageError("--demo starts its own processes", "leave out PID")
    hook, make_row = (FILES, row_of_file) if args.files else (TASKS, row_of)
    if missing := hook.unsupported():
        raise missing
    with session.open(TOOL) as program:
        # A container's PIDs are not the kernel's: there the link alone chooses.
        program.globals["only_pid"] = (features.pid_in_first_namespace() and args.pid) or 0
        program.load()
        walk = Walk(args.pid)
        program.attach_to(hook, walk)

        what, record = ("open files", "open_file") if args.files else ("threads", "event")
        session.attached(f"Listing {what}", demo(files=args.files), columns(files=args.files))
        for each in program.walk(walk.link, record):
            session.row(make_row(each))


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of task_iter.h."""
    return {
        "pid": event.pid,
        "tid": event.tid,
        "ppid": event.ppid,
        "state": state_letter(event.state),
        "comm": from_kernel(event.comm),
        "kstack": max(0, event.kstack // 8),
    }


def row_of_file(found: Any) -> Row:
    """Return the row for a record: struct open_file of task_iter.h."""
    return {
        "pid": found.pid,
        "tid": found.tid,
        "comm": from_kernel(found.comm),
        "fd": found.fd,
        "path": from_kernel(found.path) if found.length > 0 else None,
        "error": error_name(-found.length) if found.length < 0 else None,
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pid",
        nargs="?",
        type=cli.process_id,
        metavar="PID",
        help="only the threads of this process, or its open files",
    )
    cli.add_flag(parser, "--files", help="list open files in place of threads, one in each row")


def columns(*, files: bool) -> tuple[Column, ...]:
    others = ("ppid", "state", "kstack") if files else ("fd", "path", "error")
    return tuple(column for column in TOOL.columns if column.key not in others)


def demo(*, files: bool) -> Demo:
    if files:
        return Demo(
            "a child process opens three files that are only in memory.",
            workload=open_three,
            rows=3,
            caused=lambda row: str(row["path"]).startswith("/memfd:ebpf-task-iter-"),
            lives_on=True,
        )
    return Demo(
        "a child process has three child processes that wait.",
        workload=start_three,
        rows=4,
        caused=lambda row: row["pid"] != os.getpid(),
        lives_on=True,
    )


def start_three() -> None:
    until, end = os.pipe()
    for _ in range(3):
        if os.fork() == 0:
            os.close(end)
            os.read(until, 1)  # returns when its parent has ended
            os._exit(0)


def open_three() -> None:
    for name in ("one", "two", "three"):
        os.memfd_create(f"ebpf-task-iter-{name}")


TASKS, FILES = TaskIterator(), FileIterator()

TOOL = Tool(
    name="task_iter",
    lesson=130,
    read_before=("fentry", "bootstrap"),
    summary="list the threads of the machine, or of a process, as the kernel has them",
    description=(
        "List all threads once, as the kernel has them: with their states, and how deep they are "
        "in the kernel. With --files, list open files. It teaches iterators."
    ),
    via={"iterator": (TASKS, FILES)},
    picture=(
        Flow("the tool reads", {TASKS: "list_task"}, writes=("the file descriptor",)),
        Flow("the same, with --files", {FILES: "list_file"}, writes=("the file descriptor",)),
    ),
    columns=(
        Column("pid", "PID", "the process, in the initial PID namespace", 7, right=True),
        Column("tid", "TID", "the thread ID; the leader's is the same as the PID", 7, right=True),
        Column("ppid", "PPID", "the process's parent", width=7, right=True),
        Column("state", "STATE", "R runs, S and D wait, I idle, T stopped, Z ended: ps(1)", 5),
        Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
        Column("kstack", "KSTACK", "frames on its stack in the kernel, up to 32", 6, right=True),
        Column("fd", "FD", "with --files: the file descriptor", width=5, right=True),
        Column(
            "path",
            "PATH",
            "with --files: what is open, as /proc/PID/fd shows it; null: see error",
            text=lambda row: str(row["path"] or f"[{row['error']}]"),
            kernel_bytes=True,
        ),
        Column("error", "", "with --files: why there is no path, such as ENAMETOOLONG"),
    ),
    examples=(
        Example("ebpf-task-iter", "all threads"),
        Example("ebpf-task-iter 1", "the threads of process 1"),
        Example("ebpf-task-iter --files 1", "the open files of process 1"),
        Example("ebpf-task-iter --json", "one JSON record for each thread, for a script"),
        Example("ebpf-task-iter --demo", "see child processes that the demo starts"),
    ),
    requirements=(
        "Linux 5.9 or newer with CONFIG_DEBUG_INFO_BTF, and root (or CAP_BPF and CAP_PERFMON). "
        "--files needs Linux 5.12."
    ),
    see_also=("ps(1)", "proc(5)"),
)

main = cli.command(TOOL, run, options)
