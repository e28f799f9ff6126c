"""The tools' programs in the BCC dialect, opened without their tools."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support import need

from ebpf_tour.frame.catalogue import tools
from ebpf_tour.loader.bcc import BccProgram
from ebpf_tour.loader.program import Options, sources

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Tool

TOOLS = [tool for tool in tools() if "bcc" in tool.engines and tool.via]
BY_BTF = (26, 29)  # BPF_PROG_TYPE_TRACING, BPF_PROG_TYPE_LSM
WAYS = [
    (tool, via)
    for tool in TOOLS
    for via, hooks in tool.via.items()
    if all("bcc" in hook.engines for hook in hooks)
]


def configured(tool: Tool, via: str, **numbers: int) -> BccProgram:
    """Open a program, and set each number that a comment in its C lists.

    A kernel without kprobes loads programs for them, but not those that are for one of
    its functions by BTF: that skips the test.
    """
    need(*(hook for hook in tool.via[via] if hook.program_type in BY_BTF))
    program = BccProgram(Options(tool.name, sources(), via, tool.via[via], tool.hooks))
    text = program._source.text
    listed = dict.fromkeys(re.findall(r"-D([a-z]\w+)=", text), 0)
    sizes = dict.fromkeys(re.findall(r"\b[a-z]\w+_max_entries\b", text), 1 << 16)
    # By word, not by map: a size is a number for the compiler like all others.
    for name, number in (listed | sizes | numbers).items():
        program.globals[name] = number
    return program
