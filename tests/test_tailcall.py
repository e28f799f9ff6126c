"""ebpf-tailcall: the number of a system call chooses the program, and most have none."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    BIN,
    ROOT,
    UNSUPPORTED,
    Result,
    Running,
    Workload,
    assert_error,
    assert_rest_is_lost,
    may_be_skipped,
    run,
    scaled,
)

from ebpf_tour.base.names import syscall_numbers
from ebpf_tour.base.syscall_table import SYSCALLS
from ebpf_tour.commands.tailcall import TOOL

if TYPE_CHECKING:
    from support import Compiled

TAILCALL = BIN / "ebpf-tailcall"

kernel = pytest.mark.kernel(TOOL)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")

NUMBERS = syscall_numbers()

# It is told to begin, then makes the calls, in two threads. signal.raise_signal() is another call.
CALLS = """
import os, signal, sys, threading
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
os.write(1, b"r")
os.read(0, 1)
me = os.getpid()
os.getpgid(me)
os.kill(me, signal.SIGUSR1)
os.kill(0, 0)
other = threading.Thread(target=os.umask, args=(0o27,))
other.start()
other.join()
os.umask(0o17777)
for failing in (lambda: os.kill(me, 65), lambda: os.getpgid(-1)):
    try:
        failing()
    except OSError:
        pass
signal.raise_signal(0)
"""


def calls() -> Workload:
    return Workload(sys.executable, "-BIc", CALLS)


def shown(engine: str, workload: Workload, *words: str) -> Result:
    """Return what the tool says of a workload."""
    with Running(TAILCALL, "--engine", engine, "-p", str(workload.pid), *words) as tool:
        tool.wait_attached()
        workload.begin()
        assert workload.finish() == 0
        return tool.finish(signal.SIGINT)


def rows_of(result: Result) -> list[dict[str, Any]]:
    """Return its rows. Demands an orderly end without losses.

    Linux 7.2 may skip the program for calls of others, which count as lost, too.
    """
    assert result.status == 0, result.stderr
    lost = result.summary["lost"] if may_be_skipped(*TOOL.hooks) else 0
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": lost}
    return result.records


def without_program(result: Result) -> int:
    """Return how many system calls fell through."""
    found = re.search(r"(?m)^ebpf-tailcall: .* without a program: (\d+)$", result.stderr)
    assert found, result.stderr
    return int(found[1])


@pytest.mark.core
@kernel
@leaves_nothing
def test_five_jump_and_one_falls_through(engine: str, compiled: Compiled) -> None:
    """The one is exit_group(2)."""
    workload = Workload(compiled("jumps"), "5", "0", str(NUMBERS["getpgid"]))
    result = shown(engine, workload, "--json")
    rows = rows_of(result)
    assert [(row["syscall"], row["process"]) for row in rows] == 5 * [("getpgid", 0)]
    assert without_program(result) == 1
    for row in rows:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert (row["comm"], row["pid"]) == ("jumps", workload.pid)


@pytest.mark.core
@kernel
@leaves_nothing
def test_each_program_reads_its_own_arguments(engine: str) -> None:
    workload = calls()
    rows = rows_of(shown(engine, workload, "--json"))
    me, keys = workload.pid, ("syscall", "process", "signal", "mask")
    assert [tuple(row[key] for key in keys) for row in rows] == [
        ("getpgid", me, None, None),
        ("kill", me, signal.SIGUSR1, None),
        ("kill", 0, 0, None),
        ("umask", None, None, 0o27),
        ("umask", None, None, 0o777),
        # Calls that fail are calls, too.
        ("kill", me, 65, None),
        ("getpgid", -1, None, None),
    ]


@kernel
def test_table(engine: str) -> None:
    """There the signals have names, and masks are octal."""
    workload = calls()
    result = shown(engine, workload)
    assert result.status == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == [column.header for column in TOOL.columns if column.header]
    pid = workload.pid
    wanted = [
        *(f"getpgid  {pid}", f"kill     {pid} SIGUSR1", "kill     0 0", "umask    0027"),
        *("umask    0777", f"kill     {pid} SIG65", "getpgid  -1"),
    ]
    assert [row.partition(f" {pid} ")[2] for row in rows] == wanted


@kernel
@leaves_nothing
def test_pid(engine: str, compiled: Compiled) -> None:
    """-p lets nothing else through, and counts nothing else."""
    jumps, number, many = compiled("jumps"), str(NUMBERS["kill"]), scaled(500)
    ours, other = Workload(jumps, "3", "0", number), Workload(jumps, str(many), "0", number)
    other.begin()
    with other:
        result = shown(engine, ours, "--json")
    assert [(row["pid"], row["syscall"]) for row in rows_of(result)] == 3 * [(ours.pid, "kill")]
    assert without_program(result) == 1


@kernel
def test_numbers_that_have_no_program(engine: str, compiled: Compiled) -> None:
    """Also those that are no index of the array, or would be one if something cut them."""
    umask = NUMBERS["umask"]
    numbers = [-1, 511, 512, 9999, 0x40000000 + umask, umask + 512]
    # Of this one, the kernel itself takes the lower half.
    numbers.append((1 << 32) + umask)
    workload = Workload(compiled("jumps"), "7", "18", *map(str, numbers))
    result = shown(engine, workload, "--json")
    assert [(row["syscall"], row["mask"]) for row in rows_of(result)] == 7 * [("umask", 18)]
    assert without_program(result) == 6 * 7 + 1


@kernel
def test_32_bit_programs(engine: str, compiled: Compiled) -> None:
    """Number 95 is fchown(2) to them, and umask(2) on x86-64."""
    if os.uname().machine != "x86_64":
        pytest.skip(f"{UNSUPPORTED}int 0x80 is of x86")
    workload = Workload(compiled("jumps"), "7", "-1", "32", str(NUMBERS["umask"]))
    result = shown(engine, workload, "--json")
    assert rows_of(result) == []
    assert without_program(result) == 7 + 1


@kernel
def test_nothing_is_lost_in_silence(engine: str, compiled: Compiled) -> None:
    """While the tool is stopped its buffer fills up; what finds no room is counted."""
    workload = Workload(compiled("jumps"), "1000", "0", str(NUMBERS["getpgid"]))
    command = (TAILCALL, "--engine", engine, "--json", "-p", str(workload.pid), "--buffer", "4")
    with Running(*command) as tool:
        tool.wait_attached()
        with tool.stopped():
            workload.begin()
            assert workload.finish() == 0
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 1000)
    assert without_program(result) == 1


@pytest.mark.core
@kernel
@leaves_nothing
def test_demo(engine: str) -> None:
    result = run(TAILCALL, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (7).\n")
    rows = rows_of(result)
    made = [row["syscall"] for row in rows if row["pid"] == rows[-1]["pid"]]
    assert made == [*5 * ["getpgid"], "kill", "umask"]


@pytest.mark.core
@kernel
@leaves_nothing
def test_killed(engine: str) -> None:
    """The programs hold the array, and the array the programs: all go, even so."""
    workload = calls()
    with Running(TAILCALL, "--engine", engine, "-p", str(workload.pid)) as tool:
        tool.wait_attached()
        workload.begin()
        assert workload.finish() == 0
        assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL


@kernel
def test_both_engines_agree() -> None:
    answers = []
    for engine in TOOL.engines:
        workload = calls()
        result = shown(engine, workload, "--json")
        text = re.sub(r'"time": "[\d:]+"', "", result.stdout)
        answers.append(re.sub(rf"\b{workload.pid}\b", "PID", text))
    assert answers[0].count("\n") == 8
    assert answers[0] == answers[1]


# Loads the tool's programs for other hooks than those of its record.
OTHER_HOOKS = """
from ebpf_tour.base.errors import Error
from ebpf_tour.commands.tailcall import GETPGID, KILL, SYS_ENTER, UMASK
from ebpf_tour.loader import open_program
from ebpf_tour.loader.hooks.tail_call import TailCall
with open_program("tailcall", {hooks}, engine="libbpf") as program:
    try:
        program.load()
        program.attach()
    except Error as error:
        print(error, error.hint, sep="\\n")
"""


@kernel
@leaves_nothing
@pytest.mark.parametrize(
    ("hooks", "cause", "hint"),
    [
        (
            '[SYS_ENTER, GETPGID, UMASK, TailCall("on_kill", "jump", 511)]',
            "on_kill() is not at index 511 of jump",
            "declare it there: .values = { [511] = (void *)&on_kill }",
        ),
        (
            "[SYS_ENTER, GETPGID, KILL]",
            "tailcall.bpf.c puts on_umask() into jump, but no hook of the record is for it",
            'add its hook to the record: TailCall("on_umask", "jump", INDEX)',
        ),
    ],
    ids=["elsewhere", "not-named"],
)
def test_what_nobody_could_jump_to(hooks: str, cause: str, hint: str) -> None:
    """The C and the record have to agree."""
    result = run(sys.executable, "-BIc", OTHER_HOOKS.format(hooks=hooks))
    assert not result.stderr
    assert result.stdout.splitlines() == [cause, hint]


@pytest.mark.native
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_numbers_in_c(machine: str) -> None:
    """They are those of the machine that the object is for."""
    numbers = {name: number for number, name in SYSCALLS[machine].items()}
    lines = (ROOT / "bpf/tailcall_send.bpf.h").read_text().splitlines()
    arm64, others = (line for line in lines if line.startswith("enum"))
    found = re.findall(r"NR_(\w+) = (\d+)", arm64 if machine == "aarch64" else others)
    assert {name.lower(): int(number) for name, number in found} == {
        name: numbers[name] for name in ("kill", "getpgid", "umask")
    }


@pytest.mark.native
@pytest.mark.parametrize("options", [("-p", "0"), ("--via", "magic"), ("--buffer", "0")])
def test_usage(options: tuple[str, ...]) -> None:
    assert_error(run(TAILCALL, *options), 2, "ebpf-tailcall")
