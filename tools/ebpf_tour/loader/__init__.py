"""The loader: a library that opens, configures, loads, attaches and reads a BPF program.

    with open_program("bootstrap", [Tracepoint("sched", "sched_process_exec")]) as program:
        program.load()
        program.attach()
        for event in program.events("rb", seconds=10):
            print(event.pid, event.comm)

It has two engines, libbpf and BCC, and one API. Importing it imports neither of
them and changes nothing in the process; opening a program does. It raises the errors
of ebpf_tour.base.errors: their text is the cause, `hint` the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import EngineUnavailable, Error
from ebpf_tour.base.paths import absolute
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.loader.program import FOLLOW_EVENTS, Options, Program, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ebpf_tour.loader.hooks import Hook

__all__ = ["Program", "open_program"]


def open_program(
    name: str,
    hooks: Sequence[Hook] | Mapping[str, Sequence[Hook]],
    *,
    directory: str = "",
    engine: str = "auto",
    via: str = "auto",
    say: Callable[[str], None] | None = None,
    verbose: bool = False,
    whole_log: bool = False,
    count_runs: bool = False,
    to_read: bool = False,
    follow: bool = False,
    without: Sequence[Hook] = (),
) -> Program:
    """Open the program of NAME.bpf.c or NAME.bcc.c. Nothing is loaded yet.

    `hooks` is a list of hooks to attach to; the C file may have programs for others. Or
    it maps names to ways to see the same event, the best way first, each a list of
    hooks: then `via` names a way, or "auto" takes the first that works here, and the C
    file may have no other programs. `directory` is where the C file is, if not in this
    package. `engine` is "libbpf", "bcc", or "auto": libbpf where it can be used,
    otherwise BCC (`Program.fallback` says why).

    `say` is called with the warnings of the libraries, with `verbose` with all that they
    say. With `whole_log`, the verifier's log has each of its steps. With `count_runs`,
    the kernel counts how often the programs run (`Program.runs`). `to_read` opens a
    program only for its C, also without privileges or hooks. With `follow`, the programs
    of bpf/lib/processes.bpf.h are attached, too, which follow a process to those it starts.
    `without` are hooks of the ways that this run does not need.

    Raises NotPermitted, Unsupported (this kernel lacks a hook), EngineUnavailable.
    """
    if not to_read:
        features.require_privileges()
    ways = hooks if isinstance(hooks, Mapping) else {"": hooks}
    known = tuple(hook for way in ways.values() for hook in way) if ways is hooks else ()
    if via != "auto":
        ways = {via: ways[via]}
    place = absolute(directory) if directory else sources()

    def open_with(engine: str) -> Program:
        via, found = _choose_way(engine, ways, to_read=to_read)
        chosen = tuple(hook for hook in found if hook not in without)
        if follow:
            from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint

            chosen += tuple(RawTracepoint(event) for event in FOLLOW_EVENTS)
        options = Options(
            *(name, place, via, chosen, known, say, verbose, whole_log, count_runs, follow)
        )
        if engine == "libbpf":
            from ebpf_tour.loader.libbpf import LibbpfProgram

            return LibbpfProgram(options)
        from ebpf_tour.loader.bcc import BccProgram

        return BccProgram(options)

    return _first(open_with) if engine == "auto" else open_with(engine)


def _first(open_with: Callable[[str], Program]) -> Program:
    """Return the program, opened with BCC where libbpf cannot be used."""
    try:
        return open_with("libbpf")
    except EngineUnavailable as first:
        try:
            program = open_with("bcc")
        except EngineUnavailable as second:
            # Both may lack the same.
            causes = dict.fromkeys((str(first), str(second)))
            hints = dict.fromkeys(hint for hint in (first.hint, second.hint) if hint)
            raise EngineUnavailable("; ".join(causes), "; ".join(hints)) from None
        program.fallback = first
        return program


def _choose_way(
    engine: str, ways: Mapping[str, Sequence[Hook]], *, to_read: bool
) -> tuple[str, tuple[Hook, ...]]:
    """Return the first way to see the event that works here, and its hooks."""
    reasons: list[Error] = []
    for name, hooks in ways.items():
        others = [hook for hook in hooks if engine not in hook.engines]
        if others:
            able = " or ".join(others[0].engines)
            instead = "take other hooks (--via), or " * (len(ways) > 1)
            reasons.append(
                EngineUnavailable(
                    f"the {engine} engine cannot attach to {others[0]}",
                    f"{instead}use the engine that can: --engine {able}",
                )
            )
            continue
        missing = what_is_missing(tuple(hooks))
        # The source can be read where it cannot run.
        if not missing or to_read:
            return name, tuple(h for h in hooks if not (h.optional and h.unsupported()))
        reasons.append(missing)
    raise reasons[-1]
