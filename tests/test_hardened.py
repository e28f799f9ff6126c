"""Kernels that their owner has made stricter by the command line that they boot with.

tests/machines/kernels.py boots them: VERSION+PARAMETER. On any other kernel, these tests
are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cases import TOOLS, Case, on_each_engine, parameters
from support import BIN, UNSUPPORTED, Result, as_nobody, assert_error, run

from ebpf_tour.commands.bootstrap import TOOL as BOOTSTRAP
from ebpf_tour.commands.minimal import TOOL as MINIMAL
from ebpf_tour.commands.profile import TOOL as PROFILE
from ebpf_tour.commands.syscount import TOOL as SYSCOUNT
from ebpf_tour.commands.tc import TOOL as TC
from ebpf_tour.commands.xdp import TOOL as XDP

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Tool

pytestmark = pytest.mark.kernel
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")

# Every tool with libbpf; BCC's compiler takes its time in an emulated machine.
CASES = [
    case
    for case in on_each_engine(TOOLS)
    if case.engine == "libbpf" or case.tool in (MINIMAL, BOOTSTRAP)
]

booted_with = pytest.mark.hardened


def run_demo(case: Case) -> Result:
    """Return how a demo ends. Skip the test where the kernel has no such hook, however it boots."""
    result = run(*case.command("--demo"))
    if result.status == 69:
        cause, _ = assert_error(result, 69, case.tool.command)
        assert cause.startswith("this kernel has no ")  # and not, say, that tracefs is not mounted
        pytest.skip(f"{UNSUPPORTED}{cause}")
    return result


@booted_with("lockdown=integrity")
@leaves_nothing
@parameters(CASES)
def test_integrity(case: Case) -> None:
    """It forbids to change the kernel; to read it is no harm."""
    result = run_demo(case)
    assert result.status == 0, result.stderr


@booted_with("lockdown=confidentiality")
@parameters(CASES)
def test_confidentiality(case: Case) -> None:
    """What reads memory of the kernel, or a trace buffer, says why it cannot.

    There is nothing in tracefs, so `leaves_nothing` cannot look there.
    """
    result = run_demo(case)
    if result.status:
        cause, hint = assert_error(result, 77, case.tool.command)
        assert cause.endswith(": the kernel is locked down (confidentiality)")
        assert hint.startswith("boot with lockdown=integrity or lockdown=none")
    if case.tool in (TC, XDP):  # they read packets only
        assert result.status == 0, result.stderr


@booted_with(*(f"sysctl.kernel.unprivileged_bpf_disabled={value}" for value in (0, 2)))
@leaves_nothing
@pytest.mark.parametrize("tool", [BOOTSTRAP, SYSCOUNT], ids=lambda tool: tool.name)
def test_who_may_load_programs(tool: Tool) -> None:
    """Whether others may load programs for their own sockets (0) or not (2): tools take more."""
    command = [BIN / tool.command, "--engine", "libbpf", "--demo"]
    result = run("setpriv", "--bounding-set=-all", *command)
    cause, hint = assert_error(result, 77, tool.command)
    assert "CAP_BPF and CAP_PERFMON" in cause
    assert hint.startswith("run it as root: sudo ")
    result = run(*command)
    assert result.status == 0, result.stderr


@booted_with("sysctl.kernel.perf_event_paranoid=4")
@leaves_nothing
@pytest.mark.parametrize("tool", [BOOTSTRAP, PROFILE, SYSCOUNT], ids=lambda tool: tool.name)
def test_who_may_open_perf_events(tool: Tool) -> None:
    """A kernel with Debian's patch asks for CAP_SYS_ADMIN. A raw tracepoint is no perf event."""
    command = [BIN / tool.command, "--engine", "libbpf", "--demo"]
    result = run(*command)
    assert result.status == 0, result.stderr
    result = run(*as_nobody("+bpf,+perfmon,+dac_override"), *command)
    if tool is SYSCOUNT:
        assert result.status == 0, result.stderr
        return
    cause, hint = assert_error(result, 77, tool.command)
    assert "this kernel asks for CAP_SYS_ADMIN" in cause
    assert hint
