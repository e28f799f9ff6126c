"""Every tool on each of its engines, found in the records, for tests that hold for all."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import BIN, ENGINES, need

from ebpf_tour.catalogue import parser_of, tools
from ebpf_tour.loader.hooks.uprobe import Uprobe

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

    from ebpf_tour.record import Tool

ALL_TOOLS = tools()
TOOLS = [tool for tool in ALL_TOOLS if tool.via]


class Case(NamedTuple):
    """A tool, the engine that it runs on ("" if it has none), and further options."""

    tool: Tool
    engine: str
    options: tuple[str, ...] = ()

    def command(self, *words: str) -> list[str | Path]:
        """Return its command line, with more words behind it."""
        engine = ("--engine", self.engine) if self.engine else ()
        return [BIN / self.tool.command, *engine, *self.options, *words]

    def __str__(self) -> str:
        options = (word for word in self.options if not word.startswith("--"))
        return "-".join(filter(None, [self.tool.name, self.engine, *options]))


def option(tool: Tool, name: str) -> argparse.Action | None:
    """Return an option of a tool, such as "--buffer", or None if it has none of that name."""
    return next((a for a in parser_of(tool)._actions if name in a.option_strings), None)


def watches_a_process(tool: Tool) -> bool:
    """Say whether a tool needs the PID of a process: one that looks into programs does."""
    return any(isinstance(hook, Uprobe) for hook in tool.hooks)


def prints(tool: Tool) -> bool:
    """Say whether a tool shows lines of the trace buffer, which is not sure of the names."""
    return any(column.key == "message" for column in tool.columns)


# The tools that tell what every process does, and by which name.
SEE_ALL = [t for t in TOOLS if not prints(t) and not watches_a_process(t)]


def to_count_all(tool: Tool) -> list[str]:
    """Return the options by which a tool that counts does so by name, in one report."""
    words = []
    by = option(tool, "--by")
    if by and "comm" in (by.choices or ()):
        words += ["--by", "comm"]
    if option(tool, "--by-comm"):
        words += ["--by-comm"]
    if option(tool, "--interval"):
        words += ["--interval", "3600"]
    if option(tool, "--top"):
        words += ["--top", "1000000"]
    return words


def parameters(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Return the mark that runs a test for each case that the kernel can run."""
    return pytest.mark.parametrize("case", [_parameter(case) for case in cases])


def _parameter(case: Case) -> ParameterSet:
    marks = [pytest.mark.kernel(case.tool)] if case.tool.via else []
    return pytest.param(case, id=str(case), marks=marks)


def on_each_engine(some_tools: Iterable[Tool]) -> list[Case]:
    """Return a case for each tool and engine."""
    return [
        Case(tool, engine) for tool in some_tools for engine in ENGINES if engine in tool.engines
    ]


def in_all_ways(some_tools: Iterable[Tool]) -> list[Case]:
    """Return a case for each tool, engine, way to see the event, and way to user space."""
    return [
        Case(tool, engine, via + transport)
        for tool in some_tools
        for via in _ways(tool)
        for transport in _choices(tool, "--transport")
        for engine in ENGINES
        if engine in tool.engines and _is_able(engine, tool, via)
    ]


def _ways(tool: Tool) -> list[tuple[str, ...]]:
    return [("--via", name) for name in tool.via] if len(tool.via) > 1 else [()]


def _choices(tool: Tool, name: str) -> list[tuple[str, ...]]:
    found = option(tool, name)
    return [(name, str(choice)) for choice in (found and found.choices) or ()] or [()]


def _is_able(engine: str, tool: Tool, via: tuple[str, ...]) -> bool:
    return not via or all(engine in hook.engines for hook in tool.via[via[1]])


def need_hooks(case: Case) -> None:
    """Skip a case whose way to see the event this kernel lacks."""
    if "--via" in case.options:
        via = case.options[case.options.index("--via") + 1]
        need(*case.tool.via[via])


@contextlib.contextmanager
def watched(
    tool: Tool, helpers: Path, *arguments: str, program: Path | None = None
) -> Iterator[tuple[str, ...]]:
    """Start the process that a tool needs, if it does, and yield the words that name it.

    With an argument, the process allocates all the time. `program` is the file
    to run, where it is another name of the same.
    """
    if not watches_a_process(tool):
        yield ()
        return
    command = [program or helpers / "target", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.read(1)  # it is there
        try:
            yield (str(process.pid),)
        finally:
            process.kill()
