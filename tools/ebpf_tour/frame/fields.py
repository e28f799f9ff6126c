"""--fields and --sort: which columns a table or CSV has, and what a report is sorted by."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import UsageError
from ebpf_tour.base.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpf_tour.frame.record import Column, Row, Value

# Of a column that is only in JSON and CSV otherwise, or that comes last otherwise.
_WIDTH = 16


def add_options(
    parser: argparse.ArgumentParser, columns: tuple[Column, ...], *, report: bool = False
) -> None:
    """Add --fields, and --sort if the rows come in reports."""
    keys = [column.key for column in columns]

    def key(text: str) -> str:
        if text not in keys:
            names = ", ".join(keys)
            raise argparse.ArgumentTypeError(f"there is no {printable(text)!r}; take of {names}")
        return text

    parser.add_argument(
        "--fields",
        type=lambda text: [key(word.strip()) for word in text.split(",")],
        metavar="KEY[,KEY...]",
        help="the columns of the table or CSV, by their keys in JSON, in this order",
    )
    if report:
        parser.add_argument(
            "--sort",
            type=key,
            metavar="KEY",
            help="sort the rows by this key of JSON: the largest number first, names from a to z",
        )


def check(args: argparse.Namespace) -> None:
    """Raise UsageError if --fields is given for a format without columns."""
    if getattr(args, "fields", None) and args.format not in ("table", "csv"):
        raise UsageError(
            f"--fields is for tables and CSV, and {args.format} has everything",
            "leave it out, or take --format csv",
        )


def chosen(args: argparse.Namespace, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the columns that --fields names, in its order; all without it. Raises UsageError."""
    keys: list[str] | None = getattr(args, "fields", None)
    if keys is None:
        return columns
    known = {column.key: column for column in columns}
    if missing := [key for key in keys if key not in known]:
        raise UsageError(
            f"with these options, the rows have no {missing[0]}", f"take of {', '.join(known)}"
        )
    found = [known[key] for key in keys]
    shown = [
        column._replace(
            header=column.header or column.key.upper(), width=column.width or _WIDTH, option=""
        )
        for column in found
    ]
    return (*shown[:-1], shown[-1]._replace(width=found[-1].width))


def in_order(args: argparse.Namespace, rows: Iterable[Row]) -> list[Row]:
    """Return the rows as --sort wants them; without it, as they are. Raises UsageError."""
    key: str | None = getattr(args, "sort", None)
    found = list(rows)
    if key is None or not found:
        return found
    if key not in found[0]:
        raise UsageError(
            f"with these options, the rows have no {key}", f"take of {', '.join(found[0])}"
        )
    return sorted(found, key=lambda row: _place(row[key]))


def _place(value: Value) -> tuple[int, float, str]:
    """Return what to sort by: numbers before text, what is not there last."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, int | float):
        return 0, -value, ""
    return 1, 0.0, " ".join(value) if isinstance(value, list) else str(value)
