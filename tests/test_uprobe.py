"""ebpf-uprobe, on the real kernel."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cases import via
from support import (
    BIN,
    ROOT,
    Result,
    Running,
    Workload,
    assert_error,
    compile_program,
    in_mount_namespace,
    run,
    scaled,
    watch_all_and_one,
)

from ebpf_tour.commands.uprobe import TOOL
from ebpf_tour.loader.hooks.uprobe import in_own_libc

if TYPE_CHECKING:
    from pathlib import Path

    from support import Compiled

pytestmark = [pytest.mark.kernel(TOOL), pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")]

UPROBE = BIN / "ebpf-uprobe"
way = via(TOOL)


def options(way: tuple[str, ...]) -> tuple[str, ...]:
    """Return the options for a tool that has one way, and so no --via."""
    return (*way[:2], way[-1])


# A process that calls labs(-1), labs(-2) and so on when it is told to.
CALLER = """
import ctypes, os, sys
labs = ctypes.CDLL(None).labs
labs.restype, labs.argtypes = ctypes.c_long, [ctypes.c_long]
os.write(1, b"r")
os.read(0, 1)
for number in range(1, int(sys.argv[1]) + 1):
    labs(-number)
"""


def caller(count: int) -> Workload:
    return Workload(sys.executable, "-BIc", CALLER, str(count))


def rows_of(result: Result, pid: int) -> list[tuple[str, int]]:
    """Return what a process caused; demands an orderly end without losses."""
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    rows = [row for row in result.records if row["pid"] == pid]
    assert all(list(row) == [column.key for column in TOOL.columns] for row in rows)
    return [(row["event"], row["value"]) for row in rows]


def calls(count: int) -> list[tuple[str, int]]:
    numbers = range(1, count + 1)
    return [pair for n in numbers for pair in (("ENTRY", -n), ("RETURN", n))]


@pytest.mark.core
def test_its_own_calls(way: tuple[str, ...]) -> None:
    with Running(UPROBE, *options(way), "--limit", "4") as tool:
        result = tool.finish()
    assert rows_of(result, tool.pid) == 2 * [("ENTRY", -42), ("RETURN", 42)]
    assert result.stderr == "Tracing our own labs() once a second... Ctrl-C to end.\n"
    assert {(row["comm"], row["text"]) for row in result.records} == {("ebpf-uprobe", None)}


@pytest.mark.core
def test_demo(way: tuple[str, ...]) -> None:
    result = run(UPROBE, *options(way), "--demo")
    assert result.status == 0, result.stderr
    assert len(result.records) == 6
    assert result.stderr.endswith("Demo: saw every row that it caused (6), and nothing else.\n")


@pytest.mark.core
def test_one_process_and_no_other(way: tuple[str, ...]) -> None:
    """Also while a second tool watches all processes that call the function."""
    count = scaled(500)
    command = (UPROBE, *options(way))
    with caller(count) as wanted, caller(count) as other:
        of_both, of_one = watch_all_and_one(command, ("--binary", "libc"), wanted, other)
    assert rows_of(of_one, wanted.pid) == calls(count)
    assert {row["pid"] for row in of_one.records} == {wanted.pid}
    for pid in (wanted.pid, other.pid):
        assert rows_of(of_both, pid) == calls(count)


def type_into_bash(*lines: str) -> int:
    """Type lines into a bash at a terminal, and return its PID."""
    pid, terminal = pty.fork()
    if not pid:
        os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-i"])
    with os.fdopen(terminal, "r+b", buffering=0) as file:
        file.write("".join(f"{line}\n" for line in (*lines, "exit")).encode())
        try:
            while file.read(4096):
                pass
        except OSError:  # what a terminal says once nobody is there
            pass
    assert os.waitpid(pid, 0)[1] == 0
    return pid


@pytest.mark.native
def test_typed_lines(way: tuple[str, ...]) -> None:
    """bash reads them with readline(), which returns each as a text."""
    command = (UPROBE, *options(way), "--binary", "bash", "--function", "readline")
    lines = ["true one", ": 'zwei fünf'", ": " + "x" * 200]
    with Running(*command) as tool:
        tool.wait_attached()
        pid = type_into_bash(*lines)
        result = tool.finish(signal.SIGINT)
    rows_of(result, pid)
    typed = [r["text"] for r in result.records if (r["pid"], r["event"]) == (pid, "RETURN")]
    assert typed == [*(line[:127] for line in lines), "exit"]


@pytest.mark.native
def test_table(engine: str) -> None:
    result = run(UPROBE, "--engine", engine, "--limit", "2")
    header, entry, back = map(str.split, result.stdout.splitlines())
    assert header == [column.header for column in TOOL.columns if column.header]
    assert (entry[3:], back[3:]) == (["ENTRY", "-42"], ["RETURN", "42"])


@pytest.mark.native
def test_a_text_in_the_table(engine: str) -> None:
    """What has a control character, or is no UTF-8, is shown as a number."""
    script = "import ctypes; [ctypes.CDLL(None).getenv(name) for name in {!r}]"
    names = ["zwei fünf".encode(), b"caf\xe9", b"up\x1b[1A", b""]
    with Running(UPROBE, "--engine", engine, "--binary", "libc", "--function", "getenv") as tool:
        tool.wait_attached()
        with subprocess.Popen([sys.executable, "-BIc", script.format(names)]) as process:
            assert process.wait() == 0
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    shown = re.findall(rf" {process.pid} ENTRY  (.*)\n", result.stdout)
    text, *numbers, empty = shown[shown.index('"zwei fünf"') :][:4]
    assert (text, empty) == ('"zwei fünf"', '""')
    assert all(number.isdecimal() for number in numbers)


@pytest.mark.native
def test_a_process_in_a_container(way: tuple[str, ...], tmp_path: Path) -> None:
    """With another C library under the same name, and a PID namespace of its own."""
    library, _ = in_own_libc("labs")
    copy = shutil.copy(library, tmp_path / "libc.so.6")
    inside = in_mount_namespace(f"mount --bind '{copy}' '{library}'", sys.executable)
    wrapper = ("unshare", "--pid", "--fork", "--kill-child", *inside)
    with Workload(*wrapper, "-BIc", CALLER, "3") as outer:
        pid = child_of(outer.pid)
        with Running(UPROBE, *options(way), "-p", str(pid)) as tool:
            tool.wait_attached()
            outer.begin()
            assert outer.finish() == 0
            result = tool.finish(signal.SIGINT)
    assert rows_of(result, pid) == calls(3)


def child_of(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return int(file.read())


# What cannot be traced.


def refused(*words: str, status: int = 1) -> tuple[str, str]:
    return assert_error(run(UPROBE, *words), status, "ebpf-uprobe")


@pytest.mark.native
def test_a_function_that_is_not_there() -> None:
    cause, hint = refused("--binary", "/bin/bash", "--function", "no_such")
    assert cause == "/bin/bash has no function no_such"
    assert hint == (
        "it is stripped, so only what it exports has a name; list what it has: "
        "ebpf-probes --binary /bin/bash 'uprobe:*'"
    )
    cause, _ = refused("-p", str(os.getpid()), "--function", "no_such")
    assert cause.startswith("no file that the process ")


@pytest.mark.native
def test_an_indirect_function() -> None:
    cause, _ = refused("--binary", "libc", "--function", "strlen")
    assert "strlen" in cause
    assert "is an indirect function (ifunc)" in cause


@pytest.mark.core
@pytest.mark.parametrize("of_all", [False, True])
def test_a_function_that_only_the_file_itself_knows(
    engine: str, compiled: Compiled, of_all: bool
) -> None:
    """No other file can be bound to it, so it is in the full symbol table alone."""
    path = compiled("places")
    with Workload(path) as program:
        which = ("--binary", path) if of_all else ("-p", str(program.pid))
        command = (UPROBE, "--json", "--engine", engine, "--function", "only_here", *which)
        with Running(*command) as tool:
            tool.wait_attached()
            program.begin()
            assert program.finish() == 0
            result = tool.finish(signal.SIGINT)
    assert rows_of(result, program.pid) == [
        pair for n in (1, 2, 3) for pair in (("ENTRY", n), ("RETURN", n + 10))
    ]


@pytest.mark.native
def test_a_stripped_program(tmp_path: Path) -> None:
    path = compile_program(ROOT / "tests/programs/places.c", tmp_path / "stripped", "-s")
    with Workload(path) as program:
        cause, hint = refused("-p", str(program.pid), "--function", "only_here")
    assert cause == (
        f"no file that the process {program.pid} (stripped) has mapped has a function only_here"
    )
    assert hint.startswith("name another function (--function NAME), or run a build with symbols: ")


@pytest.mark.native
@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--function", "getenv"), "which program has getenv?"),
        (
            ("--binary", "bash", "-p", "1"),
            "-p looks in the files that the process has mapped, so --binary cannot be given, too",
        ),
        (("--demo", "--binary", "bash"), "--demo traces the tool itself"),
    ],
)
def test_options_that_do_not_go_together(words: tuple[str, ...], cause: str) -> None:
    assert refused(*words, status=2)[0] == cause


def script_or_fifo(tmp_path: Path) -> list[tuple[str, str]]:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "script").write_text("#!/bin/sh\n")
    return [("fifo", "it is not a regular file"), ("script", "it is not an ELF file")]


@pytest.mark.native
def test_what_is_no_program(tmp_path: Path) -> None:
    for name, why in script_or_fifo(tmp_path):
        cause, _ = refused("--binary", str(tmp_path / name), "--function", "main")
        assert why in cause


def test_kill_leaves_nothing(way: tuple[str, ...]) -> None:
    with caller(1) as target:
        words = ("-p", str(target.pid))
        with Running(UPROBE, *options(way), *words) as tool:
            tool.wait_attached()
            assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL
        target.begin()
        assert target.finish() == 0
