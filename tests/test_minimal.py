"""ebpf-minimal, on the real kernel."""

from __future__ import annotations

import csv
import os
import re
import select
import signal
import sys
from contextlib import ExitStack

import pytest
from support import BIN, ENGINES, Result, Running, WholeTrace, instances, run, wait_until

from ebpf_tour.commands.minimal import TOOL
from ebpf_tour.loader import features

pytestmark = pytest.mark.kernel(TOOL)

ATTACHED = "Tracing our own write() once a second... Ctrl-C to end.\n"
MINIMAL = BIN / "ebpf-minimal"
ROW = re.compile(r" *\d+\.\d{6} +\d+ ebpf-minimal +\d+ BPF triggered from PID \d+\.")


def own_lines(text: str, pid: int) -> int:
    """Count the lines in a trace buffer that a process caused, as bpf_printk() wrote them."""
    return len(re.findall(rf"-{pid} .*: bpf_trace_printk: BPF triggered from PID", text))


def check_records(result: Result, pid: int, count: int) -> None:
    """Demand exactly `count` records of the process, and the summary behind them."""
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": count, "lost": 0}
    assert len(result.records) == count
    for record in result.records:
        assert list(record) == [column.key for column in TOOL.columns]
        assert record["pid"] == pid
        assert record["message"] == f"BPF triggered from PID {pid}."
        assert record["comm"] == "ebpf-minimal"
        assert 0 <= record["cpu"] < (os.cpu_count() or 1)
    times = [record["time_s"] for record in result.records]
    assert times == sorted(set(times))


@pytest.mark.usefixtures("leaves_nothing")
def test_json(engine: str) -> None:
    with Running(MINIMAL, "--engine", engine, "--json", "--limit", "2") as tool:
        result = tool.finish()
    check_records(result, tool.pid, 2)
    assert result.stderr == ATTACHED


def test_the_engines_agree() -> None:
    """Everything but who, when and where is the same, byte for byte."""
    seen = []
    for engine in ENGINES:
        result = run(MINIMAL, "--engine", engine, "--json", "--limit", "2")
        text = re.sub(r'"(time_s|cpu|pid)": [\d.]+|PID \d+', r"\1", result.stdout)
        seen.append((result.status, text, result.stderr))
    assert seen[0] == seen[1]
    assert seen[0][0] == 0


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_csv(engine: str) -> None:
    with Running(MINIMAL, "--engine", engine, "--format", "csv", "--limit", "2") as tool:
        result = tool.finish()
    header, *rows = csv.reader(result.stdout.splitlines())
    assert header == [column.key for column in TOOL.columns]
    assert [row[2:] for row in rows] == 2 * [
        ["ebpf-minimal", str(tool.pid), f"BPF triggered from PID {tool.pid}."]
    ]


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_table(engine: str) -> None:
    result = run(MINIMAL, "--engine", engine, "--limit", "2")
    header, *rows = result.stdout.splitlines()
    assert header.split() == [column.header for column in TOOL.columns]
    assert len(rows) == 2
    for row in rows:
        assert ROW.fullmatch(row), row


@pytest.mark.alone  # a reader of the machine's pipe would take the lines
@pytest.mark.core
def test_nothing_else_comes_through(engine: str) -> None:
    """Neither another process that writes to the same descriptor, nor our other descriptors.

    The tool's own trace instance takes only what its own thread causes, so
    whether the program filters is seen in the buffer of the whole machine.
    """
    writer = (
        "import os, sys; fd = int(sys.argv[1]); os.dup2(os.open('/dev/null', os.O_WRONLY), fd)\n"
        "for _ in range(5000): os.write(fd, b'.')"
    )
    trace = WholeTrace()
    with Running(MINIMAL, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        links = {
            fd: os.readlink(f"/proc/{tool.pid}/fd/{fd}")
            for fd in range(3, 64)
            if os.path.lexists(f"/proc/{tool.pid}/fd/{fd}")
        }
        (write_fd,) = (fd for fd, target in links.items() if target == "/dev/null")
        with Running(sys.executable, "-c", writer, str(write_fd)) as other:
            assert other.finish().status == 0
        result = tool.finish(signal.SIGINT)
    check_records(result, tool.pid, len(result.records))
    text = trace.read()
    assert own_lines(text, tool.pid) == len(result.records) > 0
    assert own_lines(text, other.pid) == 0


@pytest.mark.alone
def test_beside_another_and_a_reader_of_the_global_pipe() -> None:
    """Nobody takes a line from anybody: two tools and `cat trace_pipe`."""
    trace = WholeTrace()
    pipe = os.open(f"{features.tracefs()}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    text = b""
    options = ("--json", "--limit", "3")
    with (
        Running(MINIMAL, "--engine", "libbpf", *options) as first,
        Running(MINIMAL, "--engine", "bcc", *options) as second,
    ):
        # One more round after both have ended, for what was still in the pipe.
        ended = False
        while not ended:
            ended = None not in (first.process.poll(), second.process.poll())
            while poll.poll(50) and (chunk := _read(pipe)):
                text += chunk
        results = first.finish(), second.finish()
    os.close(pipe)
    for tool, result in zip((first, second), results, strict=True):
        check_records(result, tool.pid, 3)
        assert own_lines(trace.since(text.decode(errors="replace")), tool.pid) == 3


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, 64 << 10)
    except BlockingIOError:
        return b""


@pytest.mark.usefixtures("leaves_nothing")
def test_in_a_pid_namespace(engine: str) -> None:
    """It finds its own writes although the kernel knows it by another PID."""
    result = run(
        *("unshare", "--pid", "--fork", "--mount-proc"),
        *(MINIMAL, "--engine", engine, "--json", "--limit", "2"),
    )
    assert result.status == 0, result.stderr
    assert [record["message"] for record in result.records] == 2 * ["BPF triggered from PID 1."]
    assert all(record["comm"] == "ebpf-minimal" for record in result.records)
    assert all(record["pid"] > 1 for record in result.records)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(engine: str) -> None:
    result = run(MINIMAL, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    assert len(result.records) == 3
    assert result.stderr.endswith("Demo: saw every row that it caused (3), and nothing else.\n")


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_time_limit(engine: str) -> None:
    result = run(MINIMAL, "--engine", engine, "--json", "--time-limit", "0.5")
    assert result.status == 0, result.stderr
    assert result.summary["events"] == len(result.records) > 0


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_stop_and_continue(engine: str) -> None:
    """Ctrl-Z and fg do not end it."""
    with Running(MINIMAL, "--engine", engine, "--json", "--limit", "2") as tool:
        tool.wait_attached()
        tool.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, tool.pid, os.WSTOPPED | os.WNOWAIT)
        tool.process.send_signal(signal.SIGCONT)
        result = tool.finish()
    check_records(result, tool.pid, 2)


@pytest.mark.alone  # a tool of another test would be the next
def test_a_killed_run_is_cleaned_up_by_the_next() -> None:
    """But a trace instance in use stays."""
    with Running(MINIMAL) as alive, Running(MINIMAL) as victim:
        alive.wait_attached()
        victim.wait_attached()
        victim.process.kill()
        victim.process.wait()
        assert len(instances(victim.pid)) == 1
        assert run(MINIMAL, "--limit", "1").status == 0
        assert instances(victim.pid) == []
        assert len(instances(alive.pid)) == 1
        assert alive.finish(signal.SIGINT).status == 0
    assert instances(alive.pid) == []


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_many_trace_instances_at_once() -> None:
    """Who starts removes what is abandoned, but never what another is just making."""
    script = (
        "from ebpf_tour.loader.trace_instance import TraceInstance\n"
        "for _ in range(20):\n"
        "    with TraceInstance() as trace: trace.enable('bpf_trace', 'bpf_trace_printk')\n"
    )
    with ExitStack() as stack:
        makers = [stack.enter_context(Running(sys.executable, "-c", script)) for _ in range(4)]
        for maker in makers:
            assert maker.finish() == Result(0, "", "")


def catches_sigterm(pid: int) -> bool:
    """Say whether a process has taken the signals over from Python."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        caught = next(line for line in file if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("delay_ms", [0, 2, 5, 10, 20, 40, 80, 160, 320])
def test_interrupt_at_any_time(engine: str, delay_ms: int) -> None:
    """Ctrl-C ends it in order, whatever it is doing: opening, compiling, loading, waiting.

    The delay only chooses the moment; what is demanded holds for all of them.
    """
    with Running(MINIMAL, "--engine", engine) as tool:
        wait_until(lambda: catches_sigterm(tool.pid), lambda: "it never starts")
        select.poll().poll(delay_ms)
        result = tool.finish(signal.SIGINT)
    assert result.status == 0
    assert result.stderr in ("", ATTACHED)
