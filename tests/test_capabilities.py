"""What a tool may still do once it is attached: no more than it needs."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cases import fault
from support import Running

from ebpf_tour.base import capabilities

if TYPE_CHECKING:
    from cases import Case

pytestmark = pytest.mark.native

# The sets of a process, from capabilities(7), and the bits of what a tool may keep.
SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")
BITS = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_KILL": 5,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_PTRACE": 19,
    "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}
MAY_USE_MAPS = (
    "from ebpf_tour.loader import syscall; from ebpf_tour.base import capabilities; "
    "capabilities.keep(); print(syscall.may_use_maps())"
)


def capabilities_of(pid: int) -> dict[str, int]:
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return {
            name: int(value, 16) for name, value in re.findall(r"(Cap\w+):\t(\w+)", file.read())
        }


@fault
@pytest.mark.usefixtures("leaves_nothing")
def test_an_attached_tool_keeps_only_what_it_needs(case: Case) -> None:
    """It works with that to its end, and says so with -v."""
    asked = subprocess.run(
        [sys.executable, "-c", MAY_USE_MAPS], check=True, capture_output=True, text=True
    )
    kept = {*case.tool.keeps} | ({"CAP_BPF"} if asked.stdout == "False\n" else set())
    with Running(*case.command("--demo", "-v")) as tool:
        tool.wait_attached()
        sets = capabilities_of(tool.pid)
        result = tool.finish()
    assert result.status == 0, result.stderr
    bits = sum(1 << BITS[name] for name in kept)
    assert {name: sets[name] for name in SETS} == dict.fromkeys(("CapPrm", "CapEff"), bits) | {
        "CapInh": 0,
        "CapAmb": 0,
    }
    (said,) = re.findall("capabilities that the tool keeps: (.*)", result.stderr)
    assert set(said.split(", ")) == (kept or {"none"})


def test_a_capability_that_is_named_twice() -> None:
    """By a tool, and by the session for any user but root."""
    once, twice = ("CAP_KILL", "CAP_BPF"), ("CAP_KILL", "CAP_BPF", "CAP_KILL")
    assert capabilities._set_of(twice) == capabilities._set_of(once) == 1 << 5 | 1 << 39
