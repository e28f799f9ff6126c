"""The loader: one API over two engines.

    with open_program(TOOL, session) as program:
        program.globals["my_pid"] = os.getpid()
        program.load()
        program.attach()
        ...

Importing this imports neither BCC nor libbpf; opening a program does.
"""

from __future__ import annotations

from ebpf_tour.errors import EngineUnavailable, Error
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.loader.program import Options, Program, sources
from ebpf_tour.session import say
from ebpf_tour.text import printable
from ebpf_tour.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ebpf_tour.cli import Session
    from ebpf_tour.loader.hooks import Hook
    from ebpf_tour.record import Tool

__all__ = ["Program", "open_program"]


def open_program(tool: Tool, session: Session) -> Program:
    """Open the tool's program with the engine and through the hooks it can use.

    Nothing is loaded yet. Raises NotPermitted, Unsupported (among them a hook
    that this kernel lacks), EngineUnavailable.
    """
    args = session.args
    if args.show != "source":
        features.require_privileges()
    program, fallback = _open(args.engine, tool, args)
    if fallback:
        say(f"{tool.command}: using BCC, since {printable(str(fallback))}\n")
    session.program = program
    if args.show == "source":  # needs no privileges, so it is not loaded
        from ebpf_tour.loader.show import show

        with program:
            show(program, args.show)
    return program


def what_would_open(tool: Tool) -> tuple[str, str]:
    """Return the engine and the way that the tool takes here if it is not told.

    Raises what `open_program()` raises.
    """
    import argparse

    features.require_privileges()
    program, _ = _open("auto", tool, argparse.Namespace(show=None, format="table", verbose=False))
    with program:
        return program.engine, program.via


def _choose_way(engine: str, tool: Tool, args: argparse.Namespace) -> tuple[str, tuple[Hook, ...]]:
    """Return the first way to see the tool's event that works here, and its hooks."""
    wanted = getattr(args, "via", "auto")  # a tool with one way has no --via
    ways = tool.via if wanted == "auto" else {wanted: tool.via[wanted]}
    reasons: list[Error] = []
    for name, hooks in ways.items():
        others = [hook for hook in hooks if engine not in hook.engines]
        if others:
            able = " or ".join(others[0].engines)
            reasons.append(
                EngineUnavailable(
                    f"the {engine} engine cannot attach to {others[0]}",
                    f"take another way (--via), or the engine that can (--engine {able})",
                )
            )
            continue
        missing = what_is_missing(hooks)
        # The source can be read where it cannot run.
        if not missing or args.show == "source":
            return name, tuple(h for h in hooks if not (h.optional and h.unsupported()))
        reasons.append(missing)
    raise reasons[-1]


def _open(
    engine: str, tool: Tool, args: argparse.Namespace
) -> tuple[Program, EngineUnavailable | None]:
    """Return the program, and why not with libbpf if BCC takes its place."""
    if engine != "auto":
        return _open_with(engine, tool, args), None
    try:
        return _open_with("libbpf", tool, args), None
    except EngineUnavailable as first:
        try:
            return _open_with("bcc", tool, args), first
        except EngineUnavailable as second:
            # Both may lack the same.
            causes = dict.fromkeys((str(first), str(second)))
            hints = dict.fromkeys(hint for hint in (first.hint, second.hint) if hint)
            raise EngineUnavailable("; ".join(causes), "; ".join(hints)) from None


def _open_with(engine: str, tool: Tool, args: argparse.Namespace) -> Program:
    via, hooks = _choose_way(engine, tool, args)
    directory = features.absolute(tool.directory) if tool.directory else sources()
    options = Options(
        *(tool.name, directory, via, hooks, args.show),
        json=args.format == "json",
        verbose=args.verbose,
        count_runs=getattr(args, "demo", False),
    )
    if engine == "libbpf":
        from ebpf_tour.loader.libbpf import LibbpfProgram

        return LibbpfProgram(options)
    from ebpf_tour.loader.bcc import BccProgram

    return BccProgram(options)
