"""ebpf-hello, on the real kernel."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    BIN,
    ENGINES,
    ROOT,
    Result,
    Running,
    WholeTrace,
    Workload,
    bytes_of,
    run,
    run_all,
)

from ebpf_tour.commands.hello import TOOL
from ebpf_tour.frame.catalogue import tools
from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Collection

pytestmark = pytest.mark.kernel(TOOL)
# Where the number of lines matters: of two tools, each sees the lines of both.
alone = pytest.mark.alone

ATTACHED = "Greeting every exec... Ctrl-C to end.\n"
HELLO = BIN / "ebpf-hello"

# Tries in vain to execute a program, so many times.
FAIL = """
import os, sys
os.write(1, b"r")
os.read(0, 1)
for _ in range(int(sys.argv[1])):
    try:
        os.execv("/no/such/program", ["no"])
    except OSError:
        pass
"""


def execute(count: int) -> list[int]:
    """Execute /bin/true so many times and return the PIDs."""
    pids = []
    for _ in range(count):
        with subprocess.Popen(["/bin/true"]) as child:
            pids.append(child.pid)
        assert child.returncode == 0
    return pids


def rows_of(result: Result, tids: Collection[int]) -> list[dict[str, Any]]:
    """Return the rows of these threads. Demands an orderly end without losses."""
    assert result.status == 0, result.stderr
    assert result.stderr == ATTACHED
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return [row for row in result.records if row["tid"] in tids]


@alone
@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_one_row_for_each_exec(engine: str) -> None:
    with Running(HELLO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        pids = execute(50)
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, pids)
    assert [row["tid"] for row in rows] == pids
    for row in rows:
        assert list(row) == [column.key for column in TOOL.columns]
        assert row["message"] == "Hello, World!"
        assert 0 <= row["cpu"] < (os.cpu_count() or 1)
        assert row["comm"]  # whichever: another thread may have had that ID and its name before
    times = [row["time_s"] for row in rows]
    assert times == sorted(set(times))


@alone
def test_execveat(engine: str) -> None:
    """What fexecve(3) calls. Python itself comes by execve."""
    script = "import os; os.execve(os.open('/bin/true', os.O_RDONLY), ['true'], {})"
    with Running(HELLO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with subprocess.Popen([sys.executable, "-BIc", script]) as child:
            pass
        result = tool.finish(signal.SIGINT)
    assert child.returncode == 0
    assert len(rows_of(result, [child.pid])) == 2


def test_the_engines_agree() -> None:
    """Everything but who, when and where is the same, byte for byte."""
    seen = []
    for engine in ENGINES:
        with Running(HELLO, "--engine", engine, "--json", "--limit", "3") as tool:
            tool.wait_attached()
            execute(3)
            result = tool.finish()
        # Who executes something meanwhile may have any name: comm_hex is there if it is no UTF-8.
        varies = r'"(time_s|cpu|tid)": [\d.]+|"comm": "[^"]*"(, "comm_hex": "[^"]*")?'
        text = re.sub(varies, r"\1", result.stdout)
        seen.append((result.status, text, result.stderr))
    assert seen[0] == seen[1]
    assert seen[0][0] == 0


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_table_at_once(engine: str) -> None:
    """A row is there as soon as the program was executed; nothing waits for more of them."""
    with Running(HELLO, "--engine", engine) as tool:
        tool.wait_attached()
        stdout = tool.process.stdout
        assert stdout
        assert stdout.readline().split() == [column.header.encode() for column in TOOL.columns]
        (pid,) = execute(1)
        row = b""
        while f" {pid} ".encode() not in row:
            row = stdout.readline()
        assert re.fullmatch(rb" *\d+\.\d{6} +\d+ .{16} +\d+ Hello, World!\n", row)
        assert tool.finish(signal.SIGINT).status == 0


@alone
@pytest.mark.usefixtures("leaves_nothing")
def test_calls_that_fail(engine: str) -> None:
    """Very many of them, on two CPUs, and none is lost."""
    with Running(HELLO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        callers = [Workload(sys.executable, "-BIc", FAIL, "10000") for _ in range(2)]
        run_all(*callers)
        result = tool.finish(signal.SIGINT)
    for caller in callers:
        assert len(rows_of(result, {caller.pid})) == 1 + 10_000  # one was Python itself


def test_hostile_name(engine: str, tmp_path: Path) -> None:
    """Nothing that a process calls itself reaches the terminal as it is."""
    name = b"\x1b[1A\n\xff'"
    path = os.fsencode(tmp_path) + b"/" + name
    os.symlink(b"/bin/true", path)
    script = (
        "import os, sys, time\n"
        "open('/proc/self/comm', 'wb').write(os.path.basename(os.fsencode(sys.argv[1])))\n"
        "for path in ['/no/such/program'] * 3 + [sys.argv[1]]:\n"
        "    try:\n"
        "        os.execv(path, ['true'])\n"
        "    except FileNotFoundError:\n"
        # After a line of a thread, the trace buffer learns its name when it is switched.
        "        time.sleep(0.001)\n"
    )
    for form in ("json", "table"):
        with Running(HELLO, "--engine", engine, "--format", form) as tool:
            tool.wait_attached()
            subprocess.run([sys.executable, "-BIc", script, os.fsdecode(path)], check=True)
            result = tool.finish(signal.SIGINT)
        assert result.status == 0, result.stderr
        assert all(character.isprintable() for character in result.stdout.replace("\n", ""))
        if form == "json":
            assert name in {bytes_of(row, "comm") for row in result.records}


@alone
def test_a_thread_is_not_a_process(engine: str) -> None:
    """What calls is a thread: the process has another number."""
    script = (
        "import os, threading\n"
        "def execute():\n"
        "    print(threading.get_native_id(), flush=True)\n"
        "    os.execv('/bin/true', ['true'])\n"
        "threading.Thread(target=execute).start()\n"
    )
    with Running(HELLO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        caller = subprocess.Popen([sys.executable, "-BIc", script], stdout=subprocess.PIPE)
        tid = int(caller.communicate()[0])
        rows = rows_of(tool.finish(signal.SIGINT), {caller.pid, tid})
    assert [row["tid"] for row in rows] == [caller.pid, tid]
    assert caller.pid != tid


@alone
def test_nothing_else_comes_through(engine: str) -> None:
    """The lines of other programs arrive at the same tracepoint."""
    with Running(HELLO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with Running(BIN / "ebpf-minimal", "--json", "--limit", "2") as other:
            assert len(other.finish().records) == 2
        result = tool.finish(signal.SIGINT)
    assert len(rows_of(result, {other.pid})) == 1
    assert {row["message"] for row in result.records} == {"Hello, World!"}


@alone
@pytest.mark.native
def test_nothing_is_stolen(engine: str) -> None:
    """Who reads the trace buffer of the whole machine finds a line that the tool has shown.

    One at a time, since the buffer may be small and other programs are executed, too.
    """
    with Running(HELLO, "--engine", engine, "--json") as tool:
        stdout = tool.wait_attached().process.stdout
        assert stdout
        for _ in range(5):
            trace = WholeTrace()
            (pid,) = execute(1)
            while json.loads(stdout.readline())["tid"] != pid:
                pass
            text = trace.read()
            assert len(re.findall(rf"-{pid} .*: bpf_trace_printk: Hello, World!", text)) == 1
        assert tool.finish(signal.SIGINT).status == 0


@alone
@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_losses_are_counted_exactly(engine: str) -> None:
    """A tool that is stopped, a buffer that is too small: shown + lost = caused.

    A second one, with room enough, sees what the rest of the machine does
    meanwhile. Each sees the lines of both.
    """
    command = (HELLO, "--engine", engine, "--json")
    with Running(*command) as observer:
        observer.wait_attached()
        with Running(*command) as tool:
            tool.wait_attached()
            (instance,) = Path(features.tracefs(), "instances").glob(f"ebpf-tour-{tool.pid}-*")
            (instance / "buffer_size_kb").write_text("4")
            callers = [Workload(sys.executable, "-BIc", FAIL, "2000") for _ in range(2)]
            os.kill(tool.pid, signal.SIGSTOP)
            run_all(*callers)
            os.kill(tool.pid, signal.SIGCONT)
            result = tool.finish(signal.SIGINT)
        observed = observer.finish(signal.SIGINT)
    pids = {caller.pid for caller in callers}
    caused = 2 * 2 * (1 + 2000)
    assert len(rows_of(observed, pids)) == caused
    summary = result.summary
    assert summary["events"] == len(result.records)
    assert summary["lost"] > 0
    foreign = observed.summary["events"] - caused
    assert caused <= summary["events"] + summary["lost"] <= caused + foreign
    assert f"{summary['lost']} events were lost" in result.stderr


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(engine: str) -> None:
    result = run(HELLO, "--engine", engine, "--demo")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (3).\n")


@pytest.mark.usefixtures("leaves_nothing")
def test_in_a_pid_namespace(engine: str) -> None:
    command = (HELLO, "--engine", engine, "--demo", "--json")
    result = run("unshare", "--pid", "--fork", "--mount-proc", *command)
    assert result.status == 0, result.stderr
    assert len(result.records) >= 3


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_time_limit(engine: str) -> None:
    result = run(HELLO, "--engine", engine, "--json", "--time-limit", "0.3")
    assert rows_of(result, ()) == []


@pytest.mark.native
def test_it_is_the_smallest() -> None:
    """Nobody's C is shorter, with the parts that it includes."""
    for form in ("bpf/{}.bpf.c", "bpf/{}.bcc.c"):
        sizes = {}
        for tool in tools():
            if tool.via and tool.name != "replace":  # which has a second program
                with contextlib.suppress(FileNotFoundError):  # a tool may have one dialect only
                    text = (ROOT / form.format(tool.name)).read_text(encoding="utf-8")
                    parts = set(re.findall(r'(?m)^#include "(.*)"', text)) - {"vmlinux.h"}
                    rest = sum((ROOT / "bpf" / part).stat().st_size for part in parts)
                    sizes[tool.name] = len(text) + rest
        assert min(sizes, key=sizes.__getitem__) == "hello"
        assert len(sizes) > 1
