"""ELF files: the functions and USDT probes that they hold, and their offsets in the file.

Only what uprobes and stacks need of the format: the loaded segments, the two
symbol tables, and notes. And of a compiled BPF object, its sections by name.
Source: elf(5).

A hostile user may have made the file. So there is a limit to each thing that it can ask
for: bytes, sections, notes, the length of a name. Names are read only when they are
needed.
"""

from __future__ import annotations

import array
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

# The largest programs have a few million symbols, and none of these is near.
_MOST_SECTIONS = 20_000
_MOST_TABLES = 8  # sections of one kind
_MOST_BYTES = 192 << 20  # of all that is read of a file
_MOST_NAMES = 64  # of one function that are looked at
_MOST_PLACES = 4096  # of one name, or of longer ones that end in it
_NAME_BYTES = 4096  # a longer name is cut
_MOST_PATH_BYTES = 4096  # PATH_MAX
_HOLE_BYTES = 1 << 20  # what is larger is looked at before it is read


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


class Implementation(NamedTuple):
    """A function by the name that it is called by, and whether other files can call it."""

    name: str
    function: Function
    exported: bool


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


class Place(NamedTuple):
    """An instruction of a file that a breakpoint can be put on.

    `offset` says where in the file it is, `address` where in the memory of a process (0:
    not known). Of a USDT probe, `semaphore` says where in the file that is (0: it has none),
    and `arguments` are as the note has them. `indirect` is as of a Function.
    """

    offset: int
    semaphore: int = 0
    arguments: str = ""
    indirect: bool = False
    address: int = 0


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
        self._left = _MOST_BYTES
        self._read_tables: dict[_Section, _Table] = {}
        self._build_id: str | None = None
        ident = os.pread(fd, 16, 0)
        if ident[:4] != _IDENT:
            raise BadElf("it is not an ELF file")
        if ident[4] != _CLASS_64:
            raise Not64Bit("it is a 32-bit program")
        header = _HEADER.unpack(self._read(0, _HEADER.size))
        _, _, _, _, _, segments, self._sections, _, _, _, count, *of_sections = header
        _, self._section_count, self._names = of_sections
        table = _SEGMENT.iter_unpack(self._read(segments, count * _SEGMENT.size))
        self._segments = []
        self.interpreter = b""  # the dynamic linker, as a path; a static program has none
        for kind, _, offset, address, _, size, _, _ in table:
            if kind == _PT_LOAD:
                self._segments.append(_Segment(offset, address, size))
            elif kind == _PT_INTERP:
                self.interpreter = self._read(offset, min(size, _MOST_PATH_BYTES)).rstrip(b"\0")
        if self._section_count > _MOST_SECTIONS:
            raise BadElf(f"it has more than {_MOST_SECTIONS} sections")

    def _read(self, offset: int, size: int) -> bytes:
        """Return a part of the file. Raises BadElf where that is not there, or too much."""
        if offset + size > self._size:
            raise BadElf("it ends too early")
        self._left -= size
        if self._left < 0:
            raise BadElf(f"it has more than {_MOST_BYTES >> 20} MiB to read")
        if size > _HOLE_BYTES and os.lseek(self._fd, offset, os.SEEK_HOLE) < offset + size:
            raise BadElf("it has holes, where nothing was ever written")
        data = os.pread(self._fd, size, offset)
        if len(data) < size:  # it was cut meanwhile
            raise BadElf("it ends too early")
        return data

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

    def implementations(self, *names: str) -> Iterator[Implementation]:
        """Yield the functions that a call by one of these names may reach.

        Those that it exports come first, in each version. A static program binds
        nothing when it starts: there they are symbols that the linker left, local
        ones in a static-pie.
        """
        wanted = {to_bytes(name): name for name in names}
        seen: set[tuple[str, int]] = set()
        for table in self._tables(_SHT_DYNSYM, *([] if self.interpreter else [_SHT_SYMTAB])):
            for found, number in table.named(*wanted):
                name, function = wanted[found], table.function(number)
                if len(seen) == _MOST_NAMES:
                    return
                if (name, function.address) not in seen:
                    seen.add((name, function.address))
                    yield Implementation(name, function, table.is_global(number))

    def defined(self, name: str) -> Function | None:
        """Return a function of that name, whether or not others can be bound to it."""
        wanted = to_bytes(name)
        for table in self._tables(_SHT_DYNSYM, _SHT_SYMTAB):
            for number in table.functions:
                if table.has_name(number, wanted):
                    return table.function(number)
        return None

    def function_at(self, address: int) -> Function | None:
        """Return the function that an address lies in, as far as symbols tell."""
        found = [table.last_before(address) for table in self._tables(_SHT_SYMTAB, _SHT_DYNSYM)]
        start = max((names[0].address for names in found if names), default=None)
        # Under the plainest of its names.
        function = min(
            (name for names in found for name in names if name.address == start),
            key=_plainness,
            default=None,
        )
        # Assembly code often does not say how long it is.
        if function and function.size and address >= function.address + function.size:
            return None
        return function

    def read_symbols(self) -> None:
        """Read what names of functions need, so that the file can be closed. Raises BadElf."""
        self._tables(_SHT_SYMTAB, _SHT_DYNSYM)
        self.build_id()

    @property
    def is_stripped(self) -> bool:
        """Whether only functions that it exports have names."""
        return not self._sections_of(_SHT_SYMTAB)

    def functions(self) -> set[str]:
        """Return the names of all functions that it defines."""
        return {
            function.name
            for table in self._tables(_SHT_SYMTAB, _SHT_DYNSYM)
            for function in map(table.function, table.functions)
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

    def places_of_usdt(self, wanted: str) -> Iterator[Place]:
        """Yield where a USDT probe is, by PROVIDER:NAME. Raises BadElf."""
        for note in self._notes(_USDT):
            texts = list(map(from_kernel, note[24:].split(b"\0")))
            if ":".join(texts[:2]) == wanted and len(texts) > 2:
                address, _, semaphore = struct.unpack_from("=3Q", note)
                where = self.offset_of(semaphore) if semaphore else 0
                yield Place(self.offset_of(address), where, texts[2])

    def build_id(self) -> str:
        """Return the number in hexadecimal that tells builds apart, "" if it has none."""
        if self._build_id is None:
            self._build_id = next((note.hex() for note in self._notes(_BUILD_ID)), "")
        return self._build_id

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

    def _sections_of(self, kind: int) -> list[_Section]:
        """Return the sections of a kind, each once. Raises BadElf if there are too many."""
        found = list(dict.fromkeys(section for of, section in self._table if of == kind))
        if len(found) > (_MOST_SECTIONS if kind == _SHT_NOTE else _MOST_TABLES):
            raise BadElf("it has too many symbol tables")
        return found

    @functools.cached_property
    def _table(self) -> list[tuple[int, _Section]]:
        """The type of each section, and the section."""
        table = self._read(self._sections, self._section_count * _SECTION.size)
        return [
            (kind, _Section(name_at, offset, size, link))
            for name_at, kind, _, _, offset, size, link, _, _, _ in _SECTION.iter_unpack(table)
        ]

    def _tables(self, *kinds: int) -> list[_Table]:
        """Return the symbol tables of these kinds."""
        sections = [section for kind in kinds for section in self._sections_of(kind)]
        for section in sections:
            if section not in self._read_tables and section.link < len(self._table):
                symbols = self._read(section.offset, section.size - section.size % _SYMBOL.size)
                _, texts = self._table[section.link]
                self._read_tables[section] = _Table(symbols, self._read(texts.offset, texts.size))
        return [self._read_tables[section] for section in sections if section in self._read_tables]


class _Table:
    """A symbol table as it is in the file, with the section that has all its names.

    A symbol is told by its number. Few of them are ever asked for.
    """

    def __init__(self, symbols: bytes, names: bytes) -> None:
        self._symbols = symbols
        self._names = names
        # where: the section that defines it, 0 if it is from elsewhere
        self.functions = array.array(
            "L",
            (
                number
                for number, (_, info, _, where, _, _) in enumerate(_SYMBOL.iter_unpack(symbols))
                if info & 0xF in (_STT_FUNC, _STT_GNU_IFUNC) and where
            ),
        )

    def _fields(self, number: int) -> tuple[int, int, int, int, int, int]:
        return _SYMBOL.unpack_from(self._symbols, number * _SYMBOL.size)

    def _address(self, number: int) -> int:
        return self._fields(number)[4]

    def is_global(self, number: int) -> bool:
        return self._fields(number)[1] >> 4 != _STB_LOCAL

    def has_name(self, number: int, name: bytes) -> bool:
        return self._names.startswith(name + b"\0", self._fields(number)[0])

    def named(self, *names: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield the functions of these names, each with the name."""
        at = {place: name for name in names for place in self._places_of(name)}
        for number in self.functions if at else ():
            name = at.get(self._fields(number)[0])
            if name:
                yield name, number

    def _places_of(self, name: bytes) -> Iterator[int]:
        """Yield where a name is; the end of a longer one serves for a shorter one, too."""
        place = -1
        for _ in range(_MOST_PLACES):
            place = self._names.find(name + b"\0", place + 1)
            if place < 0:
                return
            yield place

    def function(self, number: int) -> Function:
        name_at, info, _, _, address, size = self._fields(number)
        end = self._names.find(b"\0", name_at, name_at + _NAME_BYTES)
        name = self._names[name_at : end if end >= 0 else name_at + _NAME_BYTES]
        return Function(address, size, from_kernel(name), info & 0xF == _STT_GNU_IFUNC)

    @functools.cached_property
    def _by_address(self) -> array.array[int]:
        return array.array("L", sorted(self.functions, key=self._address))

    def last_before(self, address: int) -> list[Function]:
        """Return the function that begins last, not after an address, under all its names."""
        index = bisect.bisect_right(self._by_address, address, key=self._address)
        found: list[Function] = []
        for number in reversed(self._by_address[max(0, index - _MOST_NAMES) : index]):
            if found and self._address(number) != found[0].address:
                break
            found.append(self.function(number))
        return found


def _padded(size: int) -> int:
    """Names and notes begin at multiples of four."""
    return (size + 3) & ~3


def _plainness(function: Function) -> tuple[int, int, str]:
    """Sort `malloc` before `__libc_malloc`: fewer leading underscores, shorter."""
    name = function.name
    return len(name) - len(name.lstrip("_")), len(name), name
