"""--show: the C that is loaded, its bytecode, the verifier's log, the maps."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ebpf_tour.explain import verifier
from ebpf_tour.explain.asm import disassemble, local_functions
from ebpf_tour.frame.session import Finished, writing
from ebpf_tour.loader import features, syscall
from ebpf_tour.loader.btf import Btf, load_libbpf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import NoReturn

    from ebpf_tour.base.errors import Error
    from ebpf_tour.explain.lines import Lines
    from ebpf_tour.loader.program import Program

_INSN_BYTES = 8


def after_load(view: str, *, json: bool = False) -> Callable[[Program, Error | None], None]:
    """Return what shows one view once a program is loaded, for `Program.after_load`."""

    def shown(program: Program, refused: Error | None) -> None:
        if not refused:
            show(program, view, json=json)
        elif view == "log":
            _show_log_of_refused(program, refused)

    return shown


def show(program: Program, view: str, *, json: bool = False) -> NoReturn:
    """Print one view of an open program (of a loaded one, but for "source").

    Raises Finished: someone who asks to see a program does not want it to run.
    """
    views = {"source": _source, "asm": _asm, "log": _log, "maps": _maps_json if json else _maps}
    _write(views[view](program))
    raise Finished


def _show_log_of_refused(program: Program, error: Error) -> None:
    """Print the log of a program that the verifier refused: that is what it is for."""
    text = _log(program)
    if text:
        _write(text)
        error.detail = ""
        error.hint = error.hint or "read why in the log above"


def _write(text: str) -> None:
    with writing():
        sys.stdout.write(text)
        sys.stdout.flush()


def _source(program: Program) -> str:
    return program.source_text()


def _asm(program: Program) -> str:
    helpers = _names("bpf_func_id", "BPF_FUNC_")
    blocks = []
    for name, insns in program.bytecode():
        listing = _listing(insns, program.source_lines(name), helpers)
        blocks.append("".join(f"{line}\n" for line in [f"{name}:", *listing]))
    return "\n".join(blocks)


def _listing(insns: bytes, lines: Lines, helpers: Mapping[int, str]) -> Iterator[str]:
    """Yield the instructions, each line of C above those that were made from it."""
    called = local_functions(insns)
    shown = None
    for number, text in disassemble(insns, helpers):
        if number in called:
            yield "; a function that is called, not inlined"
        line = lines.get(number)
        if line and line != shown:
            yield f"; {line}"
            shown = line
        yield f"{number:5}: {text}"


def _log(program: Program) -> str:
    """Return what the verifier counted in each program, then all that it said."""
    logs = [(name, log) for name, log in program.verifier_logs() if log]
    rows: list[tuple[object, ...]] = []
    for name, log in logs:
        found = verifier.statistics(log)
        if found:
            rows.append((found.instructions, found.states, found.stack, found.microseconds, name))
    texts = [f"{name}:\n{log}" for name, log in logs]
    if rows:
        header = ("PROCESSED", "STATES", "STACK(B)", "TIME(us)", "NAME")
        texts.insert(0, _table(header, rows))
    return "\n".join(texts)


def _maps(program: Program) -> str:
    header: tuple[str, ...] = ("PROGRAM ID", "TYPE", "INSNS", "XLATED", "JITED(B)", "NAME")
    text = _table(header, (tuple(row.values()) for row in _program_rows(program)))
    maps = [tuple(row.values()) for row in _map_rows(program)]
    if maps:
        header = ("MAP ID", "TYPE", "KEY(B)", "VALUE(B)", "ENTRIES", "NAME")
        text += "\n" + _table(header, maps)
    return text


def _maps_json(program: Program) -> str:
    import json

    rows: list[dict[str, int | str]] = [
        *({"type": "program", **row} for row in _program_rows(program)),
        *({"type": "map", **row} for row in _map_rows(program)),
    ]
    rows.append({"type": "summary", "events": len(rows), "lost": 0})
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def _program_rows(program: Program) -> Iterator[dict[str, int | str]]:
    types = _names("bpf_prog_type", "BPF_PROG_TYPE_")
    for (_, insns), fd in zip(program.bytecode(), program.program_fds(), strict=True):
        info = syscall.program_info(fd)
        yield {
            "id": info.id,
            "prog_type": types.get(info.type, info.type),
            # As the compiler made them, and as the verifier rewrote them.
            "insns": len(insns) // _INSN_BYTES,
            "xlated_insns": info.xlated_bytes // _INSN_BYTES,
            "jited_bytes": info.jited_bytes,
            "name": info.name,
        }


def _map_rows(program: Program) -> Iterator[dict[str, int | str]]:
    types = _names("bpf_map_type", "BPF_MAP_TYPE_")
    for info in map(syscall.map_info, program.map_fds()):
        yield {
            "id": info.id,
            "map_type": types.get(info.type, info.type),
            "key_bytes": info.key_bytes,
            "value_bytes": info.value_bytes,
            "max_entries": info.max_entries,
            "name": info.name,
        }


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    from ebpf_tour.frame.output.report import table

    return table(header, rows, right=[title not in ("TYPE", "NAME") for title in header])


def _names(enumeration: str, prefix: str) -> dict[int, str]:
    """Return the kernel's names for the values of one of its enumerations."""
    if not features.has_kernel_btf():
        return {}
    btf = Btf.of_kernel(load_libbpf())
    try:
        names = btf.enumeration(enumeration)
    finally:
        btf.close()
    return {value: name.removeprefix(prefix).lower() for value, name in names.items()}
