"""ebpf-task-iter: what /proc says of the same threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    BIN,
    UNSUPPORTED,
    Held,
    Result,
    Workload,
    assert_error,
    bytes_of,
    run,
    wait_until,
)

from ebpf_tour.base.names import state_letter
from ebpf_tour.commands.task_iter import FILES, TOOL

if TYPE_CHECKING:
    from support import Compiled

COMMAND = "ebpf-task-iter"
TASK_ITER = BIN / COMMAND

pytestmark = pytest.mark.kernel(TOOL)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")


def need_paths() -> None:
    """Skip the test if this kernel has no --files. The hook is optional, so need() ignores it."""
    if missing := FILES.unsupported():
        pytest.skip(f"{UNSUPPORTED}{missing}")


def listed(engine: str, *words: str) -> Result:
    result = run(TASK_ITER, "--engine", engine, "--json", *words)
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return result


def of_proc(pid: int) -> list[dict[str, Any]]:
    """Return what /proc says of the threads of a process: the rows without kstack."""
    rows = []
    for tid in sorted(map(int, os.listdir(f"/proc/{pid}/task"))):
        text = Path(f"/proc/{pid}/task/{tid}/status").read_text()
        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        rows.append(
            {
                "pid": int(status["Tgid"]),
                "tid": int(status["Pid"]),
                "ppid": int(status["PPid"]),
                "state": status["State"][0],
                "comm": status["Name"],
            }
        )
    return rows


def without_stacks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "kstack"} for row in rows]


def wait_asleep(pid: int) -> None:
    """Wait until each thread waits for something."""
    wait_until(lambda: {row["state"] for row in of_proc(pid)} == {"S"}, lambda: f"{of_proc(pid)}")


@pytest.mark.core
@leaves_nothing
def test_threads_as_in_proc(engine: str, compiled: Compiled) -> None:
    """Of our own processes. How many others there are, a sandbox may hide."""
    with (
        Workload(compiled("sampled"), "touch", "1") as two,
        Workload(compiled("sampled"), "deep", "1") as one,
    ):
        for pid in (two.pid, one.pid):
            wait_asleep(pid)
        rows = listed(engine).records
        for pid, count in ((two.pid, 2), (one.pid, 1)):
            own = [row for row in rows if row["pid"] == pid]
            assert without_stacks(own) == of_proc(pid)
            assert len(own) == count
            assert all(0 < row["kstack"] <= 32 for row in own)
    assert [row["pid"] for row in rows if row["tid"] == os.getpid()] == [os.getpid()]


@pytest.mark.core
@leaves_nothing
def test_one_process(engine: str, compiled: Compiled) -> None:
    """And nothing else, also by a thread's number, which is no process."""
    with Workload(compiled("sampled"), "touch", "1") as workload:
        wait_asleep(workload.pid)
        rows = listed(engine, str(workload.pid)).records
        assert without_stacks(rows) == of_proc(workload.pid)
        assert len(rows) == 2
        assert listed(engine, str(rows[1]["tid"])).records == []


@pytest.mark.core
@leaves_nothing
def test_states(engine: str) -> None:
    """One that has ended and nobody has waited for, and one that is stopped."""
    ended = subprocess.Popen(["true"])
    stopped = subprocess.Popen(["sleep", "60"])
    try:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        stopped.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
        states = {row["pid"]: row["state"] for row in listed(engine).records}
        assert (states[ended.pid], states[stopped.pid]) == ("Z", "T")
    finally:
        stopped.kill()
        stopped.wait()
        ended.wait()


OPEN_ALL = """
import os, socket, sys
os.open(sys.argv[1], os.O_RDONLY)
os.open(sys.argv[2], os.O_RDONLY)
os.unlink(sys.argv[2])
os.open("/", os.O_PATH)
kept = os.pipe(), socket.socket(), os.memfd_create("of a test"), os.eventfd(0)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.core
@leaves_nothing
def test_open_files_as_in_proc(engine: str, tmp_path: Path) -> None:
    """Of a process and of all: a name of any bytes, a file that is gone, and what is no file."""
    need_paths()
    paths = [tmp_path / os.fsdecode(b"a\xff\nb"), tmp_path / "gone"]
    for path in paths:
        path.touch()
    with subprocess.Popen(
        [sys.executable, "-c", OPEN_ALL, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"ready\n"
        of_proc = {
            int(fd): os.fsencode(os.readlink(f"/proc/{process.pid}/fd/{fd}"))
            for fd in os.listdir(f"/proc/{process.pid}/fd")
        }
        of_one = listed(engine, "--files", str(process.pid)).records
        of_all = listed(engine, "--files").records
        process.stdin.close()
    assert len(of_proc) == 3 + 8
    assert {row["fd"]: bytes_of(row, "path") for row in of_one} == of_proc
    assert {row["pid"] for row in of_one} == {process.pid}
    assert [row for row in of_all if row["pid"] == process.pid] == of_one
    assert os.getpid() in {row["pid"] for row in of_all}


@pytest.mark.core
@leaves_nothing
def test_a_path_that_is_too_long(engine: str, tmp_path: Path) -> None:
    """It has a row, which says so: the kernel has no room for it, nor has /proc."""
    need_paths()
    where = os.open(tmp_path, os.O_PATH)
    try:
        for _ in range(20):
            os.mkdir("d" * 250, dir_fd=where)
            deeper = os.open("d" * 250, os.O_PATH, dir_fd=where)
            os.close(where)
            where = deeper
        rows = listed(engine, "--files", str(os.getpid())).records
        (row,) = [row for row in rows if row["fd"] == where]
        assert (row["path"], row["error"]) == (None, "ENAMETOOLONG")
    finally:
        os.close(where)


@pytest.mark.native
def test_letters_of_states() -> None:
    numbers = {0: "R", 1: "S", 2: "D", 4: "T", 8: "t", 0x10: "X", 0x20: "Z", 0x40: "P"}
    assert {number: state_letter(number) for number in numbers} == numbers
    assert state_letter(0x402) == "I"
    assert state_letter(0x102) == "D"  # which a signal that kills ends
    assert state_letter(0x80 | 0x20) == "Z"


@pytest.mark.native
def test_a_hostile_name(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    name = os.fsdecode(b"\x1b[1A\n\xff\t\x7f'\",;%n")
    program = tmp_path / name
    program.hardlink_to(compiled("sampled"))
    with Workload(program, "deep", "1") as workload:
        (row,) = listed(engine, str(workload.pid)).records
        assert bytes_of(row, "comm") == os.fsencode(name)[:15]


@pytest.mark.native
def test_table(compiled: Compiled) -> None:
    with Workload(compiled("sampled"), "deep", "1") as workload:
        result = run(TASK_ITER, str(workload.pid))
    header, row = result.stdout.splitlines()
    assert header.split() == ["PID", "TID", "PPID", "STATE", "COMM", "KSTACK"]
    assert row.split()[:3] == [str(workload.pid), str(workload.pid), str(os.getpid())]


@pytest.mark.core
@leaves_nothing
def test_demo(engine: str) -> None:
    result = run(TASK_ITER, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (4).\n")


@pytest.mark.core
@leaves_nothing
def test_demo_of_files(engine: str) -> None:
    need_paths()
    result = run(TASK_ITER, "--engine", engine, "--files", "--demo", "--json")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (3).\n")


BROKEN = """
import sys
from ebpf_tour.commands import task_iter
def refuse():
    raise OSError(5, "no pipe")
task_iter.start_three = refuse
sys.exit(task_iter.main())
"""


@pytest.mark.native
def test_a_demo_that_cannot_start_its_processes() -> None:
    """What the child says is said whole."""
    result = run(sys.executable, "-c", BROKEN, "--demo")
    error = next(line for line in result.stderr.splitlines() if "error: " in line)
    wanted = "the demo failed: its child process did not do its work: no pipe"
    assert (result.status, error.partition("error: ")[2]) == (1, wanted)


@leaves_nothing
@pytest.mark.parametrize("words", [(), ("--files",)], ids=str)
def test_killed(engine: str, words: tuple[str, ...], compiled: Compiled) -> None:
    """While it is about to attach: the loaded programs go with it."""
    with Held(compiled("hold"), "attach", TASK_ITER, "--engine", engine, *words) as tool:
        tool.wait_held()
        os.kill(tool.pid, signal.SIGKILL)
        tool.finish()


@pytest.mark.native
@pytest.mark.parametrize("words", [("0",), ("2147483647",), ("1", "--demo")])
def test_usage(words: tuple[str, ...]) -> None:
    assert_error(run(TASK_ITER, *words), 2, COMMAND)
