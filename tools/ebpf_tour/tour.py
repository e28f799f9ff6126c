"""ebpf-tour: the catalogue of tools, and which of them run here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ebpf_tour import cli
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.record import Column, Example, Row, Tool

if TYPE_CHECKING:
    from ebpf_tour.errors import Error
    from ebpf_tour.session import Session

TOOL = Tool(
    name="tour",
    lesson=0,
    summary="list the tools, what each one shows, and whether it runs here",
    description=(
        "List the tools of the suite in the order of the course: the hook and the map that each "
        "one teaches, what it shows, and whether this kernel has what it needs."
    ),
    how_it_works=(
        "It loads nothing. For each tool it asks whether the kernel has one of its hooks, and "
        "reports through which one the tool would see its events, or why it cannot."
    ),
    columns=(
        Column("tool", "TOOL", "the command"),
        Column("hook", "HOOK", "the hook types that it teaches"),
        Column("map", "MAP", "the map types that it uses"),
        Column("runs", "RUNS", "yes, or no"),
        Column("shows", "SHOWS", "what it shows, or why it does not run here"),
    ),
    examples=(
        Example("ebpf-tour", "the catalogue"),
        Example("ebpf-tour --json", "the same for a script"),
    ),
    requirements=(
        "None to list the tools. To say whether they run it needs root, since only root may look "
        "into tracefs."
    ),
    overhead="None: it reads a few files and ends.",
)


def run(session: Session) -> None:
    # Imported here: the catalogue imports every tool, this one included.
    from ebpf_tour.catalogue import tools

    session.report(catalogue_row(tool) for tool in tools() if tool.via)


def catalogue_row(tool: Tool) -> Row:
    reason = why_not(tool)
    return {
        "tool": tool.command,
        "hook": ", ".join(dict.fromkeys(hook.kind for hook in tool.hooks)),
        "map": ", ".join(dict.fromkeys(item.type for item in tool.maps)),
        "runs": "no" if reason else "yes",
        "shows": str(reason) if reason else tool.summary,
    }


def why_not(tool: Tool) -> Error | None:
    """Return why none of the tool's ways works here, or None if one does."""
    reasons = []
    for hooks in tool.via.values():
        missing = what_is_missing(hooks)
        if not missing:
            return None
        reasons.append(missing)
    return reasons[0]


def main() -> int:
    """Run the command; for the console script."""
    return cli.main(TOOL, run)


if __name__ == "__main__":
    sys.exit(main())
