"""ebpf-kprobe: a kprobe and a kretprobe.

Almost any function of the kernel can have one, here the one that all ways to remove
a file come to. The first sees the arguments, the second the result.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from typing import Any

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import error_name
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli
from ebpf_tour.loader.hooks.kprobe import Kprobe


def run(session: Session) -> None:
    with session.open(TOOL) as program:
        program.globals["only_pid"] = session.args.pid or 0
        program.max_entries["rb"] = session.args.buffer
        program.load()
        program.attach()

        session.attached(f"Tracing {ENTRY.target} via kprobe", demo())
        for event in program.events("rb", session):
            session.row(row_of(event))
        session.lost = program.lost("calls")


def row_of(event: Any) -> Row:
    """Return the row for a record: struct event of lib/unlink.h."""
    is_entry = event.kind == EVENT_ENTRY
    return {
        "time": local_time(event.time_ns),
        "comm": from_kernel(event.comm),
        "pid": event.pid,
        "event": "ENTRY" if is_entry else "RETURN",
        "dfd": event.dfd,
        "path": from_kernel(event.path) or None,
        "ret": None if is_entry else event.ret,
    }


EVENT_ENTRY = 0  # enum event_kind of lib/unlink.h
AT_FDCWD = -100  # include/uapi/linux/fcntl.h


def options(parser: argparse.ArgumentParser) -> None:
    cli.add_filters(parser, "p")
    cli.add_buffer_option(parser)


def demo() -> Demo:
    removers: set[int] = set()  # the row of a return has no path to tell it by

    def caused(row: Row) -> bool:
        if row["path"] in DEMO_NAMES:
            removers.add(int(str(row["pid"])))
        return row["pid"] in removers

    return Demo(
        "a child process makes three files and removes them, and one that is not there.",
        workload=remove_files,
        rows=8,
        caused=caused,
        makes_files=True,
    )


DEMO_NAMES = ("one", "two", "three", "not-there")


def remove_files() -> None:
    for name in DEMO_NAMES[:3]:
        os.close(os.open(name, os.O_CREAT))
    for name in DEMO_NAMES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def result_or_path(row: Row) -> str:
    """Return the last cell of a row: the path at the entry, what came of it at the return."""
    if row["event"] == "ENTRY":
        return "-" if row["path"] is None else str(row["path"])
    return f"-{error_name(-int(str(row['ret'])))}" if row["ret"] else "0"


# Linux 7.0 has renamed it; the arguments and the result are the same.
RENAMED = {"filename_unlinkat": "7.0"}
ENTRY = Kprobe("do_unlinkat", renamed=RENAMED)
RETURN = Kprobe("do_unlinkat", returns=True, renamed=RENAMED)

COLUMNS = (
    Column("time", "TIME", "when, local time", width=8),
    Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
    Column("pid", "PID", "its process, as the first PID namespace counts", width=7, right=True),
    Column("event", "EVENT", "ENTRY or RETURN: of the kernel's function", width=6),
    Column(
        "dfd",
        "DFD",
        "where a relative path begins: a descriptor, or AT_FDCWD",
        width=8,
        text=lambda row: "AT_FDCWD" if row["dfd"] == AT_FDCWD else str(row["dfd"]),
    ),
    Column(
        "path",
        "RET/PATH",
        "at the entry: the path, unless it cannot be read",
        text=result_or_path,
        kernel_bytes=True,
    ),
    Column("ret", "", "at the return: 0, or a negative error number"),
)

TOOL = Tool(
    name="kprobe",
    lesson=22,
    summary="show each call of unlink and each return",
    description=(
        "Show a row whenever the kernel begins to remove a file for a process, and one when it "
        "has, or has failed. It teaches kprobes and kretprobes."
    ),
    via={"kprobe": (ENTRY, RETURN)},
    maps=(
        Map("rb", "ring buffer", "the records, on their way to the tool", tool="reads"),
        Map("calls", "hash", "calls that have begun and not returned, by thread"),
    ),
    picture=(
        Flow("the kernel calls do_unlinkat", {ENTRY: "enter_unlinkat"}, writes=("calls", "rb")),
        Flow("do_unlinkat returns", {RETURN: "leave_unlinkat"}, reads=("calls",), writes=("rb",)),
    ),
    columns=COLUMNS,
    examples=(
        Example("ebpf-kprobe", "every file that is removed"),
        Example("ebpf-kprobe -p 1", "those that the first process removes"),
        Example("ebpf-kprobe --demo", "see files that it removes itself"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_KPROBE_EVENTS, and root (or CAP_BPF and CAP_PERFMON)."
    ),
    see_also=("unlink(2)",),
)

main = cli.command(TOOL, run, options)
