"""--show: the C that is loaded, its bytecode, the verifier's log, the maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.errors import Error
from ebpf_tour.loader import features, syscall
from ebpf_tour.loader.asm import disassemble
from ebpf_tour.loader.btf import Btf, load_libbpf
from ebpf_tour.loader.program import Bytecode, Program
from ebpf_tour.session import Finished

if TYPE_CHECKING:
    from collections.abc import Iterable

_INSN_BYTES = 8


class ShownProgram(Program):
    """A program that shows itself instead of running.

    The tool opens, configures and loads it as always, so what is shown is what
    would run. Then it raises Finished, which `cli.main()` takes for the end.
    """

    def __init__(self, program: Program, view: str) -> None:
        self._program = program
        self._view = view
        self.engine = program.engine
        self.source = program.source
        self.globals = program.globals
        if view == "source":
            with self, open(self.source, encoding="utf-8") as file:
                print(file.read(), end="")
                raise Finished

    def load(self) -> None:
        try:
            self._program.load()
        except Error as error:
            # A program that is refused is what people want the log of.
            if self._view == "log" and self.verifier_log():
                print(self.verifier_log(), end="", flush=True)
                error.hint, error.detail = "the log above says why", ""
            raise
        views = {"asm": self._asm, "log": self.verifier_log, "maps": self._maps}
        print(views[self._view](), end="")
        raise Finished

    def attach(self) -> None:
        raise AssertionError("load() shows the program and does not return")

    def close(self) -> None:
        self._program.close()

    def bytecode(self) -> list[Bytecode]:
        return self._program.bytecode()

    def verifier_log(self) -> str:
        return self._program.verifier_log()

    def program_fds(self) -> list[int]:
        return self._program.program_fds()

    def map_fds(self) -> list[int]:
        return self._program.map_fds()

    def _asm(self) -> str:
        helpers = _names("bpf_func_id", "BPF_FUNC_")
        blocks = []
        for program in self.bytecode():
            lines = "\n".join(disassemble(program.insns, helpers))
            blocks.append(f"{program.name}:\n{lines}\n")
        return "\n".join(blocks)

    def _maps(self) -> str:
        types = _names("bpf_prog_type", "BPF_PROG_TYPE_")
        programs = [
            (p.id, types.get(p.type, p.type), p.xlated_bytes // _INSN_BYTES, p.jited_bytes, p.name)
            for p in map(syscall.program_info, self.program_fds())
        ]
        text = _table(("PROGRAM ID", "TYPE", "INSNS", "JITED(B)", "NAME"), programs)
        types = _names("bpf_map_type", "BPF_MAP_TYPE_")
        maps = [
            (m.id, types.get(m.type, m.type), m.key_bytes, m.value_bytes, m.max_entries, m.name)
            for m in map(syscall.map_info, self.map_fds())
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
