"""The loader: one API over two engines.

    with open_program(TOOL, session) as program:
        program.globals["my_pid"] = os.getpid()
        program.load()
        program.attach()
        ...

Importing this imports neither BCC nor libbpf; opening a program does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.errors import EngineUnavailable, Error
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.loader.program import Options, Program

if TYPE_CHECKING:
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
    wish = _Wish(tool, getattr(args, "via", "auto"), args.show, args.verbose)
    program = _open(args.engine, wish)
    if args.show == "source":  # needs no privileges, so it is not loaded
        from ebpf_tour.loader.show import show

        with program:
            show(program, args.show)
    return program


class _Wish(NamedTuple):
    """What the command line asks for, but for the engine."""

    tool: Tool
    via: str
    show: str | None
    verbose: bool


def _choose_way(wish: _Wish, engine: str) -> tuple[str, tuple[Hook, ...]]:
    """Return the first way to see the tool's event that works here, and its hooks."""
    ways = wish.tool.via if wish.via == "auto" else {wish.via: wish.tool.via[wish.via]}
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
        if not missing or wish.show == "source":
            return name, tuple(h for h in hooks if not (h.optional and h.unsupported()))
        reasons.append(missing)
    raise reasons[-1]


def _open(engine: str, wish: _Wish) -> Program:
    if engine != "auto":
        return _open_with(engine, wish)
    try:
        return _open_with("libbpf", wish)
    except EngineUnavailable as first:
        try:
            program = _open_with("bcc", wish)
        except EngineUnavailable as second:
            hint = "; ".join(hint for hint in (first.hint, second.hint) if hint)
            raise EngineUnavailable(f"{first}; {second}", hint) from None
        print(f"{wish.tool.command}: using BCC, since {first}", file=sys.stderr)
        return program


def _open_with(engine: str, wish: _Wish) -> Program:
    via, hooks = _choose_way(wish, engine)
    options = Options(wish.tool.name, via, hooks, wish.show, wish.verbose)
    if engine == "libbpf":
        from ebpf_tour.loader.libbpf import LibbpfProgram

        return LibbpfProgram(options)
    from ebpf_tour.loader.bcc import BccProgram

    return BccProgram(options)
