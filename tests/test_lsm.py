"""ebpf-lsm: each mkdir is seen, and refused where it was told to, nowhere else."""

from __future__ import annotations

import os
import re
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import BIN, Result, Running, Workload, assert_error, cgroup, in_mount_namespace, run

from ebpf_tour.commands.lsm import TOOL
from ebpf_tour.loader.hooks import without_btf
from ebpf_tour.userland.cgroup import OwnCgroup, own_cgroups, top

COMMAND = "ebpf-lsm"
LSM = BIN / COMMAND

kernel = pytest.mark.kernel(TOOL)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")

# It is told to begin, then makes directories, and exits with how many it could not make.
MAKE = """
import os, sys
if sys.argv[1]:
    open(sys.argv[1] + "/cgroup.procs", "w").write("0")
os.write(1, b"r")
os.read(0, 1)
failed = 0
for name in sys.argv[2:]:
    try:
        os.mkdir(name)
    except PermissionError:
        failed += 1
    except FileExistsError:
        pass
sys.exit(failed)
"""


def maker(directory: Path, *names: str, group: Path | str = "") -> Workload:
    command = (sys.executable, "-BIc", MAKE, str(group), *names)
    return Workload(*command, cwd=directory)


def make(workload: Workload) -> int:
    workload.begin()
    return workload.finish()


def rows_of(result: Result, pid: int) -> list[dict[str, Any]]:
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return [row for row in result.records if row["pid"] == pid]


def seen(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["action"], row["name"]) for row in rows]


@pytest.mark.core
@kernel
@leaves_nothing
def test_each_mkdir_is_a_row(engine: str, tmp_path: Path) -> None:
    """One that is there already is none: the kernel does not come to ask."""
    name = "x" * 255
    with Running(LSM, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        workload = maker(tmp_path, "one", "two/", name, "one")
        assert make(workload) == 0
        result = tool.finish(signal.SIGINT)
    rows = rows_of(result, workload.pid)
    assert seen(rows) == [("allowed", "one"), ("allowed", "two"), ("allowed", name)]
    for row in rows:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert row["comm"].startswith("python")
    assert len(os.listdir(tmp_path)) == 3


@pytest.mark.core
@kernel
@leaves_nothing
def test_refused_in_one_cgroup_only(engine: str, tmp_path: Path) -> None:
    """Not in the one below it, nor elsewhere; and not any more once the tool has ended."""
    with cgroup(tmp_path) as group:
        command = (LSM, "--engine", engine, "--json", "--deny", "--cgroup", group)
        with Running(*command) as tool:
            tool.wait_attached()
            inside = maker(tmp_path, "one", "two", group=group)
            assert make(inside) == 2
            assert make(maker(tmp_path, "below", group=group / "inner")) == 0
            assert make(maker(tmp_path, "outside")) == 0
            result = tool.finish(signal.SIGINT)
        assert make(maker(tmp_path, "one", group=group)) == 0
    assert seen(rows_of(result, inside.pid)) == [("refused", "one"), ("refused", "two")]
    assert len(result.records) == 2
    said = f"while this runs, no process in {group} can make a directory"
    assert said in result.stderr.splitlines()[0]
    assert {"one", "below", "outside"} < set(os.listdir(tmp_path))
    assert "two" not in os.listdir(tmp_path)


@pytest.mark.core
@kernel
@leaves_nothing
def test_killed(engine: str, tmp_path: Path) -> None:
    """What refuses ends with the tool."""
    with cgroup(tmp_path) as group:
        with Running(LSM, "--engine", engine, "--deny", "--cgroup", group) as tool:
            tool.wait_attached()
            assert make(maker(tmp_path, "one", group=group)) == 1
            tool.process.kill()
            assert tool.finish().status == -signal.SIGKILL
        assert make(maker(tmp_path, "one", group=group)) == 0


@pytest.mark.core
@kernel
@leaves_nothing
@pytest.mark.parametrize("words", [(), ("--deny",)], ids=["see", "deny"])
def test_demo(engine: str, words: tuple[str, ...]) -> None:
    result = run(LSM, "--engine", engine, "--json", "--demo", *words)
    assert result.status == 0, result.stderr
    wanted = "Demo: saw every row that it caused (3), and nothing else.\n"
    assert result.stderr.endswith(wanted)
    action = "refused" if words else "allowed"
    assert seen(result.records) == [(action, name) for name in ("one", "two", "three")]
    # That of a test beside this one is of a living process.
    assert all(Path(f"/proc/{pid}").exists() for pid, _ in own_cgroups())


def test_an_own_cgroup_goes(tmp_path: Path) -> None:
    """At its end; and that of a tool that was killed, when the next one begins."""
    with cgroup(tmp_path):  # so that cgroup2 is mounted
        left = Path(top()) / "ebpf-tour-2147483647"
        left.mkdir()
        with OwnCgroup() as own:
            assert not left.exists()
            assert Path(own.path).is_dir()
        assert not Path(own.path).exists()


@pytest.mark.core
@pytest.mark.kernel
def test_without_bpf_among_the_modules() -> None:
    """There the program could be attached, and nothing would ever call it."""
    if without_btf(COMMAND):
        pytest.skip("unsupported here: this kernel has no BTF")
    setup = """
    mount -t tmpfs none /sys/kernel/security
    echo -n lockdown,capability,yama > /sys/kernel/security/lsm
    """
    result = run(*in_mount_namespace(setup, LSM, "--demo"))
    cause, hint = assert_error(result, 69, COMMAND)
    assert cause.startswith(
        "bpf is not among the kernel's security modules: lockdown,capability,yama"
    )
    assert hint == "boot with lsm=lockdown,capability,yama,bpf"


@pytest.mark.native
def test_deny_needs_a_cgroup() -> None:
    """Never the whole machine."""
    cause, _ = assert_error(run(LSM, "--deny"), 2, COMMAND)
    assert cause == "--deny refuses mkdir to one cgroup: which one?"
    assert_error(run(LSM, "--demo", "--cgroup", "/"), 2, COMMAND)


@pytest.mark.core
@kernel
@pytest.mark.parametrize("words", [("--deny",), ()])
def test_what_is_no_cgroup(words: tuple[str, ...], tmp_path: Path) -> None:
    with ExitStack() as stack:
        group = stack.enter_context(cgroup(tmp_path))
        for path, why in ((tmp_path, "not a cgroup"), (group.parent, "the whole machine")):
            cause, _ = assert_error(run(LSM, "--cgroup", path, *words), 2, COMMAND)
            assert why in cause
