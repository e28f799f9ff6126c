"""What the child without privileges does: it reads ELF files and perf maps, and finds names."""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
import re
import resource
from typing import TYPE_CHECKING

from ebpf_tour.base.text import from_kernel, to_bytes
from ebpf_tour.userland.child import PREPARE
from ebpf_tour.userland.elf import BadElf, Elf, Not64Bit, Place
from ebpf_tour.userland.perf_map import PerfMap

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ebpf_tour.userland.child import Work

    # The name of a function, and how far from its beginning the address is.
    Name = tuple[str, int] | None


def make() -> Work:
    """Return the requests that there are, each with what answers it."""
    reader = Reader()
    return {
        PREPARE: reader.prepare,
        "add": reader.add,
        "add_debug": reader.add_debug,
        "add_perf_map": reader.add_perf_map,
        "what": reader.what,
        "implementations": reader.implementations,
        "build_ids": reader.build_ids,
        "has_32_bit": reader.has_32_bit,
        "names": reader.names,
        "functions": reader.functions,
        "is_stripped": reader.is_stripped,
        "interpreter": reader.interpreter,
        "places_of_uprobe": reader.places_of_uprobe,
        "usdt": reader.usdt,
        "places_of_usdt": reader.places_of_usdt,
    }


_OLD_RUST = re.compile(r"_ZN.*17h[0-9a-f]{16}E(\.|$)", re.DOTALL)
_SCRIPT_BYTES = 256  # what the kernel reads of a script: BINPRM_BUF_SIZE


class Reader:
    """Files by number, as the tool hands them over."""

    def __init__(self) -> None:
        self._files: dict[int, Elf] = {}
        self._why_not: dict[int, tuple[str, str]] = {}  # what it is instead, what is wrong
        self._scripts: dict[int, bytes] = {}  # how they begin
        self._debug: dict[int, Elf] = {}
        self._unprepared: list[Elf] = []
        self._perf_maps: dict[int, PerfMap] = {}
        self._demangled: dict[str, str] = {}
        self._demangle = demangler()
        # Where few files can be open, the later ones are read at once and closed.
        self._open_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2

    def add(self, number: int, fd: int = -1) -> None:
        """Take a file. It is missing where there are more than a process may open."""
        try:
            elf = self._files[number] = Elf(fd)
            if len(self._files) > self._open_files:
                elf.read_symbols()
                os.close(fd)
            else:
                self._unprepared.append(elf)
        except Not64Bit as error:
            self._why_not[number] = "32-bit", str(error)
        except (BadElf, OSError, MemoryError) as error:
            self._why_not[number] = "other", str(error) or "it is too large"
            if fd >= 0:
                head = os.pread(fd, _SCRIPT_BYTES, 0)
                if head.startswith(b"#!"):
                    self._scripts[number] = head
                    self._why_not[number] = "script", str(error)
                os.close(fd)

    def prepare(self) -> bool:
        """Sort the symbols of one file, while nobody waits for it. Say whether there are more."""
        if self._unprepared:
            with contextlib.suppress(BadElf, OSError, MemoryError):
                self._unprepared.pop(0).function_at(0)
        return bool(self._unprepared)

    def add_debug(self, number: int, fd: int) -> None:
        """Take the file with the symbols of another one, which was stripped of them."""
        try:
            self._debug[number] = Elf(fd)
        except (BadElf, OSError, MemoryError):
            os.close(fd)

    def add_perf_map(self, number: int, fd: int) -> None:
        """Take what a JIT compiler says that it has made; its number is negative."""
        size = os.fstat(fd).st_size
        self._perf_maps[number] = PerfMap(os.pread(fd, size, 0))
        os.close(fd)

    def what(self, number: int) -> tuple[str, str]:
        """Return "elf", or what a file is instead and what is wrong with it."""
        return ("elf", "") if number in self._files else self._why_not[number]

    def interpreter(self, number: int) -> tuple[str, bool]:
        """Return the path of what the kernel starts in place of a file, "" if it starts the file.

        For a program, that is its dynamic linker; for a script what runs it, and True.
        """
        if number in self._files:
            return from_kernel(self._files[number].interpreter), False
        words = self._scripts.get(number, b"")[2:].partition(b"\n")[0].split(None, 1)
        return (from_kernel(words[0]) if words else ""), True

    def implementations(self, *names: str) -> list[tuple[int, str, int, int, bool, bool]]:
        """Return the functions that a call by one of these names may reach, in all files.

        Each is the file's number, the name, where in the file it is, its bytes, whether
        it is an ifunc, and whether other files can call it. Files that cannot be read
        have none.
        """
        found = []
        for number, elf in self._files.items():
            try:
                for name, function, exported in elf.implementations(*names):
                    offset = elf.offset_of(function.address)
                    found.append((number, name, offset, function.size, function.indirect, exported))
            except (BadElf, OSError, MemoryError):
                continue
        return found

    def build_ids(self) -> list[tuple[int, str]]:
        """Return the files that a linker has given the number of a build, with that."""
        found = []
        for number, elf in self._files.items():
            try:
                build = elf.build_id()
            except (BadElf, OSError, MemoryError):
                continue
            found += [(number, build)] if build else []
        return found

    def has_32_bit(self) -> bool:
        """Say whether one of the files is for 32-bit machines."""
        return any(what == "32-bit" for what, _ in self._why_not.values())

    def names(self, places: list[tuple[int, int]]) -> list[Name]:
        """Return the function at each place: a file's number and an offset in it.

        Of what a JIT compiler has made: its map's number, and an address of the process.
        """
        return [self._name(number, offset) for number, offset in places]

    def _name(self, number: int, offset: int) -> Name:
        if number < 0:
            made = self._perf_maps.get(number)
            return made.find(offset) if made else None
        elf = self._files.get(number)
        if not elf:
            return None
        try:
            address = elf.address_of(offset)
            for source in (elf, self._debug.get(number)):
                function = source.function_at(address) if source else None
                if function:
                    return self._readable(function.name), address - function.address
        except (BadElf, OSError, MemoryError):
            pass
        return None

    def _readable(self, name: str) -> str:
        if name not in self._demangled:
            self._demangled[name] = self._demangle(name)
        return self._demangled[name]

    def functions(self, number: int) -> list[str]:
        """Return the names of the functions that a file defines, with its debug file's."""
        names = self._elf(number).functions()
        if number in self._debug:
            names |= self._debug[number].functions()
        return sorted(names)

    def is_stripped(self, number: int) -> bool:
        """Say whether nobody knows the names of functions that a file does not export."""
        return number not in self._debug and self._elf(number).is_stripped

    def places_of_uprobe(self, number: int, name: str) -> list[Place]:
        """Return where in a file a function is; [] if it has none.

        Its debug file, which has the same addresses, may know more names.
        """
        elf = self._elf(number)
        for source in (elf, self._debug.get(number)):
            function = source.defined(name) if source else None
            if function:
                return [Place(elf.offset_of(function.address), indirect=function.indirect)]
        return []

    def usdt(self, number: int) -> list[Any]:
        """Return the USDT probes of a file: provider, name, arguments, address."""
        return list(self._elf(number).usdt())

    def places_of_usdt(self, number: int, name: str) -> list[Place]:
        """Return the places of a USDT probe, by PROVIDER:NAME; of no ELF file, []."""
        elf = self._files.get(number)
        return list(elf.places_of_usdt(name)) if elf else []

    def _elf(self, number: int) -> Elf:
        if number not in self._files:
            raise BadElf(self._why_not[number][1])
        return self._files[number]


def demangler() -> Callable[[str], str]:
    """Return what turns `_ZN3FooC2Ev` into `Foo::Foo()`, and Rust's `_RNvC5crate4main`.

    For C++ that is the C++ library's own function; for Rust a package from PyPI,
    where it is installed. Rust's older names end in a hash: `_ZN5crate4main17h...E`.
    """
    cxx = _cxx_demangler()
    try:
        from rust_demangler import demangle as rust
    except ImportError:
        rust = str

    def demangle(name: str) -> str:
        if name.startswith("_R") or _OLD_RUST.match(name):
            try:
                return str(rust(name))
            except Exception:  # noqa: BLE001 - its errors are of several kinds
                return name
        return cxx(name) if name.startswith("_Z") else name

    return demangle


def _cxx_demangler() -> Callable[[str], str]:
    try:
        convert = ct.CDLL("libstdc++.so.6")["__cxa_demangle"]
    except (OSError, AttributeError):
        return str
    # name, buffer and its size (NULL: malloc one), status
    convert.argtypes = [ct.c_char_p, ct.c_void_p, ct.c_void_p, ct.c_void_p]
    convert.restype = ct.c_void_p
    free = ct.CDLL(None).free
    free.argtypes, free.restype = [ct.c_void_p], None

    def demangle(name: str) -> str:
        result = convert(to_bytes(name), None, None, None)
        if not result:
            return name
        text = from_kernel(ct.string_at(result))
        free(result)
        return text

    return demangle
