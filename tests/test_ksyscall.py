"""ebpf-ksyscall, in each of its ways that the running kernel has."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import Any

import pytest
from cases import via, ways_of
from support import BIN, Result, Running, Workload, assert_error, assert_rest_is_lost, run, scaled

from ebpf_tour.commands.ksyscall import TOOL
from ebpf_tour.loader.hooks import what_is_missing

KSYSCALL = BIN / "ebpf-ksyscall"

pytestmark = pytest.mark.kernel(TOOL)

way = via(TOOL)

# It is told to begin, then sends: to itself, to its thread, to its group, to nobody.
SEND = """
import os, signal, sys, threading
me, thread = os.getpid(), threading.get_native_id()
for number in (signal.SIGUSR1, 40):
    signal.signal(number, signal.SIG_IGN)
os.write(1, b"r")
os.read(0, 1)
os.kill(me, signal.SIGUSR1)
os.kill(me, 40)
os.kill(0, 0)
os.killpg(os.getpgrp(), 0)
signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
other = threading.Thread(target=signal.pthread_kill, args=(threading.get_ident(), 40))
other.start()
other.join()
try:
    os.kill(me, 65)
except OSError:
    pass
"""

# Sends signal 0 to itself so many times.
MANY = """
import os, sys
me = os.getpid()
os.write(1, b"r")
os.read(0, 1)
for _ in range(int(sys.argv[1])):
    os.kill(me, 0)
"""


def python(script: str, *words: str) -> Workload:
    return Workload(sys.executable, "-BIc", script, *words)


def rows_of(result: Result, pid: int) -> list[dict[str, Any]]:
    """Return the rows of a process. Demands an orderly end without losses."""
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return [row for row in result.records if row["pid"] == pid]


def sent(rows: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    return [(row["signal"], row["target"], row["tid"]) for row in rows]


def all_sent_by(pid: int) -> list[tuple[int, int, int]]:
    """Return what SEND sends."""
    return [
        *((signal.SIGUSR1, pid, 0), (40, pid, 0), (0, 0, 0), (0, -os.getpgrp(), 0)),
        *((signal.SIGUSR1, pid, pid), (40, pid, pid), (65, pid, 0)),
    ]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_each_call_is_a_row(way: tuple[str, ...]) -> None:
    with Running(KSYSCALL, *way) as tool:
        tool.wait_attached()
        sender = python(SEND)
        sender.begin()
        assert sender.finish() == 0
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, sender.pid)
    assert sent(rows) == all_sent_by(sender.pid)
    for row in rows:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        # Since Python 3.14, a thread tells the kernel the name that it has in Python.
        assert row["comm"].startswith(("python", "Thread-"))


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_pid(way: tuple[str, ...]) -> None:
    """-p lets nothing else through."""
    ours, other = python(MANY, "3"), python(MANY, str(scaled(500)))
    with Running(KSYSCALL, *way, "-p", str(ours.pid)) as tool:
        tool.wait_attached()
        for sender in (other, ours):
            sender.begin()
            assert sender.finish() == 0
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, ours.pid)
    assert sent(rows) == 3 * [(0, ours.pid, 0)]
    assert result.records == rows


def test_table(way: tuple[str, ...]) -> None:
    """There the signals have names."""
    *options, _ = way
    sender = python(SEND)
    with Running(KSYSCALL, *options, "-p", str(sender.pid)) as tool:
        tool.wait_attached()
        sender.begin()
        assert sender.finish() == 0
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == [column.header for column in TOOL.columns if column.header]
    pid, group = sender.pid, -os.getpgrp()
    wanted = [
        *(f"SIGUSR1   {pid}", f"SIG40     {pid}", "0         0", f"0         {group}"),
        *(f"SIGUSR1   {pid} thread {pid}", f"SIG40     {pid} thread {pid}", f"SIG65     {pid}"),
    ]
    assert [row[row.index(f" {pid} ") + len(f" {pid} ") :] for row in rows] == wanted


def test_nothing_is_lost_in_silence(way: tuple[str, ...]) -> None:
    """While the tool is stopped its buffer fills up; what finds no room is counted."""
    sender = python(MANY, "1000")
    with Running(KSYSCALL, *way, "-p", str(sender.pid), "--buffer", "4") as tool:
        tool.wait_attached()
        with tool.stopped():
            sender.begin()
            assert sender.finish() == 0
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 1000)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(way: tuple[str, ...]) -> None:
    result = run(KSYSCALL, *way, "--demo")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (4).\n")
    assert result.summary["lost"] == 0


@pytest.mark.core
def test_all_ways_agree() -> None:
    """But for PID and time, they show the same."""
    answers = []
    for engine, name in ways_of(TOOL):
        if what_is_missing(TOOL.via[name]):
            continue
        sender = python(SEND)
        command = (KSYSCALL, "--engine", engine, "--via", name, "--json", "-p", str(sender.pid))
        with Running(*command) as tool:
            tool.wait_attached()
            sender.begin()
            assert sender.finish() == 0
            result = tool.finish(signal.SIGINT)
        text = re.sub(r'"time": "[\d:]+"', "", result.stdout)
        answers.append(re.sub(rf"\b{sender.pid}\b", "PID", text))
    assert len(answers) > 1
    assert answers[0].count("\n") == 8
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.native
def test_a_way_that_is_not_there() -> None:
    for name, hooks in TOOL.via.items():
        if missing := what_is_missing(hooks):
            found = assert_error(run(KSYSCALL, "--via", name), missing.status, "ebpf-ksyscall")
            assert found == (str(missing), missing.hint)


@pytest.mark.native
@pytest.mark.parametrize("options", [("-p", "0"), ("--via", "magic"), ("--buffer", "0")])
def test_usage(options: tuple[str, ...]) -> None:
    assert_error(run(KSYSCALL, *options), 2, "ebpf-ksyscall")
