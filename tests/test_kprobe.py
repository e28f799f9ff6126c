"""ebpf-kprobe and ebpf-fentry: the same rows, where the running kernel has the hook."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import Case, on_each_engine, parameters
from support import (
    BIN,
    Result,
    Running,
    Workload,
    assert_error,
    assert_rest_is_lost,
    bytes_of,
    is_preemptible,
    run,
    scaled,
)

from ebpf_tour.commands.fentry import TOOL as FENTRY
from ebpf_tour.commands.kprobe import TOOL as KPROBE
from ebpf_tour.frame.unlink import AT_FDCWD
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.loader.hooks.fentry import Fentry
from ebpf_tour.loader.hooks.kprobe import Kprobe

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Tool

TOOLS = (KPROBE, FENTRY)
each = parameters(on_each_engine(TOOLS))
each_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)

# It is told to begin, then removes files: by a name, by a descriptor of the directory, one
# that is not there, a directory, the longest path; its memory has no path at address 1.
UNLINK = """
import contextlib, ctypes, os
libc = ctypes.CDLL(None)
here = os.open(".", os.O_RDONLY)
os.dup2(here, 100)
for name in (b"one", b"caf\\xe9", b"two\\nlines"):
    os.close(os.open(name, os.O_CREAT))
os.mkdir("directory")
os.write(1, b"r")
os.read(0, 1)
os.unlink(b"one")
os.unlink(b"caf\\xe9", dir_fd=100)
os.unlink(os.path.abspath(b"two\\nlines"))
for name in ("one", "directory", "./" * 2045 + "/none", "x" * 4096):
    with contextlib.suppress(OSError):
        os.unlink(name)
libc.unlink(ctypes.c_void_p(1))
os.rmdir("directory")
"""

# Makes as many files as it is told, and removes them.
MANY = """
import os, sys
names = [f"{os.getpid()}-{number}" for number in range(int(sys.argv[1]))]
for name in names:
    os.close(os.open(name, os.O_CREAT))
os.write(1, b"r")
os.read(0, 1)
for name in names:
    os.unlink(name)
"""

# As many threads, each with a file of 48 MiB in memory, which takes long to remove: so most
# of them wait in the call while others run.
AT_ONCE = """
import os, sys, threading
names = [f"{os.getpid()}-{number}" for number in range(int(sys.argv[1]))]
begin = threading.Barrier(len(names) + 1)
def remove(name):
    begin.wait()
    os.unlink(name)
for name in names:
    with open(name, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 48 << 20)
    threading.Thread(target=remove, args=(name,)).start()
os.write(1, b"r")
os.read(0, 1)
begin.wait()
"""


def python(where: Path, script: str, *words: str) -> Workload:
    return Workload(sys.executable, "-BIc", script, *words, cwd=where)


def remover_of(where: Path, count: int) -> Workload:
    return python(where, MANY, str(count))


def work(*workloads: Workload) -> None:
    for workload in workloads:
        workload.begin()
        assert workload.finish() == 0


def rows_of(result: Result, pid: int) -> list[dict[str, Any]]:
    """Return the rows of a process. Demands an orderly end without losses."""
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return [row for row in result.records if row["pid"] == pid]


def seen(rows: list[dict[str, Any]]) -> list[tuple[str, int, bytes | int | None]]:
    """Return event, dfd, and path or result of each row."""
    return [
        (row["event"], row["dfd"], bytes_of(row, "path") if row["path"] else row["ret"])
        for row in rows
    ]


def calls_of(where: Path) -> list[tuple[int, bytes | None, int]]:
    """Return what UNLINK does in a directory: dfd, path, result."""
    return [
        (AT_FDCWD, b"one", 0),
        (100, b"caf\xe9", 0),
        (AT_FDCWD, os.fsencode(where / "two\nlines"), 0),
        (AT_FDCWD, b"one", -errno.ENOENT),
        (AT_FDCWD, b"directory", -errno.EISDIR),
        (AT_FDCWD, b"./" * 2045 + b"/none", -errno.ENOENT),
        (AT_FDCWD, None, -errno.ENAMETOOLONG),
        (AT_FDCWD, None, -errno.EFAULT),
    ]


@pytest.mark.core
@each
@pytest.mark.usefixtures("leaves_nothing")
def test_each_call_is_two_rows(case: Case, tmp_path: Path) -> None:
    with Running(*case.command("--json")) as tool:
        tool.wait_attached()
        remover = python(tmp_path, UNLINK)
        work(remover)
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, remover.pid)
    wanted: list[tuple[str, int, bytes | int | None]] = []
    for dfd, path, ret in calls_of(tmp_path):
        wanted += [("ENTRY", dfd, path), ("RETURN", dfd, ret)]
    assert seen(rows) == wanted
    for row in rows:
        assert list(row) == [*(column.key for column in case.tool.columns)] or "path_hex" in row
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert row["comm"].startswith("python")
        assert (row["ret"] is None) == (row["event"] == "ENTRY")


@pytest.mark.core
@each
@pytest.mark.usefixtures("leaves_nothing")
def test_pid(case: Case, tmp_path: Path) -> None:
    """-p lets nothing else through."""
    ours, other = (remover_of(tmp_path, count) for count in (3, scaled(500)))
    with Running(*case.command("--json", "-p", str(ours.pid))) as tool:
        tool.wait_attached()
        work(other, ours)
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, ours.pid)
    assert result.records == rows
    assert [row["path"] for row in rows[::2]] == [f"{ours.pid}-{n}" for n in range(3)]
    assert [(row["event"], row["ret"]) for row in rows[1::2]] == 3 * [("RETURN", 0)]


@pytest.mark.core
@each
def test_many_at_once(case: Case) -> None:
    """A kretprobe can follow only a few calls at once; each return that it misses is counted.

    So is each call for which fentry's program did not start: a preemptible kernel may take
    the CPU from a thread that is in it, and starts no program twice on a CPU.
    """
    count = 16
    with tempfile.TemporaryDirectory(prefix="ebpf-tour-test-", dir="/dev/shm") as name:
        remover = python(Path(name), AT_ONCE, str(count))
        with Running(*case.command("--json", "-p", str(remover.pid))) as tool:
            tool.wait_attached()
            work(remover)
            result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    lost = result.summary["lost"]
    events = Counter(row["event"] for row in result.records)
    if case.tool is FENTRY:
        assert events.total() + lost == 2 * count
        assert lost == 0 or is_preemptible()
        return
    assert events == {"ENTRY": count, "RETURN": count - lost}
    # Twice as many as there are CPUs, at least 10: see loader/hooks/kretprobe_event.py.
    if 2 * (os.cpu_count() or 1) < 10:
        assert lost
        assert f"{lost} of them began and did not end" in result.stderr


@pytest.mark.core
@each
def test_nothing_is_lost_in_silence(case: Case, tmp_path: Path) -> None:
    """While the tool is stopped its buffer fills up; what finds no room is counted."""
    remover = remover_of(tmp_path, 300)
    with Running(*case.command("--json", "-p", str(remover.pid), "--buffer", "64")) as tool:
        tool.wait_attached()
        with tool.stopped():
            work(remover)
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 600)


@each
def test_table(case: Case, tmp_path: Path) -> None:
    """There descriptors and errors have names, and a path is safe to print."""
    remover = python(tmp_path, UNLINK)
    with Running(*case.command("-p", str(remover.pid))) as tool:
        tool.wait_attached()
        work(remover)
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["TIME", "COMM", "PID", "EVENT", "DFD", "RET/PATH"]
    texts = [row.partition(f" {remover.pid} ")[2] for row in rows]
    assert texts[:4] == [
        *("ENTRY  AT_FDCWD one", "RETURN AT_FDCWD 0"),
        *("ENTRY  100      caf\\xe9", "RETURN 100      0"),
    ]
    assert texts[4].endswith("/two\\nlines")
    assert texts[7] == "RETURN AT_FDCWD -ENOENT"
    assert texts[-2:] == ["ENTRY  AT_FDCWD -", "RETURN AT_FDCWD -EFAULT"]


@pytest.mark.core
@each
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(case: Case) -> None:
    result = run(*case.command("--json", "--demo"))
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (8).\n")
    assert result.summary["lost"] == 0


@pytest.mark.core
@each
@pytest.mark.usefixtures("leaves_nothing")
def test_killed(case: Case) -> None:
    """Nothing stays behind."""
    with Running(*case.command("--json")) as tool:
        tool.wait_attached()
        assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL


@pytest.mark.kernel
@pytest.mark.core
@pytest.mark.parametrize("kind", [Kprobe, Fentry])
def test_the_name_that_the_kernel_has(kind: type[Kprobe | Fentry]) -> None:
    """The first of them. Where there is none, the error has all, and since when."""
    renamed = {"no_such_function_either": "9.8", "vfs_mkdir": "9.9"}
    assert kind("vfs_rmdir", renamed=renamed).target == "vfs_rmdir"
    hook = kind("no_such_function", renamed=renamed)
    assert hook.target == "vfs_mkdir"
    assert hook.without_function() is None
    renamed.popitem()
    missing = kind("no_such_function", renamed=renamed).without_function()
    assert str(missing) == (
        "this kernel has no function no_such_function to probe, nor no_such_function_either "
        "(its name since Linux 9.8)"
    )


@pytest.mark.kernel
@pytest.mark.native
@each_tool
def test_where_the_kernel_has_it_not(tool: Tool) -> None:
    if missing := what_is_missing(tool.hooks):
        for engine in tool.engines:
            result = run(BIN / tool.command, "--engine", engine)
            found = assert_error(result, missing.status, tool.command)
            assert found == (str(missing), missing.hint)


@pytest.mark.native
@each_tool
@pytest.mark.parametrize("options", [("-p", "0"), ("--via", "kprobe"), ("--buffer", "0")])
def test_usage(tool: Tool, options: tuple[str, ...]) -> None:
    assert_error(run(BIN / tool.command, *options), 2, tool.command)
