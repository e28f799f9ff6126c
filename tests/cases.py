"""Every tool on each of its engines, found in the records, for tests that hold for all.

Such a test is a fault: something that no tool may be harmed by. FAULTS has them
all, each with the cases that it can be tried on. `make test` tries it on a few, so
that it does not take longer with each tool: see `covering()`. `make test-all`
tries it on every one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import os
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support import BIN, ENGINES, need

from ebpf_tour.frame.catalogue import parser_of, tools
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.loader.hooks.iterator import TaskIterator
from ebpf_tour.loader.hooks.perf_event import PerfEvent
from ebpf_tour.loader.hooks.uprobe import Uprobe
from ebpf_tour.userland.cgroup import top

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet
    from support import Compiled

    from ebpf_tour.frame.record import Tool
    from ebpf_tour.loader.hooks import Hook

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
        # Where an interface has room for one of them only, each gets a network of its own.
        alone = any(hook.alone for hook in self.tool.hooks) and not {"--demo", "--show"} & {*words}
        where = ("unshare", "--net") if alone else ()
        if is_for_a_cgroup(self.tool) and not {"--demo", "--show"} & {*words}:
            words += (empty_cgroup(),)
        return [*where, BIN / self.tool.command, *engine, *self.options, *words]

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks that it goes by: those of its --via, or of the first way that works here."""
        if "--via" in self.options:
            return self.tool.via[self.options[self.options.index("--via") + 1]]
        ways = list(self.tool.via.values()) or [()]
        return next((hooks for hooks in ways if not is_missing(hooks)), ways[0])

    def __str__(self) -> str:
        options = (word for word in self.options if not word.startswith("--"))
        return "-".join(filter(None, [self.tool.name, self.engine, *options]))


@functools.cache
def is_missing(hooks: tuple[Hook, ...]) -> bool:
    """Say whether this kernel lacks one of the hooks."""
    return what_is_missing(hooks) is not None


# Those that this kernel can run, in one way at least.
CAN_RUN = [tool for tool in TOOLS if not all(map(is_missing, tool.via.values()))]


def option(tool: Tool, name: str) -> argparse.Action | None:
    """Return an option of a tool, such as "--buffer", or None if it has none of that name."""
    return next((a for a in parser_of(tool)._actions if name in a.option_strings), None)


def has_column(tool: Tool, key: str) -> bool:
    """Say whether the rows of a tool have a value of this name."""
    return any(column.key == key for column in tool.columns)


def looks_into_programs(tool: Tool) -> bool:
    """Say whether a tool sees functions of programs, not what every process asks of the kernel."""
    return any(isinstance(hook, Uprobe) for hook in tool.hooks)


def is_for_a_cgroup(tool: Tool) -> bool:
    """Say whether a tool needs the path of a cgroup."""
    return any(action.dest == "cgroup" for action in arguments_of(tool))


@functools.cache
def empty_cgroup() -> str:
    """Return a cgroup without processes. It goes when the tests of this process are done."""
    path = f"{top()}/ebpf-tour-cases-{os.getpid()}"
    os.mkdir(path)
    atexit.register(os.rmdir, path)
    return path


def arguments_of(tool: Tool) -> list[argparse.Action]:
    """Return the words without a dash that a tool takes."""
    return [action for action in parser_of(tool)._actions if not action.option_strings]


def watches_a_process(tool: Tool) -> bool:
    """Say whether a tool needs the PID of a process: one of these that has it as an argument."""
    arguments = arguments_of(tool)
    return looks_into_programs(tool) and any(action.dest == "pid" for action in arguments)


def prints(tool: Tool) -> bool:
    """Say whether a tool shows lines of the trace buffer, which is not sure of the names."""
    return has_column(tool, "message")


def sees_packets(tool: Tool) -> bool:
    """Say whether a tool sees packets, which are of no process."""
    return any(hook.capability.startswith("CAP_NET_") for hook in tool.hooks)


def samples(tool: Tool) -> bool:
    """Say whether a tool looks now and then, so that what is short may not be seen at all."""
    return any(isinstance(hook, PerfEvent) for hook in tool.hooks)


def draws(tool: Tool) -> bool:
    """Say whether a tool shows histograms of all events together."""
    return any(column.histogram for column in tool.columns)


def lists(tool: Tool) -> bool:
    """Say whether a tool shows what there is and ends, without waiting for anything."""
    return any(isinstance(hook, TaskIterator) for hook in tool.hooks)


def stands_in(tool: Tool) -> bool:
    """Say whether a tool's programs replace other functions, for who asks for that."""
    return any(hook.kind in ("struct_ops", "freplace") for hook in tool.hooks)


# The tools that tell what every process does, and by which name.
_NOT_ALL = (prints, looks_into_programs, sees_packets, samples, draws, lists, stands_in)
SEE_ALL = [tool for tool in TOOLS if not any(is_so(tool) for is_so in _NOT_ALL)]


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


def with_value(tool: Tool) -> list[tuple[str, argparse.Action]]:
    """Return the options and arguments of a tool that have a value: how to give it, and what."""
    found = []
    for action in parser_of(tool)._actions:
        if action.nargs != 0:
            prefix = f"{action.option_strings[-1]}=" if action.option_strings else ""
            found.append((prefix, action))
    return found


def accepts(tool: Tool, word: str) -> bool:
    """Say whether a tool takes a word of the command line."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        parser_of(tool).parse_args([word])
        return True
    return False


def texts(tool: Tool) -> list[str]:
    """Return the options of a tool whose value is any text: "--name="."""
    return [prefix for prefix, _ in with_value(tool) if prefix and accepts(tool, f"{prefix}abc")]


def parameters(cases: Iterable[Case]) -> pytest.MarkDecorator:
    """Return the mark that runs a test for each case that the kernel can run."""
    return pytest.mark.parametrize("case", [_parameter(case) for case in cases])


def _parameter(case: Case, *marks: pytest.MarkDecorator) -> ParameterSet:
    if case.tool.via:
        marks += (pytest.mark.kernel(case.tool),)
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
    need(*case.hooks)


Way = tuple[str, ...]


def ways_of(tool: Tool) -> list[tuple[str, str]]:
    """Return engine and way, for each way to see a tool's event and each engine that can."""
    return [
        (engine, via)
        for via in tool.via
        for engine in ENGINES
        if engine in tool.engines and _is_able(engine, tool, ("--via", via))
    ]


def via(tool: Tool) -> Callable[[pytest.FixtureRequest], Way]:
    """Return the fixture that runs a test in each way to see a tool's event, on each engine.

    It is the options for that way, and for JSON. A way that this kernel lacks is
    skipped, with what the hook says of it. A module says `way = via(TOOL)`.
    """

    @pytest.fixture(params=ways_of(tool), ids="-".join)
    def way(request: pytest.FixtureRequest) -> Way:
        engine, name = request.param
        need(*tool.via[name])
        return ("--engine", engine, "--via", name, "--json")

    return way


@contextlib.contextmanager
def watched(
    tool: Tool, compiled: Compiled, *arguments: str, program: Path | None = None
) -> Iterator[tuple[str, ...]]:
    """Start the process that a tool needs, if it does, and yield the words that name it.

    With an argument, the process allocates all the time. `program` is the file
    to run, where it is another name of the same.
    """
    if not watches_a_process(tool):
        yield ()
        return
    command = [program or compiled("target"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.read(1)  # it is there
        try:
            yield (str(process.pid),)
        finally:
            process.kill()


def has_buffer(tool: Tool) -> bool:
    """Say whether a tool sends records through a buffer of its own, which can be too small."""
    return any(item.type in ("ring buffer", "perf event array") for item in tool.maps)


def on(engine: str, cases: Iterable[Case]) -> list[Case]:
    """Return those of the cases that are for one engine."""
    return [case for case in cases if case.engine == engine]


_WITHOUT_PROGRAM = [Case(tool, "") for tool in ALL_TOOLS if not tool.via]
_EACH = on_each_engine(TOOLS)
# Those that go on until they are told to end: a signal finds them.
_THAT_GO_ON = on_each_engine(tool for tool in TOOLS if not lists(tool))
_THAT_WATCH = on_each_engine(filter(watches_a_process, TOOLS))
_THAT_SEE_ALL = in_all_ways(SEE_ALL)
# In each way where there is a choice. The others are tried in theirs by _THAT_SEE_ALL.
_OF_PACKETS = [case for case in in_all_ways(filter(sees_packets, TOOLS)) if case.options]

# By the name of the test, without its "test_".
FAULTS: dict[str, list[Case]] = {
    # test_bcc.py
    "without_the_other_engine": on("bcc", _EACH),
    # test_capabilities.py
    "an_attached_tool_keeps_only_what_it_needs": _EACH,
    # test_clock.py
    "time_of_day": [case for case in _EACH if has_column(case.tool, "time")],
    "seconds_since_it_was_attached": [c for c in _EACH if option(c.tool, "--timestamp")],
    # test_faults.py
    "signal_before_it_reads": _EACH,
    "signal_while_it_reads": [*_THAT_GO_ON, *_OF_PACKETS],
    "nobody_reads_at_the_end": _THAT_GO_ON,
    "signals_that_are_ignored": _THAT_GO_ON,
    "nobody_reads_what_it_writes": [*_EACH, *_WITHOUT_PROGRAM],
    "the_reader_goes_away": _EACH,
    "disk_full": [*_EACH, *_WITHOUT_PROGRAM],
    "closed_streams": _EACH,
    "the_watched_process_is_killed_before": _THAT_WATCH,
    "the_watched_process_is_killed": _THAT_WATCH,
    "two_at_once": _THAT_GO_ON,
    "a_demo_that_is_interrupted": _THAT_GO_ON,
    # test_hostile.py
    "names": _THAT_SEE_ALL,
    "name_of_the_watched_process": _THAT_WATCH,
    "the_largest_numbers_fit_into_the_program": _EACH,
    "no_value_changes_the_program": on_each_engine(filter(texts, TOOLS)),
    "a_hostile_filter_filters": on_each_engine(t for t in SEE_ALL if option(t, "--name")),
    # test_load.py
    "none_is_lost": _THAT_SEE_ALL,
    "what_is_lost_is_counted": in_all_ways(filter(has_buffer, SEE_ALL)),
    "one_interrupt_is_enough": _THAT_GO_ON,
    # test_metrics.py
    "what_each_tool_serves": on_each_engine(tool for tool in TOOLS if option(tool, "--metrics")),
    # test_missing.py
    "no_btf": on("libbpf", _EACH),
    "no_libbpf": [Case(tool, "") for tool in TOOLS],
    "no_bcc": on("bcc", _EACH),
    "the_other_bcc": on("bcc", _EACH),
    "no_tracefs": _EACH,
    "no_place_for_files": _EACH,
    "in_a_container": _EACH,
    "in_a_rootless_container": _EACH,
    "a_seccomp_filter": _EACH,
    "root_without_capabilities": _EACH,
    "capabilities_without_root": _EACH,
    # The demo of ebpf-congestion makes a network.
    "without_those_of_the_network": on_each_engine(
        tool for tool in TOOLS if sees_packets(tool) or tool.name == "congestion"
    ),
    "only_these_capabilities": _THAT_GO_ON,
    # test_show.py
    "source_is_the_file": _EACH,
    "source_is_what_bcc_compiles": on("bcc", _EACH),
    "source_needs_nothing": _EACH,
    "log_names_lines_of_the_source": _EACH,
    "asm_is_what_the_kernel_loaded": _EACH,
    "asm_and_log_name_the_same_lines": _EACH,
    "file_and_number_of_each_line": _EACH,
    "log_begins_with_the_statistics": _EACH,
    # test_tour.py
    "what_runs": [Case(tool, "") for tool in TOOLS],
}


def covered_by(case: Case) -> set[tuple[str, ...]]:
    """Return what a case is an example of: its engine, its way and each of its kinds of hooks."""
    found = {(case.tool.name, "way", *case.options), *(("hook", hook.kind) for hook in case.hooks)}
    if case.engine or not case.tool.via:  # otherwise the test leaves it open
        found.add((case.tool.name, "engine", case.engine))
    return found


def covering(faults: Mapping[str, list[Case]]) -> dict[str, list[Case]]:
    """Choose the cases that each fault is tried on in `make test`.

    - Each fault is tried on each engine that it can be tried on.
    - Each tool is tried on each of its engines and in each of its ways, by some fault.
    - Each kind of hook is tried, by some fault.
    - What this kernel cannot run is chosen only if it is an example of something
      that no other case is.

    It is the same in each run on a kernel. A new tool or fault needs no word
    here; with more tools there are more cases only when the faults are not enough
    to try each tool.
    """
    chosen: dict[str, list[Case]] = {name: [] for name in faults}
    tried: Counter[str] = Counter()
    covered: set[tuple[str, ...]] = set()

    def choose(name: str, case: Case) -> None:
        chosen[name].append(case)
        tried[case.tool.name] += 1
        covered.update(covered_by(case))

    def worth(case: Case) -> tuple[bool, int, int]:
        return not is_missing(case.hooks), len(covered_by(case) - covered), -tried[case.tool.name]

    for name, cases in faults.items():
        for engine in dict.fromkeys(case.engine for case in cases):
            choose(name, max(on(engine, cases), key=worth))
    # What is left goes to the fault that has fewest cases so far.
    rest = [case for cases in faults.values() for case in cases]
    for case in sorted(rest, key=lambda case: is_missing(case.hooks)):
        if covered_by(case) - covered:
            possible = [name for name, cases in faults.items() if case in cases]
            choose(min(possible, key=lambda name: len(chosen[name])), case)
    return chosen


CHOICE = covering(FAULTS)


def fault(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test of FAULTS with the cases of CHOICE, and with --product all others, too."""
    name = test.__name__.removeprefix("test_")
    parameters = [
        _parameter(case, *(() if case in CHOICE[name] else (pytest.mark.product,)))
        for case in FAULTS[name]
    ]
    return pytest.mark.parametrize("case", parameters)(test)
