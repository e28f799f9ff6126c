"""A kernel that is locked down, which it stays until it is booted again.

So this runs only in a virtual machine, and after everything else there.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import TOOLS, Case, on_each_engine, parameters
from support import UNSUPPORTED, assert_error, in_guest, run

from ebpf_tour.commands.bootstrap import TOOL as BOOTSTRAP
from ebpf_tour.commands.minimal import TOOL as MINIMAL
from ebpf_tour.loader import features

pytestmark = [pytest.mark.last, pytest.mark.usefixtures("leaves_nothing")]

SECURITY = Path("/sys/kernel/security")


def lock_down(mode: str) -> None:
    """Lock the kernel down so far, if it is not."""
    if not in_guest():
        pytest.skip(f"{UNSUPPORTED}the kernel would stay locked down: only in a virtual machine")
    if not (SECURITY / "lockdown").exists():
        assert run("mount", "-t", "securityfs", "none", SECURITY).status == 0
    if features.lockdown() != mode:
        (SECURITY / "lockdown").write_text(mode, encoding="ascii")
    assert features.lockdown() == mode


@parameters(on_each_engine([BOOTSTRAP]))
def test_integrity(case: Case) -> None:
    """It forbids to change the kernel; to read it is no harm."""
    lock_down("integrity")
    result = run(*case.command("--demo"))
    assert result.status == 0, result.stderr


@parameters(on_each_engine(TOOLS))
def test_confidentiality(case: Case) -> None:
    """What reads memory of the kernel, or a trace buffer, says why it cannot."""
    lock_down("confidentiality")
    result = run(*case.command("--demo"))
    if result.status:
        cause, hint = assert_error(result, 77, case.tool.command)
        assert cause.endswith(": the kernel is locked down (confidentiality)")
        assert hint.startswith("boot with lockdown=integrity or lockdown=none")
    assert result.status or case.tool not in (MINIMAL, BOOTSTRAP)
