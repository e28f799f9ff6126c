"""The output layer: one row model, written as a table, JSON lines or CSV."""

from __future__ import annotations

import abc
import itertools
import sys
from typing import TYPE_CHECKING

from ebpf_tour.base.text import printable
from ebpf_tour.frame.histogram import Histogram
from ebpf_tour.frame.record import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ebpf_tour.frame.record import Row, Value

    Lines = Callable[[Iterable[Row]], Iterable[str]]

FORMATS = ("table", "json", "csv")


class Writer(abc.ABC):
    """Writes rows to stdout as they come; `flush()` makes them visible."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._columns = columns
        self._stdout = sys.stdout

    def begin(self) -> None:
        """Write what comes before the first row; a report's table has its own header."""
        return

    @abc.abstractmethod
    def row(self, row: Row) -> None:
        """Write one row; it has a value for each column's key."""

    def report(self, rows: Iterable[Row], lines: Lines | None = None) -> None:  # noqa: ARG002 - only tables have them
        """Write the rows of a report, which come all at once.

        `lines` makes the text for people, where that is to be no table.
        """
        for row in rows:
            self.row(row)

    def end(self, summary: Row) -> None:  # noqa: ARG002 - only JSON shows it
        """Write what comes after the last row; JSON has the summary there."""
        return

    def flush(self) -> None:
        """Hand what was written to the kernel."""
        self._stdout.flush()


class NoWriter(Writer):
    """Writes nothing."""

    def row(self, row: Row) -> None:  # noqa: ARG002 - the session counts it
        return


class TableWriter(Writer):
    """Lines of fixed width for events, tables as wide as their content for reports."""

    def __init__(self, columns: tuple[Column, ...], options: Collection[str] = ()) -> None:
        super().__init__(columns)
        self._shown = [
            column
            for column in columns
            if column.header and (not column.option or column.option in options)
        ]
        self._form = " ".join(map(self._pad, self._shown))
        # Most cells are a value as it is: for those, row() calls nothing.
        self._cells = [(c.form == "%s" and not c.text, c.key, c) for c in self._shown]

    @staticmethod
    def _pad(column: Column) -> str:
        return f"%{'' if column.right else '-'}{column.width}s" if column.width else "%s"

    def begin(self) -> None:
        self._line([column.header for column in self._shown])

    def row(self, row: Row) -> None:
        self._line(
            [
                value if plain and type(value := row[key]) in (str, int) else cell(column, row)
                for plain, key, column in self._cells
            ]
        )

    def report(self, rows: Iterable[Row], lines: Lines | None = None) -> None:
        if lines:
            self._stdout.writelines(f"{printable(line)}\n" for line in lines(rows))
            return
        if any(column.histogram for column in self._shown):
            self._stdout.writelines(f"{printable(line)}\n" for line in self._drawn(rows))
            return
        from ebpf_tour.frame.output.report import table

        headers = [column.header for column in self._shown]
        cells = [[report_cell(column, row) for column in self._shown] for row in rows]
        self._stdout.write(table(headers, cells, [column.right for column in self._shown]))

    def _drawn(self, rows: Iterable[Row]) -> Iterator[str]:
        """Yield each row as a line of its values, and its histograms below."""
        others = [column for column in self._shown if not column.histogram]
        for row in rows:
            yield "  ".join(f"{column.header} {cell(column, row)}" for column in others)
            for column in self._shown:
                value = row[column.key]
                if isinstance(value, Histogram):
                    yield from value.drawn(column.header)
            yield ""

    def _line(self, texts: Sequence[Value]) -> None:
        line = self._form % tuple(texts)
        if not (line.isascii() and line.isprintable()):
            from ebpf_tour.frame.output.wide import padded

            cells = zip(self._shown, map(printable, map(str, texts)), strict=True)
            line = " ".join(padded(text, column.width, column.right) for column, text in cells)
        self._stdout.write(line.rstrip() + "\n")


class JsonWriter(Writer):
    """One JSON object a line, in ASCII, and the summary as the last one."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        super().__init__(columns)
        self._encode = _json_encoder()

    def row(self, row: Row) -> None:
        line = self._encode(row)
        # Bytes that are no UTF-8 are surrogates from U+DC80 on. Half of a
        # character beyond U+FFFF looks the same, so this may be a false alarm.
        if r"\udc" in line:
            from ebpf_tour.frame.output.exact import with_hex

            line = self._encode(with_hex(row))
        self._stdout.write(line + "\n")

    def end(self, summary: Row) -> None:
        self._stdout.write(self._encode({"type": "summary", **summary}) + "\n")


def _json_encoder() -> Callable[[object], str]:
    """Return what `json.JSONEncoder().encode` does, in half of its time.

    That makes a C encoder for each object. This one is made once.
    """
    import json.encoder

    encoder = json.JSONEncoder(default=lambda value: value.buckets)
    make: Callable[..., Callable[[object, int], Iterable[str]]] | None
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # a Python without its C
        return encoder.encode
    chunks = make(
        *(None, encoder.default, json.encoder.encode_basestring_ascii, None),
        *(encoder.key_separator, encoder.item_separator),
        *(encoder.sort_keys, encoder.skipkeys, encoder.allow_nan),
    )
    return lambda value: "".join(chunks(value, 0))


class CsvWriter(Writer):
    """Comma-separated values as in RFC 4180, UTF-8, with the keys as the first line."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        import csv

        from ebpf_tour.frame.output import exact

        taken = {column.key for column in columns}
        self._keys = {key: f"bucket_{key}" if key in taken else key for key in _BUCKET}
        bucket = [Column(key, "") for key in self._keys.values()]
        parts = [bucket if column.histogram else [column] for column in columns]
        super().__init__(tuple(itertools.chain(*parts)))
        self._has_histogram = bucket in parts
        # What a locale lacks would not come back.
        self._stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        self._csv = csv.writer(self._stdout, lineterminator="\n")
        self._cell = exact.cell

    def begin(self) -> None:
        self._csv.writerow([column.key for column in self._columns])

    def row(self, row: Row) -> None:
        for line in _lines(row, self._keys) if self._has_histogram else (row,):
            self._csv.writerow(
                self._cell(value) if column.kernel_bytes or isinstance(value, list) else value
                for column, value in ((column, line[column.key]) for column in self._columns)
            )


_BUCKET = ("from", "to", "count")


def _lines(row: Row, keys: dict[str, str]) -> Iterator[Row]:
    """Yield what CSV has of a row with a histogram: a line for each bucket, or without one."""
    for value in row.values():
        if isinstance(value, Histogram):
            for bucket in value.buckets or [{}]:
                yield {**row, **{name: bucket.get(key) for key, name in keys.items()}}


def open_writer(form: str, columns: tuple[Column, ...], options: Collection[str] = ()) -> Writer:
    """Return the writer for one of FORMATS, for "folded" stacks, or for "none".

    `options` names those that were given: some columns of a table depend on one.
    """
    if form == "table":
        return TableWriter(columns, options)
    if form == "none":
        return NoWriter(columns)
    if form == "folded":
        from ebpf_tour.frame.output.stacks import FoldedWriter

        return FoldedWriter(columns)
    writers: dict[str, type[JsonWriter | CsvWriter]] = {
        "json": JsonWriter,
        "csv": CsvWriter,
    }
    return writers[form](columns)


def cell(column: Column, row: Row) -> str:
    """Return the text of one table cell, not yet printable; a value that is not there is a "-"."""
    if column.text:
        text = column.text(row)
        return "\n".join(text) if isinstance(text, list) else text
    value = row[column.key]
    if value is None:
        return "-"
    return column.form % (";".join(value) if isinstance(value, list) else value)


def report_cell(column: Column, row: Row) -> str:
    """Return the same for a report: printable, and with several lines where `text` has them."""
    text = column.text(row) if column.text else None
    if isinstance(text, list):
        return "\n".join(map(printable, text))
    return printable(cell(column, row))
