"""A tool outside of the package: the loader is for readers' programs, too."""

from __future__ import annotations

import re
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from own_tool import own_tool
from support import ARCHITECTURE, ROOT, Running, assert_error, run

from ebpf_tour.build import compile_all

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kernel(), pytest.mark.usefixtures("leaves_nothing")]

LIBBPF = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "calls.h"
char LICENSE[] SEC("license") = "Dual BSD/GPL";
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct caller);
	__type(value, __u64);
} calls SEC(".maps");
SEC("tp/syscalls/sys_enter_getppid")
int count_call(void *ctx)
{
	struct caller key = { .pid = bpf_get_current_pid_tgid() >> 32 };
	__u64 one = 1, *count = bpf_map_lookup_elem(&calls, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&calls, &key, &one, BPF_NOEXIST);
	return 0;
}
"""

BCC = """\
#include "calls.h"
BPF_HASH(calls, struct caller, u64, 10240);
TRACEPOINT_PROBE(syscalls, sys_enter_getppid)
{
	struct caller key = { .pid = bpf_get_current_pid_tgid() >> 32 };

	calls.atomic_increment(key);
	return 0;
}
"""

# The whole user side: columns, options, JSON and errors come from the package.
TOOL = f"""\
#!{sys.executable}
import os, sys
from ebpf_tour.frame import cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.frame.record import Column, Tool

TOOL = Tool(
    "calls",
    summary="count the calls of getppid by process",
    directory=os.path.dirname(__file__),
    via={{"tracepoint": (Tracepoint("syscalls", "sys_enter_getppid"),)}},
    columns=(Column("pid", "PID", "", 7, right=True), Column("count", "COUNT", "", 8, right=True)),
)

def run(session):
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Counting getppid()")
        for _ in range(3):
            os.getppid()
        program.detach()
        counts = program.map("calls").items()
        session.report(
            {{"pid": caller.pid, "count": n}} for caller, n in counts if caller.pid == os.getpid()
        )

sys.exit(cli.main(TOOL, run))
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    (tmp_path / "calls.h").write_text("struct caller {\n\tint pid;\n};\n")
    (tmp_path / "calls.bpf.c").write_text(LIBBPF)
    (tmp_path / "calls.bcc.c").write_text(BCC)
    path = tmp_path / "calls.py"
    path.write_text(TOOL)
    path.chmod(0o755)
    return path


def test_own_tool(calls: Path, engine: str) -> None:
    """Its own header, the package's vmlinux.h, a map with a structure for its key."""
    compile_all(calls.parent, calls.parent)
    result = run(calls, "--engine", engine, "--json")
    assert result.status == 0, result.stderr
    assert result.stderr == "Counting getppid()... Ctrl-C to end.\n"
    assert [row["count"] for row in result.records] == [3]
    header, *_, row = run(calls, "--engine", engine).stdout.splitlines()
    assert header.split() == ["PID", "COUNT"]
    assert row.split()[1] == "3"


@pytest.mark.core
def test_readme(tmp_path: Path, engine: str) -> None:
    """The tool that README.md shows, in a directory that is not the package's."""
    own = shutil.copytree(ROOT / "examples/own", tmp_path / "own")
    compile_all(own, own)
    command = (sys.executable, own / "kills.py", "--engine", engine, "--demo", "--json")
    with Running(*command) as tool:
        result = tool.finish()
    assert result.status == 0, result.stderr
    assert result.summary["lost"] == 0
    (row,) = (row for row in result.records if row["target"] == tool.pid)
    assert row["signal"] == 0
    assert row["pid"] not in (0, row["target"])
    assert re.match("python", row["comm"])


@pytest.mark.core
def test_sockets(tmp_path: Path, engine: str) -> None:
    """The tool that examples/reference.md shows: each call is counted, by process."""
    own = shutil.copytree(ROOT / "examples/own", tmp_path / "own")
    compile_all(own, own)
    command = (sys.executable, own / "sockets.py", "--engine", engine, "--top", "0", "--json")
    with Running(*command, "--demo") as tool:
        result = tool.finish()
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw at least as many as it caused (7).\n")
    assert result.summary["lost"] == 0
    last = {row["pid"]: row for row in result.records}  # each report has all so far
    assert tool.pid not in last
    assert 7 in [row["count"] for row in last.values() if row["comm"].startswith("python")]


def test_sockets_of_a_user(tmp_path: Path, engine: str) -> None:
    """Only what this user's processes make; --top 1 shows the one with the most."""
    own = shutil.copytree(ROOT / "examples/own", tmp_path / "own")
    compile_all(own, own)
    make = "import socket; [socket.socket().close() for _ in range({})]"
    nobody = ("setpriv", "--reuid=61234", "--clear-groups", "/usr/bin/python3", "-c")
    options = ("-u", "61234", "--top", "1", "--interval", "60", "--engine", engine, "--json")
    with Running(sys.executable, own / "sockets.py", *options) as tool:
        tool.wait_attached()
        run("/usr/bin/python3", "-c", make.format(9))
        run(*nobody, make.format(3))
        run(*nobody, make.format(5))
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert [row["count"] for row in result.records] == [5]


# Around the lines that examples/reference.md has below "In the C".
LINES_LIBBPF = """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "lib/maps.bpf.h"
char LICENSE[] SEC("license") = "GPL";
struct event {{ char comm[16]; char text[16]; }} *layout __attribute__((unused));
struct {{ __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 65536); }} rb SEC(".maps");
struct {{
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
}} counts SEC(".maps");
__u64 lost;
SEC("tp/syscalls/sys_enter_socket")
int enter(struct trace_event_raw_sys_enter *ctx)
{{
	struct event e = {{}};
	__u32 key = 0;
	__u64 zero = 0, value = 1, *count = bpf_map_lookup_elem(&counts, &key);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	void *address = task;

	if (!count)
		return 0;
{}
	return 0;
}}
SEC("tp/syscalls/sys_exit_socket")
int leave(struct trace_event_raw_sys_exit *ctx)
{{
{}
	return 0;
}}
"""
LINES_BCC = """\
#include <linux/sched.h>
struct event {{ char comm[16]; char text[16]; }};
BPF_RINGBUF_OUTPUT(rb, 16);
BPF_HASH(counts, u32, u64, 16);
BPF_ARRAY(lost, u64, 1);
TRACEPOINT_PROBE(syscalls, sys_enter_socket)
{{
	struct event e = {{}};
	u32 key = 0;
	u64 zero = 0, value = 1, *count = counts.lookup(&key);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	void *address = task;
	int first = 0;

	if (!count)
		return 0;
{}
	return 0;
}}
TRACEPOINT_PROBE(syscalls, sys_exit_socket)
{{
{}
	return 0;
}}
"""


def lines_in_the_c(dialect: int) -> tuple[list[str], list[str]]:
    """Return the lines of the reference, of one column: at the call, and at its return."""
    page = (ROOT / "examples/reference.md").read_text(encoding="utf-8")
    section = page.partition("\n## In the C\n")[2].partition("\n`BPF_CORE_READ()`")[0]
    entry: list[str] = []
    leave: list[str] = []
    for row in section.splitlines():
        if row.startswith("| ") and "`" in row:
            what, *columns = (cell.strip() for cell in row.strip("|").split("|"))
            shown = columns[0] if columns[dialect] == "the same" else columns[dialect]
            lines = leave if what.startswith("the result") else entry
            lines.append(shown.split("`")[1])
    return entry, leave


def test_lines_in_the_c(tmp_path: Path, engine: str) -> None:
    """The compiler, the verifier and BCC take each of them as it is shown."""
    for dialect, (name, form) in enumerate((("bpf", LINES_LIBBPF), ("bcc", LINES_BCC))):
        entry, leave = lines_in_the_c(dialect)
        assert (len(entry), len(leave)) == (16, 1)
        statement = "(void)({});" if name == "bpf" else "{};"
        texts = ("\n".join(map(statement.format, lines)) for lines in (entry, leave))
        (tmp_path / f"lines.{name}.c").write_text(form.format(*texts))
    own_tool(tmp_path, "lines", "sys_enter_socket", "sys_exit_socket")
    result = run(tmp_path / "tool.py", "--engine", engine)
    assert (result.status, result.stderr) == (0, "")


@pytest.mark.native
def test_not_permitted(calls: Path) -> None:
    """The line to paste names the Python that has the package."""
    compile_all(calls.parent, calls.parent)
    without = ("setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon")
    _, hint = assert_error(run(*without, sys.executable, calls), 77, "calls")
    assert hint == f"run it as root: sudo {sys.executable} {calls}"


@pytest.mark.native
def test_not_compiled(calls: Path) -> None:
    """The hint is the command that compiles it."""
    cause, hint = assert_error(run(calls, "--engine", "libbpf"), 69, "calls")
    assert cause == f"{calls.parent}/{ARCHITECTURE}/calls.bpf.o is not there"
    command = hint.removeprefix("compile it: ")
    assert run("sh", "-c", command).status == 0
    assert run(calls, "--engine", "libbpf", "--json").records[0]["count"] == 3


@pytest.mark.native
def test_help(calls: Path) -> None:
    result = run(calls, "--help")
    assert result.stdout.startswith("usage: calls [-h] ")
    assert "count the calls of getppid by process" in result.stdout


def test_refusal_in_a_function_that_is_called(tmp_path: Path) -> None:
    """Not the last line of the program itself, which stands before that function's code."""
    (tmp_path / "two.bpf.c").write_text(
        """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual BSD/GPL";
static __attribute__((noinline)) int helper(int *where)
{
	return *where;
}
SEC("tp/syscalls/sys_enter_getppid")
int program(void *ctx)
{
	return helper((void *)bpf_get_current_task()) != 0;
}
"""
    )
    own_tool(tmp_path, "two", "sys_enter_getppid")
    result = run(tmp_path / "tool.py", "--engine", "libbpf")
    cause, _ = assert_error(result, 1, "two")
    # Linux says where since 6.9.
    pattern = r"the kernel's verifier refuses program(?: at two\.bpf\.c:(\d+))?: .*"
    match = re.fullmatch(pattern, cause)
    assert match
    assert match[1] in ("6", None)
    shown = [line.strip() for line in result.stderr.splitlines() if line.startswith("  ; ")]
    assert shown[-1].startswith("; return *where;")


# The verifier follows these for long: by many branches, and by many turns.
BRANCHES = """
	const char *p = (void *)bpf_get_current_task();
	unsigned long i, n = bpf_get_prandom_u32();
	char c;

	for (i = 0; i < n; i++) {
		bpf_probe_read_kernel(&c, 1, p + i);
		if (c == 0)
			break;
	}
	return i;
"""
TURNS = """
	unsigned long n = 0;

	do
		n += 3;
	while (bpf_get_prandom_u32() != n);
	return 0;
"""


@pytest.mark.native
@pytest.mark.parametrize(
    ("body", "reason"),
    [(BRANCHES, "jumps is too complex"), (TURNS, "program is too large. Processed 1000001 insn")],
    ids=["branches", "turns"],
)
def test_refusal_with_a_long_log(tmp_path: Path, engine: str, body: str, reason: str) -> None:
    """Of some ten MiB. The reason is at its end, and what is shown stays short."""
    (tmp_path / "long.bpf.c").write_text(
        '#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n'
        'char LICENSE[] SEC("license") = "Dual BSD/GPL";\n'
        f'SEC("tp/syscalls/sys_enter_getppid")\nint prog(void *ctx)\n{{\n{body}}}\n'
    )
    (tmp_path / "long.bcc.c").write_text(
        f"TRACEPOINT_PROBE(syscalls, sys_enter_getppid)\n{{\n{body}}}\n"
    )
    own_tool(tmp_path, "long", "sys_enter_getppid")
    result = run(tmp_path / "tool.py", "--engine", engine)
    cause, hint = assert_error(result, 1, "long")
    assert reason in cause
    assert f" at long.{'bpf' if engine == 'libbpf' else 'bcc'}.c:" in cause
    assert "limit" in hint
    assert len(result.stderr.splitlines()) < 15
