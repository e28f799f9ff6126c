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
from typing import TYPE_CHECKING

from ebpf_tour.errors import EngineUnavailable
from ebpf_tour.loader import features
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
    show = session.args.show
    if show != "source":
        features.require_privileges()
    hooks = _choose_hooks(tool, need=show is None)
    options = Options(tool.name, hooks, log=show == "log", verbose=session.args.verbose)
    program = _open(session.args.engine, tool, options)
    if show:
        from ebpf_tour.loader.show import ShownProgram

        return ShownProgram(program, show)
    return program


def _choose_hooks(tool: Tool, *, need: bool) -> tuple[Hook, ...]:
    """Return the hooks of the first way that works here."""
    reasons = []
    for hooks in tool.via.values():
        missing = next((e for e in (hook.unsupported() for hook in hooks) if e), None)
        if missing is None:
            return hooks
        reasons.append(missing)
    if need:
        raise reasons[0]
    return next(iter(tool.via.values()))


def _open(engine: str, tool: Tool, options: Options) -> Program:
    if engine != "auto":
        return _open_with(engine, options)
    try:
        return _open_with("libbpf", options)
    except EngineUnavailable as first:
        try:
            program = _open_with("bcc", options)
        except EngineUnavailable as second:
            hint = "; ".join(hint for hint in (first.hint, second.hint) if hint)
            raise EngineUnavailable(f"{first}; {second}", hint) from None
        print(f"{tool.command}: using BCC, since {first}", file=sys.stderr)
        return program


def _open_with(engine: str, options: Options) -> Program:
    if engine == "libbpf":
        from ebpf_tour.loader.libbpf import LibbpfProgram

        return LibbpfProgram(options)
    from ebpf_tour.loader.bcc import BccProgram

    return BccProgram(options)
