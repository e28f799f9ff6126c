"""A run's end and the demo, with a tool that reads its events from a pipe.

The demo forks for real; only where the events come from is not the kernel.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest
from support import Result, Running, assert_error, run

if TYPE_CHECKING:
    from pathlib import Path

TOOL = """
import os, signal, sys
from ebpf_tour.frame import cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.commands.minimal import TOOL
from ebpf_tour.frame.record import Column
from ebpf_tour.frame.session import Demo

TOOL = TOOL._replace(name="pipe", columns=(Column("message", "MESSAGE", "a byte"),))

def run(session):
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.dup2(write, 0)  # more than the first three a demo does not inherit
    def workload():
        {workload}
    demo = Demo("a child writes.", workload, 3, lambda row: {caused}, exclusive=True)
    session.attached("Reading a pipe", demo)
    while session.running:
        try:
            for byte in os.read(read, 64):
                session.row({{"message": chr(byte)}})
        except BlockingIOError:
            pass
        session.lost = {lost}
        session.sleep(0.01)

sys.exit(cli.main(TOOL, run))
"""


FAILED = "its child process did not do its work"


@pytest.fixture
def command(tmp_path: Path) -> list[str | Path]:
    """Return the command of the tool; `write()` chooses what it does."""
    return [sys.executable, tmp_path / "pipe.py"]


def write(
    command: list[str | Path],
    workload: str = "os.write(0, b'abc')",
    caused: str = "True",
    lost: int = 0,
) -> None:
    with open(command[1], "w", encoding="utf-8") as file:
        file.write(TOOL.format(workload=workload, caused=caused, lost=lost))


def test_demo_that_sees_all(command: list[str | Path]) -> None:
    write(command, caused="row['message'] in 'abc'")
    result = run(*command, "--demo", "--json")
    assert result == Result(
        0,
        '{"message": "a"}\n{"message": "b"}\n{"message": "c"}\n'
        '{"type": "summary", "events": 3, "lost": 0}\n',
        "Reading a pipe... Ctrl-C to end.\n"
        "Demo: a child writes.\n"
        "Demo: saw every row that it caused (3), and nothing else.\n",
    )


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        ("os.write(0, b'abxc')", "it saw 1 row that it did not cause"),
        ("os.write(0, b'abc'); raise ValueError('a\\nb')", f"{FAILED}: a b"),
        ("os.write(0, b'abc'); raise ValueError", f"{FAILED}: ValueError"),
        ("open('/does/not/exist')", f"{FAILED}: /does/not/exist: No such file or directory"),
        ("os.write(0, b'abc'); os.kill(os.getpid(), 9)", f"{FAILED}: SIGKILL killed it"),
    ],
)
def test_demo_that_fails(command: list[str | Path], workload: str, said: str) -> None:
    write(command, workload, caused="row['message'] in 'abc'")
    result = run(*command, "--demo")
    cause, hint = assert_error(result, 1, "ebpf-pipe")
    assert cause == f"the demo failed: {said}"
    if FAILED in said:
        assert hint == "do by hand what the demo does: a child writes."
    assert "saw every" not in result.stderr


def test_demo_is_not_started_unasked(command: list[str | Path]) -> None:
    write(command)
    result = run(*command, "--json", "--time-limit", "0.1")
    assert result == Result(
        0,
        '{"type": "summary", "events": 0, "lost": 0}\n',
        "Reading a pipe... Ctrl-C to end.\n",
    )


@pytest.mark.parametrize("said", ["abc", "ab"], ids=["rows are there", "rows are missing"])
def test_interrupt_ends_a_demo_that_does_not(command: list[str | Path], said: str) -> None:
    """The child, too."""
    write(command, f"os.write(0, b'{said}'); signal.pause()")
    with Running(*command, "--demo") as tool:
        tool.wait_attached()
        stdout = tool.process.stdout
        assert stdout
        for _ in range(1 + len(said)):  # the header and the rows
            stdout.readline()
        with open(f"/proc/{tool.pid}/task/{tool.pid}/children", encoding="ascii") as file:
            (child,) = file.read().split()
        result = tool.finish(signal.SIGINT)
    assert result.status == 0
    with pytest.raises(FileNotFoundError):
        open(f"/proc/{child}/stat", encoding="ascii").close()


def test_limit(command: list[str | Path]) -> None:
    """Exactly so many rows, although more are there."""
    write(command, "os.write(0, b'abc')")
    result = run(*command, "--json", "--limit", "2", "--demo")
    assert result.records == [{"message": "a"}, {"message": "b"}]
    assert result.summary["events"] == 2


def test_losses_are_told(command: list[str | Path]) -> None:
    write(command, lost=7)
    result = run(*command, "--demo", "--json")
    assert result.summary == {"type": "summary", "events": 3, "lost": 7}
    assert "ebpf-pipe: 7 events were lost besides the 3 shown\n" in result.stderr
