"""ebpf-tour compare: whether each way that works here sees all, and what is said of the others."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import ways_of
from support import (
    BIN,
    ENGINES,
    Running,
    assert_error,
    in_guest,
    in_mount_namespace,
    may_be_skipped,
    run,
    wait_until,
)

from ebpf_tour.commands import execsnoop, mkdir, syscount, tc
from ebpf_tour.commands.tour import COMPARE
from ebpf_tour.frame.compare.command import Way, lines, rows_of
from ebpf_tour.frame.compare.traced import Seen
from ebpf_tour.frame.compare.workloads import WORKLOADS
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from ebpf_tour.frame import Tool

TOUR = BIN / "ebpf-tour"

EVENTS = {"mkdir": 60, "execsnoop": 20, "tc": 60, "syscount": 2000}
ROUNDS = 1 if in_guest() else 2  # there, BCC needs ten seconds to compile
FOUR = "compare one of these: mkdir, execsnoop, tc, syscount"

kernel = pytest.mark.kernel
native = pytest.mark.native


def compared(tool: Tool, *options: str) -> list[dict[str, Any]]:
    """Return the records of a comparison that is over in a few seconds, which ends well."""
    few = ("--rounds", str(ROUNDS), "--events", str(EVENTS[tool.name]))
    result = run(TOUR, "compare", tool.name, "--json", *few, *options)
    assert (result.status, result.stderr) == (0, "")
    assert result.summary["events"] == len(result.records)
    for record in result.records:
        assert list(record) == [column.key for column in COMPARE.columns]
        assert record["tool"] == tool.command
    return result.records


def expected_reason(tool: Tool, via: str, engine: str) -> str | None:
    """Return why a way cannot be measured here, as the tool says it itself, None if it can."""
    if (engine, via) not in ways_of(tool):
        return f"the {engine} engine cannot attach to {tool.via[via][0]}"
    missing = what_is_missing(tool.via[via])
    return str(missing) if missing else None


@kernel
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    "tool",
    [
        # Only other kernels have all of its hooks.
        pytest.param(mkdir.TOOL, id="mkdir", marks=pytest.mark.core),
        pytest.param(execsnoop.TOOL, id="execsnoop"),
        pytest.param(tc.TOOL, id="tc", marks=pytest.mark.core),
        pytest.param(syscount.TOOL, id="syscount", marks=pytest.mark.core),
    ],
)
def test_each_way_sees_all(tool: Tool) -> None:
    """And the same. What cannot be measured says why."""
    untraced, *ways = compared(tool)
    caused = ROUNDS * EVENTS[tool.name]
    assert (untraced["via"], untraced["engine"], untraced["events"]) == ("untraced", None, caused)
    assert untraced["min_ns"] <= untraced["ns"] <= untraced["max_ns"]
    assert [(way["via"], way["engine"]) for way in ways] == [
        (via, engine) for via in tool.via for engine in ENGINES
    ]
    for way in ways:
        reason = expected_reason(tool, way["via"], way["engine"])
        assert way["reason"] == reason
        if reason:
            assert {way[key] for key in ("ns", "added_ns", "rows", "lost", "equal")} == {None}
            continue
        assert way["added_ns"] == way["ns"] - untraced["ns"]
        assert 0 < way["min_ns"] <= way["ns"] <= way["max_ns"]
        assert way["events"] == caused
        if may_be_skipped(*tool.via[way["via"]]):
            assert way["rows"] <= caused <= way["rows"] + way["lost"]
        else:
            assert (way["rows"], way["lost"], way["equal"]) == (caused, 0, True)


@native
@kernel
def test_one_engine() -> None:
    _, *ways = compared(tc.TOOL, "--engine", "libbpf")
    assert [(way["via"], way["engine"]) for way in ways] == [(via, "libbpf") for via in tc.TOOL.via]


@native
@kernel
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_tool_is_attached(end: int) -> None:
    """Nothing of it stays: no tool, no process with the workload, no directory."""
    with Running(TOUR, "compare", "syscount", "--events", "1000000") as tour:
        wait_until(lambda: "ebpf-syscount" in children(tour.pid).values(), lambda: "no tool")
        (workload,) = [pid for pid, name in children(tour.pid).items() if name == "ebpf-tour"]
        directory = Path(os.readlink(f"/proc/{workload}/cwd"))
        assert directory.name.startswith("ebpf-compare-")
        started = list(children(tour.pid))
        result = tour.finish(end)
    assert (result.status, result.stdout) == (0, "")
    assert "ended by a signal before all rounds were done, so there are no figures" in result.stderr
    assert not directory.exists()
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


@native
@kernel
def test_killed_it_leaves_no_directory() -> None:
    """The process with the workload removes it, and ends."""
    with Running(TOUR, "compare", "mkdir", "--events", "1000000") as tour:
        wait_until(lambda: len(children(tour.pid)) == 1, lambda: "no workload")
        (workload,) = children(tour.pid)
        cwd = Path(f"/proc/{workload}/cwd")
        wait_until(lambda: "ebpf-compare-" in os.readlink(cwd), lambda: os.readlink(cwd))
        directory = Path(os.readlink(cwd))
        tour.process.kill()
        tour.process.wait()
        wait_until(lambda: not directory.exists(), lambda: f"{directory} is there")


def children(pid: int) -> dict[int, str]:
    """Return the names of a process's children, by their PIDs."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(child): Path(f"/proc/{child}/comm").read_text().strip() for child in listed.split()}


@native
@kernel
def test_a_workload_that_cannot_be_done() -> None:
    command = in_mount_namespace("mount --bind /dev/null /bin/true", TOUR, "compare", "execsnoop")
    cause, _ = assert_error(run(*command), 1, "ebpf-tour")
    assert cause.startswith("the workload failed (/bin/true is executed, and ends): ")
    assert "Permission denied" in cause


@native
@kernel
def test_where_no_way_is_there() -> None:
    """The rows say why, and so does the error."""
    command = in_mount_namespace("mount -t tmpfs none /sys/kernel/btf", TOUR, "compare", "syscount")
    few = ("--json", "--engine", "libbpf", "--rounds", "1", "--events", "10")
    result = run(*command, *few)
    cause, hint = assert_error(result, 69, "ebpf-tour")
    _, *ways = result.records
    assert len(ways) == len(syscount.TOOL.via)
    assert all(way["reason"] for way in ways)
    assert cause == f"ebpf-syscount does not run here: {ways[0]['reason']}"
    assert hint == "see what this machine lacks: ebpf-tour check"


@native
@kernel
def test_in_a_container() -> None:
    command = ("unshare", "--pid", "--fork", "--mount-proc", TOUR, "compare", "syscount")
    cause, _ = assert_error(run(*command), 69, "ebpf-tour")
    assert cause.startswith("in a PID namespace of its own, ")


@native
def test_without_root() -> None:
    command = ("setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon", TOUR, "compare", "mkdir")
    assert_error(run(*command), 77, "ebpf-tour")


@native
@pytest.mark.parametrize(
    ("words", "cause", "hint"),
    [
        (("compare",), "which tool?", FOUR),
        (("compare", "hello"), "there is no workload for 'hello'", FOUR),
        (("compare", "syscont"), "there is no workload for 'syscont'", "did you mean syscount?"),
    ],
)
def test_which_tool(words: tuple[str, ...], cause: str, hint: str) -> None:
    assert assert_error(run(TOUR, *words), 2, "ebpf-tour") == (cause, hint)


@native
@pytest.mark.parametrize(
    "words",
    [
        *("compare mkdir user", "compare mkdir --directory .", "compare mkdir --time-limit 5"),
        *("compare mkdir --rounds 0", "compare mkdir --events x", "compare mkdir --engine gcc"),
        *("--rounds 5", "check --events 5", "exercises --rounds 5", "mkdir --events 5"),
    ],
)
def test_usage(words: str) -> None:
    assert_error(run(TOUR, *words.split()), 2, "ebpf-tour")


def test_every_workload_is_of_a_tool_with_a_choice() -> None:
    tools = [mkdir.TOOL, execsnoop.TOOL, tc.TOOL, syscount.TOOL]
    assert list(WORKLOADS) == [tool.name for tool in tools]
    assert all(len(tool.via) > 1 for tool in tools)


def test_rows_that_differ() -> None:
    """What varies by nature is left out. One round that differs is enough."""
    workload = WORKLOADS["mkdir"]
    ways = [Way("kprobe", "libbpf"), Way("fentry", "libbpf"), Way("tracepoint", "libbpf")]
    ways[2].reason = "no tracefs"
    for way, names in ((ways[0], "aa"), (ways[1], "ab")):
        for time, name in enumerate(names):
            way.add(workload, 20.0 + time, Seen([{"time": str(time), "name": name}], time))
    alone, *rows = rows_of(workload, [5.0, 30.0, 10.0], ways, 1)
    assert (alone["ns"], alone["min_ns"], alone["max_ns"]) == (10, 5, 30)
    assert [row["added_ns"] for row in rows] == [10.5, 10.5, None]
    assert [row["equal"] for row in rows] == [True, False, None]
    assert [row["rows"] for row in rows] == [2, 2, None]
    assert [row["lost"] for row in rows] == [1, 1, None]
    assert (
        "\n".join(lines([alone, *rows], "About it."))
        == """\
About it.

VIA       ENGINE  NS/EVENT  ADDED  MIN  MAX  ROWS  LOST  EQUAL
untraced  -             10      -    5   30     -     -  -
kprobe    libbpf        20     10   20   21     2     1  yes
fentry    libbpf        20     10   20   21     2     1  no

Not measured:
  tracepoint (libbpf): no tracefs"""
    )
