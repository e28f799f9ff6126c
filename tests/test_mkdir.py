"""ebpf-mkdir, through each of its hooks that the running kernel has.

`tests/machines/kernels.sh run 6.1 -- .venv/bin/python -m pytest tests/test_mkdir.py` runs
this where there are kprobes and fentry.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cases import via, ways_of
from support import (
    BIN,
    NO_TRACEFS,
    Result,
    Running,
    Workload,
    assert_error,
    assert_rest_is_lost,
    bytes_of,
    in_mount_namespace,
    may_be_skipped,
    need,
    run,
)

from ebpf_tour.base.errors import Unsupported
from ebpf_tour.commands.mkdir import TOOL
from ebpf_tour.loader.btf import Prototype, kernel_function
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MKDIR = BIN / "ebpf-mkdir"

pytestmark = pytest.mark.kernel(TOOL)

way = via(TOOL)

# A process that makes directories: [path, mode] each. What fails is meant to.
WORKLOAD = """
import json, os, sys
os.umask(int(sys.argv[1], 8))
os.write(1, b"r")
for path, mode in json.load(sys.stdin):
    try:
        os.mkdir(os.fsencode(path), mode)
    except OSError:
        pass
"""


class Maker(Workload):
    """A process that makes directories when it is told to."""

    def __init__(self, where: Path, *wrapper: str, umask: int = 0o022) -> None:
        command = (*wrapper, sys.executable, "-BIc", WORKLOAD, f"{umask:o}")
        super().__init__(*command, cwd=where)

    def begin_with(self, *names: bytes | str, mode: int = 0o777) -> None:
        """Let it make these, while the test goes on."""
        paths = [[os.fsdecode(name), mode] for name in names]
        self.begin(json.dumps(paths).encode())
        assert self.process.stdin
        self.process.stdin.close()

    def make(self, *names: bytes | str, mode: int = 0o777) -> None:
        self.begin_with(*names, mode=mode)
        assert self.finish() == 0


def rows_of(result: Result, pid: int, *, lossless: bool = True) -> list[dict[str, Any]]:
    """Return what a process caused.

    Demands an orderly end, and unless told otherwise one without losses.
    """
    assert result.status == 0, result.stderr
    lost = 0 if lossless else result.summary["lost"]
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": lost}
    return [row for row in result.records if row["pid"] == pid]


def seen(
    way: Sequence[str],
    where: Path,
    names: Sequence[bytes | str],
    mode: int = 0o777,
    umask: int = 0o022,
) -> list[dict[str, Any]]:
    """Return the rows for a process that makes these directories."""
    with Running(MKDIR, *way) as tool:
        tool.wait_attached()
        maker = Maker(where, umask=umask)
        maker.make(*names, mode=mode)
        return rows_of(tool.finish(signal.SIGINT), maker.pid)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_one_row_for_each_directory(way: tuple[str, ...], tmp_path: Path) -> None:
    """Three processes at once, 300 directories each.

    Where the kernel skips calls, what is missing is lost and counted.
    """
    with Running(MKDIR, *way) as tool:
        tool.wait_attached()
        makers = [Maker(tmp_path) for _ in range(3)]
        for number, maker in enumerate(makers):
            maker.begin_with(*(f"{number}.{i}" for i in range(300)))
        for maker in makers:
            assert maker.finish() == 0
        result = tool.finish(signal.SIGINT)
    skips = may_be_skipped(*TOOL.via[way[3]])
    if skips:
        assert len(result.records) + result.summary["lost"] >= 900
    for number, maker in enumerate(makers):
        rows = rows_of(result, maker.pid, lossless=not skips)
        names = [row["name"] for row in rows]
        made = [f"{number}.{i}" for i in range(300)]
        assert names == ([name for name in made if name in names] if skips else made)
        assert {(row["mode"], row["errno"]) for row in rows} == {("0755", 0)}
        assert all(list(row) == [column.key for column in TOOL.columns] for row in rows)
        assert all(re.fullmatch(r"\d\d:\d\d:\d\d", row["time"]) for row in rows)
        assert {row["comm"] for row in rows} == {os.path.basename(sys.executable)[:15]}


HOSTILE = [
    b"\x1b[2J\x1b[1A",
    b"two\nlines",
    b"\xff\xfe",
    "fünf".encode(),
    b" ",
    b"a\tb",
    b"x" * 255,
]


@pytest.mark.native
def test_any_name(way: tuple[str, ...], tmp_path: Path) -> None:
    rows = seen(way, tmp_path, HOSTILE)
    assert [bytes_of(row, "name") for row in rows] == HOSTILE


@pytest.mark.native
def test_only_the_last_name_of_a_path(way: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    # As long as a path can be: 4095 bytes.
    longest = b"deep/" + b"./" * ((4095 - 5 - 8) // 2) + b"longest"
    paths = [
        b"relative",
        os.fsencode(tmp_path / "absolute"),
        b"deep//below",
        b"deep/../up",
        b"trailing/",
        b"deep/many" + b"/" * 4000,
        longest + b"/" * (4095 - len(longest)),
        b"deep/" + b"y" * 255 + b"//",
    ]
    names = ["relative", "absolute", "below", "up", "trailing", "many", "longest", "y" * 255]
    rows = seen(way, tmp_path, paths)
    assert [(row["name"], row["errno"]) for row in rows] == [(name, 0) for name in names]


@pytest.mark.native
@pytest.mark.parametrize(
    ("mode", "umask", "shown"),
    [(0o700, 0, "0700"), (0o777, 0o027, "0750"), (0o1777, 0, "1777"), (0, 0, "0000")],
)
def test_mode(way: tuple[str, ...], tmp_path: Path, mode: int, umask: int, shown: str) -> None:
    """The mode that the directory has, which the umask limits."""
    (row,) = seen(way, tmp_path, ["new"], mode, umask)
    assert row["mode"] == shown == f"{(tmp_path / 'new').stat().st_mode & 0o7777:04o}"


def test_mkdirat(way: tuple[str, ...], tmp_path: Path) -> None:
    script = "import os, sys; os.mkdir('deep/at', 0o711, dir_fd=os.open(sys.argv[1], os.O_RDONLY))"
    (tmp_path / "deep").mkdir()
    with Running(MKDIR, *way) as tool:
        tool.wait_attached()
        with Running(sys.executable, "-BIc", script, tmp_path) as other:
            assert other.finish().status == 0
        (row,) = rows_of(tool.finish(signal.SIGINT), other.pid)
    assert (row["name"], row["mode"], row["errno"]) == ("at", "0711", 0)


def test_an_attempt_that_failed(way: tuple[str, ...], tmp_path: Path) -> None:
    """What is refused by vfs_mkdir() is seen in all ways, what ends before by tracepoints."""
    names = ["new", "new", "no/such", "z" * 256, "", "/", "p" * 4096]
    rows = seen(way, tmp_path, names)
    before_vfs_mkdir = [
        ("new", errno.EEXIST),
        ("such", errno.ENOENT),
        ("z" * 256, errno.ENAMETOOLONG),
        ("", errno.ENOENT),
        ("/", errno.EEXIST),
        ("p" * 4095, errno.ENAMETOOLONG),
    ]
    expected = [("new", 0)] + (before_vfs_mkdir if "tracepoint" in way else [])
    # The file system looks names up before vfs_mkdir() and refuses long ones.
    assert [(row["name"], row["errno"]) for row in rows] == expected


def test_permission_denied(way: tuple[str, ...], open_directory: Path) -> None:
    """vfs_mkdir() itself refuses it, so every way sees that no directory was made."""
    with Running(MKDIR, *way) as tool:
        tool.wait_attached()
        maker = Maker(open_directory, "setpriv", "--reuid", "65534", "--clear-groups")
        maker.make("denied")
        (row,) = rows_of(tool.finish(signal.SIGINT), maker.pid)
    assert (row["name"], row["errno"]) == ("denied", errno.EACCES)


def test_a_path_that_cannot_be_read(way: tuple[str, ...]) -> None:
    script = "import ctypes; ctypes.CDLL(None).mkdir(ctypes.c_void_p(1), 0o777)"
    with Running(MKDIR, *way) as tool:
        tool.wait_attached()
        with Running(sys.executable, "-BIc", script) as other:
            other.finish()
        rows = rows_of(tool.finish(signal.SIGINT), other.pid)
    expected = [(None, errno.EFAULT)] if "tracepoint" in way else []
    assert [(row["name"], row["errno"]) for row in rows] == expected


def test_a_file_system_on_another(way: tuple[str, ...], tmp_path: Path) -> None:
    """Overlayfs, as in a container, calls vfs_mkdir() from inside vfs_mkdir()."""
    script = """
        mount -t tmpfs tmpfs "$1" && cd "$1" && mkdir lower upper work merged
        mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged
        mkdir lower/hidden; cd merged; rmdir hidden; shift; exec "$@"
    """
    wrapper = ("unshare", "--mount", "sh", "-ec", script, "sh", str(tmp_path))
    with Running(MKDIR, *way) as tool:
        tool.wait_attached()
        maker = Maker(tmp_path, *wrapper)
        # In the place of one that was below, it takes a second step.
        maker.make("hidden", "new")
        rows = rows_of(tool.finish(signal.SIGINT), maker.pid)
    assert [row["name"] for row in rows] == ["hidden", "new"]


@pytest.mark.native
def test_table(way: tuple[str, ...], tmp_path: Path) -> None:
    options = [option for option in way if option != "--json"]
    with Running(MKDIR, *options) as tool:
        tool.wait_attached()
        maker = Maker(tmp_path)
        maker.make("a b", "a b")
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["TIME", "COMM", "PID", "MODE", "NAME"]
    ours = [line.split(None, 4)[3:] for line in lines if f" {maker.pid} " in line]
    again = [["0755", "[EEXIST] a b"]] if "tracepoint" in way else []
    assert ours == [["0755", "a b"], *again]


def test_pid(way: tuple[str, ...], tmp_path: Path) -> None:
    """-p lets nothing else through."""
    ours, other = Maker(tmp_path), Maker(tmp_path)
    with Running(MKDIR, *way, "-p", str(ours.pid)) as tool:
        tool.wait_attached()
        other.make("other")
        ours.make("ours")
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, ours.pid)
    assert [row["name"] for row in rows] == ["ours"]
    assert result.records == rows


@pytest.mark.native
@pytest.mark.parametrize(
    ("user", "wanted"), [("nobody", "denied"), ("0", "root's"), ("root", "root's")]
)
def test_user(way: tuple[str, ...], open_directory: Path, user: str, wanted: str) -> None:
    with Running(MKDIR, *way, "-u", user) as tool:
        tool.wait_attached()
        nobody = Maker(open_directory, "setpriv", "--reuid", "nobody", "--clear-groups")
        nobody.make("denied")
        root = Maker(open_directory)
        root.make("root's")
        result = tool.finish(signal.SIGINT)
    rows = [*rows_of(result, nobody.pid), *rows_of(result, root.pid)]
    assert [row["name"] for row in rows] == [wanted]


@pytest.mark.native
def test_name_and_failed(way: tuple[str, ...], open_directory: Path) -> None:
    with Running(MKDIR, *way, "-n", "python", "-x") as tool:
        tool.wait_attached()
        nobody = Maker(open_directory, "setpriv", "--reuid", "nobody", "--clear-groups")
        nobody.make("denied")
        run("setpriv", "--reuid", "nobody", "--clear-groups", "mkdir", open_directory / "mkdirs")
        root = Maker(open_directory)
        root.make("made")
        result = tool.finish(signal.SIGINT)
    assert [row["name"] for row in rows_of(result, nobody.pid)] == ["denied"]
    assert rows_of(result, root.pid) == []
    # Other processes may fail meanwhile, if they are of that name.
    assert all("python" in row["comm"] and row["errno"] for row in result.records)


def test_nothing_is_lost_in_silence(way: tuple[str, ...], tmp_path: Path) -> None:
    """While the tool is stopped its buffer fills up; what finds no room is counted."""
    maker = Maker(tmp_path)
    with Running(MKDIR, *way, "-p", str(maker.pid), "--buffer", "4") as tool:
        tool.wait_attached()
        with tool.stopped():
            maker.make(*(f"{i:0200}" for i in range(300)))
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 300)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(way: tuple[str, ...]) -> None:
    result = run(MKDIR, *way, "--demo")
    assert result.status == 0, result.stderr
    assert re.search(r"Demo: saw every row that it caused \(\d+\)\.\n$", result.stderr)
    assert b"caf\xe9" in {bytes_of(row, "name") for row in result.records}


@pytest.mark.core
def test_all_ways_agree(tmp_path: Path) -> None:
    """But for PID and time, the rows of a call that reaches vfs_mkdir() are the same."""
    answers = []
    for engine, name in ways_of(TOOL):
        if what_is_missing(TOOL.via[name]):
            continue
        where = tmp_path / f"{engine}-{name}"
        where.mkdir()
        rows = seen(("--engine", engine, "--via", name, "--json"), where, HOSTILE, 0o1775)
        answers.append([{**row, "time": "", "pid": 0} for row in rows])
    assert len(answers) > 1
    assert len(answers[0]) == len(HOSTILE)
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.native
def test_a_way_that_is_not_there() -> None:
    """On a kernel that has all ways, --via tracepoint without tracefs takes its place."""
    ways = [name for name, hooks in TOOL.via.items() if what_is_missing(hooks)]
    for name in ways:
        missing = what_is_missing(TOOL.via[name])
        assert missing
        cause, hint = assert_error(run(MKDIR, "--via", name), missing.status, "ebpf-mkdir")
        assert cause == str(missing)
        assert hint == missing.hint
    command = in_mount_namespace(NO_TRACEFS, MKDIR, "--via", "tracepoint")
    cause, _ = assert_error(run(*command), 69, "ebpf-mkdir")
    assert cause == "tracefs is not mounted, so no tracepoint can be found"


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_kprobes_without_tracefs(engine: str) -> None:
    """They need none; nor does their end."""
    need(*TOOL.via["kprobe"])
    command = (MKDIR, "--engine", engine, "--via", "kprobe", "--demo")
    result = run(*in_mount_namespace(NO_TRACEFS, *command))
    assert result.status == 0, result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.native
def test_bcc_has_no_fentry() -> None:
    cause, hint = assert_error(run(MKDIR, "--engine", "bcc", "--via", "fentry"), 69, "ebpf-mkdir")
    assert cause == "the bcc engine cannot attach to fentry vfs_mkdir"
    assert "--engine libbpf" in hint


@pytest.mark.native
@pytest.mark.parametrize("options", [("-p", "0"), ("-u", "no-such-user"), ("--via", "magic")])
def test_usage(options: tuple[str, ...]) -> None:
    assert_error(run(MKDIR, *options), 2, "ebpf-mkdir")


def test_prototype_of_vfs_mkdir() -> None:
    prototype = kernel_function("vfs_mkdir")
    types = dict(prototype.parameters)
    assert types["dentry"] == "struct dentry *"
    assert types["mode"] == "umode_t"
    assert prototype.position("mode") == prototype.position("dentry") + 1
    assert prototype.returns in ("int", "struct dentry *")


def test_prototypes() -> None:
    assert kernel_function("vfs_fsync") == Prototype(
        "int", (("file", "struct file *"), ("datasync", "int"))
    )
    with pytest.raises(Unsupported, match="no function no_such_function"):
        kernel_function("no_such_function")
    with pytest.raises(Unsupported, match="no parameter colour"):
        kernel_function("vfs_fsync").position("colour")
