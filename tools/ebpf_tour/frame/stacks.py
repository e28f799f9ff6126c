"""What the tools that report call stacks have in common: options, cells, files of stacks."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.text import printable
from ebpf_tour.frame import cli
from ebpf_tour.frame.output.file import OutputFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ebpf_tour.frame.output.stacks import Measure
    from ebpf_tour.frame.record import Row
    from ebpf_tour.frame.session import Session

# The capabilities that it takes to name what is on a stack, once the tool is attached.
KEEPS = (
    "CAP_SYS_PTRACE",  # what a process has mapped,
    "CAP_CHECKPOINT_RESTORE",  # and those files
    "CAP_DAC_READ_SEARCH",  # its perf map: Python's is for its own user only
    "CAP_KILL",  # the child that reads all that, who is nobody
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --top, --folded, --flamegraph and --speedscope."""
    parser.add_argument(
        "--top", type=cli.positive_int, metavar="N", help="show only the N largest stacks"
    )
    parser.add_argument(
        "--folded",
        action="store_const",
        const="folded",
        dest="format",
        default=argparse.SUPPRESS,
        help="print one line for each stack, for flamegraph.pl",
    )
    parser.add_argument(
        "--flamegraph",
        type=not_empty,
        metavar="FILE",
        help="also draw all stacks into a file: an SVG picture, for a browser",
    )
    parser.add_argument(
        "--speedscope",
        type=not_empty,
        metavar="FILE",
        help="also write all stacks to a file for https://www.speedscope.app",
    )


def top_of(top: int | None, rows: int) -> str:
    """Return what --top leaves out, for the end of a sentence; "" where that is nothing."""
    return f"; --top shows {top} of {rows} rows" if top and top < rows else ""


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Add -U, -K and --stack-storage-size."""
    only = parser.add_mutually_exclusive_group()
    for letter, whose, no in (("-U", "user", "kernel"), ("-K", "kernel", "user")):
        only.add_argument(
            *(letter, f"--{whose}-stacks-only"),
            action="store_true",
            help=f"leave out the {no} stacks, as in bcc's profile",
        )
    parser.add_argument(
        "--stack-storage-size",
        type=number_of_stacks,
        default=16384,
        metavar="N",
        help="how many different stacks the map holds (default: 16384)",
    )


def not_empty(text: str) -> str:
    """Convert a name or path; for argparse. Raises ArgumentTypeError."""
    if not text:
        raise argparse.ArgumentTypeError("a name is missing")
    return text


def number_of_stacks(text: str) -> int:
    """Convert how many stacks there is room for; for argparse. Raises ArgumentTypeError."""
    number = cli.positive_int(text)
    if number > _MOST_STACKS:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is more than {_MOST_STACKS}")
    return number


# A stack takes up to 1300 bytes in the maps.
_MOST_STACKS = 1 << 20


def stack_lines(row: Row) -> list[str]:
    """Return a stack for the table: a frame on each line."""
    stack = row["stack"]
    lines = stack if isinstance(stack, list) else []
    return [*lines, f"[truncated: more than {len(lines)} frames]"] if row["truncated"] else lines


class StackFiles(Closing):
    """The files that --speedscope and --flamegraph name, opened before anything is done for them.

    Raises Error where one cannot be written.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        args = session.args
        self._files = {
            path: OutputFile(path) for path in (args.speedscope, args.flamegraph) if path
        }

    def write(self, name: str, rows: Sequence[Row], measures: Sequence[Measure]) -> None:
        """Write rows with stacks, and say so if nobody reads all of it. Raises Error.

        A flame graph shows the first of the measures.
        """
        import json

        from ebpf_tour.frame.output.flamegraph import flamegraph
        from ebpf_tour.frame.output.stacks import speedscope

        args = self._session.args
        if args.speedscope:
            self._write(args.speedscope, json.dumps(speedscope(name, rows, measures)))
        if args.flamegraph:
            self._write(args.flamegraph, flamegraph(name, rows, measures[0]))

    def _write(self, path: str, text: str) -> None:
        if not self._files[path].write(text, self._session.wait_writable):
            self._session.warn(f"the rest of {printable(path)} is not written: nobody reads it")

    def close(self) -> None:
        """Close them. May be called twice."""
        for file in self._files.values():
            file.close()
