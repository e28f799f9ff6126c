"""--show: the C that is loaded, its bytecode, the verifier's log, the maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ebpf_tour.loader import features, syscall
from ebpf_tour.loader.asm import disassemble
from ebpf_tour.loader.btf import Btf, load_libbpf
from ebpf_tour.session import Finished, writing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ebpf_tour.errors import Error
    from ebpf_tour.loader.program import Program

_INSN_BYTES = 8


def show(program: Program, view: str) -> NoReturn:
    """Print one view of an open program (of a loaded one, but for "source").

    Raises Finished: who asks to see a program does not want it to run.
    """
    views = {"source": _source, "asm": _asm, "log": _log, "maps": _maps}
    text = views[view](program)
    with writing():
        print(text, end="", flush=True)
    raise Finished


def show_log_of_refused(program: Program, error: Error) -> None:
    """Print the log of a program that the verifier refused: that is what it is for."""
    log = program.verifier_log()
    if log:
        with writing():
            print(log, end="", flush=True)
        error.hint, error.detail = "the log above says why", ""


def _source(program: Program) -> str:
    with open(program.source, encoding="utf-8") as file:
        return file.read()


def _asm(program: Program) -> str:
    helpers = _names("bpf_func_id", "BPF_FUNC_")
    blocks = []
    for name, insns in program.bytecode():
        lines = "\n".join(disassemble(insns, helpers))
        blocks.append(f"{name}:\n{lines}\n")
    return "\n".join(blocks)


def _log(program: Program) -> str:
    return program.verifier_log()


def _maps(program: Program) -> str:
    types = _names("bpf_prog_type", "BPF_PROG_TYPE_")
    programs = [
        (p.id, types.get(p.type, p.type), p.xlated_bytes // _INSN_BYTES, p.jited_bytes, p.name)
        for p in map(syscall.program_info, program.program_fds())
    ]
    text = _table(("PROGRAM ID", "TYPE", "INSNS", "JITED(B)", "NAME"), programs)
    types = _names("bpf_map_type", "BPF_MAP_TYPE_")
    maps = [
        (m.id, types.get(m.type, m.type), m.key_bytes, m.value_bytes, m.max_entries, m.name)
        for m in map(syscall.map_info, program.map_fds())
    ]
    if maps:
        header = ("MAP ID", "TYPE", "KEY(B)", "VALUE(B)", "ENTRIES", "NAME")
        text += "\n" + _table(header, maps)
    return text


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    from ebpf_tour.output.report import table

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
