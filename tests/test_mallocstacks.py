"""ebpf-mallocstacks, on the real kernel and on programs that allocate known amounts."""

from __future__ import annotations

import collections
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import support
from support import (
    ARCHITECTURE,
    BIN,
    ENGINES,
    ROOT,
    UNSUPPORTED,
    Result,
    Running,
    assert_error,
    changed_package,
    compile_program,
    in_guest,
    is_preemptible,
    run,
    scaled,
    wait_until,
)

from ebpf_tour.commands.mallocstacks import (
    DEMO_BYTES,
    DEMO_CALLS,
    MAP_FULL,
    NO_SCRATCH,
    TOOL,
    UNATTRIBUTED,
)
from ebpf_tour.loader import trial
from ebpf_tour.loader.stacks import DEPTH_SETTING, MAX_FRAMES
from ebpf_tour.userland import reader, target
from ebpf_tour.userland.address_space import AddressSpace, Mapping, Module
from ebpf_tour.userland.child import Child
from ebpf_tour.userland.elf import BadElf, Elf
from ebpf_tour.userland.target import Target

if TYPE_CHECKING:
    from support import Become, Compiled

kernel = pytest.mark.kernel(TOOL)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")

COMMAND = "ebpf-mallocstacks"
MALLOCSTACKS = BIN / COMMAND
FULL = UNATTRIBUTED[MAP_FULL]


class Total(NamedTuple):
    bytes: int
    calls: int


class Workload(support.Workload):
    """A program that waits for a byte before it allocates, and for the end of its input."""

    said = b""

    def _wait_ready(self) -> None:
        """It says nothing before it has allocated."""

    def wait_for(self, program: str) -> Workload:
        """Wait until the command has become `program` and reads its input."""
        while not (
            os.readlink(f"/proc/{self.pid}/exe").split("/")[-1] == program
            and Path(f"/proc/{self.pid}/syscall").read_text().startswith(("0 0x0 ", "63 0x0 "))
        ):
            assert self.process.poll() is None
        return self

    def allocate(self) -> Workload:
        assert self.process.stdout
        self.begin()
        self.said = self.process.stdout.readline()
        return self


@pytest.fixture(scope="module")
def programs(compiled: Compiled) -> Path:
    """Return the directory with the compiled workloads."""
    (directory,) = {compiled(name).parent for name in ("allocate", "functions", "deep")}
    return directory


def watch(
    workload: Workload, engine: str, *options: str, env: dict[str, str] | None = None
) -> Result:
    """Run the tool on the workload, which ends first."""
    with Running(MALLOCSTACKS, str(workload.pid), *options, "--engine", engine, env=env) as tool:
        tool.wait_attached()
        workload.allocate().finish()
        return tool.finish()


def expected(stacks: int, calls: int) -> dict[int, Total]:
    """Return what allocate.c does: at stack N, N + 1 bytes a call."""
    counts = collections.Counter(i % stacks for i in range(calls))
    return {number: Total((number + 1) * n, n) for number, n in counts.items()}


def names(record: dict[str, Any]) -> list[str]:
    return [frame.rpartition("+0x")[0] for frame in record["stack"]]


def number_of(frames: list[str]) -> int:
    """Return which stack of allocate.c this is: its digits are the functions."""
    assert frames[:2] == ["malloc", "allocate"], frames
    digits = frames[2 : frames.index("work")]
    return sum(1 << place for place, frame in enumerate(digits) if frame == "one")


def by_stack(result: Result) -> dict[int, Total]:
    """Return the records of allocate.c by the number of their stack, each only once."""
    assert result.status == 0, result.stderr
    found: dict[int, Total] = {}
    for record in result.records:
        if record["stack"][0] not in UNATTRIBUTED.values():
            number = number_of(names(record))
            assert number not in found
            found[number] = Total(record["bytes"], record["count"])
    return found


def unattributed(result: Result) -> dict[str, Total]:
    return {
        record["stack"][0]: Total(record["bytes"], record["count"])
        for record in result.records
        if record["stack"][0] in UNATTRIBUTED.values()
    }


def said(total: Total) -> bytes:
    return f"{total.bytes} bytes in {total.calls} calls\n".encode()


def total_of(result: Result) -> Total:
    records = result.records
    return Total(sum(r["bytes"] for r in records), sum(r["count"] for r in records))


# Exactness.


def assert_all_at_their_stacks(
    result: Result, wanted: dict[int, Total], engine: str, most_wrong: float = 1 / 100
) -> None:
    """Demand each call at its own stack, where nothing can come between.

    Where the kernel may take the CPU from a uprobe's program, one on BCC gets
    another thread's stack now and then: see mallocstacks.bcc.c.
    """
    found = by_stack(result)
    if engine == "bcc" and is_preemptible():
        assert total_of(result) == tuple(map(sum, zip(*wanted.values(), strict=True)))
        calls = sum(total.calls for total in wanted.values())
        wrong = sum(abs(total.calls - found[number].calls) for number, total in wanted.items())
        assert wrong <= calls * most_wrong
    else:
        assert found == wanted
        assert unattributed(result) == {}


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_million_calls_on_two_cpus(engine: str, programs: Path) -> None:
    with Workload(programs / "allocate", "50", "1000000", "2") as workload:
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(50, 1_000_000)
    assert unattributed(result) == {}
    total = total_of(result)
    assert total == (25_500_000, 1_000_000)
    assert workload.said == said(total)
    assert result.summary == {"type": "summary", "events": 50, "lost": 0}
    sizes = [record["bytes"] for record in result.records]
    assert sizes == sorted(sizes, reverse=True)
    assert "25500000 bytes in 1000000 calls, at 50 stacks\n" in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
def test_every_byte_at_its_own_stack_ten_times_out_of_ten(engine: str, programs: Path) -> None:
    """Addresses are other ones in each process."""
    command = (programs / "allocate", "50", "20000", "2")
    with ExitStack() as stack:
        workloads = [stack.enter_context(Workload(*command)) for _ in range(10)]
        tools = [
            stack.enter_context(
                Running(MALLOCSTACKS, str(workload.pid), "--json", "--engine", engine)
            )
            for workload in workloads
        ]
        for tool in tools:
            tool.wait_attached()
        for workload in workloads:
            workload.allocate().finish()
        results = [tool.finish() for tool in tools]
    for result in results:
        assert by_stack(result) == expected(50, 20_000)
        assert unattributed(result) == {}


@kernel
@leaves_nothing
@pytest.mark.parametrize("entries", ["1000", pytest.param("1024", marks=pytest.mark.core)])
def test_as_many_stacks_as_there_is_room_for(engine: str, programs: Path, entries: str) -> None:
    """Every entry of the map is used."""
    calls = scaled(100_000)
    with Workload(programs / "allocate", "1000", str(calls), "2") as workload:
        result = watch(workload, engine, entries, "--json")
    assert_all_at_their_stacks(result, expected(1000, calls), engine)


@kernel
@leaves_nothing
def test_more_stacks_than_there_is_room_for(engine: str, programs: Path) -> None:
    with Workload(programs / "allocate", "5000", "200000", "2") as workload:
        result = watch(workload, engine, "16", "--json")
    wanted = expected(5000, 200_000)
    found = by_stack(result)
    assert len(found) == 16
    # What is recorded at all is recorded from its first call to its last.
    assert found == {number: wanted[number] for number in found}
    rest = unattributed(result)
    assert list(rest) == [FULL]
    assert total_of(result) == (500_100_000, 200_000)
    assert workload.said == said(total_of(result))
    assert f"{rest[FULL].bytes} bytes in {rest[FULL].calls} calls are in no row" in result.stderr
    assert "raise NUM_STACKS, for example to 128\n" in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
def test_local_variables_are_few(engine: str) -> None:
    """Of more, Linux 6.13 keeps one copy for each CPU: see mallocstacks.bcc.c."""
    depths = re.findall(
        r"stack depth (\d+)", run(MALLOCSTACKS, f"--engine={engine}", "--show=log").stdout
    )
    assert 0 < max(map(int, depths)) <= 48


@pytest.mark.core
@kernel
@leaves_nothing
def test_eight_threads_on_one_cpu(engine: str, programs: Path) -> None:
    """Where the kernel may preempt the program, each thread has its own slot.

    With one slot for all, 60 of 80,000 calls were at a wrong stack on Linux 7.2.
    """
    calls = scaled(400_000)
    command = ("taskset", "--cpu-list", "0", programs / "allocate", "50", str(calls), "8")
    with Workload(*command) as workload:
        workload.wait_for("allocate")
        result = watch(workload, engine, "--json")
    assert_all_at_their_stacks(result, expected(50, calls), engine, most_wrong=1 / 5000)
    assert UNATTRIBUTED[NO_SCRATCH] not in unattributed(result)


@kernel
@leaves_nothing
def test_no_slot_is_free(engine: str, programs: Path, tmp_path: Path) -> None:
    """Made so by a change of the program, all calls are counted in a row of their own."""
    changed = changed_package(
        "mallocstacks", tmp_path, {"if (slot->users == 1)": "if (slot->users == 0)"}
    )
    command = (*changed, "--engine", engine, "--json")
    with (
        Workload(programs / "allocate", "4", "400") as workload,
        Running(*command, str(workload.pid)) as tool,
    ):
        tool.wait_attached()
        workload.allocate().finish()
        result = tool.finish()
    assert by_stack(result) == {}
    assert unattributed(result) == {UNATTRIBUTED[NO_SCRATCH]: (1000, 400)}


@pytest.mark.core
@pytest.mark.kernel
@leaves_nothing
def test_large_keys_or_an_error(engine: str) -> None:
    """Linux 5.11 was the first kernel that has them. The catalogue knows it, too."""
    result = run(MALLOCSTACKS, "--show", "maps", "--engine", engine)
    (row,) = (r for r in run(BIN / "ebpf-tour", "--json").records if r["tool"] == COMMAND)
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (5, 11):
        assert (result.status, row["runs"]) == (0, "yes")
        return
    cause, hint = assert_error(result, 69, COMMAND)
    assert cause == "this kernel has no hashes with keys of more than 512 bytes"
    assert hint == "boot Linux 5.11 or newer"
    assert (row["runs"], row["reason"], row["hint"]) == ("no", cause, hint)


# Deep stacks.

FIRST, LAST = 20, 140


@pytest.fixture
def deep(engine: str, programs: Path) -> Result:
    """Return what is seen of deep.c: at each depth from FIRST to LAST, as many bytes."""
    with Workload(programs / "deep", str(FIRST), str(LAST)) as workload:
        result = watch(workload, engine, "--json")
    assert result.status == 0, result.stderr
    return result


@pytest.mark.core
@kernel
@leaves_nothing
def test_deep_stacks(deep: Result) -> None:
    """Those are whole that the kernel takes whole; the others say that they are truncated."""
    whole = [record for record in deep.records if not record["truncated"]]
    cut = [record for record in deep.records if record["truncated"]]
    deepest = FIRST + len(whole) - 1
    assert {r["bytes"]: (r["count"], names(r).count("descend")) for r in whole} == {
        depth: (1, depth) for depth in range(FIRST, deepest + 1)
    }
    assert len({r["stack"][-1] for r in whole}) == 1
    rest = range(deepest + 1, LAST + 1)
    assert (sum(r["bytes"] for r in cut), sum(r["count"] for r in cut)) == (sum(rest), len(rest))
    assert {r["truncated"] for r in cut} == {True}
    # Those that differ only where they are cut are one.
    assert sum(set(names(r)[1:]) == {"descend"} for r in cut) == 1
    assert {len(r["stack"]) for r in cut} == {max(len(r["stack"]) for r in whole)}
    # The caller is one of the kernel's frames, or comes besides.
    assert len(cut[0]["stack"]) in (MAX_FRAMES - 1, MAX_FRAMES)


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_truncated_stack_in_other_formats(engine: str, programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.speedscope.json"
    for options in ([], ["--folded"], ["--format", "csv", "--speedscope", str(path)]):
        with Workload(programs / "deep", "200", "200") as workload:
            result = watch(workload, engine, *options)
        assert result.status == 0, result.stderr
        *_, last = result.stdout.splitlines()
        if not options:
            frames = result.stdout.count("+0x")
            assert last.strip() == f"[truncated: more than {frames} frames]"
        elif options == ["--folded"]:
            assert last.startswith("deep;[truncated];descend;descend;")
        else:
            (row,) = csv.DictReader(result.stdout.splitlines())
            assert row["truncated"] == "True"
    document = json.loads(path.read_text())
    (sample,) = document["profiles"][0]["samples"]
    assert document["shared"]["frames"][sample[0]] == {"name": "[truncated]"}


@pytest.mark.core
@pytest.mark.alone
@kernel
@leaves_nothing
def test_stacks_that_the_machine_limits(engine: str, programs: Path) -> None:
    if not in_guest():
        pytest.skip(f"{UNSUPPORTED}the setting is everybody's: only in a virtual machine")
    setting = Path(DEPTH_SETTING)
    setting.write_text("30", encoding="ascii")
    try:
        with Workload(programs / "deep", "10", "40") as workload:
            result = watch(workload, engine, "--json")
    finally:
        setting.write_text(str(MAX_FRAMES), encoding="ascii")
    cut = [record for record in result.records if record["truncated"]]
    assert {len(record["stack"]) for record in cut} in ({29}, {30})
    assert total_of(result) == (sum(range(10, 41)), 31)


# Whose function, whose names.


@pytest.mark.native
@kernel
@leaves_nothing
def test_names_of_a_deleted_program(engine: str, programs: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(programs / "allocate", tmp_path / "allocate"))
    with Workload(path, "4", "400") as workload:
        path.unlink()
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(4, 400)


CONTAINER = """
mount -t tmpfs tmpfs "$1"; cp "$2" "$1/program"
for file in $(ldd "$2" | grep -o '/[^ ]*'); do
	mkdir -p "$1${file%/*}"; cp -L "$file" "$1$file"
done
exec chroot "$1" /program 4 400
"""


@pytest.mark.native
@kernel
@leaves_nothing
def test_in_another_mount_namespace(engine: str, programs: Path, tmp_path: Path) -> None:
    """With its own C library, whose file no name leads to from here."""
    command = ("sh", "-ec", CONTAINER, "sh", tmp_path, programs / "allocate")
    with Workload("unshare", "--mount", *command) as workload:
        workload.wait_for("program")
        assert not any(tmp_path.iterdir())
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(4, 400)


@kernel
@leaves_nothing
def test_in_another_pid_namespace(engine: str, programs: Path) -> None:
    with Workload("unshare", "--pid", "--fork", programs / "allocate", "4", "400") as outer:
        child = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        while not child.read_text().split():
            assert outer.process.poll() is None
        pid = child.read_text().split()[0]
        while not os.readlink(f"/proc/{pid}/exe").endswith("/allocate"):
            assert outer.process.poll() is None
        with Running(MALLOCSTACKS, pid, "--engine", engine, "--json") as tool:
            tool.wait_attached()
            outer.allocate().finish()
            result = tool.finish()
    assert by_stack(result) == expected(4, 400)


IN_PID_NAMESPACE = """
import subprocess, sys
target = subprocess.Popen(
    [sys.argv[1], "4", "400"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0
)
tool = subprocess.Popen(
    [*sys.argv[2:], str(target.pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0
)
for line in tool.stderr:
    if line.endswith(b"Ctrl-C to end.\\n"):
        break
target.communicate(b".")
tool.communicate()
sys.exit(tool.returncode)
"""


@kernel
@leaves_nothing
def test_with_the_tool_in_a_pid_namespace(engine: str, programs: Path) -> None:
    """Then the PID that both know is not the one that the kernel counts by."""
    result = run(
        *("unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", IN_PID_NAMESPACE),
        *(programs / "allocate", MALLOCSTACKS, "--json", "--engine", engine),
    )
    assert by_stack(result) == expected(4, 400)


@kernel
@leaves_nothing
def test_a_static_program(engine: str, tmp_path: Path) -> None:
    source = ROOT / "examples/workloads/allocate.c"
    path = compile_program(source, tmp_path / "allocate", "-static")
    with Workload(path, "4", "400") as workload:
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(4, 400)
    assert f"Counting malloc of allocate in allocate ({workload.pid})..." in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
def test_musl(engine: str, tmp_path: Path) -> None:
    """A C library that is its own dynamic linker."""
    source = ROOT / "examples/workloads/allocate.c"
    path = compile_program(source, tmp_path / "allocate", compiler="musl-gcc")
    with Workload(path, "4", "400") as workload:
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(4, 400)


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_library_that_replaces_malloc(
    engine: str, programs: Path, compiled: Compiled, tmp_path: Path
) -> None:
    library = Path(shutil.copy(compiled("replace"), tmp_path / "libreplace.so"))
    preload = ("env", f"LD_PRELOAD={library}")
    with Workload(*preload, programs / "allocate", "4", "400") as workload:
        workload.wait_for("allocate")
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(4, 400)
    assert (
        f"Counting malloc of libreplace.so, libc.so.6 in allocate ({workload.pid})" in result.stderr
    )
    assert "1000 bytes in 400 calls of malloc [libreplace.so], at 4 stacks\n" in result.stderr


# A command: -c.

WHOLE = {("before", 1001): 7, ("second", 2002): 11, ("after", 3003): 13}


def of_whole(result: Result) -> dict[tuple[str, int], int]:
    """Return how often each function of tests/programs/whole.c allocated, and how much."""
    assert result.status == 0, result.stderr
    found: dict[tuple[str, int], int] = collections.Counter()
    for row in result.records:
        known = [name for name in names(row) if name in ("before", "second", "after")]
        if known:
            found[known[0], row["bytes"] // row["count"]] += row["count"]
    return found


@pytest.mark.core
@kernel
@leaves_nothing
@pytest.mark.parametrize(("how", "status"), [("join", 3), ("thread", 5)])
def test_a_command(engine: str, compiled: Compiled, how: str, status: int) -> None:
    """From its first call to its last, with names, however short it is."""
    path = compiled("whole")
    result = run(MALLOCSTACKS, "--engine", engine, "--json", "-c", f"{path} {how}")
    assert of_whole(result) == WHOLE
    assert {row["comm"] for row in result.records} == {"whole"}
    assert re.match(r"Counting malloc of libc\.so\.6 in whole \(\d+\)\.\.\.", result.stderr)
    assert result.stderr.endswith(f"{COMMAND}: the command ended with status {status}\n")


@kernel
@leaves_nothing
@pytest.mark.parametrize(
    ("compiler", "flags"), [("gcc", ()), ("gcc", ("-static",)), ("musl-gcc", ())]
)
def test_a_script_as_a_command(
    engine: str, tmp_path: Path, compiler: str, flags: tuple[str, ...]
) -> None:
    """What runs it is watched, whatever it is linked with."""
    source = ROOT / "tests/programs/whole.c"
    path = compile_program(source, tmp_path / "whole", *flags, compiler=compiler)
    script = tmp_path / "script"
    script.write_text(f"#!{path}\n")
    script.chmod(0o755)
    result = run(MALLOCSTACKS, "--engine", engine, "--json", "-c", str(script))
    assert of_whole(result) == WHOLE


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_command_with_another_malloc(engine: str, open_directory: Path) -> None:
    """Which is found before the C library's; run by the user who called sudo."""
    path = open_directory / "whole"
    compile_program(
        ROOT / "tests/programs/whole.c", path, "-Wl,--no-as-needed", "-l:libjemalloc.so.2"
    )
    command = f"{path} join"
    user = {"SUDO_UID": "65534"}
    result = run(MALLOCSTACKS, "--engine", engine, "--json", "-c", command, env=user)
    assert of_whole(result) == WHOLE
    assert {row["file"] for row in result.records} == {"libjemalloc.so.2"}
    assert "names may be missing" not in result.stderr


@kernel
@leaves_nothing
def test_a_command_that_stops(engine: str) -> None:
    """It is held only at its end: signals reach it as ever."""
    command = "sh -c 'echo $$; kill -STOP $$; kill -TERM $$'"
    with Running(MALLOCSTACKS, "--engine", engine, "--json", "-c", command) as tool:
        tool.wait_attached()
        assert tool.process.stderr
        pid = int(tool.process.stderr.readline())
        wait_until(
            lambda: re.search(r"State:\t[Tt]", Path(f"/proc/{pid}/status").read_text()),
            lambda: "it runs",
        )
        os.kill(pid, signal.SIGCONT)
        result = tool.finish()
    assert result.status == 0, result.stderr
    assert result.stderr.endswith(f"{COMMAND}: the command was ended by signal {signal.SIGTERM}\n")


@kernel
@leaves_nothing
def test_a_command_that_goes_on() -> None:
    result = run(
        MALLOCSTACKS, "--time-limit", "0.5", "-c", "sh -c 'echo $$; exec sleep 99 >&- 2>&-'"
    )
    pid = int(result.stdout.splitlines()[0])
    assert result.stderr.endswith(f"{COMMAND}: the command goes on, as process {pid}\n")
    os.kill(pid, signal.SIGKILL)


def test_a_command_without_a_list(tmp_path: Path) -> None:
    """Its dynamic linker does not say what it needs."""
    linker = {
        "x86": b"/lib64/ld-linux-x86-64.so.2\0",
        "arm64": b"/lib/ld-linux-aarch64.so.1\0",
    }[ARCHITECTURE]
    program = Path("/bin/true").read_bytes()
    assert program.count(linker) == 1
    path = tmp_path / "program"
    path.write_bytes(program.replace(linker, b"/bin/false".ljust(len(linker), b"\0")))
    path.chmod(0o755)
    cause, hint = assert_error(run(MALLOCSTACKS, "-c", str(path)), 1, COMMAND)
    assert cause.startswith(f"which libraries {path} needs cannot be found out: ")
    assert hint == "start it by hand, and name its PID"


# Of several functions, those that are called.


def sums(result: Result) -> dict[tuple[str, str], Total]:
    """Return what was counted by the file and the name of the function."""
    assert result.status == 0, result.stderr
    found: dict[tuple[str, str], Total] = {}
    for row in result.records:
        key = row["file"], names(row)[0]
        before = found.get(key, Total(0, 0))
        found[key] = Total(before.bytes + row["bytes"], before.calls + row["count"])
    return found


@pytest.mark.core
@kernel
@leaves_nothing
def test_the_first_of_two_preloaded(
    engine: str, programs: Path, compiled: Compiled, tmp_path: Path
) -> None:
    """Both have the same name, so that paths are shown."""
    libraries = [tmp_path / name / "libreplace.so" for name in ("first", "second")]
    for library in libraries:
        library.parent.mkdir()
        shutil.copy(compiled("replace"), library)
    preload = ("env", f"LD_PRELOAD={libraries[0]} {libraries[1]}")
    with Workload(*preload, programs / "allocate", "4", "400") as workload:
        workload.wait_for("allocate")
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(4, 400)
    names = f"{libraries[0]}, {libraries[1]}, libc.so.6"
    assert f"Counting malloc of {names} in allocate ({workload.pid})" in result.stderr
    assert f"1000 bytes in 400 calls of malloc [{libraries[0]}], at 4 stacks\n" in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
def test_more_of_them_than_are_watched(
    engine: str, programs: Path, compiled: Compiled, tmp_path: Path
) -> None:
    """With the C library's malloc they are 21, of which 16 are watched."""
    libraries = [
        shutil.copy(compiled("replace"), tmp_path / f"{number}.so") for number in range(20)
    ]
    preload = ("env", f"LD_PRELOAD={' '.join(map(str, libraries))}")
    with Workload(*preload, programs / "allocate", "4", "400") as workload:
        workload.wait_for("allocate")
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(4, 400)
    assert f"{COMMAND}: 5 more functions of that name are not counted\n" in result.stderr
    assert "Counting malloc of 0.so, 1.so, 2.so, 3.so and 12 more files in " in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_wrapper_and_what_it_calls(engine: str, programs: Path, compiled: Compiled) -> None:
    preload = ("env", f"LD_PRELOAD={compiled('wrap')}")
    with Workload(*preload, programs / "allocate", "4", "400") as workload:
        workload.wait_for("allocate")
        result = watch(workload, engine, "--json")
    assert sums(result) == {
        ("wrap", "malloc [wrap]"): (1000, 400),
        ("libc.so.6", "malloc [libc.so.6]"): (1000, 400),
    }
    *_, wrapper, libc, both = result.stderr.splitlines()
    assert {wrapper, libc} == {
        f"{COMMAND}: 1000 bytes in 400 calls of malloc [wrap]",
        f"{COMMAND}: 1000 bytes in 400 calls of malloc [libc.so.6]",
    }
    assert both == (
        f"{COMMAND}: 8 stacks; if one of these functions calls another, both count the call"
    )


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_wrapper_folded(engine: str, programs: Path, compiled: Compiled) -> None:
    preload = ("env", f"LD_PRELOAD={compiled('wrap')}")
    with Workload(*preload, programs / "allocate", "1", "400") as workload:
        workload.wait_for("allocate")
        result = watch(workload, engine, "--folded")
    leaves = {line.rpartition(" ")[0].rpartition(";")[2] for line in result.stdout.splitlines()}
    assert leaves == {"malloc [wrap]", "malloc [libc.so.6]"}


@pytest.mark.core
@kernel
@leaves_nothing
@pytest.mark.parametrize("how", ["local", "deepbind"])
def test_a_plugin_with_its_own_malloc(
    engine: str, compiled: Compiled, tmp_path: Path, how: str
) -> None:
    """With RTLD_LOCAL the plugin calls the C library's malloc, with RTLD_DEEPBIND its own."""
    source = ROOT / "tests/programs/plugin.c"
    library = compile_program(source, tmp_path / "own.so", "-shared", "-fPIC", "-DOWN")
    with Workload(compiled("plugin"), library, how) as workload:
        result = watch(workload, engine, "--json")
    if how == "local":
        assert sums(result) == {("libc.so.6", "malloc"): (500 * 11 + 300 * 13, 800)}
    else:
        assert sums(result) == {
            ("libc.so.6", "malloc [libc.so.6]"): (500 * 11, 500),
            ("own.so", "malloc [own.so]"): (300 * 13, 300),
        }


@pytest.mark.native
@kernel
@leaves_nothing
def test_the_version_that_the_program_is_bound_to(engine: str, tmp_path: Path) -> None:
    source = ROOT / "tests/programs/versions.c"
    script = tmp_path / "script"
    script.write_text("V1 { global: malloc; local: *; }; V2 { global: malloc; } V1;")
    library = compile_program(
        *(source, tmp_path / "two.so", "-shared", "-fPIC", "-DALLOCATOR"),
        f"-Wl,--version-script={script}",
    )
    program = compile_program(source, tmp_path / "bound", "-Wl,--no-as-needed", str(library))
    with Workload(program) as workload:
        workload.wait_for("bound")
        result = watch(workload, engine, "--json")
    (((file, name), total),) = sums(result).items()
    assert (file, total) == ("two.so", (2100, 300))
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True).stdout
    (address,) = re.findall(r"^0*([0-9a-f]+) T malloc@V1$", symbols, re.MULTILINE)
    assert name == f"malloc [two.so+0x{address}]"


OPERATORS = {
    "malloc": (100 * 10, 100),
    "operator new(unsigned long)": (200 * 20, 200),
    "operator new(unsigned long, std::nothrow_t const&)": (300 * 30 + 400 * 40, 700),
    "operator new[](unsigned long)": (500 * 50, 500),
    "operator new[](unsigned long, std::nothrow_t const&)": (600 * 60, 600),
}


@pytest.mark.core
@kernel
@leaves_nothing
def test_operators_new_of_an_allocator(engine: str, tmp_path: Path) -> None:
    """Each call counts once, whether or not it goes on to malloc or to another of them."""
    source = ROOT / "tests/programs/operators.c"
    library = compile_program(source, tmp_path / "lib.so", "-shared", "-fPIC", "-DALLOCATOR")
    program = compile_program(source, tmp_path / "operators", "-Wl,--no-as-needed", str(library))
    with Workload(program) as workload:
        workload.wait_for("operators")
        result = watch(workload, engine, "--json")
    assert sums(result) == {("lib.so", name): total for name, total in OPERATORS.items()}
    assert {names(row)[1] for row in result.records} == {"main"}
    assert "Counting malloc of lib.so, libc.so.6, operator new of lib.so in " in result.stderr
    assert "91000 bytes in 2100 calls of malloc [lib.so], at 6 stacks\n" in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
@pytest.mark.parametrize("function", ["malloc", "new"])
@pytest.mark.parametrize("library", ["libjemalloc.so.2", "libtcmalloc_minimal.so.4"])
def test_operator_new_of_a_real_allocator(
    engine: str, tmp_path: Path, library: str, function: str
) -> None:
    cache = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    found = re.search(rf"{re.escape(library)} \(libc6,(?:x86-64|AArch64)\) => (.+)", cache)
    if not found:
        pytest.skip(f"{UNSUPPORTED}{library} is not installed")
    source = ROOT / "tests/programs/operators.c"
    program = compile_program(source, tmp_path / "operators", "-Wl,--no-as-needed", found[1])
    with Workload(program) as workload:
        workload.wait_for("operators")
        result = watch(workload, engine, "--json", "--function", function)
    total = Total(*map(sum, zip(*sums(result).values(), strict=True)))
    # Their new[] is another name of new, or jumps to it.
    assert total == ((91000, 2100) if function == "malloc" else (200 * 20 + 500 * 50, 700))
    assert all(file.startswith(library) for file, _ in sums(result))


@pytest.mark.core
@kernel
@leaves_nothing
def test_a_static_pie(engine: str, tmp_path: Path) -> None:
    """Its malloc is a local symbol."""
    source = ROOT / "examples/workloads/allocate.c"
    path = compile_program(source, tmp_path / "allocate", "-static-pie")
    with Workload(path, "4", "400") as workload:
        workload.wait_for("allocate")
        result = watch(workload, engine, "--json")
    assert by_stack(result) == expected(4, 400)


@pytest.mark.native
@kernel
@leaves_nothing
def test_no_call(engine: str, programs: Path) -> None:
    with Workload(programs / "allocate", "4", "400") as workload:
        result = watch(workload, engine, "--json", "--function", "valloc")
    assert (result.status, result.records) == (0, [])
    *_, cause, hint = result.stderr.splitlines()
    assert cause == f"{COMMAND}: no call of valloc of libc.so.6 was seen"
    assert hint.startswith(
        f"{COMMAND}: it may allocate in another way: by --function malloc, calloc, "
    )
    assert hint.endswith(f"; by mmap(2) of its own: ebpf-syscount -s mmap -p {workload.pid}")


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_malloc_that_comes_later(engine: str, tmp_path: Path) -> None:
    source = ROOT / "tests/programs/plugin.c"
    library = compile_program(source, tmp_path / "own.so", "-shared", "-fPIC", "-DOWN")
    code = LOADS_LATER.replace(".late()", ".ask(1)")
    with (
        Workload(sys.executable, "-c", code, library) as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        workload.allocate()
        result = tool.finish(signal.SIGINT)
    assert "own.so has a malloc, too, but was mapped later: it was not counted\n" in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
@pytest.mark.parametrize("value", [None, "malloc"])
def test_what_python_keeps_to_itself(engine: str, value: str | None) -> None:
    variable = [f"PYTHONMALLOC={value}"] if value else []
    code = "import sys; sys.stdin.read(1); x = [str(i) * 20 for i in range(5000)]; print(); input()"
    with Workload("env", *variable, sys.executable, "-c", code) as workload:
        workload.wait_for(os.path.realpath(sys.executable).split("/")[-1])
        result = watch(workload, engine, "--json")
    assert ("Python's objects of up to 512 bytes do not reach malloc" in result.stderr) != bool(
        value
    )
    assert (total_of(result).calls > 5000) == bool(value)


LOADS_LATER = """
import ctypes, sys
sys.stdin.buffer.read(1)
ctypes.CDLL(sys.argv[1]).late()
print(flush=True)
sys.stdin.buffer.read()
"""


@pytest.mark.native
@kernel
@leaves_nothing
def test_names_of_a_library_that_is_loaded_later(engine: str, compiled: Compiled) -> None:
    with (
        Workload(sys.executable, "-c", LOADS_LATER, compiled("late")) as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        workload.allocate()
        result = tool.finish(signal.SIGINT)
    (record,) = (record for record in result.records if record["bytes"] == 123456)
    assert names(record)[:2] == ["malloc", "late"]


@pytest.mark.core
@kernel
@leaves_nothing
@pytest.mark.parametrize("prefix", [(), ("setarch", "--addr-no-randomize")], ids=["", "same"])
def test_names_before_and_after_an_exec(
    engine: str, become: Become, prefix: tuple[str, ...]
) -> None:
    """The second program allocates as soon as it runs, long before the tool looks at it."""
    first, second = become(first=100, second=200)
    with (
        support.Workload(*prefix, first, second) as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        workload.begin()
        tool.wait_for(f"first ({workload.pid}) is now second")
        workload.finish()
        result = tool.finish()
    assert {(r["comm"], *names(r)[:3]): Total(r["bytes"], r["count"]) for r in result.records} == {
        ("first", "malloc", "first_work", "main"): (10_000, 100),
        ("second", "malloc", "second_work", "main"): (20_000, 200),
    }


@pytest.mark.native
@kernel
@leaves_nothing
@pytest.mark.parametrize(
    "name", ["_RNvC5crate4work", "_ZN5crate4work17h0123456789abcdefE"], ids=["v0", "legacy"]
)
def test_names_of_rust(engine: str, tmp_path: Path, name: str) -> None:
    source = ROOT / "tests/programs/becomes.c"
    flags = (f"-DNAME={name}", "-DCALLS=10", "-DSPINS=0", "-DWAITS=1")
    with (
        support.Workload(compile_program(source, tmp_path / "rusty", *flags)) as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        workload.begin()
        workload.finish()
        result = tool.finish()
    (record,) = result.records
    assert names(record)[1].removesuffix("::h0123456789abcdef") == "crate::work"


@pytest.mark.native
@kernel
@leaves_nothing
def test_no_names_of_a_program_that_nobody_looked_at(engine: str, become: Become) -> None:
    """It is not given those of another one, whose code is at the same addresses."""
    first, brief, last = become(first=100, brief=50, last=200)
    with (
        support.Workload(first, brief, last) as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        tool.process.send_signal(signal.SIGSTOP)
        workload.begin()
        exe = Path(f"/proc/{workload.pid}/exe")
        wait_until(lambda: exe.readlink() == last, lambda: "it does not become the last")
        tool.process.send_signal(signal.SIGCONT)
        tool.wait_for("is now last")
        workload.finish()
        result = tool.finish()
    assert {(r["comm"], names(r)[1]): r["count"] for r in result.records} == {
        ("first", "first_work"): 100,
        ("?", "[unknown]"): 50,
        ("last", "last_work"): 200,
    }
    assert f"{COMMAND}: no names for 50 calls: the program that made them ran" in result.stderr


@pytest.fixture(scope="module")
def plugs(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return plugs.c and two libraries for it."""
    source, directory = ROOT / "tests/programs/plug.c", tmp_path_factory.mktemp("plugs")
    libraries = [
        compile_program(source, directory / f"{name}.so", f"-DNAME={name}_work")
        for name in ("first", "second")
    ]
    return [compiled("plugs"), *libraries]


def wait_for_frame(tool: Running, name: str) -> None:
    """Wait for a report with the frame."""
    assert tool.process.stdout
    while f'"{name}+0x'.encode() not in tool.process.stdout.readline():
        assert tool.process.poll() is None


@pytest.mark.core
@kernel
@leaves_nothing
def test_names_of_libraries_that_are_gone(engine: str, plugs: list[Path]) -> None:
    """They stay known. Where two were at one address, nobody knows which of them called."""
    with (
        Workload(*plugs) as workload,
        Running(
            *(MALLOCSTACKS, str(workload.wait_for("plugs").pid)),
            *("--engine", engine, "--json", "--interval", "0.2"),
        ) as tool,
    ):
        tool.wait_attached()
        said = workload.allocate().said  # the first one works
        wait_for_frame(tool, "first_work")
        workload.allocate()  # it is gone
        wait_for_frame(tool, "first_work")
        assert workload.allocate().said == said  # the second one works, at the same address
        wait_for_frame(tool, "[first_work or second_work]")
        result = tool.finish(signal.SIGINT)
    last = [r for r in result.records if r["bytes"] == 20 * 77]
    assert last
    for record in last:
        assert re.fullmatch(r"\[first_work or second_work\]\+0x[0-9a-f]{12}", record["stack"][1])
        assert (names(record)[2:4], record["count"]) == (["work", "main"], 20)


def test_mappings_that_are_gone_have_limited_room(
    plugs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        Workload(*plugs) as workload,
        Child(reader.make) as child,
        Target(workload.wait_for("plugs").pid, child) as traced,
    ):
        address = int(workload.allocate().said, 16)
        program = int(Path(f"/proc/{workload.pid}/stat").read_text().split()[27])

        def found() -> set[str]:
            traced.refresh()
            return {module.name for module, _ in traced.find(program, address)}

        assert found() == {"first.so"}
        workload.allocate()
        assert (found(), traced.is_complete) == ({"first.so"}, True)
        monkeypatch.setattr(target, "_MOST_MAPPINGS", 1)
        workload.allocate()
        assert (found(), traced.is_complete) == ({"second.so"}, False)
        assert traced.find(program - 16, address) == set()


OVERLAY = """
for layer in upper lower; do mkdir "$1/$layer"; mount -t tmpfs none "$1/$layer"; done
cp "$2" "$1/upper/program"; cp "$3" "$1/lower/library"
mkdir "$1/merged"
mount -t overlay -o "lowerdir=$1/upper:$1/lower" none "$1/merged"
exec "$1/merged/program" "$1/merged/library"
"""


@pytest.mark.native
@kernel
@leaves_nothing
def test_two_layers_of_an_overlay(engine: str, plugs: list[Path], tmp_path: Path) -> None:
    """Device and inode of /proc/PID/maps are those of the overlay's layers: not unique."""
    program, library, _ = plugs
    command = ("unshare", "--mount", "sh", "-ec", OVERLAY, "sh", tmp_path, program, library)
    with (
        Workload(*command) as workload,
        Running(
            MALLOCSTACKS, str(workload.wait_for("program").pid), "--engine", engine, "--json"
        ) as tool,
    ):
        tool.wait_attached()
        workload.allocate()
        maps = Path(f"/proc/{workload.pid}/maps").read_text().splitlines()
        result = tool.finish(signal.SIGINT)
    assert len({tuple(line.split()[3:5]) for line in maps if "/merged/" in line}) == 1
    (record,) = (r for r in result.records if r["bytes"] == 10 * 77)
    assert names(record)[:4] == ["malloc", "first_work", "work", "main"]


@pytest.mark.native
@kernel
@leaves_nothing
def test_the_first_thread_ends(engine: str, compiled: Compiled) -> None:
    """The kernel then removes the breakpoint. The process goes on, and the tool says so."""
    with (
        Workload(compiled("leaves")) as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        workload.allocate()
        tool.wait_for("the thread with the breakpoint ended")
        workload.allocate().finish()
        result = tool.finish()
    assert result.status == 0
    totals = {names(r)[1]: Total(r["bytes"], r["count"]) for r in result.records}
    assert totals["allocate"] == (33_300, 100)


@pytest.mark.native
@kernel
@leaves_nothing
def test_names_from_a_separate_debug_file(engine: str, programs: Path, tmp_path: Path) -> None:
    """BCC finds it, beside a program that has no names of its own."""
    path = Path(shutil.copy(programs / "allocate", tmp_path / "allocate"))
    subprocess.run(["objcopy", "--only-keep-debug", path, tmp_path / "allocate.debug"], check=True)
    subprocess.run(["strip", path], check=True)
    debug = f"--add-gnu-debuglink={tmp_path}/allocate.debug"
    subprocess.run(["objcopy", debug, path], check=True)
    with (
        Workload(path, "4", "400") as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        workload.allocate()
        result = tool.finish(signal.SIGINT)
    assert by_stack(result) == expected(4, 400)


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_program_without_names(engine: str, programs: Path, tmp_path: Path) -> None:
    """Then a frame is the file and the place in it."""
    path = Path(shutil.copy(programs / "allocate", tmp_path / "allocate"))
    subprocess.run(["strip", path], check=True)
    with Workload(path, "4", "400") as workload:
        result = watch(workload, engine, "--json")
    assert total_of(result) == (1000, 400)
    for record in result.records:
        assert re.fullmatch(r"allocate\+0x[0-9a-f]+", record["stack"][1])
    assert len({tuple(record["stack"]) for record in result.records}) == 4


# Other functions.

CALLS = {
    "calloc": (10 * 7 * 11, 11),  # and one that is refused
    "realloc": (10 * 1000 + 10 * 1500, 20),  # reallocarray() calls it
    "reallocarray": (10 * 1500, 10),
    "posix_memalign": (10 * 640, 10),
    "aligned_alloc": (10 * 320, 10),
    "memalign": (10 * 48, 10),
    "valloc": (10 * 77, 10),
    "pvalloc": (10 * 78, 10),
    "new": (10 * 22, 10),
    # Any other: the first argument is the size.
    "_ZN4shop5orderEi": (10 * 100, 10),
}


@pytest.mark.native
@kernel
@leaves_nothing
@pytest.mark.parametrize("function", CALLS)
def test_function(engine: str, programs: Path, function: str) -> None:
    with Workload(programs / "functions") as workload:
        result = watch(workload, engine, "--json", "--function", function)
    assert result.status == 0, result.stderr
    wanted = CALLS[function]
    if function in ("aligned_alloc", "memalign") and total_of(result).calls == 20:
        wanted = (3680, 20)  # before 2.38, glibc has one function under both names
    assert total_of(result) == wanted
    assert all(record["stack"][0] == f"{function}+0x0" for record in result.records)


@kernel
@leaves_nothing
def test_cxx_names_children_and_refused_requests(engine: str, programs: Path) -> None:
    with Workload(programs / "functions") as workload:
        result = watch(workload, engine, "--json")
    assert result.status == 0, result.stderr
    # A child made by fork() allocates a gigabyte at the same place.
    totals = {names(r)[1]: Total(r["bytes"], r["count"]) for r in result.records}
    assert totals["shop::order(int)"] == (1000, 10)
    assert totals["operator new(unsigned long)"] == (220, 10)
    assert totals["refused"] == (0, 1)


# Output.


@pytest.mark.native
@kernel
@leaves_nothing
def test_table(engine: str, programs: Path) -> None:
    with Workload(programs / "allocate", "4", "400") as workload:
        result = watch(workload, engine)
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["BYTES", "CALLS", "STACK"]
    assert re.fullmatch(r" +400 +100  malloc\+0x0", lines[0])
    assert re.fullmatch(r" +allocate\+0x[0-9a-f]+", lines[1])
    assert sum(line.endswith("malloc+0x0") for line in lines) == 4
    assert result.stderr == (
        f"Counting malloc of libc.so.6 in allocate ({workload.pid})... Ctrl-C to end.\n"
        f"{COMMAND}: 1000 bytes in 400 calls, at 4 stacks\n"
    )


@kernel
@leaves_nothing
def test_the_engines_agree(programs: Path) -> None:
    seen = []
    for engine in ENGINES:
        with Workload(programs / "allocate", "8", "4001") as workload:
            result = watch(workload, engine, "--json")
        rows = [{**r, "pid": 0, "time_s": 0} for r in result.records]
        seen.append((result.status, rows, re.sub(r"\d+\)", ")", result.stderr)))
    assert seen[0] == seen[1]


@pytest.mark.native
@kernel
@leaves_nothing
def test_csv(engine: str, programs: Path) -> None:
    with Workload(programs / "allocate", "4", "400") as workload:
        result = watch(workload, engine, "--format", "csv")
    header, *rows = csv.reader(result.stdout.splitlines())
    assert header == [column.key for column in TOOL.columns]
    assert [row[:2] for row in rows] == [
        ["400", "100"],
        ["300", "100"],
        ["200", "100"],
        ["100", "100"],
    ]
    assert all(row[2].startswith("malloc+0x0;allocate+0x") for row in rows)


@pytest.mark.native
@kernel
@leaves_nothing
@pytest.mark.parametrize("by", ["bytes", "calls"])
def test_folded(engine: str, programs: Path, by: str) -> None:
    """A stack with semicolons, root first, a space and a number on each line."""
    with Workload(programs / "allocate", "50", "50001") as workload:
        result = watch(workload, engine, "--folded", "--by", by)
    assert result.status == 0, result.stderr
    wanted = expected(50, 50_001)
    found = {}
    for line in result.stdout.splitlines():
        stack, _, number = line.rpartition(" ")
        comm, *frames = stack.split(";")
        assert comm == "allocate"
        found[number_of(frames[::-1])] = int(number)
    assert found == {n: t.bytes if by == "bytes" else t.calls for n, t in wanted.items()}


@pytest.mark.native
@kernel
@leaves_nothing
def test_speedscope(engine: str, programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.speedscope.json"
    with Workload(programs / "allocate", "50", "50001") as workload:
        result = watch(workload, engine, "--top", "3", "--speedscope", str(path))
    assert result.status == 0, result.stderr
    document = json.loads(path.read_text())
    validate_speedscope(document)
    bytes_profile, calls_profile = document["profiles"]
    wanted = expected(50, 50_001)
    assert (bytes_profile["unit"], calls_profile["unit"]) == ("bytes", "none")
    assert bytes_profile["endValue"] == sum(t.bytes for t in wanted.values())
    assert calls_profile["endValue"] == 50_001
    frames = [frame["name"] for frame in document["shared"]["frames"]]
    found = {}
    for sample, size, calls in zip(
        bytes_profile["samples"], bytes_profile["weights"], calls_profile["weights"], strict=True
    ):
        found[number_of([frames[index] for index in reversed(sample)])] = Total(size, calls)
    assert found == wanted


UNITS = {"none", "nanoseconds", "microseconds", "milliseconds", "seconds", "bytes"}


def validate_speedscope(document: dict[str, Any]) -> None:
    """Demand what the published schema does of a file with sampled profiles."""
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert set(document) <= {
        "$schema",
        "name",
        "exporter",
        "activeProfileIndex",
        "shared",
        "profiles",
    }
    frames = document["shared"]["frames"]
    assert all(isinstance(frame["name"], str) for frame in frames)
    assert all(set(frame) <= {"name", "file", "line", "col"} for frame in frames)
    assert 0 <= document["activeProfileIndex"] < len(document["profiles"])
    for profile in document["profiles"]:
        assert set(profile) == {
            *("type", "name", "unit", "startValue", "endValue", "samples", "weights")
        }
        assert profile["type"] == "sampled"
        assert isinstance(profile["name"], str)
        assert profile["unit"] in UNITS
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(isinstance(weight, (int, float)) for weight in profile["weights"])
        assert profile["endValue"] - profile["startValue"] == sum(profile["weights"])
        assert all(0 <= i < len(frames) for sample in profile["samples"] for i in sample)


@pytest.mark.native
@kernel
@leaves_nothing
def test_top(engine: str, programs: Path) -> None:
    with Workload(programs / "allocate", "50", "50000") as workload:
        result = watch(workload, engine, "--top", "2", "--json")
    assert by_stack(result) == {49: (50_000, 1000), 48: (49_000, 1000)}
    assert "1275000 bytes in 50000 calls, at 50 stacks; --top shows 2 of 50 rows" in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
@pytest.mark.parametrize("top", ["3", "10"])
def test_top_of_fewer_rows(engine: str, programs: Path, top: str) -> None:
    """It leaves nothing out, and nothing is said of it."""
    with Workload(programs / "allocate", "3", "300") as workload:
        result = watch(workload, engine, "--top", top, "--json")
    assert by_stack(result) == expected(3, 300)
    assert "in 300 calls, at 3 stacks\n" in result.stderr


@pytest.mark.native
@kernel
@leaves_nothing
def test_interval(engine: str, programs: Path) -> None:
    """Reports with the totals so far, and the last one at the end."""
    options = ("--engine", engine, "--json", "--interval", "0.2")
    with (
        Workload(programs / "allocate", "4", "400") as workload,
        Running(MALLOCSTACKS, str(workload.pid), *options) as tool,
    ):
        tool.wait_attached()
        workload.allocate()
        assert tool.process.stdout
        first = json.loads(tool.process.stdout.readline())
        workload.finish()
        result = tool.finish()
    assert (first["bytes"], first["count"]) == (400, 100)
    last = result.records[-4:]
    assert [record["bytes"] for record in last] == [400, 300, 200, 100]
    assert last[0]["time_s"] > first["time_s"] >= 0.2


@pytest.mark.native
@kernel
@leaves_nothing
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal(engine: str, programs: Path, number: int) -> None:
    with (
        Workload(programs / "allocate", "4", "400") as workload,
        Running(MALLOCSTACKS, str(workload.pid), "--engine", engine, "--json") as tool,
    ):
        tool.wait_attached()
        workload.allocate()
        result = tool.finish(number)
    assert by_stack(result) == expected(4, 400)


@pytest.mark.native
@kernel
@leaves_nothing
def test_time_limit(engine: str, programs: Path) -> None:
    options = ("--engine", engine, "--json", "--time-limit", "0.5")
    with Workload(programs / "allocate", "4", "400") as workload:
        result = run(MALLOCSTACKS, str(workload.pid), *options)
    assert result.status == 0
    assert result.records == []


@pytest.mark.core
@kernel
@leaves_nothing
def test_demo(engine: str) -> None:
    result = run(MALLOCSTACKS, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    total = total_of(result)
    assert total.bytes >= DEMO_BYTES * DEMO_CALLS
    assert total.calls >= DEMO_CALLS
    assert result.stderr.endswith(
        f"Demo: saw the {DEMO_BYTES * DEMO_CALLS} bytes that it allocated.\n"
    )


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_hostile_name(engine: str, programs: Path, tmp_path: Path) -> None:
    path = shutil.copy(programs / "allocate", tmp_path / "a;b\x1b[1A c")
    with Workload(path, "4", "400") as workload:
        folded = watch(workload, engine, "--folded")
    assert folded.status == 0
    assert "\x1b" not in folded.stdout + folded.stderr
    for line in folded.stdout.splitlines():
        assert re.fullmatch(r"a:b\\x1b\[1A c;[^ ]+ \d+", line), line


# Bad input.


@pytest.mark.native
@kernel
@leaves_nothing
@pytest.mark.parametrize("pid", ["4194304", "2147483647"])
def test_no_such_process(pid: str) -> None:
    cause, _ = assert_error(run(MALLOCSTACKS, pid), 1, COMMAND)
    assert cause == f"there is no process {pid}"


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_process_that_has_ended() -> None:
    with Workload("true") as workload:
        os.waitid(os.P_PID, workload.pid, os.WEXITED | os.WNOWAIT)
        cause, _ = assert_error(run(MALLOCSTACKS, str(workload.pid)), 1, COMMAND)
    assert cause == f"the process {workload.pid} (true) has ended"


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_kernel_thread() -> None:
    cause, _ = assert_error(run(MALLOCSTACKS, "2"), 1, COMMAND)
    assert cause == "the process 2 (kthreadd) is a thread of the kernel"


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_thread(programs: Path) -> None:
    with Workload(programs / "allocate", "4", "400", "2") as workload:
        workload.wait_for("allocate")
        _, thread, _ = sorted(map(int, os.listdir(f"/proc/{workload.pid}/task")))
        cause, hint = assert_error(run(MALLOCSTACKS, str(thread)), 1, COMMAND)
    assert cause == f"{thread} is a thread of the process {workload.pid}"
    assert hint == f"name the process: {workload.pid}"


@pytest.mark.native
@kernel
@leaves_nothing
def test_a_static_program_without_symbols(tmp_path: Path) -> None:
    source = ROOT / "examples/workloads/allocate.c"
    path = compile_program(source, tmp_path / "bare", "-static", "-s")
    with Workload(path, "4", "400") as workload:
        workload.wait_for("bare")
        cause, hint = assert_error(run(MALLOCSTACKS, str(workload.pid)), 1, COMMAND)
    assert (
        cause == f"no file that the process {workload.pid} (bare) has mapped has a function malloc"
    )
    assert "the program is stripped" in hint


@pytest.mark.native
@kernel
@leaves_nothing
def test_no_such_function(programs: Path) -> None:
    with Workload(programs / "allocate", "4", "400") as workload:
        workload.wait_for("allocate")
        result = run(MALLOCSTACKS, str(workload.pid), "--function", "no\x1bsuch")
    cause, _ = assert_error(result, 1, COMMAND)
    assert cause.endswith(r"has mapped has a function no\x1bsuch")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("0",),
        ("-1",),
        ("2147483648",),
        ("abc",),
        ("1", "0"),
        ("1", "-1"),
        ("1", "abc"),
        ("1", "4294967296"),
        ("1", "--top", "0"),
        ("1", "--interval", "0"),
        ("1", "--demo"),
        ("1", "--folded", "--interval", "1"),
        ("1", "-c", "true"),
        ("-c", ""),
        ("-c", "/none"),
        ("-c", "true", "--demo"),
        ("1", "--as-root"),
    ],
)
def test_usage(words: tuple[str, ...]) -> None:
    assert_error(run(MALLOCSTACKS, *words), 2, COMMAND)


@pytest.mark.native
@kernel
@leaves_nothing
def test_speedscope_file_that_cannot_be_written(programs: Path, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with Workload(programs / "allocate", "4", "400") as workload:
        result = run(MALLOCSTACKS, str(workload.pid), "--speedscope", str(path))
    cause, _ = assert_error(result, 1, COMMAND)
    assert cause == f"cannot write {path}: No such file or directory"


@pytest.mark.native
@kernel
@leaves_nothing
def test_another_tracer_with_a_semaphore(tmp_path: Path) -> None:
    """Two uprobes at one place have to agree on it; BCC 0.26's own tools leave it to chance."""
    program = compile_program(
        ROOT / "examples/workloads/allocate.c", tmp_path / "allocate", "-static"
    )
    with program.open("rb") as file:
        elf = Elf(file.fileno())
        offset = elf.offset_of(next(elf.implementations("malloc")).function.address)
    kind, config = trial.probe("uprobe", returns=False)
    with Workload(program, "4", "400") as workload:
        event = trial.syscall.PerfEvent(
            kind, config | 8 << 32, os.fsencode(program), offset, pid=workload.pid
        )
        other = trial.syscall.open_perf_event(event)
        result = run(MALLOCSTACKS, str(workload.pid), "--engine", "libbpf")
        os.close(other)
    cause, hint = assert_error(result, 1, COMMAND)
    assert cause.startswith("the kernel refuses a uprobe at ")
    assert "ref_ctr_offset mismatch" in hint


# The ELF reader.


def test_broken_elf_files(programs: Path, tmp_path: Path) -> None:
    """Cut off or damaged anywhere, they are refused in order or read as they are."""
    whole = (programs / "allocate").read_bytes()
    path = tmp_path / "broken"
    damaged = [whole[:length] for length in range(0, len(whole), 997)]
    damaged += [whole[:at] + b"\xff" * 8 + whole[at + 8 :] for at in range(64)]
    damaged += [whole[:at] + b"\xff" * 8 + whole[at + 8 :] for at in range(64, len(whole), 499)]
    for content in damaged:
        path.write_bytes(content)
        with path.open("rb") as file:
            try:
                elf = Elf(file.fileno())
                list(elf.implementations("main"))
                elf.function_at(0x1234)
                elf.offset_of(0x1234)
            except BadElf:
                pass


# What is mapped.


def test_mappings_that_overlap() -> None:
    """Those of different times may, in any way."""
    space = AddressSpace("any")
    a, b, c = (Module(name, number, None) for number, name in enumerate("abc"))
    extents = {(100, 200): a, (120, 130): b, (150, 300): c, (400, 500): b}
    space.add((Mapping(*extent, 7, "", 0, ""), module) for extent, module in extents.items())
    for address in range(90, 510):
        assert space.places(address) == {
            (module, address - start + 7)
            for (start, end), module in extents.items()
            if start <= address < end
        }
