"""The tools, found by looking: a module of this package that declares a TOOL."""

from __future__ import annotations

import importlib
import pkgutil

import ebpf_tour
from ebpf_tour.cli import make_parser
from ebpf_tour.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ebpf_tour.record import Tool


def tools() -> list[Tool]:
    """Return the records of all tools, in the order of the course."""
    found = []
    for info in pkgutil.iter_modules(ebpf_tour.__path__):
        tool = getattr(importlib.import_module(f"ebpf_tour.{info.name}"), "TOOL", None)
        if tool:
            found.append(tool)
    return sorted(found, key=lambda tool: (tool.lesson, tool.name))


def parser_of(tool: Tool) -> argparse.ArgumentParser:
    """Return the parser that the tool's command uses."""
    module = importlib.import_module(f"ebpf_tour.{tool.name}")
    return make_parser(tool, getattr(module, "options", None))
