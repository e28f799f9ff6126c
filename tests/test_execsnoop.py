"""ebpf-execsnoop, through each of its hooks that the running kernel has.

`tests/machines/kernels.sh run 6.1 -- .venv/bin/python -m pytest tests/test_execsnoop.py`
runs this where there are kprobes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import pytest
from cases import via, ways_of
from support import (
    BIN,
    UNSUPPORTED,
    Result,
    Running,
    assert_error,
    assert_rest_is_lost,
    bytes_of,
    cgroup,
    kretprobe_events,
    may_be_skipped,
    need,
    pinned_hash,
    run,
    wait_until,
)

from ebpf_tour.commands.execsnoop import TOOL, command_of
from ebpf_tour.loader import features, open_program
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from support import Compiled

EXECSNOOP = BIN / "ebpf-execsnoop"
TRUE = "/bin/true"

pytestmark = pytest.mark.kernel(TOOL)

way = via(TOOL)

ARGS_LEN = 12288  # of execsnoop.h


@pytest.fixture
def odd(compiled: Compiled) -> Path:
    """Return the program that executes others in odd ways."""
    return compiled("exec")


def traced(
    work: Callable[[], Any], *options: str, of_all: bool = False, lossless: bool = True
) -> Result:
    """Run the tool around some work, for what our children do, or all processes.

    Demands an orderly end, and unless told otherwise one without losses.
    """
    children = () if of_all else ("-P", str(os.getpid()))
    with Running(EXECSNOOP, *options, *children) as tool:
        tool.wait_attached()
        work()
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    if lossless and "table" not in options:
        expected = {"type": "summary", "events": len(result.records), "lost": 0}
        assert result.summary == expected, result.stderr
    return result


def execute(*command: str | Path | bytes) -> int:
    """Run a command to its end and return its PID."""
    process = subprocess.Popen(command)
    process.wait()
    return process.pid


def rows_of(result: Result, pid: int) -> list[dict[str, Any]]:
    return [row for row in result.records if row["pid"] == pid]


def ours(result: Result) -> list[dict[str, Any]]:
    """Return the rows of our children."""
    return [row for row in result.records if row["ppid"] == os.getpid()]


@pytest.mark.core
@pytest.mark.alone  # of the whole machine: what others have begun at the end counts as lost
@pytest.mark.usefixtures("leaves_nothing")
def test_exact_rows(way: tuple[str, ...]) -> None:
    commands = [[TRUE, str(number)] for number in range(23)] + [["/bin/sh", "-c", "exit 7"]]
    result = traced(lambda: [execute(*command) for command in commands], *way, of_all=True)
    assert result.stderr == f"Tracing exec via {way[3]}... Ctrl-C to end.\n"
    rows = ours(result)
    assert [row["args"] for row in rows] == commands
    assert [row["filename"] for row in rows] == [command[0] for command in commands]
    assert [row["comm"] for row in rows] == ["true"] * 23 + ["sh"]
    times = [row["time_s"] for row in rows]
    assert 0 < times[0] < times[-1] < 60
    assert times == sorted(times)
    for row in rows:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert (row["ret"], row["errno"], row["uid"]) == (0, 0, os.getuid())
        assert (row["interpreter"], row["truncated"]) == ([], False)


@pytest.mark.core
def test_200_at_once_with_20_arguments_each(way: tuple[str, ...]) -> None:
    """All wait inside of a child of ours until they are let go."""

    def wanted(number: int) -> list[str]:
        return ["true", *(f"{number}.{i}" for i in range(20))]

    def work() -> None:
        waiting, gate = os.pipe()
        for number in range(200):
            pid = os.fork()
            if pid == 0:
                os.close(gate)
                os.read(waiting, 1)
                os.execv(TRUE, wanted(number))
            pids[pid] = number
        os.close(waiting)
        os.close(gate)
        for pid in pids:
            assert os.waitpid(pid, 0)[1] == 0

    pids: dict[int, int] = {}
    skips = may_be_skipped(*TOOL.via[way[3]])
    result = traced(work, *way, lossless=not skips)
    rows = ours(result)
    seen = {row["pid"]: row["args"] for row in rows}
    assert len(pids) == 200
    assert len(seen) == len(rows)
    assert seen == {pid: wanted(number) for pid, number in pids.items() if pid in seen}
    if skips:
        assert rows
        # What others execute meanwhile can be skipped, too.
        assert len(rows) + result.summary["lost"] >= 200
    else:
        assert len(rows) == 200


class Case(NamedTuple):
    """How to execute something, and what is to be seen of it."""

    how: list[str | Path]
    filename: str | None
    args: list[str]
    ret: int = 0
    interpreter: Sequence[str] = ()
    truncated: bool = False


def cases(where: Path) -> list[Case]:
    """Return calls that succeed and fail, made by the program `odd`."""
    scripts = {
        "plain": "#!/bin/sh\n",
        "option": "#!/bin/sh -e\n",
        "nested": f"#!{where}/option one word\n",
        "broken": "#!/does/not/exist\n",
        "empty": "",
    }
    for name, text in scripts.items():
        (where / name).write_text(text)
        (where / name).chmod(0o755)
    (where / "not-for-execution").touch(0o644)
    (where / "loop").symlink_to("loop")
    plain, nested = f"{where}/plain", f"{where}/nested"
    gone = "/does/not/exist"
    twenty = [str(number) for number in range(20)]
    long = ["one", "x" * 20000]
    room = ARGS_LEN - len("one") - 2
    return [
        Case(["plain", TRUE, "true", "a", "b"], TRUE, ["true", "a", "b"]),
        Case(["plain", TRUE, "-other name"], TRUE, ["-other name"]),
        Case(["plain", TRUE, "true", TRUE], TRUE, ["true", TRUE]),
        Case(["plain", TRUE, "true", "", "a", ""], TRUE, ["true", "", "a", ""]),
        Case(["plain", TRUE, "true", *twenty], TRUE, ["true", *twenty]),
        Case(
            ["plain", TRUE, "true", *twenty, "20"], TRUE, ["true", *twenty, "..."], truncated=True
        ),
        Case(
            ["plain", TRUE, "true", *["x"] * 5000],
            TRUE,
            ["true", *["x"] * 20, "..."],
            truncated=True,
        ),
        Case(["plain", TRUE, "one", "x" * room], TRUE, ["one", "x" * room]),
        Case(["plain", TRUE, *long], TRUE, ["one", "x" * (room + 1) + "..."], truncated=True),
        Case(
            ["long", TRUE, "one", str(128 * 1024 - 1)],
            TRUE,
            ["one", "x" * (room + 1) + "..."],
            truncated=True,
        ),
        Case(["thread", TRUE, "true", "thread"], TRUE, ["true", "thread"]),
        Case(["at", "/bin", "true", "true", "at"], "/dev/fd/3/true", ["true", "at"]),
        Case(["at", "/bin", TRUE, "true", "at"], TRUE, ["true", "at"]),
        Case(["fd", TRUE, "true", "fd"], "/dev/fd/3", ["true", "fd"]),
        # The kernel puts the script's name in the place of argv[0].
        Case(["plain", plain, "other", "a"], plain, [plain, "a"], interpreter=["/bin/sh"]),
        Case(["plain", plain, plain], plain, [plain], interpreter=["/bin/sh"]),
        Case(["plain", plain, "/bin/sh", "a"], plain, [plain, "a"], interpreter=["/bin/sh"]),
        Case(["absent-name", TRUE, "true", TRUE], TRUE, ["true", TRUE]),
        Case(
            ["plain", plain, "x" * 100, plain, plain], plain, [plain] * 3, interpreter=["/bin/sh"]
        ),
        Case(
            ["plain", nested, "nested", "a b", ""],
            nested,
            [nested, "a b", ""],
            interpreter=["/bin/sh", "-e", f"{where}/option", "one word"],
        ),
        Case(
            ["at", where, "plain", "other", "a"],
            "/dev/fd/3/plain",
            ["/dev/fd/3/plain", "a"],
            interpreter=["/bin/sh"],
        ),
        # From here on they fail.
        Case(["plain", gone, "a", "b", ""], gone, ["a", "b", ""], errno.ENOENT),
        Case(["plain", f"{where}/broken", "a"], f"{where}/broken", ["a"], errno.ENOENT),
        Case(["plain", f"{where}/empty", "a"], f"{where}/empty", ["a"], errno.ENOEXEC),
        Case(["plain", f"{where}/loop", "a"], f"{where}/loop", ["a"], errno.ELOOP),
        Case(["plain", f"{TRUE}/a", "a"], f"{TRUE}/a", ["a"], errno.ENOTDIR),
        Case(["plain", "", "a"], "", ["a"], errno.ENOENT),
        Case(
            ["plain", f"{where}/not-for-execution", "a"],
            f"{where}/not-for-execution",
            ["a"],
            errno.EACCES,
        ),
        Case(["plain", gone, "a", *twenty], gone, ["a", *twenty], errno.ENOENT),
        Case(
            ["plain", gone, "a", *twenty, "20"],
            gone,
            ["a", *twenty, "..."],
            errno.ENOENT,
            truncated=True,
        ),
        Case(
            ["plain", gone, *long],
            gone,
            ["one", "x" * (room + 1) + "..."],
            errno.ENOENT,
            truncated=True,
        ),
        Case(["plain", gone, "one", "x" * room], gone, ["one", "x" * room], errno.ENOENT),
        Case(
            ["long", TRUE, "one", str(128 * 1024)],
            TRUE,
            ["one", "x" * (room + 1) + "..."],
            errno.E2BIG,
            truncated=True,
        ),
        Case(["bad-list", TRUE], TRUE, ["..."], errno.EFAULT, truncated=True),
        Case(["bad-word", TRUE, "a"], TRUE, ["a", "..."], errno.EFAULT, truncated=True),
        Case(["bad-file", "a", "b"], None, ["a", "b"], errno.EFAULT),
        Case(["at", where, "no", "a"], "/dev/fd/3/no", ["a"], errno.ENOENT),
        Case(["fd", f"{where}/empty", "a"], "/dev/fd/3", ["a"], errno.ENOEXEC),
    ]


def seen_of(row: dict[str, Any]) -> dict[str, Any]:
    keys = ("filename", "args", "ret", "errno", "interpreter", "truncated")
    return {key: row[key] for key in keys}


def test_calls_of_every_kind(way: tuple[str, ...], odd: Path, tmp_path: Path) -> None:
    made = cases(tmp_path)
    pids: list[int] = []
    result = traced(lambda: pids.extend(execute(odd, *case.how) for case in made), *way, "-x")
    for case, pid in zip(made, pids, strict=True):
        _, row = rows_of(result, pid)  # the first one is that of `odd` itself
        expected = {
            "filename": case.filename,
            "args": case.args,
            "ret": -case.ret,
            "errno": case.ret,
            "interpreter": list(case.interpreter),
            "truncated": case.truncated,
        }
        assert seen_of(row) == expected, case
        assert row["comm"] == ("exec" if case.ret else row["comm"])


# Tells binfmt_misc, in a user namespace of its own (since Linux 6.7), that /bin/true runs
# the files that begin with "MISC", and executes one: where file flag.
MISC = """
mount -t binfmt_misc none "$0" || exit 99
echo ":ebpf-tour:M::MISC::/bin/true:$2" >"$0/register"
exec -a other "$1" a
"""


@pytest.mark.native
def test_binfmt_misc(way: tuple[str, ...], tmp_path: Path) -> None:
    """With flag P, the interpreter gets the caller's argv[0], too, behind the file's name."""
    where, file = tmp_path / "misc", tmp_path / "file"
    where.mkdir()
    file.write_text("MISC")
    file.chmod(0o755)
    command = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", MISC, where, file]
    pids: list[int] = []

    def work() -> None:
        for flag in ("", "P"):
            with subprocess.Popen([*command, flag]) as process:
                pids.append(process.pid)
            if process.returncode == 99:
                pytest.skip(f"{UNSUPPORTED}binfmt_misc in a user namespace (Linux 6.7)")
            assert process.returncode == 0

    result = traced(work, *way)
    without, with_flag = (seen_of(rows_of(result, pid)[-1]) for pid in pids)
    same = {"filename": str(file), "ret": 0, "errno": 0, "truncated": False}
    assert without == same | {"interpreter": ["/bin/true"], "args": [str(file), "a"]}
    assert with_flag == same | {"interpreter": ["/bin/true", str(file)], "args": ["other", "a"]}


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_the_kernel_skips_one_program(engine: str, tmp_path: Path) -> None:
    """As Linux 7.2 may: that at sched_process_exec. The row is there, and says what is unknown."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    hooks = TOOL.via["tracepoint"]
    need(*hooks)
    without = tuple(hook for hook in hooks if not hook.within)
    assert len(without) == len(hooks) - 1
    ways = {**TOOL.via, "without": without}
    with open_program("execsnoop", ways, engine=engine, via="without") as program:
        program.globals["only_uid"] = -1
        program.globals["only_ppid"] = os.getpid()
        program.globals["with_failed"] = False
        program.globals["max_args"] = 20
        for flag, name in (("by_cgroupset", "cgroupset"), ("by_mntnsset", "mntnsset")):
            program.globals[flag] = False
            program.omit_map(name)
        program.load()
        program.attach()
        pids = [execute(script, "one"), execute(TRUE, "two")]
        events = list(program.events("pb", seconds=0))
        lost = program.lost("calls")
    assert ([event.pid for event in events], lost) == (pids, 0)
    commands = [command_of(event, 20) for event in events]
    assert [command.interpreter for command in commands] == [None, None]
    path = os.fsencode(script)
    assert [c.args for c in commands] == [[b"/bin/sh", path, b"one"], [os.fsencode(TRUE), b"two"]]


def test_failed_calls_only_when_asked_for(way: tuple[str, ...], odd: Path) -> None:
    pids: list[int] = []
    result = traced(lambda: pids.append(execute(odd, "plain", "/does/not/exist", "x")), *way)
    assert [row["ret"] for row in rows_of(result, pids[0])] == [0]
    assert all(row["ret"] == 0 for row in result.records)


@pytest.mark.native
def test_an_empty_list(way: tuple[str, ...], odd: Path) -> None:
    """Linux makes one empty argument of it, but older kernels do not."""
    pids: list[int] = []
    work = lambda: pids.extend(execute(odd, how, TRUE) for how in ("null", "empty"))  # noqa: E731
    result = traced(work, *way)
    for pid in pids:
        _, row = rows_of(result, pid)
        assert row["args"] in ([], [""])
        assert (row["filename"], row["truncated"], row["interpreter"]) == (TRUE, False, [])


@pytest.mark.native
def test_asking_is_not_executing(way: tuple[str, ...], odd: Path) -> None:
    """AT_EXECVE_CHECK succeeds without executing; where it is not known, it fails."""

    def work() -> None:
        with subprocess.Popen([odd, "check", TRUE, "true"]) as process:
            pass
        asked.append((process.pid, process.returncode))

    asked: list[tuple[int, int]] = []
    result = traced(work, *way, "-x")
    ((pid, error),) = asked
    _, *rows = rows_of(result, pid)
    assert [row["errno"] for row in rows] == ([error] if error else [])
    assert error in (0, errno.EINVAL)


def test_arguments_that_are_not_in_memory(way: tuple[str, ...], odd: Path) -> None:
    """A program in the kernel cannot wait for them, but the row is there and says so.

    Before Linux 6.8, the kernel read the arguments before it looked for the file.
    """
    pids: list[int] = []
    work = lambda: pids.extend(  # noqa: E731
        execute(odd, "absent", file, "word") for file in (TRUE, "/does/not/exist")
    )
    result = traced(work, *way, "-x")
    (_, succeeded), (_, failed) = (rows_of(result, pid) for pid in pids)
    assert (succeeded["args"], succeeded["truncated"]) == (["word", "word"], False)
    assert (failed["args"], failed["truncated"]) in (
        (["word", "word"], False),
        (["word", "..."], True),
    )


HOSTILE = [b"\x1b[2J\x1b[1A", b"two\nlines", b"\xff\xfe", "fünf".encode(), b"", b" ", b"a\tb"]


@pytest.mark.native
def test_any_bytes(way: tuple[str, ...], tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\x1b[1A\n\xff"
    os.symlink(TRUE, path)
    pids: list[int] = []
    result = traced(lambda: pids.append(execute(path, *HOSTILE)), *way)
    (row,) = rows_of(result, pids[0])
    assert bytes_of(row, "filename") == path
    assert bytes_of(row, "args") == [path, *HOSTILE]
    assert bytes_of(row, "comm") == b"\x1b[1A\n\xff"
    table = traced(lambda: pids.append(execute(path, *HOSTILE)), *way, "--format", "table")
    assert table.stdout.replace("\n", "").isprintable()
    assert r"\x1b[1A\n\xff \x1b[2J" in table.stdout


@pytest.mark.native
def test_max_args(way: tuple[str, ...], odd: Path) -> None:
    """Also of a call that failed."""
    given = [["plain", file, *"abcdef"[:count]] for file in (TRUE, "/no") for count in (4, 5)]
    pids: list[int] = []
    work = lambda: pids.extend(execute(odd, *words) for words in given)  # noqa: E731
    result = traced(work, *way, "-x", "--max-args", "3")
    shown = [rows_of(result, pid)[1]["args"] for pid in pids]
    assert shown == [[*"abcd"], [*"abcd", "..."]] * 2
    many = [str(number) for number in range(2000)]
    given = [["plain", file, *many] for file in (TRUE, "/no")]
    result = traced(work, *way, "-x", "--max-args", "1500000")
    shown = [rows_of(result, pid)[1]["args"] for pid in pids[4:]]
    assert shown == [many, [*many[:1002], "..."]]


def lines_of(result: Result, pid: int) -> list[str]:
    """Return the last cells of a process's rows."""
    row = re.compile(rf"(?m)^(?:.* )?{pid} +{os.getpid()} +-?\d+ (.*)$")
    return row.findall(result.stdout)


@pytest.mark.native
def test_quotes(way: tuple[str, ...], odd: Path) -> None:
    """What -q shows can be told apart again: it has the escapes of C."""
    words = [
        b"a b",
        b"",
        b'say "a"',
        b"back\\slash\\",
        b"new\nline",
        b'"',
        b"\\n",
        b"...",
        b"\xff",
    ]
    shown = r'"a b" "" "say \"a\"" "back\\slash\\" "new\nline" "\"" "\\n" "..." "\xff"'
    pids: list[int] = []
    work = lambda: pids.extend(  # noqa: E731
        execute(odd, b"plain", file, b"name", *words) for file in (TRUE, "/no")
    )
    result = traced(work, *way, "--format", "table", "-xq")
    assert lines_of(result, pids[0])[1] == f'"{TRUE}" {shown}'
    assert lines_of(result, pids[1])[1] == f'[ENOENT] "/no" {shown}'
    # The three dots that were no argument have no quotes.
    result = traced(work, *way, "--format", "table", "-xq", "--max-args", "2")
    assert lines_of(result, pids[2])[1] == f'"{TRUE}" "a b" "" ...'
    assert lines_of(result, pids[3])[1] == '[ENOENT] "/no" "a b" "" ...'
    # JSON needs none.
    result = traced(work, *way, "-q")
    assert bytes_of(rows_of(result, pids[4])[1], "args") == [b"name", *words]


@pytest.mark.native
def test_table(way: tuple[str, ...], odd: Path) -> None:
    pids: list[int] = []
    work = lambda: pids.append(execute(odd, "plain", "/no", "name", "a b"))  # noqa: E731
    result = traced(work, *way, "--format", "table", "-x")
    header, *lines = result.stdout.splitlines()
    assert header == "PCOMM                PID    PPID RET ARGS"
    me = os.getpid()
    _, failed = (line for line in lines if f" {pids[0]} " in line)
    assert failed == f"{'exec':16} {pids[0]:>7} {me:>7}  -2 [ENOENT] /no a b"

    result = traced(work, *way, "--format", "table", "-TtUx")
    header, *lines = result.stdout.splitlines()
    assert header == "TIME     TIME(s)  UID    PCOMM                PID    PPID RET ARGS"
    _, failed = (line for line in lines if f" {pids[1]} " in line)
    expected = (
        rf"\d\d:\d\d:\d\d \d+\.\d{{3}} +0      exec {{13}} *{pids[1]} +{me}  -2 .ENOENT. /no a b"
    )
    assert re.fullmatch(expected, failed)


def as_nobody(*command: str | Path) -> int:
    return execute("/usr/bin/setpriv", "--reuid", "nobody", "--clear-groups", *command)


@pytest.mark.native
@pytest.mark.parametrize("user", ["nobody", "65534", "root", "0"])
def test_user(way: tuple[str, ...], user: str) -> None:
    """Root is a user, too."""
    result = traced(
        lambda: (execute(TRUE, "root's"), as_nobody(TRUE, "nobody's")), *way, "-u", user
    )
    wanted = 0 if user in ("root", "0") else 65534
    assert {row["uid"] for row in result.records} == {wanted}
    last = [row["args"][-1] for row in ours(result)]
    # setpriv is executed by root.
    assert last == (["nobody's"] if wanted else ["root's", "nobody's"])


@pytest.mark.native
def test_ppid(way: tuple[str, ...]) -> None:
    """Children of one process, not their children."""
    work = lambda: [execute("/bin/sh", "-c", f"{TRUE} {n}; :") for n in range(3)]  # noqa: E731
    result = traced(work, *way)
    assert [row["args"][0] for row in result.records] == ["/bin/sh"] * 3


@pytest.mark.native
def test_regular_expressions(way: tuple[str, ...], tmp_path: Path) -> None:
    """-n is about the command's name, -l about the line that is shown."""
    name = tmp_path / "ebpf-snooped"
    name.symlink_to(TRUE)

    def work() -> None:
        for words in ("a b", "a  b"), ("x",), ("a", "b"), ("ü\xff",):
            execute(name, *words)
        execute(TRUE, "ebpf-snooped", "a", "b")

    def shown(*options: str) -> list[list[bytes]]:
        return [bytes_of(row, "args")[1:] for row in traced(work, *way, *options).records]

    everything = [[b"a b", b"a  b"], [b"x"], [b"a", b"b"], ["ü\xff".encode()]]
    assert shown("-n", "^ebpf-sno{2}ped$") == everything
    # The program's name in the arguments is not the file that is executed.
    assert shown("-n", "^ebpf-snoop", "-l", "snooped a b") == [everything[0], everything[2]]
    assert shown("-l", f"^{re.escape(str(name))} ....$") == [everything[3]]


def test_nothing_is_lost_in_silence(way: tuple[str, ...]) -> None:
    """While the tool is stopped its buffers fill up; what finds no room is counted."""
    with Running(EXECSNOOP, *way, "-P", str(os.getpid()), "--buffer", "64") as tool:
        tool.wait_attached()
        with tool.stopped():
            for number in range(50):
                execute(TRUE, str(number), "x" * 8000)
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 50)
    for row in result.records:
        assert row["args"] == [TRUE, row["args"][1], "x" * 8000]
        assert not row["truncated"]


def unread(pipe: IO[bytes]) -> int:
    """Return how many bytes wait in a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.native
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_cuts_no_line(odd: Path, unbuffered: str) -> None:
    """Ctrl-C while the tool waits for the reader of its pipe, which comes soon."""
    with Running(
        EXECSNOOP,
        *("--json", "-P", str(os.getpid())),
        env={"PYTHONUNBUFFERED": unbuffered},
    ) as tool:
        tool.wait_attached()
        # More than a pipe holds (64 KiB), less than a perf buffer does (256).
        for _ in range(8):
            execute(odd, "plain", TRUE, "x" * 12000)
        stdout = tool.process.stdout
        assert stdout
        wait_until(lambda: unread(stdout) > 40000, lambda: "the pipe has room for it all")
        result = tool.finish(signal.SIGINT)  # which reads on
    assert result.status == 0
    if "the rest is not written" in result.stderr:  # the machine was too slow for it
        *_, cut = result.stdout.splitlines()
        assert cut.startswith('{"')
        return
    assert len(result.records) == 16
    assert {row["args"][-1] for row in result.records} == {"x" * 12000}


@pytest.mark.native
def test_a_32_bit_program(way: tuple[str, ...], compiled: Compiled) -> None:
    """The kernel hides the end of that call from tracepoints: it counts as lost."""
    if os.uname().machine != "x86_64" or features.config("IA32_EMULATION") == "n":
        pytest.skip(f"{UNSUPPORTED}this kernel executes no 32-bit x86 programs")
    program = compiled("thirty_two")
    with Running(EXECSNOOP, *way, "-P", str(os.getpid())) as tool:
        tool.wait_attached()
        subprocess.run([program, "a"], check=True)
        result = tool.finish(signal.SIGINT)
    assert result.status == 0
    if "tracepoint" in way:
        assert (result.records, result.summary["lost"]) == ([], 1)
        assert "1 events were lost" in result.stderr
    else:
        assert [row["args"] for row in result.records] == [[str(program), "a"]]
        assert result.summary["lost"] == 0


@pytest.mark.core
def test_all_ways_agree(odd: Path, tmp_path: Path) -> None:
    """But for the time, the rows of the same calls are the same."""
    ways = [(engine, name) for engine, name in ways_of(TOOL) if not what_is_missing(TOOL.via[name])]
    assert len(ways) > 1
    options = ("--json", "-x", "-P", str(os.getpid()))
    with contextlib.ExitStack() as stack:
        tools = [
            stack.enter_context(Running(EXECSNOOP, "--engine", engine, "--via", name, *options))
            for engine, name in ways
        ]
        for tool in tools:
            tool.wait_attached()
        pids = [execute(odd, *case.how) for case in cases(tmp_path)]
        results = [tool.finish(signal.SIGINT) for tool in tools]
    assert [(result.status, result.summary["lost"]) for result in results] == [(0, 0)] * len(ways)
    answers = [
        [{**row, "time": "", "time_s": 0} for pid in pids for row in rows_of(result, pid)]
        for result in results
    ]
    assert len(answers[0]) == 2 * len(pids)
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("options", "rows"),
    [
        pytest.param((), 3, id="succeeds"),
        pytest.param(("-x",), 4, id="fails-too", marks=pytest.mark.core),
    ],
)
def test_demo(way: tuple[str, ...], options: tuple[str, ...], rows: int) -> None:
    result = run(EXECSNOOP, *way, "--demo", *options)
    assert result.status == 0, result.stderr
    assert result.stderr.endswith(f"Demo: saw every row that it caused ({rows}).\n")
    assert b"caf\xe9" in {bytes_of(row, "args")[-1] for row in result.records}


@pytest.mark.alone  # a tool of another test would be the next one
def test_a_killed_tool_leaves_no_kretprobe_for_long(engine: str) -> None:
    """In tracefs it outlives the tool. The next one removes it, but none in use."""
    need(*TOOL.via["kprobe"])
    way = ("--engine", engine, "--via", "kprobe", "--json")
    with Running(EXECSNOOP, *way) as first:
        first.wait_attached()
        with Running(EXECSNOOP, *way) as second:
            second.wait_attached()
            assert [len(kretprobe_events(tool.pid)) for tool in (first, second)] == [2, 2]
            second.process.kill()
            second.process.wait()
            assert len(kretprobe_events(second.pid)) == 2
        result = traced(lambda: execute(TRUE), *way)
        assert [row["args"] for row in ours(result)] == [[TRUE]]
        assert [len(kretprobe_events(tool.pid)) for tool in (first, second)] == [2, 0]
        assert first.finish(signal.SIGINT).status == 0
    assert kretprobe_events(first.pid) == []


def test_cgroups(engine: str, tmp_path: Path) -> None:
    """Those in the map, also if they come later; nothing else."""
    script = 'read go; echo $$ >"$1/cgroup.procs"; /bin/true "$2"; :'
    with pinned_hash(tmp_path, 8, 8) as wanted, cgroup(tmp_path) as group:
        makers = {
            word: subprocess.Popen(
                ["/bin/sh", "-c", script, "sh", where, word], stdin=subprocess.PIPE
            )
            for word, where in (("in", group), ("out", group.parent), ("late", group / "inner"))
        }

        def work() -> None:
            makers["in"].communicate(b"\n")
            makers["out"].communicate(b"\n")
            wanted.add((group / "inner").stat().st_ino)
            makers["late"].communicate(b"\n")

        wanted.add(group.stat().st_ino)
        options = ("--engine", engine, "--json", "--cgroupmap", str(wanted.path))
        result = traced(work, *options, of_all=True)
    assert [row["args"] for row in result.records] == [["/bin/true", "in"], ["/bin/true", "late"]]


@pytest.mark.parametrize("value_bytes", [4, 8])
def test_mount_namespaces(engine: str, tmp_path: Path, value_bytes: int) -> None:
    with pinned_hash(tmp_path, 8, value_bytes) as wanted:
        makers = [
            subprocess.Popen(
                ["unshare", "--mount", "/bin/sh", "-c", f"read go; /bin/true {n}; :"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for n in range(2)
        ]
        mine = os.stat("/proc/self/ns/mnt").st_ino

        def work() -> None:
            for maker in makers:
                maker.communicate(b"\n")
            execute(TRUE, "mine")

        while os.stat(f"/proc/{makers[1].pid}/ns/mnt").st_ino == mine:
            pass
        wanted.add(os.stat(f"/proc/{makers[1].pid}/ns/mnt").st_ino)
        options = ("--engine", engine, "--json", "--mntnsmap", str(wanted.path))
        result = traced(work, *options, of_all=True)
    assert [row["args"] for row in result.records] == [["/bin/true", "1"]]


@pytest.mark.native
@pytest.mark.parametrize("option", ["--cgroupmap", "--mntnsmap"])
def test_a_map_that_is_none(engine: str, option: str, tmp_path: Path) -> None:
    def error(path: Path) -> str:
        result = run(EXECSNOOP, "--engine", engine, option, path)
        cause, hint = assert_error(result, 2, "ebpf-execsnoop")
        assert "bpftool map create PATH type hash key 8 " in hint
        return cause

    (tmp_path / "file").touch()
    assert error(tmp_path / "no\nsuch") == rf"there is no {tmp_path}/no\nsuch"
    assert error(tmp_path / "file") == f"{tmp_path}/file is not a pinned map"
    assert error(tmp_path) == f"{tmp_path} is not a pinned map"
    with pinned_hash(tmp_path, 4, 4) as other:
        assert error(other.path) == f"{other.path} is a hash, with keys of 4 bytes"
        assert error(other.path.parent) == f"{other.path.parent} is not a pinned map"


@pytest.mark.native
@pytest.mark.parametrize(
    "options",
    [
        *(("-n", "("), ("-l", "[z-a]"), ("-n", "*\n"), ("-u", "no-such-user"), ("-u", "-1")),
        *(("-P", "0"), ("-P", "x"), ("--max-args", "0"), ("--max-args", "x"), ("--buffer", "0")),
        ("--via", "magic"),
    ],
)
def test_usage(options: tuple[str, ...]) -> None:
    assert_error(run(EXECSNOOP, *options), 2, "ebpf-execsnoop")


@pytest.mark.native
def test_a_way_that_is_not_there() -> None:
    for name, hooks in TOOL.via.items():
        missing = what_is_missing(hooks)
        if missing:
            cause, hint = assert_error(
                run(EXECSNOOP, "--via", name), missing.status, "ebpf-execsnoop"
            )
            assert (cause, hint) == (str(missing), missing.hint)


# bcc's own tool, and the headers that it needs of the running kernel.
ORIGINAL = shutil.which("execsnoop-bpfcc", path=f"{os.environ['PATH']}:/usr/sbin")
HEADERS = os.environ.get("BCC_KERNEL_SOURCE") or features.kernel_headers()
ORIGINAL_ROW = re.compile(r"^(.{16}) (\d+) +(\d+) +(-?\d+) (.*)$")


def read_rows(process: subprocess.Popen[str], last: str) -> list[tuple[str, ...]]:
    """Return the rows that the original writes, up to one that ends in `last`."""
    assert process.stdout
    rows = []
    for line in process.stdout:
        match = ORIGINAL_ROW.match(line.rstrip("\n"))
        if match:
            rows.append((match[1].rstrip(), *match.groups()[1:]))
            if match[5].endswith(last):
                break
    return rows


@pytest.mark.original
def test_same_rows_as_the_original(engine: str, odd: Path, tmp_path: Path) -> None:
    """Of calls that bcc's execsnoop can show: execve, and no more than 19 short arguments."""
    need(*TOOL.via["kprobe"])
    assert ORIGINAL
    assert HEADERS
    made = [
        case.how
        for case in cases(tmp_path)
        if case.how[0] in ("plain", "thread") and len(case.args) < 20 and len(str(case.how)) < 1000
    ]
    assert len(made) > 15
    # Its rows are put together from records that have to come from one CPU.
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    with (
        subprocess.Popen(
            ["/usr/bin/python3", "-u", ORIGINAL, "-x", "-P", str(os.getpid())],
            env={**os.environ, "BCC_KERNEL_SOURCE": HEADERS},
            stdout=subprocess.PIPE,
            text=True,
        ) as original,
    ):
        try:
            assert original.stdout
            assert original.stdout.readline().startswith("PCOMM ")

            def work() -> None:
                for how in made:
                    execute(odd, *how)
                execute(TRUE, "the last one")

            result = traced(work, "--engine", engine, "--via", "kprobe", "--json", "-x")
            theirs = read_rows(original, "the last one")
        finally:
            os.sched_setaffinity(0, cpus)
            original.terminate()
    own = [
        (
            row["comm"],
            str(row["pid"]),
            str(row["ppid"]),
            str(row["ret"]),
            " ".join([row["filename"], *row["args"][1:]]),
        )
        for row in result.records
    ]
    assert len(own) == 2 * len(made) + 1
    assert theirs[-len(own) :] == own
