"""ELF files that are made to hurt who reads them, byte by byte. Source: elf(5)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEADER = struct.Struct("=16s2HI3QI6H")
_SEGMENT = struct.Struct("=2I6Q")
_SECTION = struct.Struct("=2I4Q2I2Q")
_SYMBOL = struct.Struct("=I2BH2Q")

_SYMTAB, _STRTAB, _NOTE, _DYNSYM = 2, 3, 7, 11
_GLOBAL_FUNCTION = 0x12


def _section(kind: int, offset: int, size: int, link: int = 0, entry: int = 24) -> bytes:
    return _SECTION.pack(0, kind, 0, 0, offset, size, link, 0, 8, entry)


def _symbols(names_at: range) -> bytes:
    """Return the symbol table of functions with these places for their names."""
    return b"".join(
        _SYMBOL.pack(at, _GLOBAL_FUNCTION, 0, 1, 0x1000 + 16 * number, 16)
        for number, at in enumerate(names_at)
    )


def _file(content: bytes, sections: list[bytes]) -> bytes:
    """Return a file with one segment for all addresses; the content begins at 120."""
    start = _HEADER.size + _SEGMENT.size
    header = _HEADER.pack(
        b"\x7fELF\2\1\1".ljust(16, b"\0"), 3, 62, 1, 0, 64, start + len(content), 0, 64, 56, 1, 64,
        min(len(sections) + 1, 65535), 0,
    )  # fmt: skip
    segment = _SEGMENT.pack(1, 5, 0, 0, 0, 1 << 40, 1 << 40, 4096)
    return b"".join([header, segment, content, _section(0, 0, 0), *sections])


def write_sparse(path: Path, size: int) -> None:
    """Write one whose symbol tables and names are a hole of so many bytes."""
    tables = [_section(_SYMTAB, 4096, size, 2), _section(_DYNSYM, 4096, size, 2)]
    path.write_bytes(_file(b"", tables))
    with path.open("r+b") as file:
        file.truncate(4096 + size + 4096)


def write_long_names(path: Path, count: int) -> None:
    """Write one with so many functions, all names of which are a MiB long."""
    names, symbols = b"a" * (1 << 20), _symbols(range(count))
    size = len(names) + len(symbols)
    tables = [_section(_SYMTAB, 120 + len(names), len(symbols), 2), _section(_STRTAB, 120, size)]
    path.write_bytes(_file(names + symbols, tables))


def write_many_sections(path: Path, functions: int, sections: int, kind: int = _SYMTAB) -> None:
    """Write one with so many sections of a kind, which are all the same one but for a byte."""
    names, symbols = b"\0a\0".ljust(8, b"\0"), _symbols(range(1, 1 + functions))
    tables = [_section(_STRTAB, 120, len(names))]
    tables += [_section(kind, 128 + n % 7, len(symbols) - 24, 1) for n in range(sections)]
    path.write_bytes(_file(names + symbols, tables))


def write_many_notes(path: Path, functions: int, sections: int) -> None:
    write_many_sections(path, functions, sections, _NOTE)


def without_entry_size(program: bytes) -> bytes:
    """Return a program whose dynamic symbols say that each takes no bytes."""
    *_, at, _, _, _, _, _, count, _ = _HEADER.unpack_from(program)
    changed = bytearray(program)
    for start in range(at, at + count * _SECTION.size, _SECTION.size):
        fields = list(_SECTION.unpack_from(program, start))
        if fields[1] == _DYNSYM:
            _SECTION.pack_into(changed, start, *fields[:-1], 0)
    return bytes(changed)


def mangled_bomb(depth: int) -> str:
    """Return a C++ name that doubles with each step: f(p<p<..>, p<..>>)."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def substitution(number: int) -> str:
        if number == 0:
            return "S_"
        number, text = number - 1, ""
        while True:
            number, digit = divmod(number, 36)
            text = digits[digit] + text
            if not number:
                return f"S{text}_"

    inner = "1pI" + "S_I" * (depth - 1) + "iiE"
    return "_Z1f" + inner + "".join(substitution(number) + "E" for number in range(1, depth))
