"""The kinds of hooks: one file each, and nothing else that has to know."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cases import TOOLS
from support import ENGINES, ROOT, assert_error, run

from ebpf_tour.build import compile_all
from ebpf_tour.loader.hooks import kinds
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

if TYPE_CHECKING:
    from pathlib import Path

    from ebpf_tour.frame.record import Tool

KINDS = "ebpf_tour.loader.hooks"


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.command)
def test_a_tool_imports_its_kinds_only(tool: Tool) -> None:
    script = (
        f"import sys, ebpf_tour.commands.{tool.name}\n"
        f"print(*(name for name in sys.modules if name.startswith('{KINDS}.')))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    own = {type(hook).__module__ for hook in tool.hooks}
    # A Ksyscall is a Kprobe.
    based = {base.__module__ for hook in tool.hooks for base in type(hook).__mro__[1:]}
    assert own <= set(said.decode().split()) <= own | based


def test_each_kind_is_a_file() -> None:
    files = {kind.__module__ for kind in kinds()}
    assert len(files) == len(kinds())
    names = {path.stem for path in (ROOT / "tools/ebpf_tour/loader/hooks").glob("*.py")}
    shared = {"__init__", "cgroup", "kretprobe_event"}
    assert names - shared == {file.rpartition(".")[2] for file in files}


def test_both_spellings_of_a_section() -> None:
    event, raw = Tracepoint("sched", "sched_process_exec"), RawTracepoint("sys_enter")
    for section in (event.section, "tracepoint/sched/sched_process_exec"):
        assert event.is_for(section, "any")
    for section in (raw.section, "raw_tracepoint/sys_enter"):
        assert raw.is_for(section, "any")
    assert not event.is_for("tp/sched/sched_process_exit", "any")


@pytest.mark.kernel
@pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_new_kind_is_one_file(engine: str, tmp_path: Path) -> None:
    """XDP by a link, with its target, and of two programs with the same SEC() the one named."""
    own = shutil.copytree(ROOT / "tests/kind", tmp_path / "kind")
    compile_all(own, own)
    command = ("unshare", "--net", sys.executable, own / "packets.py")
    result = run(*command, "--engine", engine, "--via", "xdp", "--json")
    assert result.status == 0, result.stderr
    assert result.records == [{"packets": 5, "others": 0}]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a copy of the README's tool, for a test to break."""
    return shutil.copytree(ROOT / "examples/own", tmp_path / "own")


def broken(own: Path, old: str, new: str) -> tuple[str, str]:
    """Return cause and hint where the tool's libbpf program has something else."""
    source = own / "kills.bpf.c"
    text = source.read_text()
    assert text.count(old) == 1
    source.write_text(text.replace(old, new))
    compile_all(own, own)
    result = run(sys.executable, own / "kills.py", "--engine", "libbpf", "--demo")
    return assert_error(result, 1, "kills")


@pytest.mark.kernel
def test_a_section_that_is_no_hook_of_the_record(own: Path) -> None:
    cause, hint = broken(own, "sys_enter_kill", "sys_enter_tkill")
    assert cause == (
        "no program in kills.bpf.c is for tracepoint syscalls:sys_enter_kill: there is no "
        'SEC("tp/syscalls/sys_enter_kill")'
    )
    there = 'SEC("tp/syscalls/sys_enter_tkill")'
    assert hint == (
        f"write it, or change the hook in the record, in the tool's Python; kills.bpf.c has {there}"
    )


@pytest.mark.kernel
def test_a_program_that_the_record_does_not_name(own: Path) -> None:
    other = 'SEC("tp/syscalls/sys_exit_kill")\nint other(void *ctx)\n{\n\treturn 0;\n}\n\n'
    section = 'SEC("tp/syscalls/sys_enter_kill")'
    cause, hint = broken(own, section, other + section)
    assert cause == (
        'other() in kills.bpf.c has SEC("tp/syscalls/sys_exit_kill"), but no hook in the '
        "record is for it"
    )
    assert hint == "add the hook to the record, or correct the SEC()"
