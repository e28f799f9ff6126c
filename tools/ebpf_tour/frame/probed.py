"""What the tools share that hook programs: which program, and what they show.

Without --binary and -p, they trace what they do themselves.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import cli
from ebpf_tour.frame.record import Column

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from ebpf_tour.frame.record import Row
    from ebpf_tour.frame.session import Session
    from ebpf_tour.loader.pace import Pace
    from ebpf_tour.userland.probed import Probed


class Own(NamedTuple):
    """What a tool traces by itself: the function or probe, and what passes it.

    `kind` is "uprobe" or "usdt", `option` names another place.
    """

    kind: str
    option: str
    place: str
    shown: str
    work: Callable[[], object]


def add_options(parser: argparse.ArgumentParser, own: Own, metavar: str, what: str) -> None:
    """Add the option that names a place, those that say in which file it is, and --buffer."""
    parser.add_argument(
        own.option,
        dest="place",
        metavar=metavar,
        default=own.place,
        help=f"{what} (default: {own.place})",
    )
    parser.add_argument(
        "--binary",
        metavar="FILE",
        help=(
            "trace this program or library in all processes: a path, or a name such as bash or libc"
        ),
    )
    cli.add_filters(parser, "p")
    cli.add_buffer_option(parser)


def check(args: argparse.Namespace, own: Own) -> None:
    """Raise UsageError where options do not go together."""
    if args.binary is not None and args.pid is not None:
        raise UsageError(
            "-p looks in the files that the process has mapped, so --binary cannot be given, too",
            "leave out one of them",
        )
    if _is_own(args):
        if args.place != own.place:
            raise UsageError(
                f"which program has {args.place}?",
                "name a file or a process: --binary FILE or -p PID",
            )
    elif args.demo:
        raise UsageError("--demo traces the tool itself", "leave out --binary and -p")


def _is_own(args: argparse.Namespace) -> bool:
    return args.binary is None and args.pid is None


def find(session: Session, own: Own) -> Probed:
    """Find the place in a file, or in a process: one that is named, or our own. Raises Error."""
    from ebpf_tour.userland import probed

    args = session.args
    if args.show:  # what is shown does not depend on the place
        return probed.in_process(own.kind, own.place, os.getpid(), session.wake)
    if args.binary is not None:
        return probed.in_file(own.kind, args.place, args.binary, session.wake)
    return probed.in_process(own.kind, args.place, args.pid or os.getpid(), session.wake)


def tracing(session: Session, own: Own, found: Probed) -> str:
    """Return what to say once everything is attached."""
    args = session.args
    return f"Tracing {own.shown if _is_own(args) else f'{args.place} of {found.file}'}"


def pace(session: Session, own: Own) -> Pace:
    """Return how long to read, and what to do meanwhile."""
    return _OnceASecond(session, own.work) if _is_own(session.args) else session


class _OnceASecond:
    """The pace of a session which does `work` once a second while it waits for records."""

    def __init__(self, session: Session, work: Callable[[], object]) -> None:
        self._session = session
        self._work = work
        self._due = 0.0

    @property
    def running(self) -> bool:
        """Whether to go on."""
        return self._session.running

    def sleep(self, seconds: float) -> None:
        """Wait, but not past the end."""
        self._session.sleep(seconds)

    def wait_readable(self, fd: int) -> None:
        """Wait until `fd` is readable, but not past the end, nor longer than until the work."""
        self._session.wait_readable(fd, self._due - time.monotonic())
        if self.running and time.monotonic() >= self._due:
            self._due = time.monotonic() + 1
            self._work()


WHO = (
    Column("time", "TIME", "local time of the event", width=8),
    Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
    Column("pid", "PID", "its process ID, in the initial PID namespace", width=7, right=True),
)


def text_or_value(row: Row) -> str:
    """Return the cell of a row: the text in quotes, or the number."""
    return str(row["value"]) if row["text"] is None else f'"{row["text"]}"'


def value_columns(what: str) -> tuple[Column, Column]:
    """Return the columns of a value that may be the address of a text."""
    doc = f"{what}; if it is the address of text, up to 127 bytes of the text"
    return (
        Column("text", "VALUE", doc, text=text_or_value, kernel_bytes=True),
        Column("value", "", f"{what}, as a number"),
    )


def row_of(event: Any, /, **more: str) -> Row:
    """Return the row for a record, a `struct event`; `more` are a tool's own columns."""
    return {
        "time": local_time(event.time_ns),
        "comm": from_kernel(event.comm),
        "pid": event.pid,
        **more,
        "text": _text_of(event),
        "value": event.value,
    }


def _text_of(event: Any) -> str | None:
    """Return the text that is at a record's address, None if there is none that can be read.

    It is taken for one if it is UTF-8 without control characters.
    """
    text = from_kernel(event.text) if event.text_bytes > 0 else "\0"
    return text if all(c.isprintable() or c in "\t\n" for c in text) else None
