"""--show: what it prints, held against the files, the log and the kernel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support import BIN, ENGINES, ROOT, in_mount_namespace, run

from ebpf_tour.catalogue import tools
from ebpf_tour.loader.btf import Btf, load_libbpf

if TYPE_CHECKING:
    from pathlib import Path

TOOLS = [tool for tool in tools() if tool.via]
SUFFIX = {"libbpf": "bpf.c", "bcc": "bcc.c"}

each = pytest.mark.parametrize(
    ("command", "name", "engine"),
    [(BIN / tool.command, tool.name, engine) for tool in TOOLS for engine in tool.engines],
    ids=[f"{tool.command}-{engine}" for tool in TOOLS for engine in tool.engines],
)
kernel = pytest.mark.kernel(*TOOLS)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")

# "12: (bf) r6 = r1        ; R1=ctx() R6=ctx()"
LOGGED = re.compile(r"^(\d+): \(([0-9a-f]{2})\) (.*?)\s*(?:;.*)?$", re.MULTILINE)
SHOWN = re.compile(r"^ +(\d+): (.*)$", re.MULTILINE)


def show(command: Path, engine: str, what: str) -> str:
    result = run(command, "--engine", engine, "--show", what)
    assert result.status == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def squeezed(text: str) -> str:
    return " ".join(text.split())


@each
def test_source_is_the_file(command: Path, name: str, engine: str) -> None:
    assert show(command, engine, "source") == (ROOT / f"bpf/{name}.{SUFFIX[engine]}").read_text()


@pytest.mark.native
@kernel
@each
def test_source_needs_nothing(command: Path, name: str, engine: str) -> None:
    """No capability and no tracefs: to read it is the first thing that people do."""
    setup = "mount -t tmpfs none /sys/kernel/tracing"
    result = run(
        *in_mount_namespace(
            setup,
            *("setpriv", "--bounding-set=-all", "--inh-caps=-all"),
            *(command, "--engine", engine, "--show", "source"),
        )
    )
    assert result.status == 0, result.stderr
    assert result.stdout == (ROOT / f"bpf/{name}.{SUFFIX[engine]}").read_text()


@kernel
@leaves_nothing
@each
def test_log_names_lines_of_the_source(command: Path, name: str, engine: str) -> None:  # noqa: ARG001
    """What the kernel says it has loaded is what --show source prints."""
    log = show(command, engine, "log")
    source = squeezed(show(command, engine, "source"))
    # "; TEXT @ FILE:LINE" on newer kernels, "; TEXT" on older ones.
    lines = re.findall(r"(?m)^; (.*?)(?: @ \S+:\d+)?$", log)
    quoted = {squeezed(line) for line in lines if line.strip()}
    found = {text for text in quoted if text in source}
    if engine == "libbpf":
        assert found == quoted
    # BCC rewrites what is its own dialect: helper calls, maps. That leaves at
    # least where a program begins and how it returns.
    assert len(found) >= 2


@kernel
@leaves_nothing
@each
def test_asm_is_what_the_kernel_loaded(command: Path, name: str, engine: str) -> None:  # noqa: ARG001
    """Our disassembly, instruction by instruction, beside the verifier's."""
    # BCC compiles the PID into the program: as PID 1, it is the same twice.
    as_pid_1 = ("unshare", "--pid", "--fork", "--mount-proc", command)
    asm, log = (run(*as_pid_1, "--engine", engine, "--show", what) for what in ("asm", "log"))
    programs = re.split(r"(?m)^\w+:\n", asm.stdout)[1:]
    walks = log.stdout.split("func#0 @0\n")[1:]
    compared = total = 0
    for program, walk in zip(programs, walks, strict=True):
        shown = dict(SHOWN.findall(program))
        logged = {int(number): rest for number, *rest in LOGGED.findall(walk)}
        total += len(shown)
        for number, (opcode, text) in logged.items():
            if opcode != "18":  # a 64-bit constant: an address, a namespace's inode
                assert shown[str(number)] == ours(text, number)
                compared += 1
    # It walked most of them: what it knows to be dead it leaves out, such as
    # what is for an option that is not given.
    assert compared >= 0.3 * total > 0


def signed(value: int) -> int:
    """Return what the verifier shows of a 32-bit constant without its sign."""
    return value - (1 << 32) if 1 << 31 <= value < 1 << 32 else value


def ours(text: str, number: int) -> str:
    """Turn "if r0 != 0x0 goto pc+16" of instruction 13 into "if r0 != 0 goto 30"."""
    text = text.replace("call bpf_", "call ")
    text = re.sub(r"0x[0-9a-f]+", lambda match: str(signed(int(match[0], 16))), text)
    return re.sub(r"pc([+-]\d+)", lambda match: str(number + 1 + int(match[1])), text)


@kernel
@leaves_nothing
@pytest.mark.parametrize("engine", ENGINES)
def test_maps_of_minimal(engine: str) -> None:
    programs, _, maps = show(BIN / "ebpf-minimal", engine, "maps").partition("\n\n")
    header, *rows = programs.splitlines()
    assert header.split() == ["PROGRAM", "ID", "TYPE", "INSNS", "JITED(B)", "NAME"]
    (row,) = (row.split() for row in rows)
    assert int(row[0]) > 0
    assert row[1] == "tracepoint"
    if engine == "bcc":  # no map: the numbers are in the code
        assert maps == ""
        return
    assert row[4] == "handle_write"
    header, *rows = maps.splitlines()
    assert header.split() == ["MAP", "ID", "TYPE", "KEY(B)", "VALUE(B)", "ENTRIES", "NAME"]
    by_name = {row.split()[-1]: row.split() for row in rows}
    # Two int and two __u64.
    assert by_name["minimal.bss"][1:5] == ["array", "4", "24", "1"]


@pytest.mark.native
@kernel
@leaves_nothing
def test_number_of_instructions() -> None:
    """--show maps has it from the kernel, --show asm from libbpf."""
    command = BIN / "ebpf-minimal"
    lines = SHOWN.findall(show(command, "libbpf", "asm"))
    row = show(command, "libbpf", "maps").splitlines()[1].split()
    assert int(row[2]) == int(lines[-1][0]) + 1


@pytest.mark.native
@kernel
def test_enumeration() -> None:
    """The names in these views are the kernel's own, from its BTF."""
    btf = Btf.of_kernel(load_libbpf())
    names = btf.enumeration("bpf_map_type")
    assert (names[1], names[27]) == ("BPF_MAP_TYPE_HASH", "BPF_MAP_TYPE_RINGBUF")
    assert btf.enumeration("no_such_enum") == {}
    btf.close()
