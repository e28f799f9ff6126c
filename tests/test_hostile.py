"""Names and arguments that someone chose to do harm."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import (
    ALL_TOOLS,
    TOOLS,
    Case,
    accepts,
    fault,
    need_hooks,
    on_each_engine,
    parameters,
    prints,
    texts,
    to_count_all,
    watched,
    with_value,
)
from support import Result, Running

from ebpf_tour.base.text import as_utf8, from_kernel, printable
from ebpf_tour.frame.catalogue import parser_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Compiled

    from ebpf_tour.frame.record import Tool

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

# A process for each name: it calls itself so, makes a directory and opens a file that
# are called so, removes a link that is called so, sends itself signal 0, then becomes a
# program that is called so.
WORKLOAD = """
import json, os, sys, time
for name in map(os.fsencode, json.load(sys.stdin)):
    if os.fork() == 0:
        with open("/proc/self/comm", "wb") as comm:
            comm.write(name[:15])
        time.sleep(0.001)  # the trace buffer learns a name when the thread is switched
        os.mkdir(b"directories/" + name)
        os.close(os.open(b"programs/" + name, os.O_RDONLY))
        os.symlink("nowhere", b"links/" + name)
        os.unlink(b"links/" + name)
        os.kill(os.getpid(), 0)
        os.chdir("programs")
        os.execv(b"./" + name, [name, name])
    os.wait()
"""


def run_named(names: list[bytes], compiled: Compiled, directory: Path) -> None:
    """Do WORKLOAD for each of the names."""
    programs = directory / "programs"
    programs.mkdir()
    (directory / "directories").mkdir()
    (directory / "links").mkdir()
    for name in names:
        os.symlink(compiled("nothing"), os.fsencode(programs) + b"/" + name)
    text = json.dumps([os.fsdecode(name) for name in names])
    command = [sys.executable, "-BIc", WORKLOAD]
    subprocess.run(command, cwd=directory, input=text, text=True, check=True)


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


CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")


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
        assert not any(CONTROL.search(cell) for cell in row)
    for record in by_json.records:
        assert [key for key in record if not key.endswith("_hex")] == header
    return table, by_json.records


def values(rows: list[dict[str, Any]], key: str) -> str:
    """Return all that stands in a column, as one text."""
    return "\n".join(
        " ".join(value) if isinstance(value, list) else str(value)
        for value in (row[key] for row in rows)
    )


@fault
def test_names(case: Case, compiled: Compiled, tmp_path: Path) -> None:
    need_hooks(case)
    command = case.command(*to_count_all(case.tool))
    table, rows = shown_in_all_formats(command, lambda: run_named(NAMES, compiled, tmp_path))
    lengths = {"comm": COMM, "name": PATH, "path": PATH, "filename": PATH, "args": PATH}
    columns = [key for key in rows[0] if key in lengths]
    assert columns
    for key in columns:
        known = [from_kernel(name[: lengths[key]]) for name in NAMES]
        text = values(rows, key)
        if prints(case.tool):  # the trace buffer knows some of the names
            assert any(as_utf8(name) in text for name in known)
            continue
        for name in known:
            assert as_utf8(name) in text, key
            assert printable(name) in table, key


# All at once, and short enough for the name of a process.
NAME = b"\x1b[1A\n\xff\t\x7f'\",;%n"


@fault
def test_name_of_the_watched_process(case: Case, compiled: Compiled, tmp_path: Path) -> None:
    program = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NAME))
    program.hardlink_to(compiled("target"))
    with watched(case.tool, compiled, "all the time", program=program) as words:
        command = case.command(*words, "--time-limit=0.3")
        _, rows = shown_in_all_formats(command, lambda: None, by_itself=True)
    assert {bytes.fromhex(row["comm_hex"]) for row in rows} == {NAME}


@parameters(on_each_engine(tool for tool in TOOLS if tool.name == "minimal"))
def test_name_of_the_tool_itself(case: Case, tmp_path: Path) -> None:
    """Which is the one process that it sees."""
    link = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + NAME))
    program, *options = case.command("--limit=1")
    link.symlink_to(program)
    _, rows = shown_in_all_formats([link, *options], lambda: None, by_itself=True)
    assert [bytes.fromhex(row["comm_hex"]) for row in rows] == [NAME]


# Arguments.

FRAGMENT = '"); return 0; } int x('
VALUES = [
    FRAGMENT,
    "%s%n%p{}",
    "",
    "two\nlines",
    "\x1b[2J\x1b[1A",
    "\udcff",  # a byte that is no UTF-8
    "$(id)`id`;id",
    "-1",
    "9" * 5000,  # more digits than Python converts
    "x" * (128 * 1024 - 20),  # a little more, and no program can be given it
]


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.command)
def test_any_value_is_taken_or_refused_in_two_lines(
    tool: Tool, capsys: pytest.CaptureFixture[str]
) -> None:
    for prefix, _ in with_value(tool):
        for value in VALUES:
            words = [prefix + value] if prefix else ["--", value]
            with contextlib.suppress(SystemExit):
                parser_of(tool).parse_args(words)
            out, said = capsys.readouterr()
            assert out == ""
            assert said.count("\n") in (0, 2)
            # Otherwise argparse has named the Python function that converts it.
            assert "invalid" not in said.replace("invalid choice", "")
            check_text(said)


@fault
def test_the_largest_numbers_fit_into_the_program(case: Case) -> None:
    """What is larger is refused: a program gets it as it is or not at all."""
    largest = []
    for prefix, _ in with_value(case.tool):
        words = [f"{prefix}{2**bits - 1}" for bits in (31, 32, 63, 64)]
        taken = [word for word in words if prefix and accepts(case.tool, word)]
        if taken and not accepts(case.tool, f"{prefix}abc"):
            largest.append(taken[-1])
    assert largest  # --limit, if no other
    with Running(*case.command("--show", "asm", *largest)) as tool:
        result = tool.finish()
    assert (result.status, result.stderr) == (0, "")


def shown(case: Case, directory: Path, what: str, *words: str) -> Result:
    """Return what --show shows of a program, but for the PID namespace of the tool."""
    # What the program knows of the tool's PID is then the same each time.
    as_pid_1 = ("unshare", "--pid", "--fork", "--mount-proc")
    with Running(*as_pid_1, *case.command("--show", what, *words), cwd=directory) as tool:
        result = tool.finish()
    assert "Traceback" not in result.stderr
    assert result.status in (0, 1, 2)
    check_text(result.stderr)
    # Inodes of namespaces begin at 0xf0000000.
    return result._replace(stdout=re.sub("0xf[0-9a-f]{7} ll", "PIDNS ll", result.stdout))


@fault
def test_no_value_changes_the_program(case: Case, tmp_path: Path) -> None:
    """The same source, and the same bytecode as with a harmless value as long as that."""
    source = shown(case, tmp_path, "source")
    assert source.status == 0
    for prefix in texts(case.tool):
        # What the parser refuses comes no further.
        for value in (v for v in VALUES if accepts(case.tool, prefix + v)):
            result = shown(case, tmp_path, "source", prefix + value)
            assert result.status != 0 or result == source
        # The second one is a regular expression, too.
        for value in ("".join(VALUES[:7]), '"; return 0; int x = 1; %s%n'):
            result = shown(case, tmp_path, "asm", prefix + value)
            harmless = prefix + "a" * len(os.fsencode(value))
            assert result.status != 0 or result == shown(case, tmp_path, "asm", harmless)


HOSTILE_COMM = b'%s%n"); {'


@fault
def test_a_hostile_filter_filters(case: Case, compiled: Compiled, tmp_path: Path) -> None:
    """It is a name like any other."""
    names = [HOSTILE_COMM, b"other"]
    pattern = re.escape(HOSTILE_COMM.decode())
    with Running(*case.command("--json", f"--name={pattern}")) as tool:
        tool.wait_attached()
        run_named(names, compiled, tmp_path)
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert {row["comm"] for row in result.records} == {HOSTILE_COMM.decode()}
