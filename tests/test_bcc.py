"""Tools outside of the package that have only a C file in the BCC dialect."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cases import fault, need_hooks
from support import BIN, assert_error, everyones, run

if TYPE_CHECKING:
    from pathlib import Path

    from cases import Case
    from support import Result


pytestmark = [pytest.mark.kernel(), pytest.mark.usefixtures("leaves_nothing")]

TOOL = """\
import os, sys
from ebpf_tour.frame import cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.frame.record import Column, Tool

TOOL = Tool(
    "own",
    directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_getppid"),)},
    columns=(Column("pid", "PID", "", 7, right=True),),
)

def run(session):
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Tracing getppid()")
        os.getppid()
        for event in program.events("rb", session):
            session.row({"pid": event.pid})

sys.exit(cli.main(TOOL, run))
"""

C = """\
#include <linux/sched.h>
struct event {
	int pid;
};
BPF_RINGBUF_OUTPUT(rb, 16);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event e = { .pid = task->tgid };

	rb.ringbuf_output(&e, sizeof(e), 0);
	return 0;
}
"""


class Own(NamedTuple):
    """A tool of one's own: its directory."""

    directory: Path

    def run(self, *arguments: str, c: str = C, tool: str = TOOL, engine: str = "bcc") -> Result:
        (self.directory / "own.bcc.c").write_text(c)
        (self.directory / "own.py").write_text(tool)
        path = self.directory / "own.py"
        return run(sys.executable, path, "--engine", engine, *arguments)


@pytest.fixture
def own(tmp_path: Path) -> Own:
    return Own(tmp_path)


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


@pytest.mark.native
@pytest.mark.parametrize("engine", ["bcc", "auto"])
def test_no_compiled_object(own: Own, engine: str) -> None:
    """Nothing of the libbpf dialect is there, and the tool says which engine it takes."""
    result = own.run("--json", "--limit", "1", engine=engine)
    assert result.status == 0, result.stderr
    assert len(result.records) == 1
    *fallback, attached = result.stderr.splitlines()
    assert attached == "Tracing getppid()... Ctrl-C to end."
    assert len(fallback) == (engine == "auto")
    assert all(re.match(r"own: using BCC, since .*\bown\.bpf\.", line) for line in fallback)


@fault
@pytest.mark.native
def test_without_the_other_engine(case: Case, open_directory: Path) -> None:
    """In a copy of the package that cannot import libbpf.py, and has no objects."""
    need_hooks(case)
    command = everyones(case.tool.name, open_directory)
    package = open_directory / "ebpf_tour"
    (package / "loader/libbpf.py").write_text("raise ImportError(__file__)\n")
    for path in package.glob("bpf/*/*.bpf.o"):
        path.unlink()
    result = run(BIN / "python", command, "--engine", "bcc", "--demo")
    assert result.status == 0, result.stderr
    assert "Demo: saw " in result.stderr
    other = run(BIN / "python", command, "--engine", "libbpf", "--demo")
    assert other.stderr.endswith(f"ImportError: {package}/loader/libbpf.py\n")


ODD = """\
enum kind { FIRST = 1, LAST };
struct inner {
	s16 low;
	u64 high;
};
struct event {
	char letter;
	struct inner inner;
	enum kind kind;
	s8 small;
	bool flag;
	u16 three[3];
	u8 bytes[3];
	kuid_t user;
	union { u32 whole; u8 part; } both;
	struct inner pair[2];
	void *nothing;
	u8 last;
}%s;
BPF_RINGBUF_OUTPUT(rb, 16);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	struct event *e = rb.ringbuf_reserve(sizeof(*e));

	if (!e)
		return 0;
	e->letter = 'x';
	e->inner.low = -2;
	e->inner.high = 1ULL << 63;
	e->kind = LAST;
	e->small = -3;
	e->flag = true;
	e->three[0] = 4;
	e->three[1] = 5;
	e->three[2] = 65535;
	e->bytes[0] = 6;
	e->bytes[1] = 0;
	e->bytes[2] = 7;
	e->user.val = 8;
	e->both.whole = 0x01010101;
	e->pair[0].low = e->pair[1].low = 0x0909;
	e->nothing = 0;
	e->last = 255;
	rb.ringbuf_submit(e, 0);
	return 0;
}
"""


@pytest.mark.parametrize("packed", ["", " __attribute__((packed))"], ids=["plain", "packed"])
def test_a_record_of_all_kinds(own: Own, packed: str) -> None:
    """It is reserved and submitted, so that no map has it for a value."""
    tool = changed(
        TOOL,
        'session.row({"pid": event.pid})',
        'sys.stderr.write(f"{event}\\n"); session.row({"pid": 0})',
    )
    result = own.run("--limit", "1", c=ODD % packed, tool=tool)
    assert result.status == 0, result.stderr
    (row,) = [line for line in result.stderr.splitlines() if line.startswith("event(")]
    found = re.fullmatch(r"(.*, pair=)b'(\S+)'(, nothing=0, last=255\))", row)
    assert found
    assert found[1] == (
        "event(letter=120, low=-2, high=9223372036854775808, kind=2, small=-3, flag=1, "
        r"three=(4, 5, 65535), bytes=b'\x06\x00\x07', val=8, both=b'\x01\x01\x01\x01', pair="
    )
    assert found[2].count(r"\t\t") == 2


@pytest.mark.parametrize(
    ("member", "cause"),
    [
        ("int bits : 3;", "bits in struct event is a bit field, which Python does not read here"),
        ("union { int a; char b; };", "there is a union without a name in struct event"),
    ],
)
def test_a_record_that_python_cannot_read(own: Own, member: str, cause: str) -> None:
    """It is said before the tool says that it is attached."""
    result = own.run(c=changed(C, "int pid;", f"int pid;\n\t{member}"))
    assert assert_error(result, 1, "own")[0] == cause
    assert "Ctrl-C" not in result.stderr


NO_EVENT = "there is no struct event in own.bcc.c, which says what a record looks like"


def test_no_struct_event(own: Own) -> None:
    text = C.replace("struct event", "struct record")
    cause, hint = assert_error(own.run(c=text), 1, "own")
    assert cause == NO_EVENT
    assert hint == "give this name to the structure that goes through rb"
    # A name alone is no layout.
    text = C.replace("struct event", "struct record") + "struct event *other;\n"
    assert assert_error(own.run(c=text), 1, "own")[0] == cause


def test_no_struct_event_for_a_perf_buffer(own: Own) -> None:
    text = C.replace("struct event", "struct record")
    text = changed(text, "BPF_RINGBUF_OUTPUT(rb, 16)", "BPF_PERF_OUTPUT(rb)")
    text = changed(
        text, "rb.ringbuf_output(&e, sizeof(e), 0)", "rb.perf_submit(args, &e, sizeof(e))"
    )
    result = own.run(c=text)
    cause, _ = assert_error(result, 1, "own")
    assert cause == NO_EVENT
    assert "Ctrl-C" not in result.stderr


@pytest.mark.native
def test_few_capabilities(own: Own) -> None:
    """Reading the types of what one has loaded oneself takes no CAP_SYS_ADMIN."""
    own.run("--show", "source")  # writes the files
    result = run(
        *("setpriv", "--bounding-set=-all,+bpf,+perfmon,+dac_read_search", sys.executable),
        *(own.directory / "own.py", "--engine", "bcc", "--json", "--limit", "1"),
    )
    assert result.status == 0, result.stderr


def test_lines_that_the_compiler_names(own: Own) -> None:
    """They are those of the file, whatever comes before it: kernel structures, an #include."""
    result = own.run(c=changed(C, "task->tgid", "task->nonsense"))
    assert_error(result, 1, "own")
    assert "  own.bcc.c:9:34: error: no member named 'nonsense'" in result.stderr


def test_lines_that_show_names(own: Own) -> None:
    result = own.run("--show", "asm")
    assert (result.status, result.stderr) == (0, "")
    shown = [line for line in result.stdout.splitlines() if line.startswith(";")]
    assert shown[0] == (
        "; struct task_struct *task = (void *)bpf_get_current_task(); @ own.bcc.c:8"
    )
    assert shown[-1] == "; return 0; @ own.bcc.c:12"


def test_lines_that_the_kernel_names(own: Own) -> None:
    """The text, and not that of another line; BCC numbers what it has made of the file."""
    result = own.run("--show", "log")
    assert (result.status, result.stderr) == (0, "")
    shown = [line for line in result.stdout.splitlines() if line.startswith(";")]
    assert shown[0].startswith("; struct task_struct *task = (void *)bpf_get_current_task();")
    assert shown[-1].startswith("; return 0;")


def test_lines_that_the_verifier_refuses(own: Own) -> None:
    endless = "\n\twhile (bpf_ktime_get_ns());\n\tstruct event e"
    result = own.run(c=changed(C, "\n\tstruct event e", endless))
    cause, _ = assert_error(result, 1, "own")
    assert "at own.bcc.c:9: infinite loop detected" in cause


HELPERS = """\
#pragma once
struct task_struct;
static __always_inline int pid_of(struct task_struct *task)
{
	return task->tgid;
}
BPF_ARRAY(seen, u64, 1);
"""
WITH_HELPERS = C.replace("struct event {", '#include "lib/own.h"\nstruct event {').replace(
    ".pid = task->tgid", ".pid = pid_of(task)"
)


def with_header(own: Own, header: str) -> None:
    (own.directory / "lib").mkdir()
    (own.directory / "lib/own.h").write_text(header)


def test_a_header_is_in_the_dialect(own: Own) -> None:
    """BCC rewrites nothing in a file that it includes itself: neither reads nor maps."""
    with_header(own, HELPERS)
    text = WITH_HELPERS.replace('"lib/own.h"\n', '"lib/own.h"\n#include "lib/../lib/own.h"\n')
    result = own.run("--json", "--limit", "1", c=text)
    assert result.status == 0, result.stderr
    assert [row["pid"] > 0 for row in result.records] == [True]


def test_a_header_in_a_condition(own: Own) -> None:
    """The first #include of two is left out by the preprocessor, the second one counts."""
    with_header(own, HELPERS)
    include = '#include "lib/own.h"\n'
    text = WITH_HELPERS.replace(include, f"#if 0\n{include}#endif\n/*\n{include}*/\n{include}")
    result = own.run("--json", "--limit", "1", c=text)
    assert result.status == 0, result.stderr


def test_lines_of_a_header(own: Own) -> None:
    """In --show asm, in the compiler's messages, and where the verifier refuses."""
    with_header(own, HELPERS)
    result = own.run("--show", "asm", c=WITH_HELPERS)
    assert (result.status, result.stderr) == (0, "")
    assert "; return task->tgid; @ own.h:5\n" in result.stdout
    assert result.stdout.rstrip().rpartition("; return 0; @ own.bcc.c:")[2].startswith("13\n")
    (own.directory / "lib/own.h").write_text(HELPERS.replace("task->tgid", "task->nonsense"))
    result = own.run(c=WITH_HELPERS)
    assert_error(result, 1, "own")
    assert "  lib/own.h:5:15: error: no member named 'nonsense'" in result.stderr
    (own.directory / "lib/own.h").write_text(f"{HELPERS}#warning 'here'\n")
    result = own.run("-v", "--json", "--limit", "1", c=WITH_HELPERS)
    assert result.status == 0, result.stderr
    assert "lib/own.h:8:2: warning: 'here'" in result.stderr
    (own.directory / "lib/own.h").write_text(HELPERS.replace("task->tgid", "half(task->tgid)"))
    cause, _ = assert_error(own.run(c=WITH_HELPERS), 1, "own")
    assert cause == "there is no function half, which own.h calls"
    endless = HELPERS.replace("\treturn task", "\twhile (bpf_ktime_get_ns());\n\treturn task")
    (own.directory / "lib/own.h").write_text(endless)
    cause, _ = assert_error(own.run(c=WITH_HELPERS), 1, "own")
    assert "at own.h:5: infinite loop detected" in cause


# Programs and hooks that do not match.

PROBE = "TRACEPOINT_PROBE(syscalls, sys_enter_getppid)"
MORE = """
TRACEPOINT_PROBE(syscalls, sys_enter_nonsense)
{
	return args->pid;
}
"""


def assert_refused(result: Result) -> tuple[str, str]:
    """Demand an error before the first row; return cause and hint."""
    assert "Ctrl-C" not in result.stderr
    assert result.stdout == ""
    return assert_error(result, 1, "own")


@pytest.mark.parametrize(
    ("c", "there"),
    [
        # A tracepoint that no kernel has, and one of the wrong name.
        (
            C.replace("sys_enter_getppid", "sys_enter_getpppid"),
            "TRACEPOINT_PROBE(syscalls, sys_enter_getpppid)",
        ),
        (C.replace("sys_enter_getppid", "sys_enter_getpid"), PROBE.replace("pp", "p")),
        (C.replace(PROBE, "int on_getppid(void *args)"), "on_getppid()"),
        (C.replace(PROBE, "static int on_getppid(void *args)"), "no program at all"),
        (C.replace(PROBE, f"/* {PROBE} */"), "no program at all"),
    ],
    ids=["no such tracepoint", "another", "function", "static", "comment"],
)
def test_a_hook_without_a_program(own: Own, c: str, there: str) -> None:
    cause, hint = assert_refused(own.run(c=c))
    assert cause == (
        f"no program in own.bcc.c is for tracepoint syscalls:sys_enter_getppid: there is no {PROBE}"
    )
    assert hint == (
        f"write it, or change the hook in the record, in the tool's Python; own.bcc.c has {there}"
    )


@pytest.mark.parametrize(
    ("more", "written"),
    [
        (MORE, "TRACEPOINT_PROBE(syscalls, sys_enter_nonsense)"),
        ("int handle(struct pt_regs *ctx)\n{\n\treturn 0;\n}\n", "handle()"),
        ("u64 half(u64 n)\n{\n\treturn n / 2;\n}\n", "half()"),
    ],
    ids=["macro", "function", "helper"],
)
def test_a_program_without_a_hook(own: Own, more: str, written: str) -> None:
    """It would never run, and in silence."""
    cause, hint = assert_refused(own.run(c=C + more))
    assert cause == f"{written} in own.bcc.c is a program, but no hook in the record is for it"
    assert hint == "add its hook to the record; if it is no program, declare it static"


def test_a_tracepoint_that_is_missing(own: Own) -> None:
    """The record and the C file agree, and this kernel has it not."""
    nonsense = ("sys_enter_getppid", "sys_enter_nonsense")
    result = own.run(c=C.replace(*nonsense), tool=TOOL.replace(*nonsense))
    cause, hint = assert_error(result, 69, "own")
    assert cause.startswith("this kernel has no tracepoint syscalls:sys_enter_nonsense")
    assert hint.startswith("list what it has: ls ")


# Names that are not there.


def with_line(call: str, *, before_load: bool) -> str:
    load, line = "        program.load()\n", f"        {call}\n"
    return changed(TOOL, load, "".join((line, load) if before_load else (load, line)))


@pytest.mark.parametrize(
    "call",
    [
        'next(program.events("bufer", session))',
        'program.map("bufer")',
        'program.map_fd("bufer")',
        'program.counter("bufer")',
    ],
)
def test_no_such_map(own: Own, call: str) -> None:
    cause, hint = assert_refused(own.run(tool=with_line(call, before_load=False)))
    assert cause == "there is no map bufer in own.bcc.c"
    assert hint == "it has rb: take one of them, or declare bufer there"


@pytest.mark.parametrize("call", ['program.max_entries["bufer"] = 1', 'program.omit_map("bufer")'])
def test_no_such_map_before_load(own: Own, call: str) -> None:
    cause, hint = assert_refused(own.run(tool=with_line(call, before_load=True)))
    assert cause == "there is no map bufer in own.bcc.c"
    assert hint == "declare bufer there, or name a map that it has"


def test_a_size_that_is_fixed(own: Own) -> None:
    """The hint makes it right."""
    tool = with_line('program.max_entries["rb"] = 65536', before_load=True)
    cause, hint = assert_refused(own.run(tool=tool))
    assert cause == "own.bcc.c does not contain rb_max_entries, so the size of the map rb is fixed"
    assert hint.startswith("write rb_max_entries where rb is declared")
    sized = "BPF_RINGBUF_OUTPUT(rb, rb_max_entries / PAGE_SIZE)"
    c = changed(C, "BPF_RINGBUF_OUTPUT(rb, 16)", sized)
    result = own.run("--limit", "1", c=c, tool=tool)
    assert result.status == 0, result.stderr


@pytest.mark.parametrize("c", [C, C + "/* loss */\n"], ids=["nowhere", "in a comment"])
def test_no_such_global(own: Own, c: str) -> None:
    tool = with_line('program.globals["loss"] = 1', before_load=True)
    cause, hint = assert_refused(own.run(c=c, tool=tool))
    assert cause == "there is no global variable loss in own.bcc.c"
    assert hint == "write loss there where the program needs the number: the compiler gets -Dloss="


@pytest.mark.parametrize("declared", ["BPF_HASH(lost, u32, u64);", "BPF_ARRAY(lost, u32, 1);"])
def test_a_map_that_is_no_counter(own: Own, declared: str) -> None:
    tool = with_line('program.counter("lost")', before_load=False)
    cause, hint = assert_refused(own.run(c=f"{C}{declared}\n", tool=tool))
    assert cause == "the map lost in own.bcc.c is not a counter"
    right = hint.removeprefix("declare it as an array with one u64: ")
    result = own.run("--limit", "1", c=f"{C}{right}\n", tool=tool)
    assert result.status == 0, result.stderr


# What BCC itself says, and does not say.


@pytest.mark.parametrize("name", ["bpf_get_nonsense", "htons", "printf"])
def test_a_function_that_is_not_there(own: Own, name: str) -> None:
    """Clang 14 only warns of it, and makes a jump to nowhere."""
    argument = '"x"' if name == "printf" else "1"
    result = own.run(c=changed(C, "task->tgid", f"{name}({argument})"))
    cause, hint = assert_refused(result)
    assert cause == f"there is no function {name}, which own.bcc.c calls"
    assert hint == "look for the helper in bpf-helpers(7); declare a function of your own static"
    assert "  own.bcc.c:9:28: error: " in result.stderr


def test_no_licence(own: Own) -> None:
    """BCC gives a program one by itself: GPL, which bpf_trace_printk() asks for."""
    c = changed(C, "\treturn 0;\n", '\tbpf_trace_printk("x");\n\treturn 0;\n')
    result = own.run("--limit", "1", c=c)
    assert result.status == 0, result.stderr


def test_no_file_in_this_dialect(own: Own) -> None:
    own.run("--show", "source")  # writes the tool
    (own.directory / "own.bcc.c").unlink()
    result = run(sys.executable, own.directory / "own.py", "--engine", "bcc")
    cause, hint = assert_error(result, 69, "own")
    assert cause == f"{own.directory}/own.bcc.c is not there"
    assert hint == "write it, or use --engine libbpf"
