"""Whatever ends a tool, and whenever: nothing of it stays behind.

Before it has loaded, between loading and attaching, and while it reads. hold.c stops
it there, so no moment is left to chance.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import Case, fault, option, watched
from support import Held, Result, Running, assert_error, instances

if TYPE_CHECKING:
    from support import Compiled

    from ebpf_tour.frame.record import Tool

pytestmark = pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")

ORDERLY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def remove_abandoned(case: Case, pid: int) -> None:
    """Let the next run remove the trace instance, or the tc filter, of one that was killed.

    Those two the kernel does not free with a process.
    """
    if instances(pid) or any(hook.kind == "clsact" for hook in case.hooks):
        with Running(*case.command()) as following:
            assert following.wait_attached().finish(signal.SIGINT).status == 0
        assert instances(pid) == []


@pytest.mark.native
@fault
@pytest.mark.parametrize("where", ["load", "attach"])
def test_signal_before_it_reads(case: Case, where: str, compiled: Compiled) -> None:
    """Before it has attached, it ends at once, by the signal; later in order, and says nothing.

    At once in four processes.
    """
    with watched(case.tool, compiled) as words, ExitStack() as stack:
        tools = {
            number: stack.enter_context(
                Held(compiled("hold"), where, *case.command("--json", *words))
            )
            for number in (*ORDERLY, signal.SIGKILL)
        }
        for tool in tools.values():
            tool.wait_held()
        for number in ORDERLY:
            status = -number if where == "load" else 0
            assert tools[number].finish(number) == (status, "", "")
        victim = tools[signal.SIGKILL]
        assert victim.finish(signal.SIGKILL) == (-signal.SIGKILL, "", "")
        remove_abandoned(case, victim.pid)


@fault
def test_signal_while_it_reads(case: Case, compiled: Compiled) -> None:
    with watched(case.tool, compiled) as words, ExitStack() as stack:
        tools = {
            number: stack.enter_context(Running(*case.command("--json", *words)))
            for number in (*ORDERLY, signal.SIGKILL)
        }
        for tool in tools.values():
            tool.wait_attached()
        for number in ORDERLY:
            result = tools[number].finish(number)
            assert result.status == 0
            assert result.summary["events"] == len(result.records)
            assert "Traceback" not in result.stderr
        victim = tools[signal.SIGKILL]
        result = victim.finish(signal.SIGKILL)
        assert result.status == -signal.SIGKILL
        remove_abandoned(case, victim.pid)


def full_pipe() -> tuple[int, int]:
    """Return the two ends of a pipe that has room for nothing."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, bytes(4096))
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x")
    os.set_blocking(write, True)
    return read, write


@fault
@pytest.mark.parametrize("how", [*ORDERLY, "--time-limit"])
def test_nobody_reads_at_the_end(case: Case, how: signal.Signals | str, compiled: Compiled) -> None:
    """A pipe whose reader is there and sleeps holds up no end, only the rest of the output."""
    words = ("--time-limit=0.2",) if how == "--time-limit" else ()
    read, write = full_pipe()
    with (
        watched(case.tool, compiled, "allocate") as pid,
        Running(*case.command("--json", *words, *pid), stdout=write) as tool,
    ):
        os.close(write)
        tool.wait_attached()
        result = tool.finish(how if isinstance(how, signal.Signals) else None)
    os.close(read)
    assert result.status == 0, result.stderr
    assert "the rest is not written: nobody reads it\n" in result.stderr
    assert "Traceback" not in result.stderr


@fault
def test_signals_that_are_ignored(case: Case, compiled: Compiled) -> None:
    """They stay so: a shell that starts a job in the background has it ignore SIGINT."""
    ignoring = ("sh", "-c", 'trap "" INT HUP; exec "$@"', "sh")
    with (
        watched(case.tool, compiled) as words,
        Running(*ignoring, *case.command("--json", *words)) as tool,
    ):
        tool.wait_attached()
        for number in (signal.SIGINT, signal.SIGHUP):
            tool.process.send_signal(number)
        ignored = Path(f"/proc/{tool.pid}/status").read_text().split("SigIgn:\t")[1][:16]
        assert int(ignored, 16) & 0b11 == 0b11
        assert tool.process.poll() is None
        assert tool.finish(signal.SIGTERM).status == 0


def forms(tool: Tool) -> list[tuple[str, ...]]:
    """Return the words for each way to make a tool write to stdout by itself."""
    found: list[tuple[str, ...]] = [("--help",), ("--version",)]
    if not tool.via:
        return [*found, ()]
    found += [("--demo",), ("--demo", "--json"), ("--show", "source"), ("--show", "asm")]
    return found + ([("--demo", "--folded")] if option(tool, "--folded") else [])


def write_to(fd: int, case: Case) -> list[Result]:
    """Return how all that a tool can write ends, each in a process of its own."""
    with ExitStack() as stack:
        tools = [
            stack.enter_context(Running(*case.command(*words), stdout=fd))
            for words in forms(case.tool)
        ]
        return [tool.finish() for tool in tools]


@pytest.mark.native
@fault
def test_nobody_reads_what_it_writes(case: Case) -> None:
    """As with `| head -1`, from the first line on."""
    read, write = os.pipe()
    os.close(read)
    for result in write_to(write, case):
        assert result.status == 0, result.stderr
        assert "Traceback" not in result.stderr
        assert "error" not in result.stderr
    os.close(write)


@pytest.mark.native
@fault
def test_the_reader_goes_away(case: Case, compiled: Compiled) -> None:
    """After the first line of a run that would have gone on."""
    with watched(case.tool, compiled, "all the time") as words:
        command = case.command(*words, "--interval=0.1" if words else "--demo")
        with Running(*command) as tool:
            assert tool.process.stdout
            assert tool.process.stdout.readline()
            tool.process.stdout.close()
            tool.process.stdout = None  # or communicate() would read it
            result = tool.finish()
    assert result.status == 0, result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.native
@fault
def test_disk_full(case: Case) -> None:
    with open("/dev/full", "wb") as full:
        results = write_to(full.fileno(), case)
    for result in results:
        cause, hint = assert_error(result, 1, case.tool.command)
        assert cause == "cannot write to standard output: No space left on device"
        assert hint == "redirect it to another file"


@pytest.mark.native
@fault
def test_closed_streams(case: Case) -> None:
    """What was meant for the closed stream goes nowhere; the rest is as always."""
    command = case.command("--demo", "--json")
    with ExitStack() as stack:
        tools = {
            closed: stack.enter_context(Running("sh", "-c", f'exec "$@" {closed}', "sh", *command))
            for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full")
        }
        for closed, tool in tools.items():
            result = tool.finish()
            assert result.status == 0, result.stderr
            assert "Traceback" not in result.stderr
            assert bool(result.stderr) == ("2>" not in closed)
            if ">&-" in closed.split():
                assert result.stdout == ""
            else:
                assert len(result.records) == result.summary["events"] > 0


@pytest.mark.native
@fault
@pytest.mark.parametrize("where", ["load", "attach"])
def test_the_watched_process_is_killed_before(case: Case, where: str, compiled: Compiled) -> None:
    with (
        watched(case.tool, compiled) as (pid,),
        Held(compiled("hold"), where, *case.command(pid)) as tool,
    ):
        tool.wait_held()
        os.kill(int(pid), signal.SIGKILL)
        os.waitid(os.P_PID, int(pid), os.WEXITED | os.WNOWAIT)
        cause, _ = assert_error(tool.finish(), 1, case.tool.command)
    assert cause == f"the process {pid} (target) has ended"


@fault
def test_the_watched_process_is_killed(case: Case, compiled: Compiled) -> None:
    """The report comes all the same."""
    with (
        watched(case.tool, compiled, "all the time") as (pid,),
        Running(*case.command("--json", pid)) as tool,
    ):
        tool.wait_attached()
        os.kill(int(pid), signal.SIGKILL)
        result = tool.finish()
    assert result.status == 0, result.stderr
    assert result.summary["events"] == len(result.records)


@pytest.mark.native
@fault
def test_two_at_once(case: Case) -> None:
    """Each with its own demo; neither takes from the other."""
    with Running(*case.command("--demo")) as one, Running(*case.command("--demo")) as other:
        for tool in (one, other):
            result = tool.finish()
            assert result.status == 0, result.stderr
            assert "Demo: saw " in result.stderr


@pytest.mark.native
@fault
def test_a_demo_that_is_interrupted(case: Case, tmp_path: Path) -> None:
    """It ends, and so does its child, which leaves no files."""
    with Running(*case.command("--demo"), env={"TMPDIR": str(tmp_path)}) as tool:
        result = tool.wait_attached().finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []
