"""What ends a run, and is neither a signal nor a wrong option: what the machine does not give.

Each is a right run, or an error in two lines with a hint that helps.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import ALL_TOOLS, CAN_RUN, Case, watched, watches_a_process
from support import (
    BIN,
    ENGINES,
    ROOT,
    Result,
    Running,
    assert_error,
    in_mount_namespace,
    mounted,
    run,
)

from ebpf_tour.base import limits
from ebpf_tour.base.errors import Error
from ebpf_tour.build import compile_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Compiled

    from ebpf_tour.frame.record import Tool

pytestmark = [
    pytest.mark.native,
    pytest.mark.kernel(*CAN_RUN),
    pytest.mark.usefixtures("leaves_nothing"),
]

MALLOCSTACKS = BIN / "ebpf-mallocstacks"


def on_one_engine(some_tools: list[Tool]) -> list[Case]:
    """Return a case for each tool, and each engine in turn."""
    engines = (ENGINES[number % 2] for number in range(len(some_tools)))
    return [
        Case(tool, engine if tool.via else "")
        for tool, engine in zip(some_tools, engines, strict=True)
    ]


def all_at_once(commands: list[list[str | Path]]) -> list[Result]:
    with contextlib.ExitStack() as stack:
        tools = [stack.enter_context(Running(*command)) for command in commands]
        return [tool.finish() for tool in tools]


# poll(2) takes no more than 2147483 seconds.
LONG = "3000000"


def test_long_times(compiled: Compiled) -> None:
    """As long as 34 days, and it still ends when it is told to."""
    commands = [case.command(f"--time-limit={LONG}") for case in on_one_engine(CAN_RUN)]
    commands += [
        [BIN / "ebpf-execcount", "--json", LONG],
        [BIN / "ebpf-syscount", "--interval", LONG],
        [BIN / "ebpf-opensnoop", "-d", LONG],
    ]
    with contextlib.ExitStack() as stack:
        for case, command in zip(on_one_engine(CAN_RUN), commands, strict=False):
            command.extend(stack.enter_context(watched(case.tool, compiled)))
        tools = [stack.enter_context(Running(*command)) for command in commands]
        for tool in tools:
            tool.wait_attached()
        for tool in tools:
            result = tool.finish(signal.SIGINT)
            assert result.status == 0, result.stderr
            assert "Traceback" not in result.stderr


def test_long_wait_is_not_cut_short() -> None:
    """What poll(2) cannot do at once, it does in parts."""
    script = (
        "import time\n"
        "from ebpf_tour.frame import session\n"
        "session._LONGEST_POLL_MS = 20\n"
        "begun = time.monotonic()\n"
        "session.Interrupt().wait(0.3)\n"
        "print(time.monotonic() - begun)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert 0.3 <= float(done.stdout) < 10, done.stderr


def test_nohup() -> None:
    """It goes on without its terminal, as nohup(1) promises."""
    with Running("nohup", BIN / "ebpf-bootstrap", "--json") as tool:
        tool.wait_attached()
        tool.process.send_signal(signal.SIGHUP)
        subprocess.run(["/bin/sh", "-c", "exit 3"])
        assert tool.process.stdout
        while b'"exit_code": 3' not in tool.process.stdout.readline():
            assert tool.process.poll() is None
        assert tool.finish(signal.SIGTERM).status == 0


def speedscope(*path: str | Path, options: tuple[str, ...] = ()) -> list[str | Path]:
    return [MALLOCSTACKS, "--demo", "--json", *options, "--speedscope", *path]


def assert_cannot_write(result: Result, path: str | Path, reason: str) -> str:
    cause, hint = assert_error(result, 1, "ebpf-mallocstacks")
    assert cause == f"cannot write {path}: {reason}"
    return hint


@pytest.mark.parametrize("engine", ENGINES)
def test_speedscope_on_a_full_disk(engine: str) -> None:
    """It turns out only at the end, when the report has been shown."""
    result = run(*speedscope("/dev/full", options=("--engine", engine)))
    assert (
        assert_cannot_write(result, "/dev/full", "No space left on device") == "name another file"
    )
    assert sum(json.loads(line)["count"] for line in result.stdout.splitlines()) >= 1000


def test_speedscope_on_a_disk_with_little_room(tmp_path: Path) -> None:
    """No half of it is left."""
    with mounted("tmpfs", tmp_path / "small"):
        subprocess.run(["mount", "-o", "remount,size=8k", tmp_path / "small"], check=True)
        path = tmp_path / "small/file"
        (tmp_path / "small/other").write_bytes(b"x" * 8192)
        assert_cannot_write(run(*speedscope(path)), path, "No space left on device")
        assert path.read_text() == ""


def test_speedscope_where_none_can_be(tmp_path: Path) -> None:
    """This turns out before anything is traced."""
    os.mkfifo(tmp_path / "fifo")
    missing = tmp_path / "missing/file"
    for path, reason, advice in (
        (tmp_path, "Is a directory", "name another file"),
        (missing, "No such file or directory", "name another file"),
        (tmp_path / "fifo", "No such device or address", "start what reads it first"),
    ):
        result = run(*speedscope(path))
        assert assert_cannot_write(result, path, reason) == advice
        assert "Ctrl-C to end" not in result.stderr
    command = in_mount_namespace(f"mount -o bind,ro '{tmp_path}' '{tmp_path}'", *speedscope())
    result = run(*command, tmp_path / "file")
    assert_cannot_write(result, tmp_path / "file", "Read-only file system")
    cause, _ = assert_error(run(*speedscope("")), 2, "ebpf-mallocstacks")
    assert cause == "argument --speedscope: a name is missing"


def test_speedscope_in_a_fifo(tmp_path: Path) -> None:
    """And into one whose reader has gone."""
    path = tmp_path / "fifo"
    os.mkfifo(path)

    def written() -> Result:
        while True:
            result = run(*speedscope(path))
            if "No such device or address" not in result.stderr:  # the reader has it open
                return result

    with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as reader:
        assert reader.stdout
        assert written().status == 0
        assert json.loads(reader.stdout.read())["profiles"]
    with subprocess.Popen(["head", "-c0", path]):
        assert assert_cannot_write(written(), path, "Broken pipe") == "name another file"


def test_speedscope_file_that_vanishes(compiled: Compiled, tmp_path: Path) -> None:
    """It is made anew; what stood in another one is replaced, and only at the end."""
    (tool,) = (tool for tool in CAN_RUN if watches_a_process(tool))
    path, other = tmp_path / "file", tmp_path / "other"
    other.write_text("what was there\n" * 1000)
    with (
        watched(tool, compiled, "all the time") as (pid,),
        Running(MALLOCSTACKS, pid, "--speedscope", path) as one,
        Running(MALLOCSTACKS, pid, "--speedscope", other) as two,
    ):
        one.wait_attached()
        two.wait_attached()
        path.unlink()
        assert other.read_text().startswith("what was there\n")
        for running in (one, two):
            result = running.finish(signal.SIGINT)
            assert result.status == 0, result.stderr
    assert json.loads(path.read_text())["profiles"]
    assert json.loads(other.read_text())["profiles"]


def test_speedscope_behind_the_report(tmp_path: Path) -> None:
    """Standard output, here an ordinary file, has both."""
    with open(tmp_path / "all", "wb") as file:
        subprocess.run(speedscope("/dev/stdout"), stdout=file, stderr=subprocess.PIPE, check=True)
    *rows, document, rest = (tmp_path / "all").read_text().split("\n")
    assert all(json.loads(row)["stack"] for row in rows)
    found, end = json.JSONDecoder().raw_decode(document)
    assert found["profiles"]
    assert json.loads(document[end:])["type"] == "summary"
    assert rest == ""


def test_function_without_a_name() -> None:
    """Sections have symbols with no name, which are no functions."""
    cause, _ = assert_error(run(MALLOCSTACKS, "--demo", "--function", ""), 2, "ebpf-mallocstacks")
    assert cause == "argument --function: a name is missing"


@pytest.mark.parametrize("name", ["\udcff", "a b", "\x1b[1A", "malloc\n"])
def test_function_that_nothing_has(name: str) -> None:
    result = run(MALLOCSTACKS, "--demo", "--function", os.fsencode(name))  # type: ignore[arg-type]
    cause, hint = assert_error(result, 1, "ebpf-mallocstacks")
    assert "has mapped has a function " in cause
    assert "--function NAME" in hint
    assert "\x1b" not in result.stderr


@contextlib.contextmanager
def cgroups_with_pids(where: Path, names: list[str], most: int) -> Iterator[list[Path]]:
    """Make cgroups that may have so many processes, in the hierarchy that counts them here."""
    kind = ("cgroup2", "")
    with mounted("cgroup2", where / "cgroup2") as top:
        controllers = (top / "cgroup.controllers").read_text(encoding="ascii").split()
    if "pids" not in controllers:
        kind = ("cgroup", "pids")
    top = where / "pids"
    top.mkdir()
    options = ["-o", kind[1]] if kind[1] else []
    subprocess.run(["mount", "-t", kind[0], *options, "none", top], check=True)
    groups = [top / f"ebpf-tour-test-{os.getpid()}-{name}" for name in names]
    try:
        if not kind[1]:
            (top / "cgroup.subtree_control").write_text("+pids")
        for group in groups:
            group.mkdir()
            (group / "pids.max").write_text(str(most))
        yield groups
    finally:
        for group in groups:
            with contextlib.suppress(FileNotFoundError):
                group.rmdir()
        subprocess.run(["umount", top], check=True)


def inside(group: Path, *command: str | Path) -> list[str | Path]:
    return ["sh", "-ec", 'echo $$ > "$0"; exec "$@"', group / "cgroup.procs", *command]


NO_MORE = "no more processes can be started here: their number is limited"


def test_no_process_at_all(tmp_path: Path) -> None:
    """--demo needs one, and so does ebpf-procinfo to look a process up."""
    cases = on_one_engine(CAN_RUN)
    names = [case.tool.name for case in cases]
    with cgroups_with_pids(tmp_path, [*names, "one", "check"], 1) as groups:
        demos = [
            inside(group, *case.command("--demo"))
            for group, case in zip(groups, cases, strict=False)
        ]
        demos.append(inside(groups[-2], BIN / "ebpf-procinfo", "1"))
        *results, check = all_at_once(
            [*demos, inside(groups[-1], BIN / "ebpf-tour", "check", "--json")]
        )
    commands = [*(case.tool.command for case in cases), "ebpf-procinfo"]
    for command, result in zip(commands, results, strict=True):
        cause, hint = assert_error(result, 1, command)
        assert cause == NO_MORE
        assert "pids.max" in hint
    # It tells of everything else, and does not end with that.
    assert check.status == 0, check.stderr
    (clang,) = (row for row in check.records if row["check"] == "clang")
    assert clang["detail"].endswith(": Resource temporarily unavailable")


def test_no_process_for_the_child_of_the_demo(tmp_path: Path) -> None:
    names = ["hello", "bootstrap", "execcount", "execsnoop", "procinfo"]
    cases = on_one_engine([tool for tool in CAN_RUN if tool.name in names])
    with cgroups_with_pids(tmp_path, [case.tool.name for case in cases], 2) as groups:
        commands = [
            inside(group, *case.command("--demo"))
            for group, case in zip(groups, cases, strict=True)
        ]
        results = all_at_once(commands)
    for case, result in zip(cases, results, strict=True):
        cause, hint = assert_error(result, 1, case.tool.command)
        assert cause == f"the demo failed: its child process did not do its work: {NO_MORE}"
        assert "pids.max" in hint


def with_files(most: int, *command: str | Path) -> list[str | Path]:
    return ["sh", "-c", f'ulimit -n {most}; exec "$@"', "sh", *command]


def assert_too_few(result: Result, most: int, command: str) -> None:
    cause, hint = assert_error(result, 1, command)
    assert cause == f"this process may open no more than {most} files (RLIMIT_NOFILE)"
    assert hint == f"raise the limit: ulimit -n {max(1024, 2 * most)}"
    assert result.stdout == ""
    assert result.stderr.count("\n") == 2


@pytest.mark.parametrize("most", [5, 6, 7, 8, 10, 12, 14, 16, 18])
def test_few_files(most: int) -> None:
    """With 4, Python does not start."""
    cases = on_one_engine(ALL_TOOLS)
    commands = [
        with_files(most, *case.command(*(["--demo"] if case.tool.via else []))) for case in cases
    ]
    for case, result in zip(cases, all_at_once(commands), strict=True):
        assert_too_few(result, most, case.tool.command)


@pytest.mark.parametrize("engine", ENGINES)
def test_as_many_files_as_it_needs(engine: str) -> None:
    """From some limit on it runs, and runs right; a little less is an error, not half a run."""
    commands = [
        case.command("--demo", "--json")
        for case in (Case(tool, engine) for tool in CAN_RUN)
        # The one that has most of them open, and the one that opens other files, too.
        if case.tool.name in ("bootstrap", "mallocstacks")
    ]
    commands[0] += ["--transport", "perf"]
    for command in commands:
        name = Path(command[0]).name
        most = 30
        while (result := run(*with_files(most, *command))).status:
            assert_too_few(result, most, name)
            most += 1
        assert "Demo: saw " in result.stderr
        assert result.summary["lost"] == 0
        assert most < 64 + (os.cpu_count() or 1)


def test_files_that_others_have_left_open() -> None:
    """The limit is no small one; what counts is what it leaves."""
    script = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (2000, 2000))\n"
        "for _ in range(1980):\n"
        "    os.set_inheritable(os.dup(0), True)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    command = (sys.executable, "-c", script, BIN / "ebpf-bootstrap")
    assert_too_few(run(*command, "--demo"), 2000, "ebpf-bootstrap")


def test_process_with_many_files(tmp_path: Path) -> None:
    """Of what it has mapped, each is a file to open, and few can be open at once."""
    script = (
        "import mmap, sys, time\n"
        "kept = []\n"
        "for name in sys.argv[1:]:\n"
        "    with open(name, 'rb') as file:\n"
        "        kept.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC))\n"
        "print(flush=True)\n"
        "time.sleep(1000)\n"
    )
    copies = [shutil.copy("/bin/true", tmp_path / str(number)) for number in range(60)]
    with subprocess.Popen(
        [sys.executable, "-c", script, *copies], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            result = run(*with_files(64, MALLOCSTACKS, str(process.pid), "--time-limit=0.1"))
        finally:
            process.kill()
    assert result.status == 0, result.stderr
    assert "Counting malloc of libc.so.6 in python" in result.stderr


@pytest.mark.parametrize("most", [5, 6, 10])
def test_help_with_few_files(most: int) -> None:
    """It takes fewer files than a run."""
    result = run(*with_files(most, BIN / "ebpf-bootstrap", "--version"))
    if result.status:
        assert_too_few(result, most, "ebpf-bootstrap")
    else:
        assert result.stdout.startswith("ebpf-bootstrap ")


@pytest.mark.parametrize(("engine", "kib"), [("libbpf", 25000), ("bcc", 100000)])
def test_little_memory(engine: str, kib: int) -> None:
    command = ("sh", "-c", f'ulimit -v {kib}; exec "$@"', "sh", BIN / "ebpf-hello")
    cause, hint = assert_error(run(*command, "--engine", engine), 1, "ebpf-hello")
    assert cause == "there is not enough memory"
    assert "ulimit -v" in hint


def test_what_has_run_out() -> None:
    """It is found behind an Error that says something else; what fails otherwise is left alone."""

    def behind(error: BaseException) -> Exception:
        try:
            try:
                raise error
            except OSError:
                raise Error("the library is not there") from None
        except Error as hiding:
            return hiding

    def said(error: BaseException) -> str:
        told = limits.ran_out(error)
        return str(told) if told else ""

    for number, words in (
        (errno.EMFILE, "may open no more than"),
        (errno.ENFILE, "this machine has reached its limit of open files"),
    ):
        assert words in said(OSError(number, "..."))
        assert words in said(behind(OSError(number, "...")))
    for number, words in ((errno.ENOMEM, "not enough memory"), (errno.EAGAIN, NO_MORE)):
        assert words in said(OSError(number, "..."))
        assert said(behind(OSError(number, "..."))) == ""
    assert "not enough memory" in said(MemoryError())
    assert said(OSError(errno.ENOENT, "...")) == said(ValueError()) == ""


def in_removed_directory(*command: str | Path) -> list[str | Path]:
    return ["sh", "-ec", 'cd "$(mktemp -d)"; rmdir "$PWD"; exec "$@"', "sh", *command]


@pytest.mark.parametrize("engine", ENGINES)
def test_removed_working_directory(engine: str) -> None:
    tools = [tool for tool in CAN_RUN if engine in tool.engines]
    commands = [Case(tool, engine).command("--demo") for tool in tools]
    for result in all_at_once([in_removed_directory(*command) for command in commands]):
        assert result.status == 0, result.stderr
        assert "Demo: " in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("engine", ENGINES)
def test_show_in_a_removed_directory(engine: str) -> None:
    command = in_removed_directory(BIN / "ebpf-bootstrap", "--engine", engine, "--show")
    for result in all_at_once([[*command, what] for what in ("source", "asm", "log", "maps")]):
        assert result.status == 0, result.stderr
        assert result.stdout


def test_names_in_a_removed_directory(open_directory: Path) -> None:
    """A name without a slash in front leads nowhere there, which is an error in two lines."""
    result = run(*in_removed_directory(BIN / "ebpf-probes", "--binary", "./nothing"))
    cause, _ = assert_error(result, 1, "ebpf-probes")
    assert cause == "cannot read ./nothing: No such file or directory"
    command = in_removed_directory(*speedscope("file"))
    assert_cannot_write(run(*command), "file", "No such file or directory")
    assert run(*in_removed_directory(BIN / "ebpf-tour", "check")).status == 0

    # Started by a relative name, before the directory was removed.
    shutil.copytree(ROOT / "tools/ebpf_tour", open_directory / "ebpf_tour")
    script = (
        "import os, sys\n"
        f"os.chdir('{open_directory}')\n"
        "os.mkdir('gone')\n"
        "os.chdir('gone')\n"
        "os.rmdir('../gone')\n"
        f"sys.path.insert(0, '{open_directory}')\n"
        "sys.argv = ['./ebpf-hello', '--json']\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "from ebpf_tour.commands.hello import main\n"
        "sys.exit(main())\n"
    )
    cause, hint = assert_error(run("/usr/bin/python3", "-c", script), 77, "ebpf-hello")
    assert cause.startswith("may not load BPF programs")
    assert hint == "run it as root: sudo ./ebpf-hello --json"


def test_without_proc() -> None:
    """Nothing says then who we are, which is no reason to send root to sudo."""
    setup = "mount -t tmpfs none /proc"
    result = run(*in_mount_namespace(setup, BIN / "ebpf-hello", "--demo"))
    cause, hint = assert_error(result, 69, "ebpf-hello")
    assert cause == "/proc is not mounted"
    setup += f"\n{hint.removeprefix('mount it: ')}"
    result = run(*in_mount_namespace(setup, BIN / "ebpf-hello", "--demo"))
    assert result.status == 0, result.stderr


def test_own_tool_in_one_dialect(tmp_path: Path) -> None:
    """The other engine says that there is nothing for it, and so does --show source."""
    own = shutil.copytree(ROOT / "examples/own", tmp_path / "own")
    compile_all(own, own)
    (own / "kills.bcc.c").unlink()
    result = run(sys.executable, own / "kills.py", "--demo", "--engine", "bcc")
    cause, hint = assert_error(result, 69, "kills")
    assert cause == f"{own}/kills.bcc.c is not there"
    assert hint == "write it, or use --engine libbpf"
    (own / "kills.bpf.c").unlink()
    cause, hint = assert_error(run(sys.executable, own / "kills.py", "--show=source"), 1, "kills")
    assert cause == f"{own}/kills.bpf.c is not there"
    assert hint == "see the bytecode: --show asm"
    assert run(sys.executable, own / "kills.py", "--show=asm").status == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_verbose_and_hostile_names(tmp_path: Path, engine: str) -> None:
    """What the libraries say has the path; a terminal gets its escapes as text."""
    own = shutil.copytree(ROOT / "examples/own", tmp_path / "a\x1b[1A")
    compile_all(own, own)
    if engine == "bcc":  # has something to say only of what it does not like
        (own / "more.h").write_text("#warning 'here'\n")
        text = (own / "kills.bcc.c").read_text()
        (own / "kills.bcc.c").write_text(f"#include <more.h>\n{text}")
    command = (sys.executable, own / "kills.py", "--engine", engine, "--demo", "-v")
    result = run(*command)
    assert result.status == 0, result.stderr
    assert "\x1b" not in result.stderr
    assert r"/a\x1b[1A/" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("Demo: saw ")
