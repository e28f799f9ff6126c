"""Tools outside of the package that have only a C file in the BCC dialect."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import assert_error, run

if TYPE_CHECKING:
    from pathlib import Path

    from support import Result

pytestmark = [pytest.mark.kernel(), pytest.mark.usefixtures("leaves_nothing")]

TOOL = """\
import os, sys
from ebpf_tour import cli
from ebpf_tour.loader import open_program
from ebpf_tour.loader.hooks import Tracepoint
from ebpf_tour.record import Column, Tool

TOOL = Tool(
    "own",
    directory=os.path.dirname(__file__),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_getppid"),)},
    columns=(Column("pid", "PID", "", 7, right=True),),
)

def run(session):
    with open_program(TOOL, session) as program:
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

    def run(self, *arguments: str, c: str = C, tool: str = TOOL) -> Result:
        (self.directory / "own.bcc.c").write_text(c)
        (self.directory / "own.py").write_text(tool)
        path = self.directory / "own.py"
        return run(sys.executable, path, "--engine", "bcc", *arguments)


@pytest.fixture
def own(tmp_path: Path) -> Own:
    return Own(tmp_path)


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1
    return text.replace(old, new)


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
