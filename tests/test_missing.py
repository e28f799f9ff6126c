"""What can be missing or forbidden, and what each tool says then, or does without.

Made so for real, in namespaces. tests/test_errors.py has what one tool can show
for all of them.
"""

from __future__ import annotations

import re
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cases import Case, fault, is_missing, lists, looks_into_programs
from support import (
    BIN,
    NO_BTF,
    NO_TRACEFS,
    ROOT,
    UNSUPPORTED,
    Running,
    as_nobody,
    assert_error,
    bcc_package,
    in_mount_namespace,
    run,
)

from ebpf_tour.loader.btf import load_libbpf
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

if TYPE_CHECKING:
    from support import Compiled, Result

    from ebpf_tour.frame.record import Tool

pytestmark = [pytest.mark.native, pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")]


def demo(case: Case, *wrapper: str | Path) -> Result:
    """Return how a tool's demo ends, in a directory where nobody can make a file."""
    with Running(*wrapper, *case.command("--demo"), cwd=Path("/proc")) as tool:
        return tool.finish()


def needs_tracefs(tool: Tool) -> bool:
    """Say whether each way that this kernel has to see the tool's event is by tracepoints."""
    ways = [hooks for hooks in tool.via.values() if not is_missing(hooks)]
    return all(any(isinstance(hook, Tracepoint) for hook in hooks) for hooks in ways)


# Engines.


@fault
def test_no_btf(case: Case) -> None:
    result = demo(case, *in_mount_namespace(NO_BTF))
    cause, hint = assert_error(result, 69, case.tool.command)
    assert cause.startswith("this kernel has no BTF in /sys/kernel/btf/vmlinux")
    assert hint == "boot your distribution's stock kernel, which has it"


@fault
def test_no_libbpf(case: Case) -> None:
    """Neither engine can do without; where both say the same, it is said once."""
    load_libbpf()
    library = re.search(r"/\S+/libbpf\.so\S+", Path("/proc/self/maps").read_text())
    assert library
    setup = f"mount --bind /dev/null {library[0]}"
    cause, hint = assert_error(demo(case, *in_mount_namespace(setup)), 69, case.tool.command)
    assert cause.startswith("libbpf.so.1 cannot be loaded: ")
    assert cause.count("libbpf.so.1 cannot be loaded: ") == 1
    assert hint.count("apt install libbpf1") == 1


@fault
def test_no_bcc(case: Case, tmp_path: Path) -> None:
    """An empty directory is a package for Python, but not BCC."""
    setup = f"mount --bind '{tmp_path}' '{bcc_package()}'"
    cause, hint = assert_error(demo(case, *in_mount_namespace(setup)), 69, case.tool.command)
    assert cause == "BCC's Python package is not installed"
    assert "apt install python3-bpfcc" in hint


@fault
def test_the_other_bcc(case: Case, tmp_path: Path) -> None:
    """PyPI's `bcc` is a lattice package."""
    (tmp_path / "bcc").mkdir()
    (tmp_path / "bcc/__init__.py").write_text('"""Body-centred cubic."""\n')
    result = demo(case, "env", f"PYTHONPATH={tmp_path}")
    cause, hint = assert_error(result, 69, case.tool.command)
    assert cause.startswith(f"{tmp_path}/bcc is not BCC")
    assert hint.startswith("pip uninstall bcc")
    assert "apt install python3-bpfcc" in hint


# File systems.


@fault
def test_no_tracefs(case: Case) -> None:
    """A tool that goes by no tracepoint does without."""
    result = demo(case, *in_mount_namespace(NO_TRACEFS))
    if not needs_tracefs(case.tool):
        assert result.status == 0, result.stderr
        return
    cause, hint = assert_error(result, 69, case.tool.command)
    assert cause == "tracefs is not mounted, so no tracepoint can be found"
    assert hint == "mount it: mount -t tracefs tracefs /sys/kernel/tracing"


# Everything that is a disk or could be one; /proc, /sys and /dev are none. What
# somebody else has mounted may be gone by then.
READ_ONLY = """
for place in $(awk '$2 !~ "^/(proc|sys|dev)(/|$)" {print $2}' /proc/self/mounts); do
	mount -o remount,ro,bind "$place" || ! mountpoint -q "$place"
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


@fault
@pytest.mark.parametrize("setup", [READ_ONLY, NO_TMP], ids=["read-only-root", "no-tmp"])
def test_no_place_for_files(case: Case, setup: str) -> None:
    """Only a demo that makes files needs one; what it says helps."""
    command = in_mount_namespace(setup)
    result = demo(case, *command)
    if result.status:
        cause, hint = assert_error(result, 1, case.tool.command)
        assert cause == "no directory can hold the files of the demo"
        assert hint == "name one that can: TMPDIR=DIRECTORY"
        result = demo(case, *command, "env", "TMPDIR=/dev/shm")
    assert result.status == 0, result.stderr


# Privileges.

CONTAINER = ("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup")


@fault
def test_in_a_container(case: Case) -> None:
    """With namespaces of its own, but root and all capabilities, everything works."""
    result = demo(case, *CONTAINER, "--fork", "--mount-proc")
    assert result.status == 0, result.stderr


@fault
def test_in_a_rootless_container(case: Case) -> None:
    """Root of a user namespace; to become root would be no advice."""
    if run("unshare", "--user", "true").status:
        pytest.skip(f"{UNSUPPORTED}no user namespace can be made (in a chroot, or by a sysctl)")
    result = demo(case, *CONTAINER, "--user", "--map-root-user", "--fork", "--mount-proc")
    cause, hint = assert_error(result, 77, case.tool.command)
    assert "root in a user namespace only" in cause
    assert "outside the container" in hint


@fault
def test_a_seccomp_filter(case: Case, compiled: Compiled) -> None:
    """As container engines put in force."""
    cause, hint = assert_error(demo(case, compiled("forbid")), 77, case.tool.command)
    assert "a seccomp filter is in force (a container?)" in cause
    assert "allows bpf() and perf_event_open()" in hint


@fault
def test_root_without_capabilities(case: Case) -> None:
    """As in a container that has dropped them."""
    result = demo(case, "setpriv", "--bounding-set=-sys_admin,-bpf")
    cause, hint = assert_error(result, 77, case.tool.command)
    assert "CAP_BPF and CAP_PERFMON" in cause
    assert hint.startswith("run it as root: sudo ")


def enough_for(case: Case) -> str:
    """Return the capabilities that a tool needs; for packets, those of the network, too."""
    also = {f"+{hook.capability.removeprefix('CAP_').lower()}" for hook in case.hooks} - {"+"}
    if any(hook.kind == "freplace" for hook in case.hooks):
        also.add("+sys_admin")  # libbpf asks for the BTF of the other program by its id
    return ",".join(["+bpf", "+perfmon", *sorted(also)])


def assert_enough_or_not(case: Case, *command: str | Path, env: dict[str, str]) -> None:
    """Demand that the tool is attached, unless it has to open what another process has mapped."""
    # JSON, since the system's Python may have no tabulate for a report's table.
    watches = looks_into_programs(case.tool)
    words = case.command("--json", *(["--demo"] if watches else []))
    words = words[words.index(BIN / case.tool.command) + 1 :]
    with Running(*command, *words, env=env) as running:
        # What a demo watches is a process of the same user.
        if watches or lists(case.tool):  # which ends by itself
            result = running.finish()
        else:
            result = running.wait_attached().finish(signal.SIGINT)
    if watches and result.status:
        cause, hint = assert_error(result, 77, case.tool.command)
        assert cause.startswith("may not open the files that the process ")
        assert hint.startswith(
            "run it outside the container, with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE"
        )
    else:
        assert result.status == 0, result.stderr


@fault
def test_capabilities_without_root(case: Case) -> None:
    """CAP_BPF and CAP_PERFMON are enough, where tracefs is open: nothing asks who it is."""
    wrapper = as_nobody(f"{enough_for(case)},+dac_override")
    assert_enough_or_not(case, *wrapper, BIN / case.tool.command, env={})


@fault
def test_without_those_of_the_network(case: Case) -> None:
    result = demo(case, "setpriv", "--bounding-set=-net_admin,-net_raw")
    cause, hint = assert_error(result, 77, case.tool.command)
    assert re.fullmatch(r"this process has no CAP_NET_\w+, which programs for packets need", cause)
    assert hint.startswith("run it as root: sudo ")


@fault
def test_only_these_capabilities(case: Case, open_directory: Path) -> None:
    """Where tracefs is not open, a tool that goes by tracepoints says so."""
    # A copy that every user may read: the checkout may be private.
    shutil.copytree(ROOT / "tools/ebpf_tour", open_directory / "ebpf_tour")
    script = f"import sys; from ebpf_tour.commands.{case.tool.name} import main; sys.exit(main())"
    command = (*as_nobody(enough_for(case)), "/usr/bin/python3", "-Bc", script)
    environment = {"PYTHONPATH": str(open_directory), "HOME": "/"}
    if not needs_tracefs(case.tool):
        assert_enough_or_not(case, *command, env=environment)
        return
    result = run(*command, *case.command("--demo")[1:], env=environment)
    cause, hint = assert_error(result, 77, case.tool.command)
    assert cause.startswith("may not read /sys/kernel/")
    assert cause.endswith("only root may, unless others are given access")
    assert hint.startswith("also give it CAP_DAC_READ_SEARCH, or open tracefs to a group: mount ")
