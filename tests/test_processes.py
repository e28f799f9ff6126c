"""Whose events a tool shows: -p, --follow, -c, --cgroup, --container; and nobody else's."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cases import Case, in_all_ways, need_hooks, parameters
from support import (
    BIN,
    ENGINES,
    Result,
    Running,
    Workload,
    assert_error,
    cgroup,
    may_be_skipped,
    run,
)

from ebpf_tour.frame.catalogue import parser_of, tools
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.loader.program import FOLLOW_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Compiled

    Rows = list[dict[str, Any]]

TOOLS = [
    tool
    for tool in tools()
    if any("--follow" in action.option_strings for action in parser_of(tool)._actions)
]
GENERATIONS = 3

kernel = pytest.mark.kernel


class Wanted(NamedTuple):
    """Of whom a tool must have seen all, and of nobody else anything.

    Each of the processes opens a file, makes a directory, fails to execute a program, and ends.
    `executed` are the programs that they executed.
    """

    pids: set[int]
    executed: list[str]


def of_opensnoop(rows: Rows, wanted: Wanted) -> None:
    theirs = [row for row in rows if (row["path"] or "").endswith(".open")]
    assert all(row["path"].endswith(f"/{row['pid']}.open") for row in theirs)
    assert Counter(row["pid"] for row in theirs) == Counter(wanted.pids)
    assert {row["pid"] for row in rows} == wanted.pids


def of_mkdir(rows: Rows, wanted: Wanted) -> None:
    names = Counter((row["pid"], row["name"]) for row in rows)
    assert names == Counter((pid, f"{pid}.dir") for pid in wanted.pids)


def of_execsnoop(rows: Rows, wanted: Wanted) -> None:
    failed = Counter(
        (row["pid"], os.path.basename(row["filename"]), row["errno"]) for row in rows if row["ret"]
    )
    assert failed == Counter((pid, f"{pid}.exec", errno.ENOENT) for pid in wanted.pids)
    executed = [row for row in rows if not row["ret"]]
    assert Counter(row["filename"] for row in executed) == Counter(wanted.executed)
    assert {row["pid"] for row in executed} <= wanted.pids


def of_bootstrap(rows: Rows, wanted: Wanted) -> None:
    """A process that has ended is still known when its EXIT comes."""
    ended = [row for row in rows if row["event"] == "EXIT"]
    assert Counter(row["pid"] for row in ended) == Counter(wanted.pids)
    assert all((row["exit_code"], row["signal"]) == (0, None) for row in ended)
    executed = [row for row in rows if row["event"] == "EXEC"]
    assert Counter(row["filename"] for row in executed) == Counter(wanted.executed)
    assert {row["pid"] for row in executed} <= wanted.pids


def of_execcount(rows: Rows, wanted: Wanted) -> None:
    assert rows[-1]["count"] == len(wanted.pids) + len(wanted.executed)


def of_syscount(rows: Rows, wanted: Wanted) -> None:
    """Each process ends by one call."""
    assert {row["pid"]: row["count"] for row in rows} == dict.fromkeys(wanted.pids, 1)
    assert len(rows) == len(wanted.pids)


def of_procinfo(rows: Rows, wanted: Wanted) -> None:
    executed = [os.path.basename(path)[:15] for path in wanted.executed]
    assert Counter(row["comm"] for row in rows) == Counter(executed)
    assert {row["pid"] for row in rows} <= wanted.pids


def of_profile(rows: Rows, wanted: Wanted) -> None:
    """Each process touches new pages, how many is the C library's business."""
    assert {row["pid"] for row in rows} == wanted.pids
    assert {row["comm"] for row in rows} <= {"family", "true"}


# The options for each tool, and what holds its rows against what was wanted.
SEES: dict[str, tuple[tuple[str, ...], Callable[[Rows, Wanted], None]]] = {
    "opensnoop": ((), of_opensnoop),
    "mkdir": ((), of_mkdir),
    "execsnoop": (("-x",), of_execsnoop),
    "bootstrap": ((), of_bootstrap),
    "execcount": (("--interval", "3600"), of_execcount),
    "syscount": (("--by", "pid", "-s", "exit_group", "--top", "0"), of_syscount),
    "procinfo": ((), of_procinfo),
    # So few stacks have no slot in common.
    "profile": (("--event", "page-faults", "-K", "--stack-storage-size", "100000"), of_profile),
}
LAST = "/bin/true"  # is what the last process of a family executes


def members(directory: Path) -> set[int]:
    """Return the processes of a family that has done its work."""
    found = {int(path.stem) for path in directory.glob("*.dir")}
    assert len(found) == GENERATIONS
    return found


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Return what makes a directory for a family."""
    made: list[Path] = []

    def make() -> Path:
        made.append(tmp_path / f"family{len(made)}")
        made[-1].mkdir()
        return made[-1]

    return make


def tool_and(case: Case, *words: str | Path) -> list[str | Path]:
    options, _ = SEES[case.tool.name]
    return [*case.command(*options, "--json"), *words]


def must_see(case: Case, watch: Callable[[], tuple[Result, Wanted]]) -> None:
    """Demand that a tool sees all that is wanted, and nothing else.

    Linux 7.2 may skip one of the tool's programs, or the one that follows a process. The tool
    must say then that it has lost something, and is tried again.
    """
    following = (RawTracepoint(event) for event in FOLLOW_EVENTS)
    skips = may_be_skipped(*case.hooks, *following)
    _, compare = SEES[case.tool.name]
    for _ in range(10):
        result, wanted = watch()
        assert result.status == 0, result.stderr
        assert {row["pid"] for row in result.records if "pid" in row} <= wanted.pids
        lost = result.summary["lost"]
        try:
            compare(result.records, wanted)
        except AssertionError:
            if not (skips and lost):
                raise
        else:
            assert skips or lost == 0
            return
    pytest.fail("each time, something was lost")


def by_turns(first: int) -> Any:
    """Each tool on one engine: of the next tool, it is the other one."""
    pairs = enumerate(TOOLS, first)
    return parameters([Case(tool, tool.engines[turn % len(tool.engines)]) for turn, tool in pairs])


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
@by_turns(0)
def test_processes_by_their_pids(case: Case, compiled: Compiled, homes: Callable[[], Path]) -> None:
    """Two of one program, and not their children; with --follow, those too. Of a third: nothing."""

    def watch(*follow: str) -> tuple[Result, Wanted]:
        places = [homes() for _ in range(3)]
        command = (compiled("family"),)
        with (
            Workload(*command, places[0], str(GENERATIONS), "wait") as first,
            Workload(*command, places[1], str(GENERATIONS), "wait") as second,
            Workload(*command, places[2], str(GENERATIONS), "wait") as other,
        ):
            pids = f"{first.pid},{second.pid}"
            with Running(*tool_and(case, "-p", pids, *follow)) as watching:
                watching.wait_attached()
                for workload in (other, first, second):
                    workload.begin()
                for workload in (other, first, second):
                    workload.process.wait()
                result = watching.finish(signal.SIGINT)
        wanted = {first.pid, second.pid}
        if follow:
            wanted |= members(places[0]) | members(places[1])
        # Each has executed itself before.
        return result, Wanted(wanted, [LAST] * 2 if follow else [])

    must_see(case, watch)
    must_see(case, lambda: watch("--follow"))


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
@parameters(in_all_ways(TOOLS))
def test_a_command(case: Case, compiled: Compiled, homes: Callable[[], Path]) -> None:
    """Its events and those of all that come from it; the tool ends with them."""
    need_hooks(case)

    def watch() -> tuple[Result, Wanted]:
        home, strangers = homes(), homes()
        with Workload(compiled("family"), strangers, str(GENERATIONS), "wait") as other:
            command = f"{compiled('family')} {home} {GENERATIONS}"
            with Running(*tool_and(case, "-c", command)) as watching:
                watching.wait_attached()
                other.begin()
                result = watching.finish()
        assert result.stderr.endswith(f"{case.tool.command}: the command ended with status 0\n")
        return result, Wanted(members(home), [str(compiled("family")), LAST])

    must_see(case, watch)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
@by_turns(1)
def test_a_cgroup(
    case: Case, compiled: Compiled, homes: Callable[[], Path], tmp_path: Path
) -> None:
    """And one below it; nothing of who is outside."""

    def watch(group: Path) -> tuple[Result, Wanted]:
        places = [homes() for _ in range(3)]
        where = (group, group / "inner", None)
        workloads = [
            Workload(compiled("family"), place, str(GENERATIONS), "wait") for place in places
        ]
        for workload, its in zip(workloads, where, strict=True):
            if its:
                (its / "cgroup.procs").write_text(str(workload.pid))
        with Running(*tool_and(case, "--cgroup", group)) as watching:
            watching.wait_attached()
            for workload in workloads:
                workload.begin()
            for workload in workloads:
                workload.process.wait()
            result = watching.finish(signal.SIGINT)
        for workload in workloads:
            workload.finish()
        return result, Wanted(members(places[0]) | members(places[1]), [LAST] * 2)

    with cgroup(tmp_path) as group:
        must_see(case, lambda: watch(group))


@kernel
@pytest.mark.core
@pytest.mark.parametrize("engine", ENGINES)
def test_an_id_that_is_used_again(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    """At once, before the kernel frees the process that had it: it is another process."""
    with Workload(compiled("again"), tmp_path) as workload:
        options = ("--engine", engine, "--json", "--follow", "-p", str(workload.pid))
        with Running(BIN / "ebpf-mkdir", *options) as watching:
            watching.wait_attached()
            workload.begin()
            assert workload.process.wait() == 0
            result = watching.finish(signal.SIGINT)
    made = {path.suffix: path.name for path in tmp_path.iterdir()}
    assert made.keys() == {".stranger", ".first", ".second"}
    assert [row["name"] for row in result.records] == [made[".first"], made[".second"]]


@kernel
@pytest.mark.core
@pytest.mark.parametrize("engine", ENGINES)
def test_an_execve_by_another_thread(engine: str, compiled: Compiled) -> None:
    """It becomes the first thread. That is the same process, and the tool ends with it."""
    in_child = f"{compiled('exec')} thread /bin/sh sh -c '/bin/true; exit 3'"
    command = f'sh -c "{in_child}; exit 4"'
    result = run(BIN / "ebpf-bootstrap", "--engine", engine, "--json", "-c", command)
    assert result.stderr.endswith("ebpf-bootstrap: the command ended with status 4\n")
    executed = [row["filename"] for row in result.records if row["event"] == "EXEC"]
    assert [os.path.basename(path) for path in executed] == ["sh", "exec", "sh", "true"]
    assert [row["exit_code"] for row in result.records if row["event"] == "EXIT"] == [0, 3, 4]


OPENSNOOP = BIN / "ebpf-opensnoop"


@kernel
def test_what_the_command_says() -> None:
    """Its status, and that it goes on. Its output is on stderr, if ours is for programs."""
    result = run(OPENSNOOP, "--json", "-c", "sh -c 'echo words; exit 3'")
    assert result.status == 0
    assert result.stderr.endswith("words\nebpf-opensnoop: the command ended with status 3\n")
    result = run(OPENSNOOP, "-c", "sh -c 'echo words; kill -9 $$'", "--path", "/none")
    assert "words\n" in result.stdout
    assert result.stderr.endswith("ebpf-opensnoop: the command was ended by signal 9\n")
    result = run(OPENSNOOP, "-c", "sh -c 'echo $$; exec sleep 99 >&- 2>&-'", "--time-limit", "1")
    number = int(next(line for line in result.stdout.splitlines() if line.isdecimal()))
    assert result.stderr.endswith(f"the command goes on, as process {number}\n")
    os.kill(number, signal.SIGKILL)


@kernel
def test_ctrl_c_reaches_both() -> None:
    with Running(OPENSNOOP, "-c", "sleep 99") as tool:
        tool.wait_attached()
        os.killpg(tool.pid, signal.SIGINT)
        result = tool.finish()
    assert result.status == 0
    assert result.stderr.splitlines()[-1].startswith("ebpf-opensnoop: the command ")


@kernel
def test_it_runs_as_the_caller(tmp_path: Path) -> None:
    """Of sudo: with that user's groups and home."""
    show = "/usr/bin/python3 -Ic 'import os; print(os.getuid(), os.getgid(), os.environ[\"HOME\"])'"
    tool = (OPENSNOOP, "--json", "--path", str(tmp_path), "-c", show)
    user = {"SUDO_UID": "65534"}
    assert "\n65534 65534 /nonexistent\n" in run(*tool, env=user).stderr
    home = os.environ["HOME"]
    assert f"\n0 0 {home}\n" in run(*tool, "--as-root", env=user).stderr


@kernel
def test_in_a_container() -> None:
    """Where the tool cannot know the PID that the kernel's programs see."""
    command = ("unshare", "--pid", "--fork", "--mount-proc", OPENSNOOP)
    leaves = "sh -c '(sleep 0.5; cat /etc/hostname) & exit 3'"
    result = run(*command, "--json", "-c", leaves, "--path", "/etc/hostname")
    assert [row["path"] for row in result.records] == ["/etc/hostname"]
    assert result.stderr.endswith("ebpf-opensnoop: the command ended with status 3\n")


@kernel
def test_a_container_and_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the beginning of the ID, or the unit's name, in the name of the cgroup."""
    from ebpf_tour.base.errors import UsageError
    from ebpf_tour.userland import cgroup as cgroups

    with cgroup(tmp_path) as group:
        monkeypatch.setattr(cgroups, "top", lambda: str(group))
        names = (
            f"docker-{'ab12' * 16}.scope",
            f"libpod-{'ab13' * 16}.scope",
            "ef45" * 16,
            "web.service",
        )
        for name in names:
            (group / name).mkdir()
        try:
            found = [cgroups.of_container(word) for word in ("ab12", "ab13ab", "ef45" * 16)]
            assert found == [str(group / name) for name in names[:3]]
            assert cgroups.of_container("web.service") == str(group / "web.service")
            for word, why in (
                ("ab1", "no container ID of at least 4 digits"),
                ("web", "no container ID"),
                ("dead", "there is no cgroup of dead"),
                ("db.service", "there is no cgroup of db.service"),
            ):
                with pytest.raises(UsageError, match=why):
                    cgroups.of_container(word)
            (group / f"crio-{'ab12' * 15}ffff.scope").mkdir()
            with pytest.raises(UsageError, match="2 cgroups are called ab12"):
                cgroups.of_container("ab12")
        finally:
            for path in group.iterdir():
                if path.is_dir() and path.name != "inner":
                    path.rmdir()


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("-c", ""), "-c: there is no command"),
        (("-c", "no-such-program x"), "-c: there is no program 'no-such-program' that could"),
        (("-c", "echo 'x"), '-c "echo \'x": No closing quotation'),
        (("-c", "true", "-p", "1"), "-c starts a process, so -p cannot be given"),
        (("-c", "true", "--demo"), "-c starts a process, so --demo cannot be given"),
        (("-c", "true", "--show", "asm"), "--show runs nothing, so -c cannot be given"),
        (("--as-root",), "--as-root is for -c"),
        (("--follow",), "whom to follow?"),
        (("--cgroup", "/tmp"), "/tmp is not a cgroup of version 2"),
        (("--cgroup", "/x", "--container", "abcd"), "--cgroup and --container are two names"),
        (("-p", "1,x"), "argument -p/--pid: 'x' is not a whole number above 0"),
    ],
)
def test_wrong_options(words: tuple[str, ...], cause: str) -> None:
    said, _ = assert_error(run(OPENSNOOP, *words), 2, "ebpf-opensnoop")
    assert said.startswith(cause)


def test_words_of_pgrep() -> None:
    """-p $(pgrep nginx) gives several words."""
    from ebpf_tour.commands.opensnoop import TOOL

    found = parser_of(TOOL).parse_args(["-p", "1", str(os.getpid()), "-p", "1,1"])
    assert found.pids == [[1], [os.getpid()], [1, 1]]


def test_a_command_that_cannot_be_executed(tmp_path: Path) -> None:
    """It is found, and the kernel refuses it."""
    path = tmp_path / "script"
    path.write_text("no program")
    path.chmod(0o755)
    result = subprocess.run([OPENSNOOP, "-c", path], capture_output=True, text=True)
    assert result.returncode == 1
    assert f"cannot execute {path}: Exec format error" in result.stderr
