"""--show: what it prints, held against the files, the log and the kernel."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from cases import CAN_RUN, TOOLS, Case, fault, on_each_engine
from own_tool import own_tool
from support import ARCHITECTURE, BIN, ROOT, assert_error, in_mount_namespace, run

from ebpf_tour.loader import origin, syscall
from ebpf_tour.loader.bcc import BccProgram
from ebpf_tour.loader.bcc_types import RECORD_H
from ebpf_tour.loader.btf import Btf, load_libbpf
from ebpf_tour.loader.hooks.uprobe import Uprobe
from ebpf_tour.loader.program import Options, sources

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = {"libbpf": "bpf.c", "bcc": "bcc.c"}

kernel = pytest.mark.kernel(*CAN_RUN)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")

# "12: (bf) r6 = r1        ; R1=ctx() R6=ctx()"
LOGGED = re.compile(r"^(\d+): \(([0-9a-f]{2})\) (.*?)\s*(?:;.*)?$", re.MULTILINE)
SHOWN = re.compile(r"^ +(\d+): (.*)$", re.MULTILINE)


def show(command: Path, engine: str, what: str) -> str:
    result = run(command, "--engine", engine, "--show", what)
    assert result.status == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def shown_as_pid_1(case: Case, what: str) -> str:
    """Return the same. BCC compiles the PID into the program: so it is equal each time."""
    as_pid_1 = ("unshare", "--pid", "--fork", "--mount-proc")
    result = run(*as_pid_1, *case.command("--show", what))
    assert (result.status, result.stderr) == (0, "")
    return result.stdout


def squeezed(text: str) -> str:
    return " ".join(text.split())


def files_of(shown: str, case: Case) -> tuple[str, dict[str, str]]:
    """Return what --show source prints above the C file, and the files by name."""
    above, line, rest = shown.partition("// SPDX")
    first, *others = re.split(r"(?m)^\n/\* ===== (\S+) ===== \*/\n", line + rest)
    name = f"{case.tool.name}.{SUFFIX[case.engine]}"
    return above, {name: first} | dict(zip(others[::2], others[1::2], strict=True))


def assert_source(shown: str, case: Case) -> dict[str, str]:
    """Demand the C file and each header of ours; return them by name.

    With BCC, they are below the structures that they are compiled with.
    """
    above, files = files_of(shown, case)
    for name, text in files.items():
        assert text == (ROOT / "bpf" / name).read_text()
    if case.engine == "libbpf":
        assert above == ""
        # By what clang has written down: all but the kernel's types and system's headers.
        recorded = origin._recorded(str(ROOT / f"bpf/{ARCHITECTURE}/{case.tool.name}.bpf.o"))
        ours = {name for name, _ in recorded if not name.startswith(("/", "include/", "asm/"))}
        assert {*files, "vmlinux.h"} == ours
    else:
        included = re.findall(r'(?m)^#include "(.+?)"', "".join(files.values()))
        assert set(included) == set(files) - {f"{case.tool.name}.bcc.c"}
    return files


@fault
def test_source_is_the_file(case: Case) -> None:
    assert_source(show(BIN / case.tool.command, case.engine, "source"), case)


@fault
def test_source_is_what_bcc_compiles(case: Case) -> None:
    """With what it is told to include; test_bcc_functions.py has what it does not get."""
    hooks = next(iter(case.tool.via.values()))
    with BccProgram(Options(case.tool.name, sources(), "", hooks)) as program:
        included, compiled, places = program._header, program._text, program._source.places
    above, files = files_of(show(BIN / case.tool.command, "bcc", "source"), case)
    assert above.endswith(f"{included}\n" if included else "")
    shown = {name: text.split("\n") for name, text in files.items()}
    for line, (name, number) in zip(compiled.split("\n"), places, strict=True):
        # A header has its guard, in the place of #pragma once.
        assert line in (shown[name][number - 1], "") or re.match("#(ifndef|define|endif)", line)
    each = {(name, n) for name, lines in shown.items() for n in range(1, len(lines) + 1)}
    assert set(places) == each
    # A program may have a record and read no structure of the kernel.
    from_btf = included.startswith("/* Made from the running kernel's BTF")
    assert from_btf or included in ("", RECORD_H)
    assert ("struct task_struct {" in included) == ("struct task_struct" in compiled)


@pytest.mark.native
@fault
def test_source_needs_nothing(case: Case) -> None:
    """No capability and no tracefs: to read it is the first thing that people do."""
    setup = "mount -t tmpfs none /sys/kernel/tracing"
    result = run(
        *in_mount_namespace(
            setup,
            *("setpriv", "--bounding-set=-all", "--inh-caps=-all"),
            *case.command("--show", "source"),
        )
    )
    assert result.status == 0, result.stderr
    assert_source(result.stdout, case)


@leaves_nothing
@fault
def test_log_names_lines_of_the_source(case: Case) -> None:
    """What the kernel says it has loaded is what --show source prints."""
    log = shown_as_pid_1(case, "log")
    source = squeezed(show(BIN / case.tool.command, case.engine, "source"))
    # "; TEXT @ FILE:LINE" on newer kernels, "; TEXT" on older ones.
    lines = re.findall(r"(?m)^; (.*?)(?: @ \S+:\d+)?$", log)
    quoted = {squeezed(line) for line in lines if line.strip()}
    found = {text for text in quoted if text in source}
    if case.engine == "libbpf":
        assert found == quoted
    # BCC rewrites what is its own dialect: helper calls, maps. That leaves at
    # least where a program begins and how it returns.
    assert len(found) >= 2


@pytest.mark.native
@leaves_nothing
@fault
def test_asm_is_what_the_kernel_loaded(case: Case) -> None:
    """Our disassembly, instruction by instruction, beside the verifier's."""
    asm, log = (shown_as_pid_1(case, what) for what in ("asm", "log"))
    programs = re.split(r"(?m)^\w+:\n", asm)[1:]
    walks = log.split("func#0 @0\n")[1:]
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


def lines_shown(text: str) -> dict[tuple[str, int], str]:
    """Return the line of C above each instruction of --show asm, by program and number."""
    found = {}
    name = line = ""
    for row in text.splitlines():
        if row.endswith(":") and not row.startswith(";"):
            name, line = row[:-1], ""
        elif row.startswith("; "):
            line = row[2:].rpartition(" @ ")[0]
        elif match := re.match(r" +(\d+): ", row):
            found[name, int(match[1])] = line
    return found


def lines_logged(text: str) -> dict[tuple[str, int], str]:
    """Return the same from --show log, where the kernel prints BTF's line info."""
    found = {}
    name = line = ""
    for row in text.splitlines():
        if match := re.fullmatch(r"(\w+):", row):
            name, line = match[1], ""
        elif row.startswith(";"):
            line = re.sub(r" @ \S+:\d+$", "", row[1:].strip())
        elif match := re.match(r"(\d+): \([0-9a-f]{2}\) (.*)", row):
            # Without a line of its own, an instruction is of the one before.
            if line and not line.startswith("@"):
                found[name, int(match[1])] = line
            if "goto" in match[2] and (tail := re.search(r"pc[+-]\d+ ; ([^RF].*)", match[2])):
                line = re.sub(r" @ \S+:\d+$", "", tail[1])
    return found


@leaves_nothing
@fault
def test_asm_and_log_name_the_same_lines(case: Case) -> None:
    """What we find in the object, or in BCC's words, is what the kernel was told."""
    shown = lines_shown(shown_as_pid_1(case, "asm"))
    logged = lines_logged(shown_as_pid_1(case, "log"))
    assert all(shown.values()), "an instruction has no line"
    text = show(BIN / case.tool.command, case.engine, "source")
    source = {squeezed(line) for line in text.splitlines()}
    compared = 0
    for where, line in logged.items():
        ours, theirs = squeezed(shown[where]), squeezed(line)
        # BCC's kernel has what BCC made of the line.
        if case.engine == "libbpf" or {ours, theirs} <= source:
            compared += 1
            assert ours == theirs, where
    assert compared > 0


@leaves_nothing
@fault
def test_file_and_number_of_each_line(case: Case) -> None:
    """They are right in a header, too: in --show asm, and in the log where the kernel has them."""
    _, files = files_of(show(BIN / case.tool.command, case.engine, "source"), case)
    texts = {os.path.basename(name): text.splitlines() for name, text in files.items()}
    every = {line.strip() for lines in texts.values() for line in lines} - {""}
    views = [shown_as_pid_1(case, what) for what in ("asm", "log")]
    for view in views:
        # Line 0 is the compiler's own.
        named = re.findall(r"(?m)^; (.*) @ (\S+):([1-9]\d*)$", view)
        for text, file, number in named:
            if file in ("helpers.h", "usdt.bpf.h"):  # BCC's own, libbpf's own
                continue
            there = texts[file][int(number) - 1].strip()
            # In the log, BCC's kernel has what BCC has made of a line, or nothing.
            rewritten = case.engine == "bcc" and view is views[1] and text.strip() not in every
            assert there == text.strip() or rewritten
        # Older kernels' logs have the text alone.
        if named or view is views[0]:
            headers = {file for _, file, _ in named if file.endswith(".h")}
            # Each tool that includes it reads the names of a task.
            assert {name for name in texts if name.startswith("task.")} <= headers


def signed(value: int) -> int:
    """Return what the verifier shows of a 32-bit constant without its sign."""
    return value - (1 << 32) if 1 << 31 <= value < 1 << 32 else value


def ours(text: str, number: int) -> str:
    """Turn "if r0 != 0x0 goto pc+16" of instruction 13 into "if r0 != 0 goto 30"."""
    # The log has the names of kfuncs, too, which are in no list of helpers.
    text = re.sub(r"call bpf_preempt_\w+#", "call kfunc#", text)
    text = text.replace("call bpf_", "call ")
    text = re.sub(r"0x[0-9a-f]+", lambda match: str(signed(int(match[0], 16))), text)
    return re.sub(r"pc([+-]\d+)", lambda match: str(number + 1 + int(match[1])), text)


@kernel
@leaves_nothing
def test_maps_of_minimal(engine: str) -> None:
    programs, _, maps = show(BIN / "ebpf-minimal", engine, "maps").partition("\n\n")
    header, *rows = programs.splitlines()
    assert header.split() == ["PROGRAM", "ID", "TYPE", "INSNS", "XLATED", "JITED(B)", "NAME"]
    (row,) = (row.split() for row in rows)
    assert int(row[0]) > 0
    assert row[1] == "tracepoint"
    if engine == "bcc":  # no map: the numbers are in the code
        assert maps == ""
        return
    assert row[5] == "handle_write"
    header, *rows = maps.splitlines()
    assert header.split() == ["MAP", "ID", "TYPE", "KEY(B)", "VALUE(B)", "ENTRIES", "NAME"]
    by_name = {row.split()[-1]: row.split() for row in rows}
    # Two int and two __u64.
    assert by_name["minimal.bss"][1:5] == ["array", "4", "24", "1"]


@pytest.mark.native
@kernel
@leaves_nothing
def test_number_of_instructions(engine: str) -> None:
    """As the compiler made them, as the verifier rewrote them, and what the JIT made."""
    command = BIN / "ebpf-minimal"
    lines = SHOWN.findall(show(command, engine, "asm"))
    row = show(command, engine, "maps").splitlines()[1].split()
    assert int(row[2]) == int(lines[-1][0]) + 1
    # It has no dead code, no map that is looked up, and nothing else to rewrite.
    assert row[3] == row[2]
    if "x86_64" in os.uname().machine:  # there an instruction takes at least 2 bytes
        assert int(row[4]) > 2 * int(row[3])


@kernel
@leaves_nothing
def test_maps_as_json(engine: str) -> None:
    """The same as in the table, under the kernel's own names."""
    command = (BIN / "ebpf-bootstrap", "--engine", engine, "--transport", "perf", "--show", "maps")
    result = run(*command, "--json")
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    programs = [row for row in result.records if row["type"] == "program"]
    maps = {row["name"]: row for row in result.records if row["type"] == "map"}
    assert [row["prog_type"] for row in programs] == ["tracepoint"] * 2
    for row in programs:
        assert row["insns"] > 10
        assert row["xlated_insns"] > 10
        assert row["jited_bytes"] > 0
    assert maps["start"].items() >= {
        ("map_type", "hash"),
        ("key_bytes", 4),
        ("value_bytes", 8),
        ("max_entries", 8192),
    }
    # One entry for each processor.
    assert maps["pb"].items() >= {("map_type", "perf_event_array"), ("key_bytes", 4)}
    assert maps["pb"]["max_entries"] == syscall.possible_cpus()
    table = [row.split() for row in run(*command).stdout.splitlines() if row]
    for record in result.records:
        shown = [str(value) for key, value in record.items() if key not in ("type", "id")]
        assert shown in [row[1:] for row in table]


@pytest.mark.parametrize("view", ["source", "asm", "log", "maps"])
@pytest.mark.parametrize("form", ["json", "csv", "demo"])
def test_what_has_no_such_form(view: str, form: str) -> None:
    """It is refused rather than ignored."""
    if (view, form) == ("maps", "json"):
        return
    option = ("--demo",) if form == "demo" else ("--format", form)
    result = run(BIN / "ebpf-minimal", "--show", view, *option)
    cause, _ = assert_error(result, 2)
    assert f"--show {view}" in cause or form == "demo"
    assert result.stdout == ""


AT_UPROBES = [tool for tool in TOOLS if any(isinstance(h, Uprobe) for h in tool.hooks)]


@kernel
@leaves_nothing
@pytest.mark.parametrize("case", on_each_engine(AT_UPROBES), ids=str)
def test_programs_at_uprobes_share_no_stack(case: Case) -> None:
    """A preempted thread and the next one would share 64 bytes or more: lib/probed.bpf.h."""
    target = [str(os.getpid())] if case.tool.name == "mallocstacks" else []
    shown = run(*case.command("--show", "log", *target))
    assert shown.status == 0, shown.stderr
    table, _, _ = shown.stdout.partition("\n\n")
    rows = [line.split() for line in table.splitlines()[1:]]
    assert len(rows) == (2 if case.tool.name == "uprobe" else 1)
    assert all(int(depth) < 64 for row in rows for depth in row[2].split("+")), table


@leaves_nothing
@fault
def test_log_begins_with_the_statistics(case: Case) -> None:
    table, _, logs = shown_as_pid_1(case, "log").partition("\n\n")
    header, *rows = table.splitlines()
    assert header.split() == ["PROCESSED", "STATES", "STACK(B)", "TIME(us)", "NAME"]
    # The log of subprograms has such lines, too: "caller:", "callee:".
    names = "|".join(row.split()[-1] for row in rows)
    parts = re.split(rf"(?m)^({names}):\n", logs)
    counted = {}
    for program, log in zip(parts[1::2], parts[2::2], strict=True):
        (found,) = re.findall(
            r"(?m)^processed (\d+) insns .* total_states (\d+) .*$", log.replace("\n\n", "\n")
        )
        counted[program] = found
    assert {row.split()[-1]: tuple(row.split()[:2]) for row in rows} == counted
    for row in rows:
        _, _, stack, microseconds, _ = row.split()
        assert max(map(int, stack.split("+"))) <= 512
        assert int(microseconds) > 0


@pytest.mark.native
@kernel
@leaves_nothing
def test_log_that_is_too_long() -> None:
    """The kernel takes this program, but not together with so much to write down."""
    result = run(BIN / "ebpf-execsnoop", "--max-args", "200", "--show", "log")
    cause, hint = assert_error(result, 1, "ebpf-execsnoop")
    assert re.fullmatch(r"the verifier's log of \w+ is longer than 16 MiB", cause)
    assert "the kernel may accept the program" in hint
    assert len(result.stdout) > 15 << 20


@kernel
@leaves_nothing
@pytest.mark.parametrize("view", ["source", "asm", "log", "maps"])
@pytest.mark.parametrize("reader", ["head -n 1", "true"])
def test_closed_pipe(view: str, reader: str) -> None:
    """Who has seen enough goes away, and that is no error."""
    command = f"{BIN}/ebpf-bootstrap --engine libbpf --show {view}"
    done = subprocess.run(
        ["bash", "-c", f"{command} | {reader}; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


@kernel
@leaves_nothing
def test_functions_that_are_called(tmp_path: Path) -> None:
    """Their code stands behind the program's own, and has no lines of it."""
    (tmp_path / "two.bpf.c").write_text(
        """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual BSD/GPL";
static __attribute__((noinline)) int helper(int n)
{
	return n + bpf_get_prandom_u32();
}
SEC("tp/syscalls/sys_enter_write")
int program(void *ctx)
{
	return helper(1) != 0;
}
"""
    )
    own_tool(tmp_path, "two", "sys_enter_write")
    asm = show(tmp_path / "tool.py", "libbpf", "asm")
    own, mark, called = asm.partition("; a function that is called, not inlined\n")
    assert own.startswith("program:\n; ")
    assert "; return helper(1) != 0; @ two.bpf.c:11\n" in own
    assert mark
    assert " call get_prandom_u32#7\n" in called
    assert ";" not in called


@pytest.mark.native
@kernel
def test_enumeration() -> None:
    """The names in these views are the kernel's own, from its BTF."""
    btf = Btf.of_kernel(load_libbpf())
    names = btf.enumeration("bpf_map_type")
    assert (names[1], names[27]) == ("BPF_MAP_TYPE_HASH", "BPF_MAP_TYPE_RINGBUF")
    assert btf.enumeration("no_such_enum") == {}
    btf.close()
