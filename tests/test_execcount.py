"""ebpf-execcount: counts that are exact, whoever else counts at the same time.

The tool counts the whole machine, which may execute programs of its own
meanwhile. So the exact number is demanded of our own commands (`--by-comm`), and
of the total that it is not less.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import (
    BIN,
    ROOT,
    Running,
    Workload,
    assert_error,
    may_be_skipped,
    run,
    run_all,
    scaled,
)

from ebpf_tour.commands.execcount import TOOL

if TYPE_CHECKING:
    from pathlib import Path

    from support import Compiled

EXECCOUNT = BIN / "ebpf-execcount"

pytestmark = pytest.mark.kernel(TOOL)

EACH = scaled(500)


def spawn_from_two(program: Path) -> None:
    """Execute /bin/true EACH times from each of two processes at once."""
    run_all(*(Workload(program, str(EACH)) for _ in range(2)))


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_total(engine: str, compiled: Compiled) -> None:
    command = (EXECCOUNT, "--interval", "1", "--json", "--engine", engine)
    with Running(*command) as tool:
        tool.wait_attached()
        spawn_from_two(compiled("spawn"))
        result = tool.finish(signal.SIGINT)
    assert result.status == 0
    assert result.records
    for row in result.records:
        assert list(row) == ["time", "count", "rate_per_s", "interval_s"]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
    counts = [row["count"] for row in result.records]
    assert counts == sorted(counts)
    # The two workers are executed, too. Where the kernel skips calls, they are lost.
    lost = result.summary["lost"]
    assert lost == 0 or may_be_skipped(*TOOL.hooks)
    assert counts[-1] + lost >= 2 * EACH + 2
    counted = sum(row["rate_per_s"] * row["interval_s"] for row in result.records)
    assert counted == pytest.approx(counts[-1])


def test_by_comm(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    program = tmp_path / f"spawn-{os.getpid()}"
    program.symlink_to(compiled("spawn"))
    with Running(EXECCOUNT, "--by-comm", "--json", "--engine", engine) as tool:
        tool.wait_attached()
        spawn_from_two(program)
        result = tool.finish(signal.SIGINT)
    assert result.status == 0
    counts = {row["comm"]: row["count"] for row in result.records}
    assert counts[program.name] == 2 * EACH
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert "execve_counter" not in counts


@pytest.mark.native
@pytest.mark.alone  # the same on the other engine has the same name
def test_two_processes_at_one_counter(engine: str) -> None:
    """What the walkthrough lets the reader try: with a plain addition, some are missing."""
    with Running(EXECCOUNT, "--by-comm", "--json", "--engine", engine) as tool:
        tool.wait_attached()
        subprocess.run([ROOT / "examples/workloads/execute.py"], check=True)
        result = tool.finish(signal.SIGINT)
    counts = {row["comm"]: row["count"] for row in result.records}
    assert counts["execute"] + result.summary["lost"] == 1_000_000


def test_last_report_after_an_interrupt(engine: str, compiled: Compiled) -> None:
    """Over the time that really passed, long before the interval is over."""
    with Running(EXECCOUNT, "--interval", "3600", "--json", "--engine", engine) as tool:
        tool.wait_attached()
        spawn_from_two(compiled("spawn"))
        result = tool.finish(signal.SIGINT)
    (row,) = result.records
    assert row["count"] >= 2 * EACH + 2
    assert 0 < row["interval_s"] < 3600
    assert row["rate_per_s"] == pytest.approx(row["count"] / row["interval_s"])


def test_calls_that_fail_count_and_execveat_does(engine: str) -> None:
    """It is the call that is counted."""
    name = f"caller-{os.getpid()}"
    script = (
        "import os, sys\n"
        "with open('/proc/self/comm', 'w') as file:\n"
        "    file.write(sys.argv[1])\n"
        "for _ in range(5):\n"
        "    if os.fork() == 0:\n"
        "        try:\n"
        "            os.execve('/does/not/exist', ['x'], {})\n"
        "        except FileNotFoundError:\n"
        "            os.execve(os.open('/bin/true', os.O_RDONLY), ['true'], {})\n"
        "    os.wait()\n"
    )
    with Running(EXECCOUNT, "--by-comm", "--json", "--engine", engine) as tool:
        tool.wait_attached()
        subprocess.run(["/usr/bin/python3", "-c", script, name], check=True)
        result = tool.finish(signal.SIGINT)
    # Five that fail, and five by execveat (fexecve).
    assert {row["comm"]: row["count"] for row in result.records}[name] == 10


@pytest.mark.native
@pytest.mark.parametrize("words", [("--interval", "0.1", "--count", "3"), ("0.1", "3")])
def test_so_many_reports(words: tuple[str, ...]) -> None:
    result = run(EXECCOUNT, *words, "--json")
    assert result.status == 0
    assert len(result.records) == 3


@pytest.mark.native
def test_counter_exists_from_the_start(engine: str) -> None:
    """A report without a single call has a row, too."""
    result = run(EXECCOUNT, "0.001", "1", "--json", "--engine", engine)
    assert len(result.records) == 1


@pytest.mark.native
def test_table() -> None:
    result = run(EXECCOUNT, "0.1", "2")
    header, *rows = result.stdout.splitlines()
    assert header == "TIME          COUNT   RATE(/s)"
    assert len(rows) == 2
    for row in rows:
        assert re.fullmatch(r"\d\d:\d\d:\d\d +\d+ +\d+\.\d", row)
        assert len(row) == len(header)


@pytest.mark.parametrize(
    "by_comm",
    [
        pytest.param((), id="total"),
        pytest.param(("--by-comm",), id="by-comm", marks=pytest.mark.core),
    ],
)
def test_demo(engine: str, by_comm: tuple[str, ...]) -> None:
    result = run(EXECCOUNT, "--engine", engine, "--demo", *by_comm)
    assert result.status == 0, result.stderr
    assert "Demo: saw at least as many as it caused (50)." in result.stderr


@pytest.mark.native
@pytest.mark.parametrize(
    "arguments",
    [
        *("0", "-1", "abc", "nan", "1 0", "1 -1", "1 abc", "--interval 0", "--interval abc"),
        *("--count 0", "--count 1.5", "1 --interval 2", "1 2 --count 3"),
    ],
)
def test_bad_input(arguments: str) -> None:
    assert_error(run(EXECCOUNT, *arguments.split()), 2, "ebpf-execcount")
