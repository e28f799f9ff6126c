"""Tables, JSON lines and CSV, with values that are out to break them."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import wcwidth

from ebpf_tour.frame.output import cell, open_writer
from ebpf_tour.frame.output.report import table
from ebpf_tour.frame.record import Column

if TYPE_CHECKING:
    import pytest

    from ebpf_tour.frame.record import Row, Value

COLUMNS = (
    Column("time_s", "TIME(s)", "when", 10, "%.3f", right=True),
    Column("comm", "COMM", "who", 16, kernel_bytes=True),
    Column("count", "COUNT", "how often", 7, right=True),
    Column("stack", "STACK", "from where", kernel_bytes=True),
)

ROWS: list[Row] = [
    {"time_s": 1.0, "comm": "1e5", "count": 3, "stack": ["leaf", "root"]},
    {"time_s": 12345678.9, "comm": 'a,"b";%s', "count": None, "stack": []},
    {"time_s": None, "comm": "a name of more than sixteen", "count": 2**64 - 1, "stack": "0x1"},
]


def written(
    capsys: pytest.CaptureFixture[str], form: str, rows: list[Row], *, report: bool = False
) -> str:
    writer = open_writer(form, COLUMNS)
    if not (report and form == "table"):
        writer.begin()
    if report:
        writer.report(rows)
    else:
        for row in rows:
            writer.row(row)
    writer.end({"events": len(rows), "lost": 0})
    writer.flush()
    return capsys.readouterr().out


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert written(capsys, "table", ROWS) == (
        "   TIME(s) COMM               COUNT STACK\n"
        "     1.000 1e5                    3 leaf;root\n"
        '12345678.900 a,"b";%s               -\n'
        "         - a name of more than sixteen 18446744073709551615 0x1\n"
    )


def test_table_column_with_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """It is there if the option was given; the other formats always have it."""
    columns = (COLUMNS[1]._replace(option="wide"), COLUMNS[2])
    seen = []
    for form, options in (("table", ()), ("table", ("wide",)), ("csv", ())):
        open_writer(form, columns, options).begin()
        seen.append(capsys.readouterr().out)
    assert seen == ["  COUNT\n", "COMM               COUNT\n", "comm,count\n"]


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    """As wide as the content; a name that looks like a number stays one."""
    assert written(capsys, "table", ROWS, report=True) == (
        "     TIME(s)  COMM                                        COUNT  STACK\n"
        "       1.000  1e5                                             3  leaf;root\n"
        '12345678.900  a,"b";%s                                        -\n'
        "           -  a name of more than sixteen  18446744073709551615  0x1\n"
    )


def test_empty_report(capsys: pytest.CaptureFixture[str]) -> None:
    """A header, so that one sees that it looked."""
    text = written(capsys, "table", [], report=True)
    assert text.split() == [column.header for column in COLUMNS]
    assert text.count("\n") == 1


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    for report in (False, True):
        *lines, last = written(capsys, "json", ROWS, report=report).splitlines()
        assert [json.loads(line) for line in lines] == ROWS
        assert json.loads(last) == {"type": "summary", "events": 3, "lost": 0}


def test_json_keeps_numbers_exact(capsys: pytest.CaptureFixture[str]) -> None:
    assert "18446744073709551615" in written(capsys, "json", ROWS)


def test_csv(capsys: pytest.CaptureFixture[str]) -> None:
    text = written(capsys, "csv", ROWS)
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["time_s", "comm", "count", "stack"]
    assert rows == [
        ["1.0", "1e5", "3", "leaf;root"],
        ["12345678.9", 'a,"b";%s', "", ""],
        ["", "a name of more than sixteen", "18446744073709551615", "0x1"],
    ]
    assert written(capsys, "csv", ROWS, report=True) == text


def test_csv_keeps_the_items_of_a_list_apart(capsys: pytest.CaptureFixture[str]) -> None:
    items = ["a;b", "\\", "", "c\\;"]
    row = {"time_s": 0, "comm": "", "count": 0, "stack": items}
    text = written(capsys, "csv", [row])
    value = next(csv.DictReader(io.StringIO(text)))["stack"]
    assert value == r"a\;b;\\;;c\\\;"
    found = re.findall(r"(?:^|;)((?:\\.|[^;\\])*)", value)
    assert [re.sub(r"\\(.)", r"\1", item) for item in found] == items


HOSTILE: Row = {"time_s": 0.0, "comm": "a\x1b[1A\udcff\n\\", "count": 1, "stack": ["\r;", "b"]}


def test_bytes_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """As escapes, on one line; the columns stay where they are."""
    for report in (False, True):
        header, row = written(capsys, "table", [HOSTILE], report=report).splitlines()
        assert row.split() == ["0.000", r"a\x1b[1A\xff\n" + "\\", "1", r"\r;;b"]
        assert row.index("1", row.index("\\n")) == header.index("COUNT") + 4


def test_bytes_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    text = written(capsys, "json", [HOSTILE])
    assert text.isascii()
    record = json.loads(text.splitlines()[0])
    assert list(record) == ["time_s", "comm", "comm_hex", "count", "stack"]
    assert (record["comm"], record["stack"]) == ("a\x1b[1A\ufffd\n\\", ["\r;", "b"])
    assert bytes.fromhex(record["comm_hex"]) == b"a\x1b[1A\xff\n\\"


def test_bytes_in_csv(capsys: pytest.CaptureFixture[str]) -> None:
    """In columns of kernel bytes; what begins like a formula stays."""
    texts = ["=1+1", "+a", "-b", "@c"]
    rows = [HOSTILE, *({**HOSTILE, "comm": text} for text in texts)]
    lines = list(csv.DictReader(io.StringIO(written(capsys, "csv", rows))))
    assert lines[0]["comm"] == r"a\x1b[1A\xff\n" + "\\" * 2
    assert lines[0]["stack"] == r"\x0d\;;b"
    assert [line["comm"] for line in lines[1:]] == texts


def test_a_character_beyond_the_first_65536_is_no_byte(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON writes it as two surrogates, of which the second looks like one of our bytes."""
    row = {**HOSTILE, "comm": "\U0001f480"}  # d83d dc80
    record = json.loads(written(capsys, "json", [row]).splitlines()[0])
    assert record == row


def test_wide_and_combining_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """They take two columns of a terminal, or none."""
    names = ["名前", "e\u0301te\u0301", "🐝", "café", "plain"]
    rows: list[Row] = [{**HOSTILE, "comm": name} for name in names]
    for report in (False, True):
        header, *lines = written(capsys, "table", rows, report=report).splitlines()
        end = header.index("COUNT") + len("COUNT")
        for name, line in zip(names, lines, strict=True):
            before = line[: line.index("1", 20)]
            assert name in before
            assert wcwidth.wcswidth(before) == end - 1


def test_cell() -> None:
    def of(value: Value, form: str = "%s") -> str:
        return cell(Column("key", "KEY", "a value", form=form), {"key": value})

    assert of(None, "%.3f") == "-"
    assert of(0, "%d") == "0"
    assert of("") == ""
    assert of(["a", "b"]) == "a;b"
    assert of("%d") == "%d"


def test_cell_of_a_whole_row() -> None:
    column = Column("key", "KEY", "a value", text=lambda row: f"{row['key']}/{row['other']}")
    assert cell(column, {"key": 1, "other": 2}) == "1/2"


def test_a_column_without_a_header_is_not_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("a", "A", "shown", 1), Column("b", "", "not shown"))
    for form, wanted in (("table", "A\n1\n"), ("csv", "a,b\n1,2\n")):
        writer = open_writer(form, columns)
        writer.begin()
        writer.row({"a": 1, "b": 2})
        writer.flush()
        assert capsys.readouterr().out == wanted


def test_table_of_odd_cells() -> None:
    """What tabulate would make of them if it were let."""
    rows = [["1e5", "0x10"], ["  indented", "nan"], ["", "1_000"]]
    text = table(["A", "B"], rows, [False, True])
    assert text == "A             B\n1e5        0x10\nindented    nan\n          1_000\n"
