"""Without kernel BTF: BCC with the headers of the running kernel.

They are there in a virtual machine, where tests/machines/kernels.sh puts them, and
wherever somebody has installed them.
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from cases import TOOLS, Case, on_each_engine, parameters
from support import (
    NO_BTF,
    UNSUPPORTED,
    Running,
    assert_error,
    in_guest,
    in_mount_namespace,
    need,
    run,
)

from ebpf_tour.commands.bootstrap import TOOL as BOOTSTRAP
from ebpf_tour.commands.mkdir import TOOL as MKDIR
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.kprobe import Kprobe

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def _headers() -> None:
    """Skip where nobody has installed them; in a virtual machine they have to be there."""
    if not in_guest() and not features.kernel_headers():
        pytest.skip(f"{UNSUPPORTED}the headers of the running kernel are not installed")


pytestmark = pytest.mark.usefixtures("leaves_nothing", "quiet_kernel", "_headers")


def without_btf(case: Case, *words: str) -> list[str | Path]:
    return in_mount_namespace(NO_BTF, *case.command(*words))


@pytest.mark.core
@parameters([Case(BOOTSTRAP, "")])
def test_bcc_takes_over(case: Case) -> None:
    """It says so in one line, and reads the kernel's structures as they are."""
    with Running(*without_btf(case, "--json")) as tool:
        tool.wait_attached()
        with subprocess.Popen(["true"]) as process:
            pass
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    first, *_ = result.stderr.splitlines()
    assert first.startswith("ebpf-bootstrap: using BCC, since this kernel has no BTF in /sys/")
    rows = [row for row in result.records if row["pid"] == process.pid]
    assert [row["event"] for row in rows] == ["EXEC", "EXIT"]
    assert {row["ppid"] for row in rows} == {os.getpid()}


@parameters(case for case in on_each_engine(TOOLS) if case.engine == "bcc")
def test_each_tool(case: Case) -> None:
    """It works, or says that its program cannot do without BTF."""
    result = run(*without_btf(case, "--demo"))
    if all(any(hook.needs_btf for hook in hooks) for hooks in case.tool.via.values()):
        cause, _ = assert_error(result, 69, case.tool.command)
        assert cause.startswith("this kernel has no BTF in /sys/kernel/btf/vmlinux")
        return
    assert result.status == 0, result.stderr
    assert "Demo: saw " in result.stderr


@parameters([Case(MKDIR, "bcc", ("--via", "kprobe"))])
def test_a_way_that_needs_btf(case: Case) -> None:
    need(Kprobe("vfs_mkdir"))
    cause, _ = assert_error(run(*without_btf(case)), 69, "ebpf-mkdir")
    assert cause.startswith("this kernel has no BTF in /sys/kernel/btf/vmlinux")
    assert cause.endswith(", which the program at kprobe vfs_mkdir needs")
