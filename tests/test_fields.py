"""--fields and --sort."""

from __future__ import annotations

import argparse
import csv
from typing import TYPE_CHECKING, Any

import pytest
from support import BIN, assert_error, run

from ebpf_tour.base.errors import UsageError
from ebpf_tour.commands.opensnoop import TOOL as OPENSNOOP
from ebpf_tour.frame import Column, fields
from ebpf_tour.frame.catalogue import parser_of, tools

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Row

COLUMNS = (
    Column("pid", "PID", width=7, right=True),
    Column("time", "TIME", width=8, option="time"),
    Column("uid", ""),
    Column("path", "PATH"),
)


def chosen(*keys: str) -> list[tuple[str, int, str]]:
    args = argparse.Namespace(fields=list(keys) or None, format="table")
    return [(item.header, item.width, item.option) for item in fields.chosen(args, COLUMNS)]


def test_columns() -> None:
    """In the order that was asked for; each has a header and a width, but for the last one."""
    assert chosen() == [(item.header, item.width, item.option) for item in COLUMNS]
    assert chosen("path", "time", "uid") == [("PATH", 16, ""), ("TIME", 8, ""), ("UID", 0, "")]
    assert chosen("pid") == [("PID", 7, "")]
    with pytest.raises(UsageError, match="the rows have no count"):
        chosen("pid", "count")


def test_order() -> None:
    """The largest number first, names from a to z, what is not there last."""
    rows: list[Row] = [{"n": 1, "s": "b"}, {"n": None, "s": "a"}, {"n": 2.5, "s": None}]

    def by(key: str | None) -> list[Any]:
        return [row[key or "n"] for row in fields.in_order(argparse.Namespace(sort=key), rows)]

    assert by(None) == [1, None, 2.5]
    assert by("n") == [2.5, 1, None]
    assert by("s") == ["a", "b", None]
    with pytest.raises(UsageError, match="the rows have no x"):
        by("x")


def test_every_tool_for_work_has_them() -> None:
    for tool in tools():
        options = {text for action in parser_of(tool)._actions for text in action.option_strings}
        assert ("--fields" in options) == (tool.for_work or tool.name in LESSONS), tool.name
        assert ("--sort" in options) == (tool.name in REPORTS), tool.name


LESSONS = {"bootstrap", "execcount", "profile"}  # that are at work, too
REPORTS = {"execcount", "mallocstacks", "profile", "syscount"}


@pytest.mark.kernel(OPENSNOOP)
def test_a_tool() -> None:
    """CSV and the table have just these columns; the rows are the same."""
    one = ("-c", "sh -c 'read line </etc/hostname'", "--path", "/etc/hostname")
    command = (BIN / "ebpf-opensnoop", *one, "--fields", "path,comm")
    text = run(*command, "--format", "csv").stdout
    assert list(csv.reader(text.splitlines())) == [["path", "comm"], ["/etc/hostname", "sh"]]
    table = run(*command).stdout.splitlines()
    assert [line.split() for line in table] == [["PATH", "COMM"], ["/etc/hostname", "sh"]]


@pytest.mark.kernel
def test_a_report() -> None:
    command = (BIN / "ebpf-syscount", "--demo", "--sort", "number", "--format", "csv")
    rows = list(csv.DictReader(run(*command, "--fields", "number,count").stdout.splitlines()))
    numbers = [int(row["number"]) for row in rows]
    assert numbers == sorted(numbers, reverse=True)
    assert {len(row) for row in rows} == {2}


def test_wrong_fields() -> None:
    """Before anything is attached."""
    tool = BIN / "ebpf-opensnoop"
    cause, _ = assert_error(run(tool, "--fields", "pid,x"), 2, "ebpf-opensnoop")
    assert cause.startswith("argument --fields: there is no 'x'; take of time, ")
    cause, _ = assert_error(run(tool, "--fields", "pid", "--json"), 2, "ebpf-opensnoop")
    assert cause == "--fields is for tables and CSV, and json has everything"
    cause, _ = assert_error(run(BIN / "ebpf-syscount", "--sort", ""), 2, "ebpf-syscount")
    assert cause.startswith("argument --sort: there is no ''")
