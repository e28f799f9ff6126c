"""ELF files: the functions and USDT probes they hold, and where those lie in the file.

Just what uprobes and stacks need of the format: the loaded segments, the two
symbol tables, and notes. And of a compiled BPF object, its sections by name.
Source: elf(5).
"""

from __future__ import annotations

import bisect
import functools
import os
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.text import from_kernel, to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDENT = b"\x7fELF"
_CLASS_64 = 2

_HEADER = struct.Struct("=16s2HI3QI6H")  # Elf64_Ehdr
_SEGMENT = struct.Struct("=2I6Q")  # Elf64_Phdr
_SECTION = struct.Struct("=2I4Q2I2Q")  # Elf64_Shdr
_SYMBOL = struct.Struct("=I2BH2Q")  # Elf64_Sym
_NOTE = struct.Struct("=3I")  # Elf64_Nhdr: bytes of the owner's name, bytes, type

_PT_LOAD, _PT_INTERP = 1, 3
_SHT_SYMTAB, _SHT_NOTE, _SHT_DYNSYM = 2, 7, 11
_STB_LOCAL = 0
_STT_FUNC, _STT_GNU_IFUNC = 2, 10
_BUILD_ID, _USDT = (b"GNU", 3), (b"stapsdt", 3)  # owner and type of a note


class BadElf(Exception):  # noqa: N818 - reads better where it is raised
    """The file is no ELF file, or a broken one."""


class Not64Bit(BadElf):
    """It is one for 32-bit machines."""


class Function(NamedTuple):
    """A function: its address as the file counts, its bytes, its name.

    An indirect one (`ifunc`) is not the function itself but chooses one when
    the program starts.
    """

    address: int
    size: int
    name: str
    indirect: bool = False


class Usdt(NamedTuple):
    """A USDT probe: a place that the program's author marked for tracers.

    `arguments` are as its note has them, such as "-4@%edi 8@8(%rsp)": size in
    bytes, below 0 if signed, and where it is. A probe may be at several places,
    each with a Usdt of its own.
    """

    provider: str
    name: str
    arguments: str
    address: int


class _Segment(NamedTuple):
    offset: int
    address: int
    size: int


class _Section(NamedTuple):
    name_at: int
    offset: int
    size: int
    link: int


class Elf:
    """An open ELF file. Raises BadElf, and OSError if it cannot be read."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size
        ident = os.pread(fd, 16, 0)
        if ident[:4] != _IDENT:
            raise BadElf("it is no ELF file")
        if ident[4] != _CLASS_64:
            raise Not64Bit("it is a 32-bit program")
        header = _HEADER.unpack(self._read(0, _HEADER.size))
        _, _, _, _, _, segments, self._sections, _, _, _, count, *of_sections = header
        _, self._section_count, self._names = of_sections
        table = _SEGMENT.iter_unpack(self._read(segments, count * _SEGMENT.size))
        self._segments = []
        self.static = True
        for kind, _, offset, address, _, size, _, _ in table:
            if kind == _PT_LOAD:
                self._segments.append(_Segment(offset, address, size))
            elif kind == _PT_INTERP:
                self.static = False
        self._functions: list[Function] | None = None

    def _read(self, offset: int, size: int) -> bytes:
        if offset + size > self._size:
            raise BadElf("it ends too early")
        return os.pread(self._fd, size, offset)

    def offset_of(self, address: int) -> int:
        """Return where in the file an address lies. Raises BadElf."""
        for segment in self._segments:
            if segment.address <= address < segment.address + segment.size:
                return address - segment.address + segment.offset
        raise BadElf(f"no segment holds the address {address:#x}")

    def address_of(self, offset: int) -> int:
        """Return the address of a place in the file; the inverse. Raises BadElf."""
        for segment in self._segments:
            if segment.offset <= offset < segment.offset + segment.size:
                return offset - segment.offset + segment.address
        raise BadElf(f"no segment holds the offset {offset:#x}")

    def exported(self, name: str) -> Function | None:
        """Return a function that the dynamic linker can bind others to.

        In a static program nothing is bound when it starts: there it is one
        of the symbols that the linker left.
        """
        kinds = (_SHT_DYNSYM, _SHT_SYMTAB) if self.static else (_SHT_DYNSYM,)
        for kind in kinds:
            for function, binding in self._symbols(kind, os.fsencode(name)):
                if binding != _STB_LOCAL:
                    return function
        return None

    def function_at(self, address: int) -> Function | None:
        """Return the function that an address lies in, as far as symbols tell."""
        if self._functions is None:
            self._functions = self._sorted_functions()
        index = bisect.bisect_right(self._functions, address, key=lambda f: f.address) - 1
        if index < 0:
            return None
        function = self._functions[index]
        # Assembly code often does not say how long it is.
        inside = not function.size or address < function.address + function.size
        return function if inside else None

    def _sorted_functions(self) -> list[Function]:
        """Return all functions by address, each under the plainest of its names."""
        found: dict[int, Function] = {}
        for kind in (_SHT_SYMTAB, _SHT_DYNSYM):
            for function, _ in self._symbols(kind):
                known = found.get(function.address)
                if known is None or _plainness(function) < _plainness(known):
                    found[function.address] = function
        return sorted(found.values())

    def functions(self) -> set[str]:
        """Return the names of all functions that it defines."""
        kinds = (_SHT_SYMTAB, _SHT_DYNSYM)
        return {
            function.name
            for kind in kinds
            for function, _ in self._symbols(kind)
            if function.name and not function.indirect
        }

    def usdt(self) -> list[Usdt]:
        """Return its USDT probes, in the order of the file.

        Source: https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation
        """
        found = []
        for note in self._notes(_USDT):
            # The addresses of the probe, of .stapsdt.base, and of its semaphore.
            address = int.from_bytes(note[:8], sys.byteorder)
            texts = list(map(from_kernel, note[24:].split(b"\0")))
            if len(texts) < 3:
                raise BadElf("a note about a USDT probe ends too early")
            provider, name, arguments, *_ = texts
            found.append(Usdt(provider, name, arguments, address))
        return found

    def build_id(self) -> str:
        """Return the number in hexadecimal that tells builds apart, "" if it has none."""
        return next((note.hex() for note in self._notes(_BUILD_ID)), "")

    def section(self, name: str) -> bytes | None:
        """Return the content of the section with a name, None if there is none."""
        if self._names >= len(self._table):
            return None
        _, texts = self._table[self._names]
        names = self._read(texts.offset, texts.size)
        for _, section in self._table:
            if names.startswith(to_bytes(name) + b"\0", section.name_at):
                return self._read(section.offset, section.size)
        return None

    def _notes(self, kind: tuple[bytes, int]) -> Iterator[bytes]:
        """Yield the notes of an owner and type."""
        for section in self._sections_of(_SHT_NOTE):
            data = self._read(section.offset, section.size)
            position = 0
            while position + _NOTE.size <= len(data):
                name_size, size, number = _NOTE.unpack_from(data, position)
                name_at = position + _NOTE.size
                start = name_at + _padded(name_size)
                if (data[name_at : name_at + name_size].rstrip(b"\0"), number) == kind:
                    yield data[start : start + size]
                position = start + _padded(size)

    def _sections_of(self, kind: int) -> Iterator[_Section]:
        for found, section in self._table:
            if found == kind:
                yield section

    @functools.cached_property
    def _table(self) -> list[tuple[int, _Section]]:
        """The type of each section, and the section."""
        table = self._read(self._sections, self._section_count * _SECTION.size)
        return [
            (kind, _Section(name_at, offset, size, link))
            for name_at, kind, _, _, offset, size, link, _, _, _ in _SECTION.iter_unpack(table)
        ]

    def _symbols(self, kind: int, wanted: bytes = b"") -> Iterator[tuple[Function, int]]:
        """Yield the functions of a symbol table with their binding.

        With `wanted`, only those of that name.
        """
        for section in self._sections_of(kind):
            if section.link >= len(self._table):
                continue
            _, texts = self._table[section.link]
            names = self._read(texts.offset, texts.size)
            table = self._read(section.offset, section.size - section.size % _SYMBOL.size)
            for name_at, info, _, where, address, extent in _SYMBOL.iter_unpack(table):
                # where: the section that defines it, 0 if it is from elsewhere
                if info & 0xF not in (_STT_FUNC, _STT_GNU_IFUNC) or not where:
                    continue
                if wanted and not names.startswith(wanted + b"\0", name_at):
                    continue
                name = from_kernel(names[name_at : names.find(b"\0", name_at)])
                yield (
                    Function(address, extent, name, info & 0xF == _STT_GNU_IFUNC),
                    info >> 4,
                )


def _padded(size: int) -> int:
    """Names and notes begin at multiples of four."""
    return (size + 3) & ~3


def _plainness(function: Function) -> tuple[int, int, str]:
    """Sort `malloc` before `__libc_malloc`: fewer leading underscores, shorter."""
    name = function.name
    return len(name) - len(name.lstrip("_")), len(name), name
