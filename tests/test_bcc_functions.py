"""BCC gets only the functions of the chosen hooks."""

from __future__ import annotations

import ctypes as ct  # noqa: TID251 - libbcc is asked what it has compiled
from typing import TYPE_CHECKING

import pytest
from bcc_programs import TOOLS, WAYS, configured
from cases import CAN_RUN
from support import BIN, ENGINES, in_mount_namespace, run

from ebpf_tour.loader import bcc_functions, features
from ebpf_tour.loader.program import FOLLOW_EVENTS

if TYPE_CHECKING:
    from pathlib import Path

    from ebpf_tour.frame.record import Tool

kernel = pytest.mark.kernel(*CAN_RUN)


@kernel
@pytest.mark.parametrize(("tool", "via"), WAYS)
def test_functions_that_are_compiled(tool: Tool, via: str) -> None:
    """Those of the way that was taken, and no others; every line is where it was."""
    hooks = tool.via[via]
    with configured(tool, via) as program:
        program.load()
        lib, module = program._lib, program._bpf.module
        lib.bpf_num_functions.argtypes, lib.bpf_num_functions.restype = [ct.c_void_p], ct.c_size_t
        lib.bpf_function_name.argtypes = [ct.c_void_p, ct.c_size_t]
        lib.bpf_function_name.restype = ct.c_char_p
        compiled = [
            lib.bpf_function_name(module, number).decode()
            for number in range(lib.bpf_num_functions(module))
        ]
        text, file = program._text.split("\n"), program._source.text.split("\n")
    assert sorted(compiled) == sorted(hook.function for hook in hooks)
    assert len(text) == len(file)
    assert all(ours in (line, "") for ours, line in zip(text, file, strict=True))
    # What is left out is said above the source.
    other = [hook for hook in tool.hooks if hook.function not in compiled and "bcc" in hook.engines]
    following = [f"RAW_TRACEPOINT_PROBE({event})" for event in FOLLOW_EVENTS]
    following = [macro for macro in following if macro in program._source.text]
    words = [*via_option(tool, via), *USES_ALL.get(tool.name, ())]
    shown = run(BIN / tool.command, "--engine", "bcc", "--show", "source", *words)
    above = shown.stdout.partition("// SPDX")[0]
    assert above.count("\n *\t") == len(other) + len(following)
    assert all(macro in above for macro in following)
    assert all(bcc_functions.spelled(hook.function) in above for hook in other)


# What it takes for all programs of a way to be used.
USES_ALL = {"syscount": ["--latency"]}


def via_option(tool: Tool, via: str) -> tuple[str, ...]:
    return ("--via", via) if len(tool.via) > 1 else ()


OPTIONAL = [
    tool
    for tool in TOOLS
    if any(hook.optional and hook.kind == "tracepoint" for hook in tool.hooks)
]


@pytest.mark.native
@kernel
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("tool", OPTIONAL)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_optional_tracepoint_that_is_missing(tool: Tool, engine: str, tmp_path: Path) -> None:
    """As open(2) is on arm64. BCC would have no record for the function, and compile nothing."""
    events = f"{features.tracefs()}/events/syscalls"
    hooks = next(hooks for hooks in tool.via.values() if any(hook.optional for hook in hooks))
    needed = [hook.name.partition(":")[2] for hook in hooks if not hook.optional]
    setup = f"mount --bind {events} {tmp_path}\nmount -t tmpfs none {events}\n" + "\n".join(
        f"mkdir {events}/{name}\nmount --bind {tmp_path}/{name} {events}/{name}" for name in needed
    )
    command = (BIN / tool.command, "--engine", engine, *via_option(tool, "tracepoint"))
    result = run(*in_mount_namespace(setup, *command, "--time-limit", "0.1"))
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Ctrl-C to end.\n")


TEXT = """\
#include "x.h"
/* int kprobe__in_a_comment(struct pt_regs *ctx)
{
} */
#define MACRO(name) int name(void) { return 0; }
BPF_HASH(map, u32);
static int helper(int a) { return a; }
static __always_inline
int other(int a)
{
	return a;
}
int kprobe__one_line(struct pt_regs *ctx) { return helper(1); }
int helper_of_its_own(int a)
{
	return a;
}
TRACEPOINT_PROBE( sched , sched_switch )
{
	char brace = '}';
	if (helper(1)) {
		return 1;
	}
	return 0;
}
u64 handle(struct pt_regs *ctx,
	int a)
{
	return 0;
}
KRETFUNC_PROBE(vfs_mkdir, struct inode *dir, int ret)
{
	return 0;
}
int last(void *ctx)
{
	return 0;
"""


def test_functions_of_a_file() -> None:
    found = {f.names[0]: f for f in bcc_functions.functions(TEXT)}
    assert list(found) == [
        *("kprobe__one_line", "helper_of_its_own", "tracepoint__sched__sched_switch", "handle"),
        *("kretfunc__vfs_mkdir", "last"),
    ]
    tracepoint = found["tracepoint__sched__sched_switch"]
    assert tracepoint.written == "TRACEPOINT_PROBE(sched, sched_switch)"
    assert found["kretfunc__vfs_mkdir"].is_among(["kretfunc__vmlinux__vfs_mkdir"])
    lines = TEXT.split("\n")
    first, last = lines[tracepoint.start], lines[tracepoint.end - 1]
    assert (first, last) == ("TRACEPOINT_PROBE( sched , sched_switch )", "}")
    one = found["kprobe__one_line"]
    assert one.end == one.start + 1
    assert found["last"].end == len(lines)


def test_without_functions() -> None:
    every = bcc_functions.functions(TEXT)
    rest = bcc_functions.without(TEXT, every)
    assert len(rest.split("\n")) == len(TEXT.split("\n"))
    assert bcc_functions.functions(rest) == []
    assert "static int helper(int a) { return a; }" in rest
    assert bcc_functions.without(TEXT, []) == TEXT


@pytest.mark.parametrize(
    ("function", "spelled"),
    [
        ("tracepoint__syscalls__sys_enter_open", "TRACEPOINT_PROBE(syscalls, sys_enter_open)"),
        ("raw_tracepoint__sys_enter", "RAW_TRACEPOINT_PROBE(sys_enter)"),
        ("kfunc__do_unlinkat", "KFUNC_PROBE(do_unlinkat)"),
        ("kprobe__vfs_mkdir", "kprobe__vfs_mkdir()"),
        ("syscall__execve", "syscall__execve()"),
    ],
)
def test_how_a_file_says_it(function: str, spelled: str) -> None:
    assert bcc_functions.spelled(function) == spelled
