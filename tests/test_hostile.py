"""Names and arguments that someone chose to do harm."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import (
    SEE_ALL,
    TOOLS,
    Case,
    in_all_ways,
    need_hooks,
    on_each_engine,
    parameters,
    to_count_all,
    watched,
    watches_a_process,
)
from support import Result, Running

from ebpf_tour.text import from_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.native,
    pytest.mark.usefixtures("leaves_nothing", "quiet_kernel"),
]

# What a file can be called: anything but "/" and NUL.
NAMES = [
    b"\x1b[2J\x1b[1A",  # clears the screen, goes up a line
    b"two\nlines\r",  # forges a row, writes over another one
    b"\xff\xfe\xc3",  # no UTF-8
    "\u009b1A".encode(),  # the same as \x1b[1A in one character
    "\u202egnp.exe".encode(),  # turns the direction of writing
    b"\x7f\x08\x07\t",
    b"'quotes', \";=",
    b" ",
    b"%s%n{}\\x1b",
    b"x" * 255,
]
COMM, PATH = 15, 100  # how much of a name is certainly shown

# A process for each name: it makes a directory and opens a file that are called
# so, then calls itself so, then becomes a program that is called so.
WORKLOAD = """
import json, os, sys
for name in map(os.fsencode, json.load(sys.stdin)):
    if os.fork() == 0:
        with open("/proc/self/comm", "wb") as comm:
            comm.write(name[:15])
        os.mkdir(b"directories/" + name)
        os.close(os.open(b"programs/" + name, os.O_RDONLY))
        os.chdir("programs")
        os.execv(b"./" + name, [name, name])
    os.wait()
"""


class Terminal:
    """A terminal that keeps what is written to it, byte by byte."""

    def __init__(self) -> None:
        self._master, self.fd = pty.openpty()
        tty.setraw(self.fd)
        self._seen = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: nobody has it open any more
            while chunk := os.read(self._master, 4096):
                self._seen += chunk

    def close(self) -> str:
        """Return what was written, once nobody writes any more."""
        os.close(self.fd)
        self._reader.join()
        os.close(self._master)
        return self._seen.decode()


def check_text(text: str) -> None:
    for line in text.split("\n"):
        assert line.isprintable(), line


def shown_in_all_formats(
    command: list[str | Path], work: Callable[[], None], *, by_itself: bool = False
) -> tuple[str, list[dict[str, Any]]]:
    """Run a tool three times beside some work: on a terminal, with --json, with CSV.

    Demands that all is printable, and that JSON and CSV can be read. Returns the
    table and the rows of JSON.
    """
    terminal = Terminal()
    results: list[Result] = []
    with contextlib.ExitStack() as stack:
        tools = [
            stack.enter_context(Running(*command, stdout=terminal.fd)),
            *(stack.enter_context(Running(*command, f"--format={f}")) for f in ("json", "csv")),
        ]
        for tool in tools:
            tool.wait_attached()
        work()
        results = [tool.finish(None if by_itself else signal.SIGINT) for tool in tools]
    table = terminal.close()
    check_text(table)
    for result in results:
        assert result.status == 0, result.stderr
        check_text(result.stderr)
    _, by_json, by_csv = results
    check_text(by_json.stdout)
    header, *cells = csv.reader(io.StringIO(by_csv.stdout, newline=""), strict=True)
    assert cells
    for row in cells:
        assert len(row) == len(header)
        assert all(cell.isprintable() for cell in row)
    for record in by_json.records:
        assert list(record) == header
    return table, by_json.records


def values(rows: list[dict[str, Any]], key: str) -> str:
    """Return all that stands in a column, as one text."""
    return "\n".join(
        " ".join(value) if isinstance(value, list) else str(value)
        for value in (row[key] for row in rows)
    )


@parameters(in_all_ways(SEE_ALL))
def test_names(case: Case, helpers: Path, tmp_path: Path) -> None:
    need_hooks(case)
    (tmp_path / "programs").mkdir()
    (tmp_path / "directories").mkdir()
    for name in NAMES:
        os.symlink(helpers / "nothing", os.fsencode(tmp_path / "programs") + b"/" + name)

    def work() -> None:
        names = json.dumps([os.fsdecode(name) for name in NAMES])
        command = [sys.executable, "-BIc", WORKLOAD]
        subprocess.run(command, cwd=tmp_path, input=names, text=True, check=True)

    table, rows = shown_in_all_formats(case.command(*to_count_all(case.tool)), work)
    lengths = {"comm": COMM, "name": PATH, "path": PATH, "filename": PATH, "args": PATH}
    columns = [key for key in rows[0] if key in lengths]
    assert columns
    for key in columns:
        for name in NAMES:
            shown = from_kernel(name[: lengths[key]])
            assert shown in values(rows, key), (key, name)
            assert shown in table, (key, name)


# All at once, and short enough for the name of a process.
NAME = b"\x1b[1A\n\xff\t\x7f'\",;%n"


@parameters(on_each_engine(filter(watches_a_process, TOOLS)))
def test_name_of_the_watched_process(case: Case, helpers: Path, tmp_path: Path) -> None:
    program = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NAME))
    program.hardlink_to(helpers / "target")
    with watched(case.tool, helpers, "all the time", program=program) as words:
        command = case.command(*words, "--time-limit=1")
        _, rows = shown_in_all_formats(command, lambda: None, by_itself=True)
    assert {row["comm"] for row in rows} == {from_kernel(NAME)}


@parameters(on_each_engine(tool for tool in TOOLS if tool.name == "minimal"))
def test_name_of_the_tool_itself(case: Case, tmp_path: Path) -> None:
    """Which is the one process that it sees."""
    link = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NAME))
    program, *options = case.command("--limit=1")
    link.symlink_to(program)
    _, rows = shown_in_all_formats([link, *options], lambda: None, by_itself=True)
    assert [row["comm"] for row in rows] == [from_kernel(NAME)]
