"""What tools have that hook places in programs: which file, and a value that may be a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame import cli

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ebpf_tour.frame.record import Row


def add_files(parser: argparse.ArgumentParser) -> None:
    """Add --binary and -p, which say in which file the place is."""
    parser.add_argument(
        "--binary",
        metavar="FILE",
        help="in this program or library, of all processes: a path, or a name such as bash or libc",
    )
    parser.add_argument(
        "-p",
        "--pid",
        type=cli.positive_int,
        metavar="PID",
        help="in this process only, in whichever of the files that it has mapped",
    )


def check_files(args: argparse.Namespace) -> None:
    """Raise UsageError where these options do not go together."""
    if args.binary is not None and args.pid is not None:
        raise UsageError("--binary and -p both name files", "take one of them")
    if args.demo and (args.binary is not None or args.pid is not None):
        raise UsageError("--demo watches the tool itself", "leave --binary and -p out")


def text_of(event: Any) -> str | None:
    """Return the text that is at a record's address, None if there is none that can be read.

    It is taken for one if it is UTF-8 without control characters.
    """
    text = from_kernel(event.text) if event.text_bytes > 0 else "\0"
    return text if all(c.isprintable() or c in "\t\n" for c in text) else None


def text_or_value(row: Row) -> str:
    """Return the cell of a row: the text in quotes, or the number."""
    return str(row["value"]) if row["text"] is None else f'"{row["text"]}"'
