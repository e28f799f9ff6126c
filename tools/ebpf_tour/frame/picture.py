"""The picture of a tool: event, hook, program, map, tool, from top left to bottom right.

    a program is executed
        |  tracepoint sched:sched_process_exec
        v
    handle_exec()
        |--->  start (hash)
        '--->  rb (ring buffer)  --->  ebpf-bootstrap

An arrow shows where the data goes. It is drawn from the tool's record.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpf_tour.frame.record import Flow, Tool

WIDTH = 76  # the card of a tool indents it by four

# From a program to a map, from the map to the program, or both.
_WRITES, _READS, _CHANGES = "--->", "<---", "<-->"


def drawing(tool: Tool) -> str:
    """Return the picture as lines of ASCII, at most 80 columns wide; "" without a program."""
    cells = [_called(tool, name) for flow in tool.picture for name in _maps(flow)]
    width = max(map(len, cells), default=0)
    return "\n\n".join("\n".join(_drawn(tool, flow, width)) for flow in tool.picture)


def _maps(flow: Flow) -> list[str]:
    """Return the names of the maps that a flow's programs use, those that they only read first."""
    return list(dict.fromkeys((*flow.reads, *flow.writes)))


def _drawn(tool: Tool, flow: Flow, width: int) -> Iterator[str]:
    yield flow.event
    for hook in flow.programs:
        yield f"    |  {hook}"
    yield "    v"
    programs = ", ".join(f"{program}()" for program in flow.programs.values())
    yield from textwrap.wrap(programs, WIDTH)
    maps = _maps(flow)
    for name in maps:
        corner = "'" if name == maps[-1] else "|"
        arrow = _arrow(reads=name in flow.reads, writes=name in flow.writes)
        line = f"    {corner}{arrow}  {_called(tool, name):{width}}  {_to_tool(tool, name)}"
        yield line.rstrip()


def _arrow(*, reads: bool, writes: bool) -> str:
    if reads and writes:
        return _CHANGES
    return _READS if reads else _WRITES


def _called(tool: Tool, name: str) -> str:
    """Return a map's name and type. What is no map, such as the trace buffer, has a name only."""
    types = {item.name: item.base_type for item in tool.maps}
    return f"{name} ({types[name]})" if name in types else name


def _to_tool(tool: Tool, name: str) -> str:
    """Return what is to the right of a map: an arrow and the tool, if the tool uses it."""
    uses = {item.name: item.tool for item in tool.maps}.get(name, "reads")
    if not uses:
        return ""
    arrow = {"reads": "--->", "sets": "<---", "sets and reads": "<-->"}[uses]
    return f"{arrow}  {tool.command}"
