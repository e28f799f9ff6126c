"""ebpf-usdt, on the real kernel, with the Python of the distribution."""

from __future__ import annotations

import re
import shutil
import signal
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from cases import via
from support import BIN, Result, Running, Workload, assert_error, run, scaled, watch_all_and_one

from ebpf_tour.base.errors import Error
from ebpf_tour.commands.usdt import TOOL
from ebpf_tour.loader import syscall
from ebpf_tour.loader.hooks.usdt import Argument, arguments

if TYPE_CHECKING:
    from pathlib import Path

    from support import Compiled

pytestmark = [pytest.mark.kernel(TOOL), pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")]

USDT = BIN / "ebpf-usdt"
PYTHON = "/usr/bin/python3"
way = via(TOOL)

# A Python that collects generation 0, 1, 2, 0 and so on when it is told to.
COLLECTOR = """
import gc, os, sys
gc.disable()
os.write(1, b"r")
os.read(0, 1)
for number in range(int(sys.argv[1])):
    gc.collect(number % 3)
os.read(0, 1)
os._exit(0)
"""


def options(way: tuple[str, ...]) -> tuple[str, ...]:
    """Return the options for a tool that has one way, and so no --via."""
    return (*way[:2], way[-1])


def collector(count: int, python: str = PYTHON) -> Workload:
    return Workload(python, "-BIc", COLLECTOR, str(count))


def rows_of(result: Result, pid: int) -> list[int]:
    """Return the values that a process caused; demands an orderly end without losses."""
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    rows = [row for row in result.records if row["pid"] == pid]
    assert all(list(row) == [column.key for column in TOOL.columns] for row in rows)
    return [row["value"] for row in rows]


@pytest.mark.core
def test_its_own_python(way: tuple[str, ...]) -> None:
    with Running(USDT, *options(way), "--limit", "2") as tool:
        result = tool.finish()
    assert rows_of(result, tool.pid) == [2, 2]
    assert result.stderr == ("Tracing our own garbage collector once a second... Ctrl-C to end.\n")
    assert {(row["comm"], row["probe"]) for row in result.records} == {
        ("ebpf-usdt", "python:gc__start")
    }


@pytest.mark.core
def test_demo(way: tuple[str, ...]) -> None:
    result = run(USDT, *options(way), "--demo")
    assert result.status == 0, result.stderr
    assert len(result.records) == 3
    assert result.stderr.endswith("Demo: saw every row that it caused (3), and nothing else.\n")


@pytest.mark.core
def test_one_process_and_no_other(way: tuple[str, ...]) -> None:
    """Of Pythons that run already; also while a second tool watches all of them."""
    count = scaled(300)
    command = (USDT, *options(way))
    with collector(count) as wanted, collector(count) as other:
        of_both, of_one = watch_all_and_one(command, ("--binary", PYTHON), wanted, other)
    generations = [number % 3 for number in range(count)]
    assert rows_of(of_one, wanted.pid) == generations
    assert {row["pid"] for row in of_one.records} == {wanted.pid}
    for pid in (wanted.pid, other.pid):
        assert rows_of(of_both, pid) == generations


def semaphore_address() -> int:
    """Return where in the memory of PYTHON the semaphore is, which is at a fixed address."""
    notes = subprocess.run(["readelf", "-n", PYTHON], capture_output=True, text=True, check=True)
    found = re.search(r"gc__start\n.*Semaphore: 0x([0-9a-f]+)", notes.stdout)
    header = subprocess.run(["readelf", "-h", PYTHON], capture_output=True, text=True, check=True)
    if not found or "EXEC (" not in header.stdout:
        pytest.skip(f"{PYTHON} is loaded at another address each time")
    return int(found[1], 16)


def semaphore(pid: int, address: int) -> int:
    with open(f"/proc/{pid}/mem", "rb") as file:
        file.seek(address)
        return int(struct.unpack("=H", file.read(2))[0])


@pytest.mark.native
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_semaphore_is_counted_by_the_kernel(
    way: tuple[str, ...], number: signal.Signals, tmp_path: Path
) -> None:
    """So it is 0 again when nobody is attached, also after kill -9."""
    address = semaphore_address()
    # A copy, since a tool of another test may be attached to PYTHON in all processes.
    with collector(1, shutil.copy(PYTHON, tmp_path / "python3")) as python:
        assert semaphore(python.pid, address) == 0
        with Running(USDT, *options(way), "-p", str(python.pid)) as tool:
            tool.wait_attached()
            assert semaphore(python.pid, address) == 1
            tool.finish(number)
        assert semaphore(python.pid, address) == 0


@pytest.mark.native
def test_an_argument_that_is_a_text(way: tuple[str, ...]) -> None:
    probe = ("--probe", "python:import__find__load__start")
    script = "import os; os.write(1, b'r'); os.read(0, 1); import cmd; os._exit(7)"
    with (
        Workload(PYTHON, "-BIc", script) as python,
        Running(USDT, *options(way), "-p", str(python.pid), *probe) as tool,
    ):
        tool.wait_attached()
        python.begin()
        assert python.finish() == 7
        result = tool.finish(signal.SIGINT)
    rows_of(result, python.pid)
    assert "cmd" in [row["text"] for row in result.records]


@pytest.mark.core
@pytest.mark.parametrize("of_all", [False, True])
def test_places_with_different_arguments(compiled: Compiled, of_all: bool) -> None:
    """Each has a spec of its own, which the program finds by the cookie, or by the address."""
    program = compiled("places")
    with Workload(program) as shop:
        which = ("--binary", program) if of_all else ("-p", str(shop.pid))
        command = (USDT, "--json", "--engine", "libbpf", "--probe", "shop:sale", *which)
        if of_all and not syscall.has_attach_cookies():
            cause, _ = assert_error(run(*command), 69, "ebpf-usdt")
            assert cause.startswith("this kernel has no BPF cookies")
            return
        with Running(*command) as tool:
            tool.wait_attached()
            shop.begin()
            assert shop.finish() == 0
            result = tool.finish(signal.SIGINT)
    assert rows_of(result, shop.pid) == [1, -1, 100, 2, -2, 100, 3, -3, 100]


@pytest.mark.native
def test_bcc_knows_one_place(compiled: Compiled) -> None:
    command = (USDT, "--engine", "bcc", "--binary", compiled("places"), "--probe", "shop:sale")
    cause, hint = assert_error(run(*command), 1, "ebpf-usdt")
    assert cause.startswith(
        "the program has that probe at 3 places with the argument in different "
    )
    assert hint.endswith("--engine libbpf")


@pytest.mark.native
def test_table(engine: str) -> None:
    result = run(USDT, "--engine", engine, "--limit", "1")
    header, row = map(str.split, result.stdout.splitlines())
    assert header == [column.header for column in TOOL.columns if column.header]
    assert row[3:] == ["python:gc__start", "2"]


@pytest.mark.native
@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--binary", "/bin/true"), "/bin/true has no USDT probe python:gc__start"),
        (("--binary", PYTHON, "--probe", "a:b"), f"{PYTHON} has no USDT probe a:b"),
    ],
)
def test_a_probe_that_is_not_there(words: tuple[str, ...], cause: str) -> None:
    said, hint = assert_error(run(USDT, *words), 1, "ebpf-usdt")
    assert said == cause
    assert hint == f"list what it has: ebpf-probes --binary {words[1]} 'usdt:*'"


@pytest.mark.native
def test_a_process_without_the_probe() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        said, _ = assert_error(run(USDT, "-p", str(process.pid)), 1, "ebpf-usdt")
        process.kill()
    assert said == (
        f"no file that the process {process.pid} (sleep) has mapped has a USDT probe "
        "python:gc__start"
    )


@pytest.mark.native
@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--probe", "a:b"), "which program has a:b?"),
        (
            ("--binary", "python3", "-p", "1"),
            "-p looks in the files that the process has mapped, so --binary cannot be given, too",
        ),
        (("--demo", "-p", "1"), "--demo traces the tool itself"),
    ],
)
def test_options_that_do_not_go_together(words: tuple[str, ...], cause: str) -> None:
    assert assert_error(run(USDT, *words), 2, "ebpf-usdt")[0] == cause


# Where a note says that the arguments are. Source: the SystemTap wiki,
# UserSpaceProbeImplementation, and what gcc writes.

X86 = [
    ("", []),
    ("-4@$-7 8@%rax", [Argument(0, 0, -7, True, 32), Argument(1, 10 * 8, 0, False, 0)]),
    ("-4@%edi", [Argument(1, 14 * 8, 0, True, 32)]),
    ("1@%al", [Argument(1, 10 * 8, 0, False, 56)]),
    ("2@%r8w", [Argument(1, 9 * 8, 0, False, 48)]),
    ("-4@112(%rsp)", [Argument(2, 19 * 8, 112, True, 32)]),
    ("8@-24(%rbp)", [Argument(2, 4 * 8, -24, False, 0)]),
    ("8@(%r15)", [Argument(2, 0, 0, False, 0)]),
    ("8@%r15 8f@%xmm0 8@%r15", [Argument(1, 0, 0, False, 0)]),
    (" ".join(["8@%r15"] * 15), [Argument(1, 0, 0, False, 0)] * 12),
]
ARM64 = [
    ("-4@w19", [Argument(1, 19 * 8, 0, True, 32)]),
    ("8@[sp, 112] 4@x1", [Argument(2, 31 * 8, 112, False, 0), Argument(1, 8, 0, False, 32)]),
    ("4@[x29]", [Argument(2, 29 * 8, 0, False, 32)]),
    ("-4@5", [Argument(0, 0, 5, True, 32)]),
]


@pytest.mark.parametrize(
    ("machine", "spelled", "found"),
    [*(("x86_64", *case) for case in X86), *(("aarch64", *case) for case in ARM64)],
)
def test_where_the_arguments_are(machine: str, spelled: str, found: list[Argument]) -> None:
    assert list(arguments(spelled, machine)) == found


@pytest.mark.parametrize(
    "spelled",
    [
        *("8f@%xmm0", "8@name(%rip)", "8@(%rax,%rbx,8)", "3@%rax", "8@%nothing", "\x1b", "@"),
        f"8@${'9' * 5000}",
    ],
)
def test_an_argument_that_cannot_be_read(spelled: str) -> None:
    with pytest.raises(Error, match="the first argument is"):
        list(arguments(spelled, "x86_64"))
