"""ebpf-syscount: counts that are exact, on all CPUs and over all reports."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import via, ways_of
from support import (
    ARCHITECTURE,
    BIN,
    NO_TRACEFS,
    ROOT,
    UNSUPPORTED,
    Result,
    Running,
    Workload,
    assert_error,
    in_mount_namespace,
    may_be_skipped,
    run,
    run_all,
    scaled,
)

from ebpf_tour.base.names import syscall_name, syscall_numbers
from ebpf_tour.base.text import from_kernel
from ebpf_tour.commands.syscount import TOOL
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from support import Compiled

    from ebpf_tour.loader.hooks import Hook

SYSCOUNT = BIN / "ebpf-syscount"

kernel = pytest.mark.kernel(TOOL)

# For what a hook could see differently: with each of them, and each engine that can.
way = via(TOOL)

THREADS = 2 * (os.cpu_count() or 1)
CALLS = scaled(20_000)

# A user that has no other processes, not even those of a test beside this one.
STRANGER = str(1_000_000 + os.getpid())


def stranger(*command: str | Path) -> tuple[str | Path, ...]:
    return ("setpriv", "--reuid", STRANGER, "--clear-groups", *command)


def counts(result: Result, key: str, *, lossless: bool = True) -> Counter[Any]:
    """Return the counts by what a column has, of all reports together.

    Demands an orderly end, unless told otherwise one without losses, and rates that fit.
    """
    assert result.status == 0, result.stderr
    lost = 0 if lossless else result.summary["lost"]
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": lost}
    found: Counter[Any] = Counter()
    for row in result.records:
        assert row["rate_per_s"] * row["interval_s"] == pytest.approx(row["count"])
        found[row[key]] += row["count"]
    return found


def counted(
    workloads: list[Workload], *options: str | Path, namespace: tuple[str, ...] = ()
) -> Result:
    """Return what the tool says of workloads that run meanwhile."""
    with Running(*namespace, SYSCOUNT, "--json", "--top", "0", *options) as tool:
        tool.wait_attached()
        run_all(*workloads)
        return tool.finish(signal.SIGINT)


@pytest.mark.core
@kernel
@pytest.mark.usefixtures("leaves_nothing")
def test_exact(way: tuple[str, ...], compiled: Compiled) -> None:
    """Several threads on each CPU.

    Where the kernel skips calls, what is missing is lost and counted.
    """
    workload = Workload(compiled("getppid"), str(THREADS), str(CALLS))
    result = counted([workload], *way, "-p", str(workload.pid))
    assert_all_counted(result, CALLS, TOOL.via[way[3]])
    sizes = [row["count"] for row in result.records]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.core
@kernel
def test_no_call_falls_between_two_reports(engine: str, compiled: Compiled) -> None:
    calls = CALLS * 20  # enough to last for several reports
    workload = Workload(compiled("getppid"), str(THREADS), str(calls))
    options = ("--engine", engine, "-p", str(workload.pid), "--interval", "0.01")
    result = counted([workload], *options)
    assert_all_counted(result, calls, TOOL.via["raw tracepoint"])
    assert len({row["interval_s"] for row in result.records}) > 1


def assert_all_counted(result: Result, calls: int, hooks: tuple[Hook, ...]) -> None:
    """Demand the calls that each thread made, and that rows are as they should be."""
    skips = may_be_skipped(*hooks)
    found = counts(result, "syscall", lossless=not skips)["getppid"]
    if skips:
        assert 0 < found <= THREADS * calls <= found + result.summary["lost"]
    else:
        assert found == THREADS * calls
    for row in result.records:
        assert list(row) == [
            *("time", "syscall", "number", "bits", "count", "rate_per_s", "interval_s")
        ]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert row["count"] > 0
        assert row["bits"] == 64


@kernel
def test_names(way: tuple[str, ...], compiled: Compiled) -> None:
    """By the numbers that the C library's headers have for them."""
    workload = Workload(compiled("several"))
    result = counted([workload], *way, "-p", str(workload.pid))
    found = counts(result, "syscall")
    expected = {
        "getppid": 3,
        "getuid": 5,
        "gettid": 7,
        "umask": 11,
        "fstat": 13,
        "uname": 17,
        "umount2": 19,
        "openat2": 23,
        "sendfile": 29,
        "statx": 31,
        "[syscall 9999]": 37,
        "[syscall -1]": 41,
        "exit_group": 1,
    }
    assert {name: found[name] for name in expected} == expected
    numbers = {row["syscall"]: row["number"] for row in result.records}
    assert numbers["getppid"] == syscall_numbers()["getppid"]
    assert numbers["[syscall -1]"] == -1


@pytest.mark.core
@kernel
def test_failures(way: tuple[str, ...], compiled: Compiled) -> None:
    """All of them, or those with one error, and nothing else."""
    failing = {
        "EBADF": {"fstat": 13, "sendfile": 29},
        "EFAULT": {"uname": 17, "umount2": 19, "statx": 31},
        "EINVAL": {"openat2": 23},
        "ENOSYS": {"[syscall 9999]": 37, "[syscall -1]": 41},
    }
    wanted = {("-e", name): calls for name, calls in failing.items()}
    wanted["-e", str(errno.EINVAL)] = failing["EINVAL"]
    wanted["-x",] = {name: n for calls in failing.values() for name, n in calls.items()}
    for options, calls in wanted.items():
        workload = Workload(compiled("several"))
        result = counted([workload], *way, *options, "-p", str(workload.pid))
        skips = may_be_skipped(*TOOL.via[way[3]])
        found = counts(result, "syscall", lossless=not skips)
        assert found <= Counter(calls)
        assert sum(calls.values()) - found.total() <= result.summary["lost"]
        assert f"\nebpf-syscount: {found.total()} failed calls\n" in result.stderr


@pytest.mark.core
@kernel
@pytest.mark.usefixtures("leaves_nothing")
def test_latency(way: tuple[str, ...], compiled: Compiled) -> None:
    """Each call that returned is in the histogram, and the sum fits to it."""
    workload = Workload(compiled("getppid"), str(THREADS), str(CALLS))
    result = counted([workload], *way, "-L", "-p", str(workload.pid))
    if not may_be_skipped(*TOOL.via[way[3]]):
        assert counts(result, "syscall")["getppid"] == THREADS * CALLS
    rows = {row["syscall"]: row for row in result.records}
    returned = {
        name: sum(bucket["count"] for bucket in row["histogram"]) for name, row in rows.items()
    }
    assert (rows["exit_group"]["count"], rows["exit_group"]["latency_ns"]) == (1, 0)
    assert returned.pop("exit_group") == 0
    # Each thread ends by exit, which does not return either.
    assert returned.pop("exit") == 0
    if result.summary["lost"] == 0:
        assert returned == {name: rows[name]["count"] for name in returned}
    for row in rows.values():
        least = sum(bucket["from"] * bucket["count"] for bucket in row["histogram"])
        most = sum((bucket["to"] + 1) * bucket["count"] for bucket in row["histogram"])
        assert least * 1000 <= row["latency_ns"] <= most * 1000
    times = [row["latency_ns"] for row in result.records]
    assert times == sorted(times, reverse=True)


@kernel
def test_a_histogram_in_csv(compiled: Compiled) -> None:
    """A line for each bucket; one without a bucket where no call returned."""
    command = ("--format", "csv", "-L", "--top", "0", "-c", str(compiled("nothing")))
    rows = list(csv.DictReader(io.StringIO(run(SYSCOUNT, *command).stdout), strict=True))
    (begun,) = (row for row in rows if row["syscall"] == "execve")
    assert (begun["count"], begun["bucket_count"]) == ("1", "1")
    assert int(begun["from"]) * 1000 <= int(begun["latency_ns"])
    (ended,) = (row for row in rows if row["syscall"] == "exit_group")
    assert [ended[key] for key in ("count", "from", "to", "bucket_count")] == ["1", "", "", ""]


@kernel
def test_the_time_of_an_execve_by_another_thread(engine: str, compiled: Compiled) -> None:
    """The thread returns from it under the number of the first one."""
    command = f"{compiled('exec')} thread /bin/true true"
    result = run(SYSCOUNT, "--engine", engine, "-L", "--json", "-s", "execve", "-c", command)
    (row,) = result.records
    assert row["count"] == sum(bucket["count"] for bucket in row["histogram"]) == 2


@kernel
def test_a_call_longer_than_a_report(engine: str) -> None:
    """It is counted when it begins, and has its time when it ends: both once. By name, too."""
    options = ("--engine", engine, "-L", "--json", "-i", "0.1", "-n", "^sleep$")
    result = run(SYSCOUNT, *options, "-s", "clock_nanosleep", "-c", "sleep 0.5")
    rows = result.records
    assert sum(row["count"] for row in rows) == 1
    assert sum(row["latency_ns"] for row in rows) >= 500_000_000
    (bucket,) = (bucket for row in rows for bucket in row["histogram"])
    assert bucket["count"] == 1
    assert bucket["to"] >= 500_000


@kernel
def test_32_bit_programs(way: tuple[str, ...], compiled: Compiled) -> None:
    """They have numbers of their own: never are they counted under a wrong name."""
    if os.uname().machine != "x86_64":
        pytest.skip(f"{UNSUPPORTED}int 0x80 is of x86")
    program = compiled("as_32_bit")
    probe = Workload(program)
    probe.begin()
    if probe.finish():
        pytest.skip(f"{UNSUPPORTED}this kernel takes no 32-bit system calls")
    workload = Workload(program)
    result = counted([workload], *way, "-p", str(workload.pid))
    found = counts(result, "syscall")
    assert found["[32-bit syscall 20]"] == found["getpid"] == 1000
    assert "writev" not in found
    assert {row["bits"] for row in result.records if row["number"] == 20} == {32}

    workload = Workload(program)
    filters = ("-p", str(workload.pid), "--syscall", "writev")
    assert counted([workload], *way, *filters).records == []


@kernel
def test_by_pid(engine: str, compiled: Compiled) -> None:
    workloads = [Workload(compiled("getppid"), str(n), "1000") for n in (1, 2, 3)]
    result = counted(workloads, "--engine", engine, "--by", "pid", "--syscall", "getppid")
    found = counts(result, "pid")
    assert [found[w.pid] for w in workloads] == [1000, 2000, 3000]
    ours = [row for row in result.records if row["pid"] in {w.pid for w in workloads}]
    assert {row["comm"] for row in ours} == {"getppid"}
    assert len(ours) == 3
    for row in ours:
        assert list(row) == ["time", "pid", "comm", "count", "rate_per_s", "interval_s"]


@pytest.mark.native
@kernel
def test_one_row_for_a_process_with_several_names(engine: str, compiled: Compiled) -> None:
    """The shell executes the program: same PID, and the name that made most calls."""
    script = 'echo r; read -r line; exec "$@" >/dev/null'
    workload = Workload("sh", "-c", script, "sh", compiled("getppid"), "4", "1000")
    with Running(SYSCOUNT, "--json", "--engine", engine, "-P", "-p", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.begin(b"\nx")
        assert workload.finish() == 0
        result = tool.finish(signal.SIGINT)
    (row,) = result.records
    assert (row["pid"], row["comm"]) == (workload.pid, "getppid")
    # Not only what it called under its last name.
    assert row["count"] > 4000


@pytest.mark.native
@kernel
def test_by_comm(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    """A name is bytes; threads count under their own."""
    names = [f"{name}{os.getpid()}" for name in ("one", "other", "\x1b[1A\n")]
    workloads = []
    for number, name in enumerate(names, 1):
        program = tmp_path / name
        program.symlink_to(compiled("getppid"))
        workloads.append(Workload(program, "2", str(number * 1000)))
    result = counted(workloads, "--engine", engine, "--by", "comm", "--syscall", "getppid")
    found = counts(result, "comm")
    shown = [from_kernel(name.encode()) for name in names]
    assert [found[name] for name in shown] == [2000, 4000, 6000]
    for row in result.records:
        assert list(row) == ["time", "comm", "count", "rate_per_s", "interval_s"]


@kernel
def test_filters(way: tuple[str, ...], compiled: Compiled, open_directory: Path) -> None:
    """Nothing else comes through: not by another user, process or thread, no other call."""
    program = Path(shutil.copy(compiled("getppid"), open_directory))
    number = str(syscall_numbers()["getppid"])

    def found(*options: str) -> list[dict[str, Any]]:
        workloads = [
            Workload(*stranger(program, "2", "1000")),
            Workload(program, "2", "1000"),
        ]
        filled = [option.format(pid=workloads[0].pid) for option in options]
        command = (*way, "--by", "pid", *filled)
        result = counted(workloads, *command)
        assert result.summary["lost"] == 0
        assert {row["pid"] for row in result.records} == {workloads[0].pid}
        return result.records

    (by_user,) = found("-u", STRANGER, "-s", number)
    assert by_user["count"] == 2000
    (by_pid,) = found("-p", "{pid}", "-s", "getppid")
    assert by_pid["count"] == 2000
    (first_thread,) = found("--tid", "{pid}")
    # It starts two threads and waits for them; they call getppid().
    assert 0 < first_thread["count"] < 1000


@kernel
def test_by_the_names_of_threads_and_processes(
    engine: str, compiled: Compiled, tmp_path: Path
) -> None:
    """Whatever is counted by. The last line says how many calls these are."""
    command = f"sh -c 'cd {tmp_path} && {compiled('named')}'"

    def found(by: str, wanted: str, key: str) -> Counter[Any]:
        options = ("--engine", engine, "--json", "--top", "0", "--by", by, "-n", wanted)
        result = run(SYSCOUNT, *options, "-c", command)
        calls = counts(result, key)
        assert f"\nebpf-syscount: {calls.total()} calls\n" in result.stderr
        return calls

    by_process, by_thread = (
        found("syscall", name, "syscall") for name in ("^outer-process$", "inner")
    )
    # What the C library calls for mkdir().
    mkdir = {"x86": "mkdir", "arm64": "mkdirat"}[ARCHITECTURE]
    # It executed itself as sh.
    for calls in (by_process, by_thread):
        assert (calls[mkdir], calls["execve"]) == (1, 1)
    # The thread gets its name by its first call of prctl.
    assert (by_process["prctl"], by_thread["prctl"]) == (1, 0)
    assert set(found("comm", "outer", "comm")) == {"outer-process", "inner-thread"}
    assert set(found("comm", "inner", "comm")) == {"inner-thread"}
    assert len(found("pid", "outer", "pid")) == 1
    assert not found("pid", "nobody", "pid")


@kernel
def test_a_full_map_is_counted(engine: str, compiled: Compiled, open_directory: Path) -> None:
    """Room for one name: what the other one does is lost, and nothing else."""
    programs = [
        shutil.copy(compiled("getppid"), open_directory / name) for name in ("one", "other")
    ]
    workloads = [Workload(*stranger(program, "4", "500")) for program in programs]
    command = ("-u", STRANGER, "-s", "getppid", "--by", "comm", "--entries", "1")
    with Running(SYSCOUNT, "--json", "--engine", engine, *command) as tool:
        tool.wait_attached()
        for workload in workloads:
            workload.begin()
            assert workload.finish() == 0
        result = tool.finish(signal.SIGINT)
    assert result.status == 0
    assert [(row["comm"], row["count"]) for row in result.records] == [("one", 2000)]
    assert result.summary == {"type": "summary", "events": 1, "lost": 2000}
    assert "2000 calls were not counted, since the map was full: raise --entries" in result.stderr


@pytest.mark.native
@kernel
def test_its_own_calls_are_left_out(engine: str) -> None:
    """Each report takes many calls. Another tool of that name is counted."""
    command = (SYSCOUNT, "--json", "--engine", engine, "--by", "pid", "--top", "0")
    with Running(*command, "-i", "0.01") as tool:
        tool.wait_attached()
        with Running(SYSCOUNT, "--json", "--by", "pid") as other:
            other.wait_attached()
            result = tool.finish(signal.SIGINT)
            assert other.finish(signal.SIGINT).status == 0
    pids = {row["pid"] for row in result.records}
    assert other.pid in pids
    assert tool.pid not in pids


@pytest.mark.native
@kernel
def test_last_report_after_an_interrupt(compiled: Compiled) -> None:
    """Over the time that really passed, long before the interval is over."""
    workload = Workload(compiled("getppid"), "1", "100")
    result = counted([workload], "-i", "3600", "-p", str(workload.pid), "-s", "getppid")
    (row,) = result.records
    assert row["count"] == 100
    assert 0 < row["interval_s"] < 3600


@pytest.mark.core
@kernel
def test_all_ways_agree(compiled: Compiled) -> None:
    answers = []
    for engine, name in ways_of(TOOL):
        if what_is_missing(TOOL.via[name]):
            continue
        workload = Workload(compiled("several"))
        options = ("--engine", engine, "--via", name, "-p", str(workload.pid))
        answers.append(counts(counted([workload], *options), "syscall"))
    assert len(answers) > 1
    assert len(answers[0]) > 12
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.native
def test_bcc_has_no_tp_btf() -> None:
    result = run(SYSCOUNT, "--engine", "bcc", "--via", "tp_btf")
    cause, hint = assert_error(result, 69, "ebpf-syscount")
    assert cause == "the bcc engine cannot attach to tp_btf sys_enter"
    assert "--engine libbpf" in hint


@pytest.mark.native
@kernel
def test_top_and_table(compiled: Compiled) -> None:
    workload = Workload(compiled("several"))
    with Running(SYSCOUNT, "-p", str(workload.pid), "--top", "3") as tool:
        tool.wait_attached()
        workload.begin()
        assert workload.finish() == 0
        result = tool.finish(signal.SIGINT)
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["TIME", "SYSCALL", "COUNT", "RATE(/s)"]
    cells = [re.split(r" {2,}", row) for row in rows]
    assert [cell[1:3] for cell in cells] == [
        ["[syscall -1]", "41"],
        ["[syscall 9999]", "37"],
        ["statx", "31"],
    ]


@pytest.mark.native
@kernel
def test_ten_rows() -> None:
    """As many as bcc's syscount shows."""
    workload = run(SYSCOUNT, "--json", "-d", "0.5")
    assert workload.status == 0
    assert len(workload.records) <= 10


@pytest.mark.native
@kernel
def test_csv_has_the_columns_of_the_report() -> None:
    result = run(SYSCOUNT, "--format", "csv", "--by", "comm", "-d", "0.1")
    header, *rows = csv.reader(io.StringIO(result.stdout))
    assert header == ["time", "comm", "count", "rate_per_s", "interval_s"]
    assert all(len(row) == len(header) for row in rows)


@pytest.mark.native
@kernel
def test_without_tracefs() -> None:
    """A raw tracepoint has no number there that one would have to read."""
    result = run(*in_mount_namespace(NO_TRACEFS, SYSCOUNT, "--demo"))
    assert result.status == 0, result.stderr


@kernel
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("by", ["syscall", "pid", pytest.param("comm", marks=pytest.mark.core)])
def test_demo(engine: str, by: str) -> None:
    result = run(SYSCOUNT, "--engine", engine, "--demo", "--by", by)
    assert result.status == 0, result.stderr
    assert "Demo: saw at least as many as it caused (50000)." in result.stderr


@kernel
def test_demo_in_a_container() -> None:
    """In a PID namespace of its own; there it counts itself, too."""
    result = run("unshare", "--pid", "--fork", "--mount-proc", SYSCOUNT, "--demo")
    assert result.status == 0, result.stderr


@kernel
def test_the_names_of_this_kernels_calls() -> None:
    """Those that it has a tracepoint for, which are all, by what the manual calls them."""
    # The function that makes the call has another name in the kernel's source.
    by_function = {
        "newstat": "stat",
        "newlstat": "lstat",
        "newfstat": "fstat",
        "newuname": "uname",
        "sendfile64": "sendfile",
        "umount": "umount2",
    }
    events = os.listdir(f"{features.tracefs()}/events/syscalls")
    calls = [event.removeprefix("sys_enter_") for event in events if "sys_enter_" in event]
    assert len(calls) > 300
    known = syscall_numbers()
    assert [call for call in calls if by_function.get(call, call) not in known] == []


@pytest.mark.native
def test_name_of_a_number() -> None:
    number = {"x86_64": 110, "aarch64": 173}[os.uname().machine]
    assert syscall_name(number) == "getppid"
    assert syscall_numbers()["getppid"] == number
    assert syscall_name(9999) == "[syscall 9999]"
    assert syscall_name(20, bits=32) == "[32-bit syscall 20]"


@pytest.mark.native
def test_generator(tmp_path: Path) -> None:
    """On a package with two made-up headers."""
    for path, text in (
        ("x86", "#define __NR_second 2\n#define __NR_first 1\n"),
        ("arm64", "#define __NR_only 7\n#define __NR_no (1 << 2)\n"),
    ):
        header = tmp_path / f"package/usr/lib/linux/uapi/{path}/asm/unistd_64.h"
        header.parent.mkdir(parents=True)
        header.write_text(f"#ifndef _ASM_UNISTD_64_H\n{text}#endif\n")
    control = tmp_path / "package/DEBIAN/control"
    control.parent.mkdir()
    control.write_text(
        "Package: headers\nVersion: 1.2-3\nArchitecture: all\nMaintainer: none\nDescription: x\n"
    )
    package = tmp_path / "headers.deb"
    subprocess.run(["dpkg-deb", "--build", tmp_path / "package", package], check=True)
    result = run(sys.executable, ROOT / "tools/syscall_table.py", package)
    assert result.status == 0, result.stderr
    found: dict[str, Any] = {}
    exec(result.stdout, found)
    assert found["SYSCALLS"] == {"x86_64": {1: "first", 2: "second"}, "aarch64": {7: "only"}}
    assert "headers 1.2-3" in found["__doc__"]


@pytest.mark.native
@pytest.mark.parametrize(
    "arguments",
    [
        *("--by user", "--interval 0", "--interval abc", "--top -1", "--top x", "--entries 0"),
        *("--entries 99999999999", "--syscall no_such_call", "--syscall 4294967296", "-p 0"),
        *("-d 0", "--tid x", "-u no-such-user", "-e ENONE", "-e 0", "-e 4096", "-e errorcode"),
    ],
)
def test_usage(arguments: str) -> None:
    assert_error(run(SYSCOUNT, *arguments.split()), 2, "ebpf-syscount")
