"""ebpf-procinfo, held against what /proc says of the same processes."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    BIN,
    NO_BTF,
    UNSUPPORTED,
    Result,
    Running,
    Workload,
    assert_error,
    bytes_of,
    in_mount_namespace,
    run,
    run_all,
    wait_until,
)

from ebpf_tour.commands.procinfo import NAMESPACES, TOOL
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from support import Compiled

PROCINFO = BIN / "ebpf-procinfo"

pytestmark = pytest.mark.kernel(TOOL)

# Each namespace that there is; a user namespace cannot be made in a chroot.
UNSHARE = ("unshare", "--fork", "--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup", "--time")
USER = ("--user", "--map-root-user")


def children(pid: int) -> list[int]:
    """Return the processes that a process has made and that are still there."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def namespaces(pid: int) -> dict[str, int]:
    """Return what `readlink /proc/PID/ns/*` says, by the keys of a row."""
    found = {}
    for name in NAMESPACES:
        link = os.readlink(f"/proc/{pid}/ns/{name}")
        number = re.fullmatch(rf"{name}:\[(\d+)\]", link)
        assert number
        found[f"{name}_ns"] = int(number[1])
    return found


def numbers(pid: int) -> dict[str, int]:
    """Return PIDs and IDs from /proc/PID/status, by the keys of a row."""
    text = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines())
    return {
        "pid": pid,
        "ppid": int(fields["PPid"]),
        "ns_pid": int(fields["NSpid"].split()[-1]),
        "uid": int(fields["Uid"].split()[0]),
        "gid": int(fields["Gid"].split()[0]),
    }


class Cat:
    """A process that executes cat, perhaps behind other commands, and stays until the end."""

    def __init__(self, *wrapper: str) -> None:
        command = [*wrapper, "cat"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self.starter = self.process.pid
        self.pid = self.starter

    def __enter__(self) -> Self:
        try:
            wait_until(self._there, lambda: f"{comm(self.starter)} does not execute cat")
            self.expected = {**numbers(self.pid), **namespaces(self.pid)}
        except BaseException:
            self.process.kill()
            self.process.communicate()  # cat ends when its input is closed
            raise
        return self

    def _there(self) -> bool:
        self.pid = self.starter
        try:
            while comm(self.pid) != "cat":
                below = children(self.pid)
                if not below:
                    return False
                self.pid = below[0]
        except (FileNotFoundError, ProcessLookupError):
            return False  # the child was another command, such as mount, and has ended
        return True

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def check(self, row: dict[str, Any]) -> None:
        """Demand that a row says what /proc has said."""
        assert {key: row[key] for key in self.expected} == self.expected


def rows_of(result: Result, *pids: int) -> list[dict[str, Any]]:
    """Return the rows of these processes. Demands an orderly end without losses."""
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    for row in result.records:
        assert [key for key in row if not key.endswith("_hex")] == [
            column.key for column in TOOL.columns
        ]
    return [row for row in result.records if row["pid"] in pids]


def unshare() -> tuple[str, ...]:
    """Return the command that makes new namespaces, all that can be made here."""
    return UNSHARE + USER if run("unshare", "--user", "true").status == 0 else UNSHARE


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_in_namespaces_of_its_own(engine: str) -> None:
    ours = namespaces(os.getpid())
    with Running(PROCINFO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with Cat(*unshare()) as cat:
            new = {key for key in ours if cat.expected[key] != ours[key]}
        result = tool.finish(signal.SIGINT)
    began, contained = rows_of(result, cat.starter, cat.pid)
    cat.check(contained)
    assert new == set(ours) - ({"user_ns"} if "--user" not in unshare() else set())
    assert (contained["comm"], contained["ns_pid"], contained["ns_ppid"]) == ("cat", 1, 0)
    # unshare itself was executed outside of them.
    assert {key: began[key] for key in ours} == ours
    assert (began["comm"], began["ns_pid"]) == ("unshare", cat.starter)
    assert began["ppid"] == began["ns_ppid"] == os.getpid()


@pytest.mark.usefixtures("leaves_nothing")
def test_an_ordinary_process(engine: str) -> None:
    with Running(PROCINFO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with Cat() as cat:
            pass
        (row,) = rows_of(tool.finish(signal.SIGINT), cat.pid)
    cat.check(row)
    assert {key: row[key] for key in namespaces(os.getpid())} == namespaces(os.getpid())
    assert (row["event"], row["ns_pid"], row["ns_ppid"]) == ("EXEC", cat.pid, os.getpid())


def test_inside_a_nested_pid_namespace(engine: str) -> None:
    """The parent is in there, too, and three namespaces count three numbers each."""
    make = ("unshare", "--pid", "--fork")
    shell = ("sh", "-c", '"$@"; :', "sh")  # stays, as the parent
    with Running(PROCINFO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with Cat(*make, *make, *shell) as cat:
            status = Path(f"/proc/{cat.pid}/status").read_text()
        rows = rows_of(tool.finish(signal.SIGINT), cat.pid)
    assert len(re.findall(r"(?m)^NSpid:\t(\d+)\t\d+\t2$", status)) == 1
    (row,) = rows
    cat.check(row)
    assert (row["ns_pid"], row["ns_ppid"]) == (2, 1)


def test_user_and_group(engine: str) -> None:
    with Running(PROCINFO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with Cat("setpriv", "--reuid=65534", "--regid=65533", "--clear-groups") as cat:
            pass
        _, row = rows_of(tool.finish(signal.SIGINT), cat.pid)
    cat.check(row)
    assert (row["uid"], row["gid"]) == (65534, 65533)


@pytest.fixture
def cgroup() -> Iterator[str]:
    """Return a cgroup of our own: its directory in a mount that only the commands below see."""
    path = f"/mnt/ebpf-tour-test-{os.getpid()}"
    mount = "mount -t cgroup2 none /mnt"
    assert run(*in_mount_namespace(mount, "mkdir", path)).status == 0
    yield path

    def removed() -> bool:
        return run(*in_mount_namespace(mount, "rmdir", path)).status == 0

    wait_until(removed, lambda: f"{path} cannot be removed")


def test_cgroup(engine: str, cgroup: str) -> None:
    mount = "mount -t cgroup2 none /mnt"
    enter = in_mount_namespace(f"{mount}\necho $$ >{cgroup}/cgroup.procs")
    inode = run(*in_mount_namespace(mount, "stat", "--format=%i", cgroup)).stdout
    with Running(PROCINFO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with Cat(*map(str, enter)) as cat:
            pass
        *_, row = rows_of(tool.finish(signal.SIGINT), cat.pid)
    cat.check(row)
    assert row["cgroup_id"] == int(inode) > 1


@pytest.mark.usefixtures("leaves_nothing")
def test_a_process_that_is_there(engine: str) -> None:
    """What it is now, what it executes, nothing else, and the end with it."""
    with Cat(*unshare(), "sh", "-c", 'cat | read line; exec "$@"', "sh") as before:
        # The shell waits for its own cat, which waits for a line.
        shell = int(Path(f"/proc/{before.pid}/stat").read_text().rpartition(")")[2].split()[1])
        expected = {**numbers(shell), **namespaces(shell)}
        with Running(PROCINFO, "--engine", engine, "--json", str(shell)) as tool:
            tool.wait_attached()
            subprocess.run(["/bin/true"], check=True)
            assert before.process.stdin
            before.process.stdin.write(b"\n")
            before.process.stdin.close()
            before.process.wait()
            result = tool.finish()
    assert result.stderr == f"Tracing what sh ({shell}) executes... Ctrl-C to end.\n"
    now, executed = rows_of(result, shell)
    assert len(result.records) == 2
    for row in (now, executed):
        assert {key: row[key] for key in expected} == expected
        assert row["ns_ppid"] == 0
    assert (now["event"], now["comm"], now["was"]) == ("NOW", "sh", None)
    assert (executed["event"], executed["comm"], executed["was"]) == ("EXEC", "cat", "sh")


@pytest.mark.usefixtures("leaves_nothing")
def test_a_process_that_does_nothing(engine: str) -> None:
    with Cat() as cat:
        result = run(PROCINFO, "--engine", engine, "--json", "--limit", "1", str(cat.pid))
        (row,) = rows_of(result, cat.pid)
        cat.check(row)
        assert row["event"] == "NOW"


def test_every_process_is_found(engine: str) -> None:
    """Wherever in the tree its number is: threads of the kernel, the tests, what is new."""
    first = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())[:3]
    with Cat() as cat:
        for pid in (*first, os.getpid(), cat.pid):
            try:
                expected = {**numbers(pid), **namespaces(pid)}
            except PermissionError:
                assert pid in first  # /proc does not tell of every one
                continue
            result = run(PROCINFO, "--engine", engine, "--json", "--limit", "1", str(pid))
            (row,) = rows_of(result, pid)
            assert {key: row[key] for key in expected} == expected


def test_the_tool_in_a_pid_namespace(engine: str) -> None:
    """PID is what the user sees there."""
    # It has to have become sleep first.
    script = 'sleep 60 & until grep -q sleep /proc/$!/comm; do :; done; "$@" $!; kill $!'
    command = (PROCINFO, "--engine", engine, "--json", "--limit", "1")
    wrapper = ("unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh")
    (row,) = run(*wrapper, *command).records
    assert (row["comm"], row["ns_pid"], row["ns_ppid"]) == ("sleep", 2, 1)
    assert row["pid"] > 2
    assert row["pid_ns"] != namespaces(os.getpid())["pid_ns"]


@pytest.mark.usefixtures("leaves_nothing")
def test_one_row_for_each_exec(engine: str, compiled: Compiled) -> None:
    """Two processes at once, 300 each."""
    options = ("--engine", engine, "--json", "--buffer", "16384")
    with Running(PROCINFO, *options) as tool:
        tool.wait_attached()
        workers = [Workload(compiled("spawn"), "300") for _ in range(2)]
        run_all(*workers)
        result = tool.finish(signal.SIGINT)
    rows_of(result)
    for worker in workers:
        rows = [row for row in result.records if row["ppid"] == worker.pid]
        assert len({row["pid"] for row in rows}) == len(rows) == 300
        assert {(row["comm"], row["was"]) for row in rows} == {("true", None)}


def test_losses_are_counted_exactly(engine: str, compiled: Compiled) -> None:
    """A tool that is stopped, a buffer that is too small: shown + lost = caused.

    What the rest of the machine does meanwhile, a second one sees.
    """
    with Running(PROCINFO, "--json") as observer:
        observer.wait_attached()
        with Running(PROCINFO, "--engine", engine, "--json", "--buffer", "4") as tool:
            tool.wait_attached()
            os.kill(tool.pid, signal.SIGSTOP)
            run_all(Workload(compiled("spawn"), "300"))
            os.kill(tool.pid, signal.SIGCONT)
            result = tool.finish(signal.SIGINT)
        observed = observer.finish(signal.SIGINT)
    caused = 1 + 300
    seen = observed.summary["events"] + observed.summary["lost"]
    counted = result.summary["events"] + result.summary["lost"]
    assert result.summary["events"] == len(result.records)
    assert result.summary["lost"] > 0
    assert caused <= counted <= seen
    assert f"{result.summary['lost']} events were lost" in result.stderr


def test_what_it_was(engine: str) -> None:
    """Each program knows the one before it, as long as the process is the same."""
    command = ["env", "nice", "sh", "-c", "true; exec /bin/true"]
    with Running(PROCINFO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with subprocess.Popen(command) as process:
            pass
        rows = rows_of(tool.finish(signal.SIGINT), process.pid)
    seen = [(row["comm"], row["was"]) for row in rows]
    assert seen == [("env", None), ("nice", "env"), ("sh", "nice"), ("true", "sh")]


@pytest.fixture
def _on_one_cpu() -> Iterator[None]:
    """Run the test's processes on one CPU: each has a list of its own of what is to go."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    yield
    os.sched_setaffinity(0, cpus)


@pytest.mark.usefixtures("_on_one_cpu")
def test_the_map_makes_room(engine: str, compiled: Compiled) -> None:
    """The oldest processes are forgotten, the newest ones are not, and nothing fails."""
    waits = ["sh", "-c", "read line; exec /bin/true"]
    script = (
        "import sys\n"
        "from ebpf_tour.commands import procinfo\n"
        "procinfo.REMEMBERED = 512\n"
        "sys.exit(procinfo.main())\n"
    )
    with Running(sys.executable, "-c", script, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        old = subprocess.Popen(waits, stdin=subprocess.PIPE)
        wait_until(lambda: comm(old.pid) == "sh", lambda: "it does not begin")
        run_all(Workload(compiled("spawn"), "700"))
        new = subprocess.Popen(waits, stdin=subprocess.PIPE)
        for process in (old, new):
            process.communicate(b"\n")
            assert process.returncode == 0
        result = tool.finish(signal.SIGINT)
    assert [row["was"] for row in rows_of(result, old.pid)] == [None, None]
    # Its PID may have been that of one of the many before.
    assert [row["was"] for row in rows_of(result, new.pid)][-2:] == [None, "sh"]


@pytest.mark.alone  # what other tests start would get PIDs of theirs again
def test_a_pid_that_is_used_again(engine: str) -> None:
    """Another process is not the one that had its number before."""
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    if not last_pid.exists():
        pytest.skip(f"{UNSUPPORTED}no ns_last_pid (built without CONFIG_CHECKPOINT_RESTORE)")
    with Running(PROCINFO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with subprocess.Popen(["/bin/echo"], stdout=subprocess.DEVNULL) as first:
            pass
        tries: list[int] = []

        def again() -> bool:
            """The number is free, unless another process is faster than we are."""
            last_pid.write_text(str(first.pid - 1))
            with subprocess.Popen(["/bin/true"]) as second:
                tries.append(second.pid)
            return second.pid == first.pid

        wait_until(again, lambda: f"{first.pid} does not come again, but {tries}")
        rows = rows_of(tool.finish(signal.SIGINT), first.pid)
    assert [(row["comm"], row["was"]) for row in rows] == [("echo", None), ("true", None)]


def test_a_thread_that_executes(engine: str) -> None:
    """The process keeps its number, whichever of its threads it was."""
    script = (
        "import os, threading\n"
        "threading.Thread(target=os.execv, args=('/bin/true', ['true'])).start()\n"
    )
    with Running(PROCINFO, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        with subprocess.Popen([sys.executable, "-BIc", script]) as process:
            pass
        rows = rows_of(tool.finish(signal.SIGINT), process.pid)
    assert [row["comm"] for row in rows][1:] == ["true"]
    assert rows[1]["was"] == rows[0]["comm"]


@pytest.mark.parametrize("option", ["-u", "-n"])
def test_filters(engine: str, option: str, open_directory: Path) -> None:
    """Nothing else comes through."""
    name = open_directory / f"nobody{os.getpid()}"
    name.symlink_to("/bin/true")
    value = {"-u": "65534", "-n": name.name}[option]
    with Running(PROCINFO, "--engine", engine, "--json", option, value) as tool:
        tool.wait_attached()
        subprocess.run(["/bin/true"], check=True)
        with subprocess.Popen([name], user=65534) as wanted:
            pass
        with subprocess.Popen(["/bin/true"], user=65533) as unwanted:
            pass
        result = tool.finish(signal.SIGINT)
    (row,) = rows_of(result, wanted.pid, unwanted.pid)
    assert (row["pid"], row["uid"], row["comm"]) == (wanted.pid, 65534, name.name)
    if option == "-u":
        assert {row["uid"] for row in result.records} == {65534}
    else:
        assert result.records == [row]


@pytest.mark.native
def test_hostile_name(engine: str, tmp_path: Path) -> None:
    """Nothing that a process calls itself reaches the terminal as it is."""
    path = os.fsencode(tmp_path) + b"/\x1b[1A\n\xff'"
    os.symlink(b"/bin/true", path)
    for form in ("json", "table"):
        with Running(PROCINFO, "--engine", engine, "--format", form) as tool:
            tool.wait_attached()
            with subprocess.Popen([path]) as process:
                pass
            result = tool.finish(signal.SIGINT)
        if form == "json":
            (row,) = rows_of(result, process.pid)
            assert bytes_of(row, "comm") == b"\x1b[1A\n\xff'"
        else:
            assert all(character.isprintable() for character in result.stdout.replace("\n", ""))
            assert r"\x1b[1A\n\xff' " in result.stdout


@pytest.mark.native
def test_table_and_csv(engine: str) -> None:
    with (
        Running(PROCINFO, "--engine", engine) as table,
        Running(PROCINFO, "--engine", engine, "--format", "csv") as commas,
    ):
        table.wait_attached()
        commas.wait_attached()
        with Cat("unshare", "--uts", "--ipc") as cat:
            pass
        shown, values = table.finish(signal.SIGINT), commas.finish(signal.SIGINT)
    header, *rows = shown.stdout.splitlines()
    assert header.split() == [column.header for column in TOOL.columns if column.header]
    first, second = (row.split() for row in rows if f" {cat.pid} " in row)
    pid, ppid = str(cat.pid), str(os.getpid())
    assert first == ["unshare", pid, ppid, pid, ppid, "-", "-"]
    new = [f"uts:{cat.expected['uts_ns']}", f"ipc:{cat.expected['ipc_ns']}"]
    assert second == ["cat", pid, ppid, pid, ppid, "unshare", *new]
    keys, *lines = csv.reader(values.stdout.splitlines())
    assert keys == [column.key for column in TOOL.columns]
    row = [dict(zip(keys, line, strict=True)) for line in lines if pid in line][1]
    assert {key: int(row[key]) for key in cat.expected} == cat.expected


@pytest.mark.core
def test_the_engines_agree() -> None:
    """The same rows of the same events, byte for byte."""
    with (
        Running(PROCINFO, "--json") as first,
        Running(PROCINFO, "--json", "--engine=bcc") as second,
    ):
        first.wait_attached()
        second.wait_attached()
        with Cat(*unshare()) as cat:
            pass
        results = [tool.finish(signal.SIGINT) for tool in (first, second)]
    rows = [rows_of(result, cat.starter, cat.pid) for result in results]
    for row in rows[0] + rows[1]:
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row.pop("time"))
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(engine: str) -> None:
    result = run(PROCINFO, "--engine", engine, "--demo")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (4).\n")


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_no_such_process(engine: str) -> None:
    cause, hint = assert_error(run(PROCINFO, "--engine", engine, "4194304"), 1, "ebpf-procinfo")
    assert cause == "there is no process 4194304"
    assert hint == "list the processes: ps -e"


@pytest.mark.native
def test_a_process_that_has_ended() -> None:
    with subprocess.Popen(["/bin/true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        cause, _ = assert_error(run(PROCINFO, str(process.pid)), 1, "ebpf-procinfo")
    assert cause == f"the process {process.pid} (true) has ended"


@pytest.mark.native
def test_a_thread() -> None:
    script = (
        "import threading\n"
        "def wait(): print(threading.get_native_id(), flush=True); input()\n"
        "threading.Thread(target=wait).start()\n"
    )
    command = [sys.executable, "-BIc", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        tid = int(process.stdout.readline())
        cause, hint = assert_error(run(PROCINFO, str(tid)), 1, "ebpf-procinfo")
        process.communicate(b"\n")
    assert cause == f"{tid} is a thread of the process {process.pid}"
    assert hint == f"name the process: {process.pid}"


@pytest.mark.native
@pytest.mark.parametrize("words", [("0",), ("-1",), ("abc",), ("1", "--demo"), ("1", "2")])
def test_usage(words: tuple[str, ...]) -> None:
    assert_error(run(PROCINFO, *words), 2, "ebpf-procinfo")


@pytest.mark.native
@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("-c", "true"), "-c starts a process, so PID cannot be given"),
        (("-p", "1"), "PID is one process, so -p"),
        (("--follow",), "PID is one process, so -p, --follow, --cgroup and --container cannot"),
        (("--cgroup", "/x"), "PID is one process, so -p, --follow, --cgroup and --container"),
    ],
)
def test_pid_goes_alone(words: tuple[str, ...], cause: str) -> None:
    said, _ = assert_error(run(PROCINFO, "1", *words), 2, "ebpf-procinfo")
    assert said.startswith(cause)


def test_hook() -> None:
    assert RawTracepoint("sched_process_exec").unsupported() is None
    error = RawTracepoint("no_such_event").unsupported()
    assert str(error) == "this kernel has no raw tracepoint no_such_event"


@pytest.mark.native
def test_no_btf() -> None:
    """Headers do not help: they lack structures that the kernel keeps to itself."""
    command = in_mount_namespace(NO_BTF, PROCINFO)
    cause, _ = assert_error(run(*command), 69, "ebpf-procinfo")
    assert cause.startswith("this kernel has no BTF in /sys/kernel/btf/vmlinux")
    assert cause.endswith(", which the program at raw tracepoint sched_process_exec needs")
