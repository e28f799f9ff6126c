"""What ebpf-kprobe and ebpf-fentry have in common: their rows and demo."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import error_name
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame.demo import Demo
from ebpf_tour.frame.record import Column

if TYPE_CHECKING:
    from typing import Any

    from ebpf_tour.frame.record import Row


# Linux 7.0 has renamed do_unlinkat(); the arguments and the result are the same.
RENAMED = {"filename_unlinkat": "7.0"}


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


def demo() -> Demo:
    removers: set[int] = set()  # the row of a return has no path to tell it by

    def caused(row: Row) -> bool:
        if row["path"] in DEMO_NAMES:
            removers.add(int(str(row["pid"])))
        return row["pid"] in removers

    return Demo(
        "a child process makes three files and removes them, then tries to remove one that does "
        "not exist.",
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


COLUMNS = (
    Column("time", "TIME", "local time of the event", width=8),
    Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
    Column("pid", "PID", "its process, in the initial PID namespace", width=7, right=True),
    Column("event", "EVENT", "ENTRY or RETURN of the kernel's function", width=6),
    Column(
        "dfd",
        "DFD",
        "where a relative path starts: a descriptor, or AT_FDCWD",
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
