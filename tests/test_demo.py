"""What --demo says, and whose rows it takes for its own."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import (
    CAN_RUN,
    Case,
    lists,
    option,
    samples,
    sees_packets,
    stands_in,
    watches_a_process,
)
from own_tool import own_tool
from support import (
    BIN,
    ENGINES,
    PATIENCE_S,
    UNSUPPORTED,
    Result,
    Running,
    assert_error,
    run,
    wait_until,
)
from test_session import TOOL as PIPE

from ebpf_tour.base.errors import Error
from ebpf_tour.frame.demo import Demo, DemoRun
from ebpf_tour.frame.interrupt import Interrupt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpf_tour.frame.record import Tool

pytestmark = [pytest.mark.native, pytest.mark.usefixtures("leaves_nothing")]


def counts(tool: Tool) -> bool:
    """Say whether its rows are counts, which the whole machine has a part in."""
    return any(column.key == "count" or column.histogram for column in tool.columns)


# Rows of these are counts, too, but in their demos nobody else has a part in them.
EVENTS = [tool for tool in CAN_RUN if not counts(tool) and tool.name not in ("xdp", "cgroup")]
# Of some, which watch themselves or a network of the demo's own, no other process can
# cause a row.
ALONE = ("minimal", "uprobe", "usdt")
OF_ALL = [
    tool
    for tool in EVENTS
    if tool.name not in ALONE and not sees_packets(tool) and not stands_in(tool)
]


def on_one_engine(some_tools: list[Tool]) -> list[Case]:
    """Return a case for each tool, and each engine in turn: a demo is the same on both."""
    return [
        Case(tool, tool.engines[number % len(tool.engines)])
        for number, tool in enumerate(some_tools)
    ]


def said(result: Result) -> str:
    """Return what it said last."""
    return result.stderr.splitlines()[-1]


def all_at_once(commands: list[list[str | Path]]) -> list[Result]:
    with contextlib.ExitStack() as stack:
        tools = [stack.enter_context(Running(*command)) for command in commands]
        return [tool.finish() for tool in tools]


@pytest.mark.kernel(*EVENTS)
def test_limit() -> None:
    """Two rows are right, and not every row that it causes."""
    cases = on_one_engine(EVENTS)
    for result in all_at_once([case.command("--demo", "--limit=2", "--json") for case in cases]):
        assert result.status == 0, result.stderr
        assert result.summary["events"] == len(result.records) == 2
        wanted = r"Demo: ended by --limit after [012] of the \d+ rows that it causes\."
        assert re.fullmatch(wanted, said(result))


def own_calls(tool: Tool) -> list[str]:
    return ["--syscall=getppid"] if option(tool, "--syscall") else []


@pytest.mark.kernel(*CAN_RUN)
def test_limit_that_is_enough() -> None:
    """Of counts, one row is all: the largest, so of the system calls only its own are counted.

    Of samples, the largest may be anybody's.
    """
    cases = on_one_engine([tool for tool in CAN_RUN if counts(tool) and not samples(tool)])
    commands = [
        case.command("--demo", "--limit=1", "--json", *own_calls(case.tool)) for case in cases
    ]
    for command in commands:  # one by one: the first report must have what the demo causes
        result = run(*command)
        assert result.status == 0, result.stderr
        assert result.summary["events"] == 1
        assert re.match(r"Demo: saw (the \d+ bytes|at least as many as it caused)", said(result))


@pytest.mark.kernel(*CAN_RUN)
def test_no_time() -> None:
    """Whatever has come by then, it does not claim more."""
    cases = on_one_engine(CAN_RUN)
    # Nobody reads here what ebpf-opensnoop has to say of a virtual machine beside this test.
    unread = ("sh", "-c", 'exec "$@" >/dev/null', "sh")
    commands = [[*unread, *case.command("--demo", "--time-limit=1e-9")] for case in cases]
    for result in all_at_once(commands):
        assert result.status == 0, result.stderr
        assert re.match(r"Demo: (ended by --time-limit |saw )", said(result))


@pytest.mark.kernel(*CAN_RUN)
@pytest.mark.parametrize("engine", ENGINES)
def test_time_limit(engine: str) -> None:
    """A row a second."""
    result = run(BIN / "ebpf-minimal", "--engine", engine, "--demo", "--time-limit", "1.5")
    assert result.status == 0, result.stderr
    assert said(result) == ("Demo: ended by --time-limit after 2 of the 3 rows that it causes.")


@pytest.mark.kernel(*CAN_RUN)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal(number: int) -> None:
    with Running(BIN / "ebpf-minimal", "--demo") as tool:
        tool.wait_attached()
        assert tool.process.stdout
        for _ in range(2):  # the header and a row
            assert tool.process.stdout.readline()
        result = tool.finish(number)
    assert result.status == 0, result.stderr
    assert said(result) == "Demo: ended by a signal after 1 of the 3 rows that it causes."


# Does what the demos do, over and over, as somebody else; each time in a new directory.
OTHERS = """
import importlib, os, shutil, sys, tempfile, time

def demo(name):
    module = importlib.import_module(f"ebpf_tour.commands.{name}")
    arguments = {
        "mkdir": {"via": "tracepoint"},
        "execsnoop": {"failing": True},
        "task_iter": {"files": False},
    }
    return module.demo(**arguments.get(name, {}))

demos = [demo(name) for name in sys.argv[1:]]
while True:
    for one in demos:
        directory = tempfile.mkdtemp()
        os.chdir(directory)
        one.workload()
        os.chdir("/")
        shutil.rmtree(directory)
        time.sleep(0.002)
"""

# A tool whose demo does nothing.
IDLE = """
import importlib, sys

import ebpf_tour.frame.demo
ebpf_tour.frame.demo._GRACE_SECONDS = 1
module = importlib.import_module(f"ebpf_tour.commands.{sys.argv.pop(1)}")
demo = module.demo
module.demo = lambda *a, **k: demo(*a, **k)._replace(workload=lambda: None)
sys.exit(module.main())
"""


@contextlib.contextmanager
def others_at_work() -> Iterator[None]:
    names = [tool.name for tool in OF_ALL]
    with subprocess.Popen([sys.executable, "-c", OTHERS, *names], process_group=0) as process:
        try:
            yield
            assert process.poll() is None, "the others have given up"
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.kernel(*OF_ALL)
def test_others_do_the_same() -> None:
    """They do not keep the demo from its own rows."""
    commands = [case.command("--demo", "--json") for case in on_one_engine(OF_ALL)]
    with others_at_work():
        results = all_at_once(commands)
    for result in results:
        assert result.status == 0, result.stderr
        assert said(result).startswith("Demo: saw every row that it caused")


@pytest.mark.kernel(*OF_ALL)
def test_only_others_do_it() -> None:
    """Their rows are not taken for its own. A list has its child process in it, idle or not."""
    cases = on_one_engine([tool for tool in OF_ALL if not lists(tool)])
    commands = [
        [sys.executable, "-c", IDLE, case.tool.name, "--engine", case.engine, "--demo"]
        for case in cases
    ]
    with others_at_work():
        results = all_at_once(commands)
    for case, result in zip(cases, results, strict=True):
        cause, hint = assert_error(result, 1, case.tool.command)
        assert re.fullmatch(r"the demo failed: it saw \d+ rows, but did not cause them", cause)
        other = next(name for name in ENGINES if name != case.engine)
        assert f"--engine {other}; see what works on this machine: ebpf-tour check" in hint


@pytest.mark.kernel(*OF_ALL)
def test_in_a_container() -> None:
    """There the rows have PIDs that nobody inside knows: the rest of the row has to do."""
    cases = on_one_engine(OF_ALL)
    for result in all_at_once(
        [["unshare", "--pid", "--fork", *case.command("--demo")] for case in cases]
    ):
        assert result.status == 0, result.stderr
        assert said(result).startswith("Demo: saw every row that it caused")


@pytest.mark.kernel(*OF_ALL)
def test_options_that_leave_its_rows_out() -> None:
    name = BIN / "ebpf-opensnoop"
    cause, hint = assert_error(run(name, "--demo", "--json", "-n", "nobody"), 1, "ebpf-opensnoop")
    assert re.fullmatch(
        r"the demo failed: the kernel ran the program \d+ times, but the demo saw no row", cause
    )
    assert hint == "run it without -n, which may filter out the demo's own rows"


# Half of the work, and a while later the other half.
SLOW = """
import importlib, sys, time

module = importlib.import_module(f"ebpf_tour.commands.{sys.argv.pop(1)}")
work = getattr(module, sys.argv.pop(1))

def slow():
    work()
    time.sleep(1.5)
    work()

setattr(module, work.__name__, slow)
sys.exit(module.main())
"""


@pytest.mark.kernel(*CAN_RUN)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("words", "least"),
    [
        (("execcount", "execute_true"), 100),
        (("syscount", "call_getppid", "--syscall", "getppid"), 100_000),
    ],
    ids=["execcount", "syscount"],
)
def test_counts_of_a_slow_child(engine: str, words: tuple[str, ...], least: int) -> None:
    """Enough of the machine's events do not end it before the child has done all of its own."""
    result = run(sys.executable, "-c", SLOW, *words, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    # execcount has totals, syscount what came since the report before.
    shown = [row["count"] for row in result.records]
    assert (sum(shown) if words[0] == "syscount" else shown[-1]) >= least
    assert re.match(r"Demo: saw at least as many as it caused", said(result))


# acct(2) is called by nobody: it switches accounting on and off.
QUIET = {
    "quiet.h": "struct event {\n\tint pid;\n};\n",
    "quiet.bpf.c": """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include "quiet.h"
char LICENSE[] SEC("license") = "GPL";
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} rb SEC(".maps");
struct event *layout __attribute__((unused));
SEC("tp/syscalls/sys_enter_acct")
int handle_acct(void *ctx)
{
	return 0;
}
""",
    "quiet.bcc.c": """\
#include "quiet.h"
BPF_RINGBUF_OUTPUT(rb, 1);
static struct event *layout __attribute__((unused));
TRACEPOINT_PROBE(syscalls, sys_enter_acct)
{
	return 0;
}
""",
}
USER_SIDE = """
import ctypes, os, sys
import ebpf_tour.frame.demo
from ebpf_tour.frame import cli
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.frame.record import Column, Tool
from ebpf_tour.frame.session import Demo

ebpf_tour.frame.demo._GRACE_SECONDS = 0.5
TOOL = Tool(
    "quiet", directory=os.path.dirname(__file__), columns=(Column("pid", "PID", ""),),
    via={"tracepoint": (Tracepoint("syscalls", "sys_enter_acct"),)},
)

def call():
    for _ in range(3):
        ctypes.CDLL(None).acct(b"/does/not/exist")

def run(session):
    demo = Demo("a child process calls acct.", WORKLOAD, 3, lambda row: True)
    with session.open(TOOL) as program:
        program.load()
        program.attach()
        session.attached("Tracing acct", demo)
        for event in program.events("rb", session):
            session.row(event._asdict())

sys.exit(cli.main(TOOL, run))
"""


@pytest.mark.kernel
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("prefix", "workload", "cause"),
    [
        ((), "list", "the program is attached, but the kernel never ran it"),
        ((), "call", "the kernel ran the program 3 times, but the demo saw no row"),
        # Without CAP_SYS_ADMIN, which counting takes, nobody knows.
        (("setpriv", "--bounding-set=-sys_admin"), "call", "it saw no row"),
    ],
    ids=["never run", "sends nothing", "not counted"],
)
@pytest.mark.alone  # calls of acct(2) by the same test on the other engine would count
def test_no_row(
    tmp_path: Path, engine: str, prefix: tuple[str, ...], workload: str, cause: str
) -> None:
    paranoid = Path("/proc/sys/kernel/perf_event_paranoid").read_text(encoding="ascii")
    if prefix and int(paranoid) > 2:
        pytest.skip(f"{UNSUPPORTED}tracepoints take CAP_SYS_ADMIN (perf_event_paranoid)")
    for name, text in QUIET.items():
        (tmp_path / name).write_text(text)
    own_tool(tmp_path, "quiet", "sys_enter_acct")
    (tmp_path / "tool.py").write_text(USER_SIDE.replace("WORKLOAD", workload))
    command = (*prefix, sys.executable, tmp_path / "tool.py", "--engine", engine, "--demo")
    found, hint = assert_error(run(*command), 1, "quiet")
    assert found == f"the demo failed: {cause}"
    other = next(name for name in ENGINES if name != engine)
    assert hint == (f"try --engine {other}; see what works on this machine: ebpf-tour check")


def pipe(path: Path, workload: str, **constants: float) -> list[str | Path]:
    """Return the command of a tool that reads what the child of its demo writes to a pipe."""
    text = PIPE.format(workload=workload, caused="row['message'] in 'abc'", lost=0)
    settings = "".join(
        f"ebpf_tour.frame.demo._{name} = {value}\n" for name, value in constants.items()
    )
    path.write_text(f"import ebpf_tour.frame.demo\n{settings}{text}")
    return [sys.executable, path]


def test_rows_that_do_not_come(tmp_path: Path) -> None:
    """At the end it says how many there were."""
    causes = {
        "os.write(0, b'ab')": "of 3 rows that it caused, it saw 2",
        "os.write(0, b'xx')": "it saw 2 rows, but did not cause them",
        "pass": "it saw no row",
    }
    commands = [
        [*pipe(tmp_path / f"{number}.py", workload), "--demo"]
        for number, workload in enumerate(causes)
    ]
    for result, wanted in zip(all_at_once(commands), causes.values(), strict=True):
        cause, hint = assert_error(result, 1, "ebpf-pipe")
        assert cause == f"the demo failed: {wanted}"
        assert hint == "see what works on this machine: ebpf-tour check"


def test_child_that_does_not_end(tmp_path: Path) -> None:
    workload = "os.write(0, b'abc'); signal.pause()"
    result = run(*pipe(tmp_path / "pipe.py", workload, PATIENCE_SECONDS=1), "--demo")
    cause, hint = assert_error(result, 1, "ebpf-pipe")
    assert cause == "the demo failed: its child process does not end"
    assert hint == "do by hand what the demo does: a child writes."


def test_what_a_child_does_after_the_end() -> None:
    """Nothing is attached any more, so what it asks for may be gone: no fault of its own."""
    interrupt = Interrupt()
    demo = DemoRun(Demo("", lambda: open("/gone").close(), 2, bool), interrupt)
    with contextlib.closing(demo):
        demo.begin()
        assert select.select([demo._pidfd], [], [], PATIENCE_S)[0]
        early = demo.verdict("--time-limit", None, "")
        assert early == "Demo: ended by --time-limit after 0 of the 2 rows that it causes.\n"
        with pytest.raises(Error, match="did not do its work: /gone: No such file"):
            demo.verdict("", None, "")
    interrupt.forget()


def test_rows_after_the_child_has_ended(tmp_path: Path) -> None:
    """Another process may bring them: the demo waits a while for each."""
    workload = (
        "os.fork() or [(time.sleep(0.4), os.write(0, b'%c' % byte)) for byte in b'abc']"
        " if os.fork() == 0 else None"
    )
    command = pipe(tmp_path / "pipe.py", f"import time; {workload}", GRACE_SECONDS=1)
    result = run(*command, "--demo")
    assert said(result) == "Demo: saw every row that it caused (3), and nothing else."


def test_stopped_and_continued(tmp_path: Path) -> None:
    """Ctrl-Z stops the child, too; it is given its time all the same."""
    workload = "import time; time.sleep(1); os.write(0, b'abc')"
    command = pipe(tmp_path / "pipe.py", workload, PATIENCE_SECONDS=2)
    with Running(*command, "--demo") as tool:
        tool.wait_attached()
        time.sleep(0.2)
        os.killpg(tool.pid, signal.SIGTSTP)
        time.sleep(3)
        os.killpg(tool.pid, signal.SIGCONT)
        result = tool.finish()
    assert result.status == 0, result.stderr
    assert said(result) == "Demo: saw every row that it caused (3), and nothing else."


@pytest.mark.kernel(*CAN_RUN)
def test_nobody_waits_for_children() -> None:
    """SIGCHLD is ignored, as some service managers have it: the child is there all the same."""
    commands = [["env", "--ignore-signal=CHLD", BIN / tool.command, "--demo"] for tool in CAN_RUN]
    for result in all_at_once(commands):
        assert result.status == 0, result.stderr
        assert "Demo: " in said(result)


def command_line(pid: str) -> list[bytes]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


@pytest.mark.kernel(*CAN_RUN)
@pytest.mark.parametrize("tool", [tool for tool in CAN_RUN if watches_a_process(tool)])
def test_child_of_mallocstacks_is_killed(tool: Tool) -> None:
    with Running(BIN / tool.command, "--demo") as running:
        running.wait_attached()

        def children() -> list[str]:
            # The other one reads files for the tool, and has its command line.
            path = Path(f"/proc/{running.pid}/task/{running.pid}/children")
            found = (
                path.read_text(encoding="ascii").split() if running.process.poll() is None else []
            )
            return [pid for pid in found if b"-c" in command_line(pid)]

        # It may be done already.
        wait_until(lambda: bool(children()) or running.process.poll() is not None, str)
        for child in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        result = running.finish()
    if result.status:  # it may have been done by then
        cause, _ = assert_error(result, 1, tool.command)
        assert cause == "the demo failed: its child process ended with -9"
