"""ebpf-profile: samples at their stacks, and none that is lost in silence."""

from __future__ import annotations

import collections
import json
import os
import re
import signal
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    BIN,
    UNSUPPORTED,
    Result,
    Running,
    Workload,
    assert_error,
    bytes_of,
    in_guest,
    run,
    wait_until,
)

from ebpf_tour.commands.profile import PAGES, TOOL
from ebpf_tour.frame import stacks
from ebpf_tour.frame.samples import REFUSED
from ebpf_tour.loader import syscall
from ebpf_tour.loader.hooks.perf_event import EVENTS, NO_COUNTERS, _counts_cycles
from ebpf_tour.loader.stacks import KernelSymbols, as_taken

if TYPE_CHECKING:
    from collections.abc import Iterable

    from support import Become, Compiled

COMMAND = "ebpf-profile"
PROFILE = BIN / COMMAND

pytestmark = pytest.mark.kernel(TOOL)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")


def sleeps(pid: int) -> bool:
    """Say whether all threads of a process wait for something."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "S" for stat in stats)


class OwnCount:
    """How many page faults the kernel counts of a process, in its threads and children."""

    def __init__(self, pid: int) -> None:
        # It has said that it is there, but its threads may have a page or two to go.
        wait_until(lambda: sleeps(pid), lambda: "it does not wait for us")
        event = syscall.PerfEvent(*EVENTS["page-faults"], inherit=True)
        threads = map(int, os.listdir(f"/proc/{pid}/task"))
        self._fds = [syscall.open_perf_event(event._replace(pid=tid)) for tid in threads]

    def read(self) -> int:
        total = 0
        for fd in self._fds:
            total += struct.unpack("=Q", os.read(fd, 8))[0]
            os.close(fd)
        return total


def profile_of(workload: Workload, engine: str, *options: str) -> Result:
    """Sample a workload, which ends first. Demands an orderly end."""
    command = (PROFILE, "--engine", engine, "--json", "-p", str(workload.pid), *options)
    with Running(*command) as tool:
        tool.wait_attached()
        workload.begin()
        assert workload.finish() == 0
        result = tool.finish()
    assert result.status == 0, result.stderr
    assert result.summary["events"] == len(result.records)
    return result


def samples(rows: Iterable[dict[str, Any]]) -> int:
    return sum(row["count"] for row in rows)


def through(rows: Iterable[dict[str, Any]], function: str) -> list[dict[str, Any]]:
    return [row for row in rows if function in row["stack"]]


@pytest.mark.core
@leaves_nothing
def test_a_share_of_three_to_one(engine: str, compiled: Compiled) -> None:
    """Within 5 points."""
    with Workload(compiled("sampled"), "share", "3000") as workload:
        result = profile_of(workload, engine, "-F", "997", "--stack-storage-size", "100000")
    rows = result.records
    three, one = (samples(through(rows, name)) for name in ("three", "one"))
    # An emulated machine's timers are late, and each may stand for several samples.
    assert three + one > (300 if in_guest() else 1500)
    assert abs(three / (three + one) - 0.75) < 0.05
    for row in through(rows, "three"):
        assert row["comm"] == "sampled"
        assert row["pid"] == workload.pid


@leaves_nothing
def test_names_before_and_after_an_exec(engine: str, become: Become) -> None:
    """Though both programs have their work at the same addresses."""
    with Workload(*become(spins=5_000_000, first=600, second=600)) as workload:
        result = profile_of(workload, engine, "-F", "997", "--stack-storage-size", "100000")
    work = {
        (row["comm"], name)
        for row in result.records
        for name in row["stack"]
        if name.endswith("_work")
    }
    assert work == {("first", "first_work"), ("second", "second_work")}


@pytest.mark.core
@leaves_nothing
def test_page_faults_are_as_many_as_perf_counts(engine: str, compiled: Compiled) -> None:
    """In a thread that was there, in one that begins later, and in a child process."""
    with Workload(compiled("sampled"), "touch", "300") as workload:
        count = OwnCount(workload.pid)
        result = profile_of(workload, engine, "--follow", "--event", "page-faults")
    assert samples(result.records) == count.read()
    # The child process may have ended before anyone could look up its names.
    assert samples(through(result.records, "touch")) + result.summary["lost"] >= 3 * 300
    by_pid = collections.Counter[int]()
    for row in result.records:
        by_pid[row["pid"]] += row["count"]
    assert len(by_pid) == 2
    assert by_pid.pop(workload.pid) >= 3 * 300
    assert by_pid.total() >= 300


@leaves_nothing
def test_a_command_from_its_execve(engine: str, compiled: Compiled) -> None:
    """Nothing that the tool's child did before, and all of what comes from it."""
    command = f"sh -c 'echo x | {compiled('sampled')} touch 300'"
    words = ("--event", "page-faults", "--stack-storage-size", "100000", "-c", command)
    result = run(PROFILE, "--engine", engine, "--json", *words)
    assert result.status == 0, result.stderr
    by_comm = collections.Counter[str]()
    for row in result.records:
        by_comm[row["comm"]] += row["count"]
    assert set(by_comm) == {"sh", "sampled"}
    assert by_comm["sampled"] >= 4 * 300


@leaves_nothing
def test_the_end_of_several_processes(engine: str, compiled: Compiled) -> None:
    """The run ends when the last of them has ended."""
    with (
        Workload(compiled("sampled"), "deep", "10") as first,
        Workload(compiled("sampled"), "deep", "20") as second,
    ):
        counts = [OwnCount(workload.pid) for workload in (first, second)]
        pids = f"{first.pid},{second.pid}"
        words = ("--event", "page-faults", "-p", pids)
        with Running(PROFILE, "--engine", engine, "--json", *words) as tool:
            tool.wait_attached()
            for workload in (first, second):
                workload.begin()
                assert workload.finish() == 0
            result = tool.finish()
    by_pid = collections.Counter[int]()
    for row in result.records:
        by_pid[row["pid"]] += row["count"]
    caused = {w.pid: n.read() for w, n in zip((first, second), counts, strict=True)}
    assert by_pid == caused


@pytest.mark.core
@leaves_nothing
def test_a_slot_that_is_taken(engine: str, compiled: Compiled) -> None:
    """What the map refuses is in rows of its own, so that the sum is exact all the same."""
    with Workload(compiled("sampled"), "deep", "100") as workload:
        count = OwnCount(workload.pid)
        result = profile_of(
            workload, engine, "-U", "--event", "page-faults", "--stack-storage-size", "64"
        )
    refused = [row for row in result.records if row["stack"] == [REFUSED]]
    assert samples(result.records) == count.read()
    assert samples(refused) == result.summary["lost"] >= 100 - 64
    lines = result.stderr.splitlines()
    assert any(f"{samples(refused)} samples have no stack" in line for line in lines), lines
    assert any("raise --stack-storage-size, for example to 512" in line for line in lines)
    assert f"{samples(refused)} events were lost" in lines[-1]


@leaves_nothing
def test_no_room_for_a_process(engine: str, compiled: Compiled) -> None:
    """Samples that are in no row are lost, and that is said."""
    with Workload(compiled("sampled"), "deep", "100") as workload:
        count = OwnCount(workload.pid)
        result = profile_of(workload, engine, "--event", "page-faults", "--stack-storage-size", "1")
    refused = [row for row in result.records if row["stack"] == [REFUSED]]
    lost = result.summary["lost"] - samples(refused)
    assert samples(result.records) + lost == count.read()
    assert (lost > 0) == (f"{lost} samples are in no row" in result.stderr)


@pytest.mark.core
@leaves_nothing
def test_only_this_process(engine: str, compiled: Compiled) -> None:
    with (
        Workload(compiled("sampled"), "deep", "10") as workload,
        Workload(compiled("sampled"), "touch", "50") as other,
    ):
        other.begin()
        result = profile_of(workload, engine, "--event", "page-faults")
        assert other.finish() == 0
    assert {row["pid"] for row in result.records} == {workload.pid}


@pytest.mark.core
@leaves_nothing
def test_the_whole_machine(engine: str, compiled: Compiled) -> None:
    """Each process by its own names, and nothing of CPUs that have nothing to do."""
    # An emulated machine takes seconds to look at a process, which must not end before.
    milliseconds = "10000" if in_guest() else "2000"
    # And there the tool itself has thousands of stacks, one of which may have the slot of three().
    words = ("-F", "99", "--stack-storage-size", "131072")
    with Running(PROFILE, "--engine", engine, "--json", *words) as tool:
        tool.wait_attached()
        with (
            Workload(compiled("sampled"), "share", milliseconds) as workload,
            Workload(sys.executable, "-c", "print(end='r', flush=True); input()") as waiting,
        ):
            workload.begin()
            assert workload.finish() == 0
            result = tool.finish(signal.SIGINT)
            assert waiting.pid
    assert result.status == 0, result.stderr
    own = [row for row in result.records if row["pid"] == workload.pid]
    assert samples(through(own, "three")) > samples(through(own, "one")) > 0
    assert 0 not in {row["pid"] for row in result.records}
    counts = [row["count"] for row in result.records]
    assert counts == sorted(counts, reverse=True)


@leaves_nothing
@pytest.mark.parametrize(("letter", "no"), [("-U", "kernel"), ("-K", "user")])
def test_one_half_of_the_stacks(engine: str, compiled: Compiled, letter: str, no: str) -> None:
    """A page fault is taken in the program's code, so it has no stack in the kernel."""
    with Workload(compiled("sampled"), "touch", "100") as workload:
        result = profile_of(workload, engine, letter, "--follow", "--event", "page-faults")
    in_program = through(result.records, "touch")
    if no == "user":
        assert not in_program
        assert samples(through(result.records, "[no stack]")) >= 400
    else:
        assert samples(in_program) >= 300 - result.summary["lost"]
        kernel = {name for row in result.records for name in row["stack"]}
        assert "asm_exc_page_fault" not in kernel


def test_table_and_folded(compiled: Compiled, tmp_path: Path) -> None:
    """They add up to the same, and the file for speedscope and the picture have all of it."""
    path, picture = tmp_path / "out.speedscope.json", tmp_path / "out.svg"
    with Workload(compiled("sampled"), "deep", "20") as workload:
        count = OwnCount(workload.pid)
        command = (PROFILE, "-p", str(workload.pid), "--event", "page-faults")
        with (
            Running(*command, "--folded", "--speedscope", str(path)) as folded,
            Running(*command, "--top", "3", "--flamegraph", str(picture)) as table,
        ):
            folded.wait_attached()
            table.wait_attached()
            workload.begin()
            assert workload.finish() == 0
            results = folded.finish(), table.finish()
    caused = count.read()
    lines = [line.rpartition(" ") for line in results[0].stdout.splitlines()]
    assert sum(int(number) for _, _, number in lines) == caused
    wanted = r"sampled;.*main;descend;descend;descend"
    assert any(re.fullmatch(wanted, text) for text, _, _ in lines)
    (profile,) = json.loads(path.read_text())["profiles"]
    assert sum(profile["weights"]) == caused
    assert f"<title>sampled ({caused} samples, 100.0%)</title>" in picture.read_text()
    header, *rows = results[1].stdout.splitlines()
    assert header.split() == ["SAMPLES", "COMM", "PID", "STACK"]
    assert sum(f" {workload.pid} " in row for row in rows) == 3
    assert "--top shows 3 of" in results[1].stderr


@pytest.mark.parametrize(
    ("top", "rows", "said"),
    [(3, 5, "; --top shows 3 of 5 rows"), (3, 3, ""), (3, 1, ""), (None, 5, "")],
)
def test_what_top_leaves_out(top: int | None, rows: int, said: str) -> None:
    assert stacks.top_of(top, rows) == said


@pytest.mark.core
@leaves_nothing
def test_demo(engine: str) -> None:
    result = run(PROFILE, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw at least as many as it caused (24).\n")


@leaves_nothing
def test_demo_of_page_faults(engine: str) -> None:
    result = run(PROFILE, "--engine", engine, "--demo", "--json", "--event", "page-faults")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith(f"Demo: saw at least as many as it caused ({PAGES}).\n")
    assert through(result.records, "python3.11") or not os.path.exists("/usr/bin/python3.11")


@pytest.mark.core
@leaves_nothing
def test_killed(engine: str, compiled: Compiled) -> None:
    """Nothing is left of a tool that could not clean up."""
    with Workload(compiled("sampled"), "touch", "10") as workload:
        for words in ((), ("-p", str(workload.pid))):
            with Running(PROFILE, "--engine", engine, *words) as tool:
                tool.wait_attached()
                tool.process.kill()
                assert tool.finish().status == -signal.SIGKILL


@pytest.mark.native
def test_a_hostile_name(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    name = os.fsdecode(b"\x1b[1A\n\xff\t\x7f'\",;%n")
    program = tmp_path / name
    program.hardlink_to(compiled("sampled"))
    with Workload(program, "deep", "3") as workload:
        result = profile_of(workload, engine, "--event", "page-faults")
    assert {bytes_of(row, "comm") for row in result.records} == {os.fsencode(name)[:15]}
    assert any("descend" in row["stack"] for row in result.records)


@pytest.mark.native
def test_names_of_a_container_are_not_taken_from_here(compiled: Compiled) -> None:
    """PIDs there mean other processes here."""
    with Workload(compiled("sampled"), "touch", "10") as workload:
        command = ["unshare", "--pid", "--fork", PROFILE, "--json", "--event", "page-faults"]
        with Running(*command) as tool:
            tool.wait_attached()
            workload.begin()
            assert workload.finish() == 0
            os.kill(int(next_child(tool.pid)), signal.SIGINT)
            result = tool.finish()
    assert "no names of programs: " in result.stderr
    own = [row for row in result.records if row["pid"] == workload.pid]
    assert own
    assert not through(own, "touch")


def next_child(pid: int) -> str:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()[0]


@pytest.mark.native
def test_without_counters() -> None:
    """It takes the clock without being asked; who asks for cycles is told."""
    if _counts_cycles():
        pytest.skip(f"{UNSUPPORTED}this machine has hardware counters")
    found = assert_error(run(PROFILE, "--event", "cycles"), 69, COMMAND)
    assert found == NO_COUNTERS
    result = run(PROFILE, "--time-limit", "0.1")
    assert result.stderr.startswith("Sampling cpu-clock at 49 Hz... Ctrl-C to end.\n")


@pytest.mark.native
@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("-F", "0"), 2),
        (("-F", "99", "--event", "page-faults"), 2),
        (("-U", "-K"), 2),
        (("--stack-storage-size", "9999999"), 2),
        (("--event", "coffee"), 2),
        (("-F", "2000000000"), 1),
    ],
)
def test_usage(options: tuple[str, ...], status: int) -> None:
    assert_error(run(PROFILE, *options), status, COMMAND)


@pytest.mark.native
def test_stacks_as_they_are_taken() -> None:
    assert as_taken([3, 2, 1, 0, 0], 5) == ((3, 2, 1), False, False)
    assert as_taken([5, 4, 3, 2, 1], 5) == ((5, 4, 3, 2), True, False)
    assert as_taken([1], 1) == ((1,), True, False)


@pytest.mark.native
def test_kernel_symbols() -> None:
    with open("/proc/kallsyms", encoding="utf-8") as file:
        found = {line.split()[2]: int(line.split()[0], 16) for line in file}
    address = found["do_syscall_64" if "do_syscall_64" in found else "el0_svc"]
    name = next(name for name, at in found.items() if at == address)
    assert KernelSymbols().names([address, address + 5]) == [f"{name}+0x0", f"{name}+0x5"]
    assert KernelSymbols().names([4096]) == ["[unknown]+0x1000"]
