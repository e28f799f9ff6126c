"""A trace buffer of one's own, on a machine whose trace options are not the usual ones.

A new instance has the options of the machine, and many of them change what a line
looks like. Each of them is changed for a moment, for real.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import BIN, ENGINES, ROOT, Running

from ebpf_tour.commands.hello import TOOL as HELLO
from ebpf_tour.commands.minimal import TOOL as MINIMAL
from ebpf_tour.loader import features
from ebpf_tour.loader.trace_instance import TraceInstance

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.alone,  # the machine's options are other tests', too
    pytest.mark.kernel(HELLO, MINIMAL),
    pytest.mark.usefixtures("leaves_nothing", "quiet_kernel"),
]

# Those that change a line, what is kept, or whether a reader waits.
CHANGED = (
    *("nocontext-info", "latency-format", "verbose", "record-tgid", "raw", "hex", "bin"),
    *("fields", "printk-msg-only", "stacktrace", "userstacktrace", "nomarkers"),
    *("nooverwrite", "block"),
)


def opposite(option: str) -> str:
    return option.removeprefix("no") if option.startswith("no") else f"no{option}"


def options() -> list[str]:
    """Return the machine's options, those that are off with a "no" in front."""
    return Path(f"{features.tracefs()}/trace_options").read_text(encoding="ascii").split()


def choose(option: str) -> None:
    Path(f"{features.tracefs()}/trace_options").write_text(option, encoding="ascii")


@contextlib.contextmanager
def machine_with(*changed: str) -> Iterator[None]:
    """Change options of the machine, those that this kernel has and that are not so already."""
    undone = [opposite(option) for option in changed if opposite(option) in options()]
    try:
        for option in undone:
            choose(opposite(option))
        yield
    finally:
        for option in undone:
            choose(option)


# Prints three lines of an event that only it causes, the text of each. A process of its
# own, since the kernel keeps a thread's name only from when it leaves the processor.
READER = """
import contextlib, os
from ebpf_tour.loader.trace_instance import TraceInstance

with TraceInstance() as trace:
    trace.enable_for_this_thread("sched", "sched_process_wait")
    for _ in range(3):
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
    lines = trace.drain()
    assert [line.tid for line in lines] == 3 * [os.getpid()], lines
    assert [line.time_s for line in lines] == sorted(line.time_s for line in lines) != [0] * 3
    assert trace.lost == 0
    for line in lines:
        print(line.message)
"""


def said() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", READER],
        env={"PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
    )


@pytest.mark.native
def test_each_option_of_the_machine() -> None:
    """Whichever of them is changed, the lines are the same."""
    usual = said()
    assert usual.stdout.count("\n") == 3, usual.stderr
    before = options()
    others = {}
    for option in before:
        if option.removeprefix("no").startswith(("test_nop", "trace_printk_dest")):
            continue  # of a tracer that is not in use; which the kernel keeps as it is
        with machine_with(opposite(option)):
            done = said()
        if (done.stdout, done.stderr) != (usual.stdout, ""):
            others[opposite(option)] = done.stdout + done.stderr
    assert options() == before
    assert not others
    assert {opposite(option) for option in CHANGED} & set(before), "the list above is old"


@pytest.mark.native
@pytest.mark.parametrize("engine", ENGINES)
def test_tools(engine: str) -> None:
    """Both that read a trace buffer, with all at once that none alone may disturb."""
    for changed in (CHANGED, ("stacktrace", "fields", "record-tgid")):
        with machine_with(*changed), contextlib.ExitStack() as stack:
            hello, minimal = (
                stack.enter_context(Running(BIN / name, "--engine", engine, "--demo", "--json"))
                for name in ("ebpf-hello", "ebpf-minimal")
            )
            results = {"ebpf-hello": hello.finish(), "ebpf-minimal": minimal.finish()}
        for name, result in results.items():
            assert result.status == 0, (name, result.stderr)
            assert result.stderr.splitlines()[-1].startswith("Demo: saw every row"), changed
            assert result.summary["lost"] == 0
        assert {row["message"] for row in results["ebpf-hello"].records} == {"Hello, World!"}
        rows = results["ebpf-minimal"].records
        assert [row["message"] for row in rows] == 3 * [f"BPF triggered from PID {minimal.pid}."]
        assert {row["pid"] for row in rows} == {minimal.pid}
        assert {row["comm"] for row in rows} == {"ebpf-minimal"}


def forget_names() -> None:
    """Let the kernel forget the names that it has: one may be of a process with our PID before."""
    path = Path(features.tracefs()) / "saved_cmdlines_size"
    path.write_text(path.read_text(encoding="ascii"), encoding="ascii")  # makes room anew


@pytest.mark.native
def test_machine_that_records_no_names() -> None:
    """Then there are none. To switch them on for us would switch them on for everyone."""
    with machine_with("norecord-cmd"):
        forget_names()
        done = Running(BIN / "ebpf-minimal", "--limit", "2", "--json")
        with done:
            result = done.finish()
    assert result.status == 0, result.stderr
    # Another tracer may have had the kernel keep them.
    assert {row["comm"] for row in result.records} <= {"<...>", "ebpf-minimal"}
    assert {row["pid"] for row in result.records} == {done.pid}


@pytest.mark.native
@pytest.mark.parametrize("clock", ["counter", "boot", "mono"])
def test_clock_of_the_machine(clock: str) -> None:
    """A new instance has a clock of its own."""
    path = Path(f"{features.tracefs()}/trace_clock")
    (before,) = (word[1:-1] for word in path.read_text().split() if word.startswith("["))
    try:
        path.write_text(clock)
        with TraceInstance() as trace:
            trace.enable_for_this_thread("sched", "sched_process_wait")
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            (line,) = trace.drain()
    finally:
        path.write_text(before)
    with open("/proc/uptime", encoding="ascii") as file:
        assert 0 < line.time_s < float(file.read().split()[0]) + 60


@pytest.mark.native
def test_nobody_else_is_disturbed() -> None:
    """Another instance goes on recording processes (record-tgid), which is for all or none."""
    other = Path(f"{features.tracefs()}/instances/ebpf-tests-{os.getpid()}")
    event = other / "events/sched/sched_process_wait"
    with machine_with("record-tgid"):
        other.mkdir()
        try:
            (event / "filter").write_text(f"common_pid == {os.getpid()}")
            (event / "enable").write_text("1")
            with TraceInstance():
                pass
            os.waitid(os.P_PID, os.spawnlp(os.P_NOWAIT, "true", "true"), os.WEXITED)
            lines = (other / "trace").read_text().splitlines()
            (event / "enable").write_text("0")
        finally:
            other.rmdir()
    (line,) = (line for line in lines if not line.startswith("#"))
    assert f"({os.getpid():7})" in line
