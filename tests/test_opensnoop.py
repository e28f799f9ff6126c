"""ebpf-opensnoop: every call joined with its result, whatever becomes of the thread."""

from __future__ import annotations

import collections
import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    ARCHITECTURE,
    BIN,
    ENGINES,
    Result,
    Running,
    Workload,
    assert_error,
    assert_rest_is_lost,
    bytes_of,
    may_be_skipped,
    run,
    scaled,
    wait_until,
)

from ebpf_tour.base.names import error_name, open_flags
from ebpf_tour.commands.opensnoop import TOOL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support import Compiled

OPENSNOOP = BIN / "ebpf-opensnoop"

kernel = pytest.mark.kernel(TOOL)

# Whether many calls at once may be too many, as on Linux 7.2.
SKIPS = may_be_skipped(*TOOL.hooks)

AT_FDCWD = -100
ERESTARTSYS = 512

# Room for what the whole machine opens while the tool does not come to read it.
LARGE_BUFFER = ("--buffer", "16384")

# A process that calls creat(2), and opens the same file by a handle.
RARE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
name = os.fsencode(sys.argv[1])
handle = (ctypes.c_uint32 * 34)(128)
mount = os.open(os.path.dirname(name), os.O_RDONLY)
os.write(1, b"r")
os.read(0, 1)
os.close(libc.creat(name, 0o600))
assert libc.name_to_handle_at(-100, name, handle, ctypes.byref(ctypes.c_int()), 0) == 0
os.close(libc.open_by_handle_at(mount, handle, os.O_RDWR))
"""

# A process that opens files: [path, flags, whether from a directory] each. What
# fails is meant to.
WORKLOAD = """
import json, os, sys
directory = os.open(sys.argv[1], os.O_RDONLY)
os.write(1, b"r")
for path, flags, at in json.load(sys.stdin):
    try:
        os.close(os.open(os.fsencode(path), flags, 0o604, dir_fd=directory if at else None))
    except OSError:
        pass
"""


class Opener(Workload):
    """A process that opens files when it is told to."""

    def __init__(self, where: Path, *wrapper: str) -> None:
        super().__init__(*wrapper, sys.executable, "-BIc", WORKLOAD, where, cwd=where)

    def open(self, *names: bytes | str, flags: int = os.O_RDONLY) -> None:
        self.open_all([(name, flags, False) for name in names])

    def open_all(self, calls: Sequence[tuple[bytes | str, int, bool]]) -> None:
        ready = [[os.fsdecode(name), *rest] for name, *rest in calls]
        self.begin(json.dumps(ready).encode())
        assert self.finish() == 0


def rows_of(result: Result, pid: int, *, lossless: bool = True) -> list[dict[str, Any]]:
    """Return what a process caused.

    Demands an orderly end, and unless told otherwise one without losses.
    """
    assert result.status == 0, result.stderr
    lost = 0 if lossless else result.summary["lost"]
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": lost}
    return [row for row in result.records if row["pid"] == pid]


def seen(
    engine: str, where: Path, calls: Sequence[tuple[bytes | str, int, bool]], *options: str
) -> list[dict[str, Any]]:
    """Return the rows for a process that opens these files, and nothing else."""
    opener = Opener(where)
    command = (OPENSNOOP, "--engine", engine, "--json", "-p", str(opener.pid), *options)
    with Running(*command) as tool:
        tool.wait_attached()
        opener.open_all(calls)
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, opener.pid)
    assert rows == result.records
    return rows


@pytest.mark.core
@kernel
@pytest.mark.parametrize("output", ["json", "table"])
def test_creat_and_a_handle(engine: str, output: str) -> None:
    """In a file system that has handles: that of a virtual machine has none."""
    with tempfile.TemporaryDirectory(prefix="ebpf-tour-test-", dir="/dev/shm") as where:
        assert_creat_and_a_handle(engine, output, f"{where}/made")


def assert_creat_and_a_handle(engine: str, output: str, path: str) -> None:
    caller = Workload(sys.executable, "-BIc", RARE, path)
    command = (OPENSNOOP, "--engine", engine, "--format", output, "-p", str(caller.pid))
    with Running(*command) as tool:
        tool.wait_attached()
        caller.begin()
        assert caller.finish() == 0
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    if output == "table":
        paths = [line.split(None, 4)[-1] for line in result.stdout.splitlines()[1:]]
        assert paths == [path, "[by handle]"]
        return
    created, by_handle = rows_of(result, caller.pid)
    # arm64 has no creat: there, the C library calls openat.
    creat = {"x86": "creat", "arm64": "openat"}[ARCHITECTURE]
    assert (created["call"], by_handle["call"]) == (creat, "open_by_handle_at")
    assert created["flags"] == ["O_WRONLY", "O_CREAT", "O_TRUNC"]
    assert (created["mode"], created["path"]) == ("0600", path)
    assert by_handle["flags"] == ["O_RDWR"]
    assert (by_handle["mode"], by_handle["path"]) == (None, None)
    assert by_handle["dirfd"] > 2
    assert created["errno"] == by_handle["errno"] == 0


@pytest.mark.core
@kernel
@pytest.mark.usefixtures("leaves_nothing")
def test_every_call_has_one_row(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    """Three system calls, two threads, a file and one that is not there: 3,000 calls.

    A fifth of that in an emulated machine. Where the kernel skips calls, what
    is missing is lost and counted.
    """
    there, missing = tmp_path / "there", tmp_path / "no/such"
    there.touch()
    each = scaled(250)
    workload = Workload(compiled("opens"), str(each), there, missing)
    with Running(OPENSNOOP, "--engine", engine, "--json", "-p", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.begin()
        assert workload.finish() == 0
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, workload.pid, lossless=not SKIPS)
    for row in rows:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert row["comm"] == "opens"
        assert row["uid"] == 0
        assert row["dirfd"] == AT_FDCWD
        assert (row["fd"] == -1) == (row["path"] == str(missing))
    threads = {row["tid"] for row in rows}
    for thread in threads:
        times = [row["time_s"] for row in rows if row["tid"] == thread]
        assert times == sorted(times)
        assert times[0] > 0
    assert len(threads) == 2
    assert workload.pid in threads
    calls = collections.Counter(
        (row["tid"], row["path"], row["errno"], row["error"], *row["flags"], row["mode"])
        for row in rows
    )
    expected = {
        (thread, str(path), *failure, *flags): each
        for thread in threads
        for path, failure in ((there, (0, None)), (missing, (errno.ENOENT, "ENOENT")))
        for flags in (
            ("O_RDONLY", None),
            ("O_RDWR", "O_CLOEXEC", None),
            ("O_WRONLY", "O_CREAT", "0640"),
        )
    }
    if SKIPS:
        assert calls <= collections.Counter(expected)
        assert len(rows) + result.summary["lost"] >= 12 * each
    else:
        assert calls == expected


HOSTILE = [
    b"\x1b[2J\x1b[1A",
    b"two\nlines",
    b"\xff\xfe",
    "fünf".encode(),
    b" ",
    b"a\tb",
    b"-",
    b"x" * 255,
]


@pytest.mark.native
@kernel
def test_any_path(engine: str, tmp_path: Path) -> None:
    """As long as a path can be, and whatever is in it."""
    longest = b"./" * 2000 + b"z" * 95
    too_long = longest + b"tail"
    paths: list[bytes] = [*HOSTILE, b"", longest, too_long]
    rows = seen(engine, tmp_path, [(path, os.O_RDONLY, False) for path in paths])
    assert [bytes_of(row, "path") for row in rows] == [path[:4095] for path in paths]
    assert [row["error"] for row in rows] == [*(["ENOENT"] * (len(paths) - 1)), "ENAMETOOLONG"]


@pytest.mark.native
@kernel
def test_short_path_after_a_long_one(engine: str, tmp_path: Path) -> None:
    """The record is put together where the one before was."""
    paths = ["y" * 4000, "short", "", "y" * 4000, "s"]
    rows = seen(engine, tmp_path, [(path, os.O_RDONLY, False) for path in paths])
    assert [row["path"] for row in rows] == paths


@kernel
def test_path_in_a_page_that_is_not_in_memory(
    engine: str, compiled: Compiled, tmp_path: Path
) -> None:
    """On entry nobody has read it, so a program could not read it, either."""
    target = tmp_path / "target"
    target.touch()
    name = tmp_path / "name"
    name.write_bytes(os.fsencode(target) + b"\0")
    workload = Workload(compiled("untouched"), name)
    with Running(OPENSNOOP, "--engine", engine, "--json", "-p", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.begin()
        assert workload.finish() == 0
        rows = rows_of(tool.finish(signal.SIGINT), workload.pid)
    assert [(row["path"], row["error"]) for row in rows] == [(str(target), None)]


@kernel
def test_flags_mode_and_directory(engine: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    calls = [
        ("file", os.O_RDONLY, False),
        ("file", os.O_WRONLY | os.O_APPEND | os.O_SYNC, False),
        (".", os.O_RDWR | os.O_TMPFILE, False),
        (".", os.O_RDONLY | os.O_DIRECTORY, True),
        ("new", os.O_RDWR | os.O_CREAT | os.O_EXCL, True),
        ("new", os.O_RDWR | os.O_CREAT | os.O_EXCL, True),
    ]
    rows = seen(engine, tmp_path, calls)
    # Python adds O_CLOEXEC to each.
    assert [[name for name in row["flags"] if name != "O_CLOEXEC"] for row in rows] == [
        ["O_RDONLY"],
        ["O_WRONLY", "O_APPEND", "O_SYNC"],
        ["O_RDWR", "O_TMPFILE"],
        ["O_RDONLY", "O_DIRECTORY"],
        ["O_RDWR", "O_CREAT", "O_EXCL"],
        ["O_RDWR", "O_CREAT", "O_EXCL"],
    ]
    assert all("O_CLOEXEC" in row["flags"] for row in rows)
    assert [row["mode"] for row in rows] == [None, None, "0604", None, "0604", "0604"]
    assert [row["error"] for row in rows] == [*([None] * 5), "EEXIST"]
    assert [row["dirfd"] == AT_FDCWD for row in rows] == [True, True, True, False, False, False]
    assert {row["path"] for row in rows} == {"file", ".", "new"}


@kernel
def test_what_cannot_be_read(engine: str) -> None:
    """Addresses where there is nothing: of the path, and of openat2's struct open_how."""
    script = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "import os\n"
        "os.write(1, b'r')\n"
        "os.read(0, 1)\n"
        "libc.open(ctypes.c_void_p(1), 0)\n"
        "libc.syscall(437, -100, b'file', ctypes.c_void_p(1), ctypes.c_long(24))\n"
    )
    workload = Workload(sys.executable, "-BIc", script)
    with Running(OPENSNOOP, "--engine", engine, "--json", "-p", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.begin()
        assert workload.finish() == 0
        rows = rows_of(tool.finish(signal.SIGINT), workload.pid)
    assert [(row["error"], row["path"], row["flags"], row["mode"]) for row in rows] == [
        ("EFAULT", None, ["O_RDONLY"], None),
        ("EFAULT", "file", None, None),
    ]


def waiting(pid: int, number: int) -> bool:
    """Say whether so many threads of a process are in an openat() that does not return."""
    openat = {"x86_64": "257", "aarch64": "56"}[os.uname().machine]
    found = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/syscall", encoding="ascii") as file:
            found += file.read().split()[0] == openat
    return found == number


class WaitingInOpen(Workload):
    """A process whose threads wait in open() for the other end of a FIFO."""

    def __init__(self, program: Path, where: Path, way: str, threads: int) -> None:
        self.fifo = where / "fifo"
        os.mkfifo(self.fifo)
        super().__init__(program, self.fifo, way, str(threads))
        self.threads = threads

    def wait_in_open(self) -> None:
        self.begin()
        wait_until(
            lambda: waiting(self.pid, self.threads), lambda: f"{self.pid} does not wait in open()"
        )


@kernel
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("way", ["exit", pytest.param("kill", marks=pytest.mark.core), "xec"])
def test_threads_that_die_in_open(
    engine: str, compiled: Compiled, tmp_path: Path, way: str
) -> None:
    """By exit_group() or SIGKILL of their process, or since another thread executes a program.

    Each of them still passes the exit of the system call: a row for each, and
    an empty map. Unless the kernel skips some, which is counted.
    """
    workload = WaitingInOpen(compiled("waiting"), tmp_path, way, 20)
    with Running(OPENSNOOP, "--engine", engine, "--json", "-p", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.wait_in_open()
        workload.begin()
        assert workload.finish() == (-signal.SIGKILL if way == "kill" else 0)
        result = tool.finish(signal.SIGINT)
    # What the program that is executed opens is not of the FIFO.
    rows = rows_of(result, workload.pid, lossless=not SKIPS)
    rows = [row for row in rows if row["path"] == str(workload.fifo)]
    assert {(row["fd"], row["errno"], row["error"]) for row in rows} == {
        (-1, ERESTARTSYS, "ERESTARTSYS")
    }
    assert len({row["tid"] for row in rows}) == len(rows)
    if SKIPS:
        assert len(rows) + result.summary["lost"] >= 20
    else:
        assert len(rows) == 20
        assert "not ended" not in result.stderr


@kernel
def test_calls_that_do_not_end(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    """What waits when the tool ends has no row; the tool says how many that are."""
    workload = WaitingInOpen(compiled("waiting"), tmp_path, "kill", 3)
    with Running(OPENSNOOP, "--engine", engine, "--json", "-p", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.wait_in_open()
        result = tool.finish(signal.SIGINT)
    workload.begin()
    assert workload.finish() == -signal.SIGKILL
    assert (result.records, result.summary["lost"]) == ([], 3)
    assert (
        "3 events were lost besides the 0 shown; 3 of them began and did not end" in result.stderr
    )


@kernel
@pytest.mark.parametrize(("way", "restarted"), [("interrupt", True), ("hinder", False)])
def test_a_call_that_a_signal_interrupts(
    engine: str, compiled: Compiled, tmp_path: Path, way: str, restarted: bool
) -> None:
    """With SA_RESTART the kernel calls again: that call has a row, too."""
    workload = WaitingInOpen(compiled("waiting"), tmp_path, way, 1)
    with Running(OPENSNOOP, "--engine", engine, "--json", "-p", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.wait_in_open()
        workload.begin()
        assert workload.finish() == 0
        rows = rows_of(tool.finish(signal.SIGINT), workload.pid)
    reads = [row for row in rows if row["flags"][0] == "O_RDONLY"]
    errors = [row["error"] for row in reads if row["path"] == str(workload.fifo)]
    assert errors == ["ERESTARTSYS", None][: 1 + restarted]


@kernel
def test_a_full_map_is_counted(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    """More calls under way than there is room for: a row or a loss for each."""
    script = "import sys, ebpf_tour.commands.opensnoop as o; o.MAX_CALLS = 4; sys.exit(o.main())"
    workload = WaitingInOpen(compiled("waiting"), tmp_path, "kill", 10)
    command = (sys.executable, "-c", script, "--engine", engine, "--json", "-p", str(workload.pid))
    with Running(*command) as tool:
        tool.wait_attached()
        workload.wait_in_open()
        workload.begin()
        assert workload.finish() == -signal.SIGKILL
        result = tool.finish(signal.SIGINT)
    assert {row["path"] for row in result.records} == {str(workload.fifo)}
    assert result.summary == {"type": "summary", "events": 4, "lost": 6}
    assert len(result.records) == 4
    assert "6 events were lost" in result.stderr


@kernel
def test_a_full_buffer_is_counted(engine: str, tmp_path: Path) -> None:
    """While the tool is stopped its buffer fills up; what finds no room is counted."""
    opener = Opener(tmp_path)
    command = (OPENSNOOP, "--engine", engine, "--json", "-p", str(opener.pid), "--buffer", "4")
    with Running(*command) as tool:
        tool.wait_attached()
        with tool.stopped():
            # Of all lengths, so that records lie across the buffer's end.
            opener.open(*("n" * (i % 250) for i in range(300)))
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 300)


@kernel
def test_pid_and_failed(engine: str, tmp_path: Path) -> None:
    """-p and -x let nothing else through."""
    (tmp_path / "there").touch()
    ours, other = Opener(tmp_path), Opener(tmp_path)
    command = (OPENSNOOP, "--engine", engine, "--json", "-p", str(ours.pid), "-x")
    with Running(*command) as tool:
        tool.wait_attached()
        other.open("there", "missing")
        ours.open("there", "missing", "there")
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, ours.pid)
    assert [(row["path"], row["error"]) for row in rows] == [("missing", "ENOENT")]
    assert result.records == rows


@kernel
def test_thread(engine: str, compiled: Compiled) -> None:
    """--tid: one of two threads."""
    workload = Workload(compiled("opens"), "100", "/dev/null", "/no/such")
    with Running(OPENSNOOP, "--engine", engine, "--json", "--tid", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.begin()
        assert workload.finish() == 0
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, workload.pid)
    assert {row["tid"] for row in rows} == {workload.pid}
    assert len(rows) == 600
    assert result.records == rows


@pytest.mark.native
@kernel
@pytest.mark.parametrize(
    ("user", "wanted"), [("nobody", "of nobody"), ("65534", "of nobody"), ("root", "of root")]
)
def test_user(engine: str, open_directory: Path, user: str, wanted: str) -> None:
    command = (OPENSNOOP, "--engine", engine, "--json", "-u", user, *LARGE_BUFFER)
    with Running(*command) as tool:
        tool.wait_attached()
        nobody = Opener(open_directory, "setpriv", "--reuid", "nobody", "--clear-groups")
        nobody.open("of nobody")
        root = Opener(open_directory)
        root.open("of root")
        result = tool.finish(signal.SIGINT)
    rows = [*rows_of(result, nobody.pid), *rows_of(result, root.pid)]
    paths = [row["path"] for row in rows if row["path"].startswith("of ")]
    assert paths == [wanted]
    assert {row["uid"] for row in rows} == {0 if user == "root" else 65534}


@kernel
def test_name(engine: str, tmp_path: Path) -> None:
    command = (OPENSNOOP, "--engine", engine, "--json", "-n", "ytho", *LARGE_BUFFER)
    with Running(*command) as tool:
        tool.wait_attached()
        run("cat", "/dev/null")
        opener = Opener(tmp_path)
        opener.open("missing")
        result = tool.finish(signal.SIGINT)
    assert rows_of(result, opener.pid)[-1]["path"] == "missing"
    assert all("ytho" in row["comm"] for row in result.records)


# What -f lets through of the five calls below.
FLAGS = {
    ("O_RDONLY",): ["read", ".", "existing"],
    ("O_WRONLY", "O_RDWR"): ["write", ".tmp"],
    ("O_APPEND",): ["write"],
    ("O_DIRECTORY",): ["."],
    ("O_TMPFILE",): [".tmp"],
    ("O_EXCL", "O_DIRECTORY"): [".", "existing"],
}


@pytest.mark.native
@kernel
def test_flag(engine: str, tmp_path: Path) -> None:
    """O_RDONLY is 0, and O_TMPFILE has O_DIRECTORY in it: no case for a bit mask."""
    (tmp_path / ".tmp").mkdir()
    calls = [
        ("read", os.O_RDONLY, False),
        ("write", os.O_WRONLY | os.O_APPEND, False),
        (".", os.O_RDONLY | os.O_DIRECTORY, False),
        (".tmp", os.O_RDWR | os.O_TMPFILE, False),
        ("existing", os.O_RDONLY | os.O_CREAT | os.O_EXCL, False),
    ]
    opener = Opener(tmp_path)
    command = (OPENSNOOP, "--engine", engine, "--json", "-p", str(opener.pid))
    with ExitStack() as stack:
        tools = {
            flags: stack.enter_context(Running(*command, *(f"-f={flag}" for flag in flags)))
            for flags in FLAGS
        }
        for tool in tools.values():
            tool.wait_attached()
        opener.open_all(calls)
        results = {flags: tool.finish(signal.SIGINT) for flags, tool in tools.items()}
    for flags, result in results.items():
        assert [row["path"] for row in rows_of(result, opener.pid)] == FLAGS[flags]


@kernel
@pytest.mark.parametrize("namespace", [(), ("unshare", "--pid", "--fork", "--mount-proc")])
def test_it_does_not_show_itself(engine: str, namespace: tuple[str, ...]) -> None:
    """It imports modules when it is attached. Others of that name are shown."""
    command = (OPENSNOOP, "--engine", engine, "--json", "-n", "opensnoop", *LARGE_BUFFER)
    with Running(*namespace, *command) as tool:
        tool.wait_attached()
        with Running(OPENSNOOP, "--help") as other:
            assert other.finish().status == 0
        pid = tool.pid
        if namespace:  # unshare does not pass signals on, and it waits
            pid = int(subprocess.check_output(["pgrep", "-P", str(tool.pid)]))
        os.kill(pid, signal.SIGINT)
        result = tool.finish()
    assert result.summary["lost"] == 0
    shown = {row["pid"] for row in result.records}
    assert other.pid in shown
    assert pid not in shown


@pytest.mark.core
@kernel
def test_both_engines_agree(tmp_path: Path) -> None:
    """But for PID and time, their rows are the same."""
    calls = [(name, flags, at) for name in HOSTILE for flags in (0, 2) for at in (False, True)]
    answers = []
    for engine in ENGINES:
        rows = seen(engine, tmp_path, calls)
        answers.append([{**row, "time": "", "time_s": 0, "pid": 0, "tid": 0} for row in rows])
    assert answers[0] == answers[1]
    assert len(answers[0]) == len(calls)


@pytest.mark.native
@kernel
def test_table(tmp_path: Path) -> None:
    opener = Opener(tmp_path)
    with Running(OPENSNOOP, "-p", str(opener.pid)) as tool:
        tool.wait_attached()
        (tmp_path / "a b").touch()
        opener.open("a b", "missing")
        result = tool.finish(signal.SIGINT)
    header, *rows = result.stdout.splitlines()
    assert header == "    PID COMM               FD ERR PATH"
    assert [row.split(None, 4)[2:] for row in rows] == [["4", "0", "a b"], ["-1", "2", "missing"]]
    assert all(row.index(row.split(None, 4)[4]) == header.index("PATH") for row in rows)


@pytest.mark.native
@kernel
def test_table_with_all_columns(tmp_path: Path) -> None:
    opener = Opener(tmp_path)
    with Running(OPENSNOOP, "-TtUe", "-p", str(opener.pid)) as tool:
        tool.wait_attached()
        opener.open("new", flags=os.O_WRONLY | os.O_CREAT)
        result = tool.finish(signal.SIGINT)
    header, row = result.stdout.splitlines()
    assert header.split() == [column.header for column in TOOL.columns if column.header]
    flags = r"O_WRONLY\|O_CREAT\|O_CLOEXEC"
    pattern = rf"\d\d:\d\d:\d\d +\d+\.\d{{6}} +0 +\d+ python[\d.]* +4 +0 {flags} +0604 new"
    assert re.fullmatch(pattern, row)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604


@pytest.mark.native
@kernel
def test_duration() -> None:
    """-d is --time-limit under the name that it has in bcc's opensnoop."""
    assert run(OPENSNOOP, "-d", "0.1").status == 0


@pytest.mark.core
@kernel
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(engine: str) -> None:
    result = run(OPENSNOOP, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    assert re.search(r"Demo: saw every row that it caused \(\d+\)\.\n$", result.stderr)
    assert b"caf\xe9" in {bytes_of(row, "path") for row in result.records}
    assert any(row["errno"] == errno.ENOENT for row in result.records)


@pytest.mark.native
@pytest.mark.parametrize(
    "options",
    [
        *(("-p", "0"), ("--tid", "x"), ("-u", "no-such-user"), ("-d", "0")),
        *(("-f", "O_NONSENSE"), ("-f", "1"), ("-f", "CREAT\x1b[1A")),
    ],
)
def test_usage(options: tuple[str, ...]) -> None:
    cause, _ = assert_error(run(OPENSNOOP, *options), 2, "ebpf-opensnoop")
    assert cause.isprintable()


@pytest.mark.native
@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (0, ["O_RDONLY"]),
        (os.O_WRONLY | os.O_CREAT | os.O_TRUNC, ["O_WRONLY", "O_CREAT", "O_TRUNC"]),
        (os.O_RDWR | os.O_DSYNC, ["O_RDWR", "O_DSYNC"]),
        (os.O_RDWR | os.O_SYNC, ["O_RDWR", "O_SYNC"]),
        (os.O_PATH | os.O_DIRECTORY, ["O_RDONLY", "O_DIRECTORY", "O_PATH"]),
        (3, ["O_ACCMODE"]),
        (1 << 40, ["O_RDONLY", "0x10000000000"]),
    ],
)
def test_open_flags(flags: int, names: list[str]) -> None:
    assert open_flags(flags) == names


@pytest.mark.native
def test_error_names() -> None:
    assert [error_name(number) for number in (2, 512, 4000)] == ["ENOENT", "ERESTARTSYS", "4000"]
