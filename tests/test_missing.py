"""What can be missing or forbidden, and what each tool says then, or does without.

Made so for real, in namespaces. tests/test_errors.py has what one tool can show
for all of them.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import TOOLS, on_each_engine, watches_a_process
from support import (
    BIN,
    NO_BTF,
    NO_TRACEFS,
    ROOT,
    UNSUPPORTED,
    Running,
    assert_error,
    bcc_package,
    in_mount_namespace,
    run,
)

from ebpf_tour.loader.btf import load_libbpf
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

if TYPE_CHECKING:
    from support import Result

    from ebpf_tour.record import Tool

pytestmark = [pytest.mark.native, pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")]

each_tool = pytest.mark.parametrize(
    "tool", [pytest.param(t, id=t.command, marks=pytest.mark.kernel(t)) for t in TOOLS]
)


def demos(tool: Tool, *wrapper: str | Path) -> list[Result]:
    """Return how the tool's demo ends on each engine, both at once."""
    with contextlib.ExitStack() as stack:
        running = [
            stack.enter_context(Running(*wrapper, *case.command("--demo"), cwd=Path("/proc")))
            for case in on_each_engine([tool])
        ]
        return [tool.finish() for tool in running]


def needs_tracefs(tool: Tool) -> bool:
    """Say whether each way that this kernel has to see the tool's event is by tracepoints."""
    ways = [hooks for hooks in tool.via.values() if not what_is_missing(hooks)]
    return all(any(isinstance(hook, Tracepoint) for hook in hooks) for hooks in ways)


# Engines.


@each_tool
def test_no_btf(tool: Tool) -> None:
    command = in_mount_namespace(NO_BTF, BIN / tool.command, "--engine", "libbpf", "--demo")
    cause, hint = assert_error(run(*command), 69, tool.command)
    assert cause.startswith("this kernel has no BTF in /sys/kernel/btf/vmlinux")
    assert hint == "a distribution's own kernel has it"


@each_tool
def test_no_libbpf(tool: Tool) -> None:
    """Neither engine can do without; where both say the same, it is said once."""
    load_libbpf()
    library = re.search(r"/\S+/libbpf\.so\S+", Path("/proc/self/maps").read_text())
    assert library
    setup = f"mount --bind /dev/null {library[0]}"
    cause, hint = assert_error(
        run(*in_mount_namespace(setup, BIN / tool.command, "--demo")), 69, tool.command
    )
    assert cause.startswith("libbpf.so.1 cannot be loaded: ")
    assert cause.count("libbpf.so.1 cannot be loaded: ") == 1
    assert hint.count("apt install libbpf1") == 1


@each_tool
def test_no_bcc(tool: Tool, tmp_path: Path) -> None:
    """An empty directory is a package for Python, but not BCC."""
    setup = f"mount --bind '{tmp_path}' '{bcc_package()}'"
    command = in_mount_namespace(setup, BIN / tool.command, "--engine", "bcc", "--demo")
    cause, hint = assert_error(run(*command), 69, tool.command)
    assert cause == "BCC's Python package is not installed"
    assert "apt install python3-bpfcc" in hint


@each_tool
def test_the_other_bcc(tool: Tool, tmp_path: Path) -> None:
    """PyPI's `bcc` is a lattice package."""
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc/__init__.py").write_text('"""Body-centred cubic."""\n')
    command = (BIN / tool.command, "--engine", "bcc", "--demo")
    result = run(*command, env={"PYTHONPATH": str(tmp_path)})
    cause, hint = assert_error(result, 69, tool.command)
    assert cause.startswith(f"{tmp_path}/bcc is not BCC")
    assert hint.startswith("pip uninstall bcc")
    assert "apt install python3-bpfcc" in hint


# File systems.


@each_tool
def test_no_tracefs(tool: Tool) -> None:
    """A tool that goes by no tracepoint does without."""
    for result in demos(tool, *in_mount_namespace(NO_TRACEFS)):
        if not needs_tracefs(tool):
            assert result.status == 0, result.stderr
            continue
        cause, hint = assert_error(result, 69, tool.command)
        assert cause == "tracefs is not mounted, so no tracepoint can be found"
        assert hint == "mount it: mount -t tracefs tracefs /sys/kernel/tracing"


# Everything that is a disk or could be one; /proc, /sys and /dev are none.
READ_ONLY = """
for place in $(awk '$2 !~ "^/(proc|sys|dev)(/|$)" {print $2}' /proc/self/mounts); do
	mount -o remount,ro,bind "$place"
done
"""
# The checkout may lie below /tmp.
NO_TMP = f"""
mount --rbind '{ROOT}' /mnt
for place in /tmp /var/tmp; do
	mount -t tmpfs -o size=64k none "$place"
done
[ -d '{ROOT}' ] || {{ mkdir -p '{ROOT}' && mount --rbind /mnt '{ROOT}'; }}
for place in /tmp /var/tmp; do
	mount -o remount,ro "$place"
done
"""


@each_tool
@pytest.mark.parametrize("setup", [READ_ONLY, NO_TMP], ids=["read-only-root", "no-tmp"])
def test_no_place_for_files(tool: Tool, setup: str) -> None:
    """Only a demo that makes files needs one; what it says helps."""
    command = in_mount_namespace(setup)
    results = demos(tool, *command)
    if any(result.status for result in results):
        for result in results:
            cause, hint = assert_error(result, 1, tool.command)
            assert cause == "there is no place for the files of the demo"
            assert hint == "name one: TMPDIR=DIRECTORY"
        results = demos(tool, *command, "env", "TMPDIR=/dev/shm")
    for result in results:
        assert result.status == 0, result.stderr


# Privileges.

CONTAINER = ("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")


@each_tool
def test_in_a_container(tool: Tool) -> None:
    """With namespaces of its own, but root and all capabilities, everything works."""
    for result in demos(tool, *CONTAINER, "--fork", "--mount-proc"):
        assert result.status == 0, result.stderr


@each_tool
def test_in_a_rootless_container(tool: Tool) -> None:
    """Root of a user namespace; to become root would be no advice."""
    if run("unshare", "--user", "true").status:
        pytest.skip(f"{UNSUPPORTED}no user namespace can be made (in a chroot, or by a sysctl)")
    for result in demos(tool, *CONTAINER, "--user", "--map-root-user", "--fork", "--mount-proc"):
        cause, hint = assert_error(result, 77, tool.command)
        assert "root of a user namespace only" in cause
        assert "outside of the container" in hint


@each_tool
def test_a_seccomp_filter(tool: Tool, helpers: Path) -> None:
    """As container engines put in force."""
    for result in demos(tool, helpers / "forbid"):
        cause, hint = assert_error(result, 77, tool.command)
        assert "a seccomp filter is in force (a container?)" in cause
        assert "allows bpf() and perf_event_open()" in hint


@each_tool
def test_root_without_capabilities(tool: Tool) -> None:
    """As in a container that has dropped them."""
    for result in demos(tool, "setpriv", "--bounding-set=-sys_admin,-bpf"):
        cause, hint = assert_error(result, 77, tool.command)
        assert "CAP_BPF and CAP_PERFMON" in cause
        assert hint.startswith("run it as root: sudo ")


def as_nobody(capabilities: str) -> list[str]:
    """Return the wrapper for an ordinary user with some capabilities."""
    sets = [f"--{kind}=-all,{capabilities}" for kind in ("inh-caps", "ambient-caps")]
    who = ["--reuid=65534", "--regid=65534", "--clear-groups"]
    return ["setpriv", *who, *sets, f"--bounding-set=-all,{capabilities}"]


def assert_enough_or_not(tool: Tool, *wrapper: str | Path, env: dict[str, str]) -> None:
    """Demand that the tool is attached on each engine, but to a uprobe that the kernel refuses."""
    for case in on_each_engine([tool]):
        # JSON, since the system's Python may have no tabulate for a report's table.
        words = case.command("--json", *(["--demo"] if watches_a_process(tool) else []))[1:]
        with Running(*wrapper, *words, env=env) as running:
            if watches_a_process(tool):  # whose demo has a process of the same user
                result = running.finish()
            else:
                result = running.wait_attached().finish(signal.SIGINT)
        if watches_a_process(tool) and result.status:
            cause, hint = assert_error(result, 77, tool.command)
            assert cause.startswith("may not attach to uprobe ")
            assert cause.endswith(
                "besides CAP_BPF and CAP_PERFMON, this kernel asks for CAP_SYS_ADMIN"
            )
            assert hint.startswith("run it as root: sudo ")
        else:
            assert result.status == 0, result.stderr


@each_tool
def test_capabilities_without_root(tool: Tool) -> None:
    """CAP_BPF and CAP_PERFMON are enough, where tracefs is open: nothing asks who it is."""
    wrapper = as_nobody("+bpf,+perfmon,+dac_override")
    assert_enough_or_not(tool, *wrapper, BIN / tool.command, env={})


@each_tool
def test_only_these_capabilities(tool: Tool, open_directory: Path) -> None:
    """Where tracefs is not open, a tool that goes by tracepoints says so."""
    # A copy that every user may read: the checkout may be private.
    shutil.copytree(ROOT / "tools/ebpf_tour", open_directory / "ebpf_tour")
    module = ("/usr/bin/python3", "-Bm", f"ebpf_tour.{tool.name}")
    wrapper = (*as_nobody("+bpf,+perfmon"), *module)
    environment = {"PYTHONPATH": str(open_directory), "HOME": "/"}
    if not needs_tracefs(tool):
        assert_enough_or_not(tool, *wrapper, env=environment)
        return
    for engine in tool.engines:
        result = run(*wrapper, "--engine", engine, "--demo", env=environment)
        cause, hint = assert_error(result, 77, tool.command)
        assert cause.startswith("may not read /sys/kernel/")
        assert cause.endswith("only root may, unless it is opened for others")
        assert hint.startswith("run it as root: sudo ")
