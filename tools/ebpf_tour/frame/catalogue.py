"""The tools, found by looking: each module of `commands/` declares a TOOL."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import ebpf_tour
from ebpf_tour.frame.cli import make_parser
from ebpf_tour.frame.record import Page

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from ebpf_tour.frame.record import Tool

# What the course has besides its tools.
PAGES = (
    Page(
        "verifier",
        lesson=100,
        title="When the verifier says no",
        summary="six programs that are broken on purpose",
        read_before=("execcount",),
    ),
    Page(
        "packets",
        lesson=179,
        title="Five places for a packet",
        summary="five hooks on the way of a packet, side by side",
        read_before=("xdp", "sockfilter", "tc", "netfilter", "cgroup"),
    ),
)


def tools() -> list[Tool]:
    """Return the records of all tools, in the order of the course."""
    names = [info.name for info in pkgutil.iter_modules([f"{ebpf_tour.__path__[0]}/commands"])]
    found: list[Tool] = [_module(name).TOOL for name in names]
    return sorted(found, key=lambda tool: (tool.lesson, tool.name))


def course() -> list[Tool | Page]:
    """Return the lessons in their order, then the tools for work."""
    pages: list[Tool | Page] = [*(tool for tool in tools() if tool.lesson), *PAGES]
    return sorted(pages, key=lambda page: page.lesson)


def parser_of(tool: Tool) -> argparse.ArgumentParser:
    """Return the parser that the tool's command uses."""
    return make_parser(tool, getattr(_module(tool.name), "options", None))


def _module(name: str) -> Any:
    # By its name at run time: what every command line has knows no command.
    return importlib.import_module(f"ebpf_tour.commands.{name}")
