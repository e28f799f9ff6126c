"""What a process of an ordinary user can do to root's tool that looks at it: nothing.

Each attack was one. The report comes, right, and the tool ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from elf_files import (
    mangled_bomb,
    without_entry_size,
    write_long_names,
    write_many_notes,
    write_many_sections,
    write_sparse,
)
from support import BIN, Result, Running, Workload, assert_error, compile_program, run, wait_until

from ebpf_tour.commands.mallocstacks import TOOL

if TYPE_CHECKING:
    from collections.abc import Callable

    from support import Compiled

pytestmark = [
    pytest.mark.native,
    pytest.mark.kernel(TOOL),
    pytest.mark.usefixtures("leaves_nothing"),
]

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
MALLOCSTACKS = BIN / "ebpf-mallocstacks"
PROBES = BIN / "ebpf-probes"


@pytest.fixture
def victim(compiled: Compiled, open_directory: Path) -> Path:
    """Return the program that nobody may run, in a directory that nobody may write."""
    directory = open_directory / "d"
    directory.mkdir()
    os.chown(directory, 65534, 65534)
    return shutil.copy(compiled("victim"), directory / "victim")


def watch(
    *command: str | Path, engine: str, words: tuple[str, ...] = (), wrapper: tuple[str, ...] = ()
) -> Result:
    """Watch such a process, as root, until it has allocated and ended."""
    with (
        Workload(*NOBODY, *command) as workload,
        Running(
            *(*wrapper, MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json", *words)
        ) as tool,
    ):
        tool.wait_attached()
        workload.begin()
        workload.finish()
        return tool.finish()


def assert_right(result: Result) -> None:
    """All that it allocated is in the report, which ended in order."""
    assert result.status == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert sum(row["bytes"] for row in result.records) == 7000
    assert sum(row["count"] for row in result.records) == 1000


def assert_probes(pid: int, *files: Path) -> None:
    """ebpf-probes makes a list of what a process has, or says in two lines why not."""
    for words in (["-p", str(pid)], *(["--binary", file] for file in files)):
        for pattern in ("uprobe:malloc", "usdt:*"):
            result = run(PROBES, *words, pattern)
            assert result.status in (0, 1)
            assert "Traceback" not in result.stderr
            if result.status:
                assert "hint: " in result.stderr


# Lines of /proc/PID/maps


@pytest.mark.parametrize("line", ["q x 0 0 0 /b", "1000-2000 r-xp 00000000 fe:00 77 {secret}"])
def test_a_forged_line_of_maps(engine: str, victim: Path, open_directory: Path, line: str) -> None:
    r"""A path may hold \r, where other readers see the end of a line. The kernel uses \n alone."""
    secret = open_directory / "secret"
    os.mkfifo(secret, 0o600)  # to open it would hang
    mapped = victim.parent / f"a\r{line.format(secret=secret).replace('/', chr(0x2215))}"
    mapped.write_bytes(b"x" * 4096)
    assert_right(watch(victim, "map", mapped, engine=engine))
    with Workload(*NOBODY, victim, "map", mapped) as workload:
        assert_probes(workload.pid)


def test_a_forged_line_that_names_a_path(engine: str, victim: Path, open_directory: Path) -> None:
    r"""The same with slashes: "a\r..." is a directory then."""
    secret = open_directory / "secret"
    os.mkfifo(secret, 0o600)
    mapped = victim.parent / f"a\r1000-2000 r-xp 00000000 fe:00 77 {secret}"
    mapped.parent.mkdir(parents=True)
    mapped.write_bytes(b"x" * 4096)
    assert_right(watch(victim, "map", mapped, engine=engine))


def test_a_mapping_that_comes_and_goes(engine: str, victim: Path) -> None:
    shutil.copy("/bin/true", victim.parent / "file")
    assert_right(watch(victim, "loop", victim.parent / "file", engine=engine))


def test_ever_more_mappings(engine: str, victim: Path) -> None:
    """What is remembered of them has a limit."""
    shutil.copy("/bin/bash", victim.parent / "file")
    assert_right(watch(victim, "often", victim.parent / "file", engine=engine))


def test_a_file_with_a_lease(victim: Path) -> None:
    """To open it would wait until its owner agrees, or for 45 seconds: fcntl(2), F_SETLEASE."""
    path = victim.parent / "file"
    shutil.copy("/bin/bash", path)
    os.chown(path, 65534, 65534)
    with Workload(*NOBODY, victim, "lease", path) as workload:
        assert_probes(workload.pid, path)
        cause, _ = assert_error(run(PROBES, "--binary", path), 1, "ebpf-probes")
        assert cause == f"cannot read {path}: Resource temporarily unavailable"


def test_more_files_than_can_be_open(engine: str, victim: Path) -> None:
    few = ("prlimit", "--nofile=1024:1024")
    result = watch(*few, victim, "memfds", "1500", engine=engine, wrapper=few)
    assert_right(result)
    assert all(row["stack"][0] == "malloc+0x0" for row in result.records)


def test_a_process_without_its_first_thread(engine: str, victim: Path) -> None:
    result = watch(victim, "leaderless", engine=engine)
    assert_right(result)
    assert all("wait_and_work+0x" in " ".join(row["stack"]) for row in result.records)


# ELF files


@pytest.mark.parametrize("depth", [26, 40])
def test_a_name_that_explodes(engine: str, victim: Path, tmp_path: Path, depth: int) -> None:
    """C++ names may double with each of their letters. The report has places, or the name."""
    source = tmp_path / "bomb.c"
    source.write_text(
        "#include <stdlib.h>\n#include <unistd.h>\n"
        f'int bombed(void) __asm__("{mangled_bomb(depth)}");\n'
        "__attribute__((noinline)) int bombed(void)\n"
        "{\n\tvoid *volatile p = malloc(7);\n\tfree(p);\n\treturn 1;\n}\n"
        'int main(void)\n{\n\tchar byte;\n\tif (write(1, "r", 1) != 1 || read(0, &byte, 1) != 1)\n'
        "\t\treturn 1;\n\tfor (int i = 0; i < 1000; i++)\n\t\tbombed();\n"
        "\twhile (read(0, &byte, 1) > 0)\n\t\t;\n\treturn 0;\n}\n"
    )
    assert_right(watch(compile_program(source, victim.parent / "bomb"), engine=engine))


MADE: dict[str, Callable[[Path], None]] = {
    "a hole of a GiB": lambda path: write_sparse(path, 1 << 30),
    "a hole of 4 TiB": lambda path: write_sparse(path, 1 << 42),
    "names of a MiB": lambda path: write_long_names(path, 5000),
    "60000 symbol tables": lambda path: write_many_sections(path, 20000, 60000),
    "20000 notes": lambda path: write_many_notes(path, 20000, 19990),
    "four bytes": lambda path: path.write_bytes(b"\x7fELF"),
    "nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_a_file_that_is_made_to_hurt(
    engine: str, victim: Path, make: Callable[[Path], None]
) -> None:
    path = victim.parent / "made"
    make(path)
    assert_right(watch(victim, "map", path, engine=engine))
    with Workload(*NOBODY, victim, "map", path) as workload:
        assert_probes(workload.pid, path)


def test_symbols_without_a_size(engine: str, victim: Path) -> None:
    program = victim.parent / "sizeless"
    program.write_bytes(without_entry_size(victim.read_bytes()))
    program.chmod(0o755)
    assert_right(watch(program, engine=engine))


def test_a_file_that_is_cut_meanwhile(engine: str, victim: Path) -> None:
    path = victim.parent / "library"
    shutil.copy("/bin/bash", path)
    with (
        Workload(*NOBODY, victim, "map", path) as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        os.truncate(path, 100)
        workload.begin()
        workload.finish()
        assert_right(tool.finish())


# What a JIT compiler says


def watch_jit(victim: Path, engine: str, write: Callable[[Path], object]) -> Result:
    """Watch a process that calls from code of no file, and whose perf map `write` makes."""
    with ExitStack() as stack:
        workload = stack.enter_context(Workload(*NOBODY, victim, "jit"))
        path = Path(f"/tmp/perf-{workload.pid}.map")
        stack.callback(subprocess.run, ["rm", "-rf", path])
        write(path)
        tool = stack.enter_context(
            Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json")
        )
        tool.wait_attached()
        workload.begin()
        state = Path(f"/proc/{workload.pid}/syscall")
        wait_until(lambda: state.read_text().split()[3:4] == ["0x2"], lambda: "it does not end")
        return tool.finish(signal.SIGINT)


def test_a_perf_map(engine: str, victim: Path) -> None:
    def write(path: Path) -> None:
        path.write_text("123450000 1000 jitted code\nno line\n")
        os.chown(path, 65534, 65534)

    result = watch_jit(victim, engine, write)
    assert_right(result)
    (row,) = result.records
    assert row["stack"][2].startswith("jitted code+0x")


def test_a_perf_map_that_is_as_long_as_it_may_be(engine: str, victim: Path) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"1 1 a\n" * ((64 << 20) // 6))
        os.chown(path, 65534, 65534)

    assert_right(watch_jit(victim, engine, write))


@pytest.mark.parametrize(
    "command",
    [
        "mkfifo {}",
        "ln -s /dev/zero {}",
        "ln -s /etc/shadow {}",
        "mkdir {}",
        "truncate -s 1T {}",
    ],
)
def test_a_perf_map_that_is_none(engine: str, victim: Path, command: str) -> None:
    def write(path: Path) -> None:
        subprocess.run([*NOBODY, *command.format(path).split()], check=True)

    assert_right(watch_jit(victim, engine, write))


# The names are bytes


def test_escapes_in_a_path(engine: str, victim: Path) -> None:
    """Of libbpf's text, too, which -v shows."""
    program = shutil.copy(victim, victim.parent / "a\x1b[1A\nb")
    result = watch(program, engine=engine, words=("-v",))
    assert_right(result)
    assert "\x1b" not in result.stdout + result.stderr
