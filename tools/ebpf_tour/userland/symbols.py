"""Names for the addresses of a stack, from the files that the process has mapped.

The symbol tables of those files are read by `elf.py`, through files that were
opened while the process lived. So they are right in any mount namespace, after
the process has ended, and after its files were deleted, all of which BCC's
symbol cache is not. BCC is asked for the rest: what a stripped file has in a
separate debug file, and code that a JIT compiler has made (/tmp/perf-PID.map).
"""

from __future__ import annotations

import ctypes as ct
from typing import TYPE_CHECKING

from ebpf_tour.base.text import from_kernel, to_bytes
from ebpf_tour.userland.elf import BadElf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ebpf_tour.userland.target import Target


class Symbols:
    """Turns the addresses of one process into `function+0x1f`.

    Where nothing has a symbol for an address it is `file+0x1234`, the place in
    the file, and where no file is mapped, the address.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._known: dict[int, str] = {}
        self._demangle = _demangler()
        self._bcc: Any = None
        self._asked_bcc = False

    def stack(self, addresses: Iterable[int]) -> list[str]:
        """Return the names of a stack's frames, leaf first.

        The first address is the function's own. The others are where calls
        return to; the call is just before, and may be the caller's very last
        instruction.
        """
        return [self._name(address, min(index, 1)) for index, address in enumerate(addresses)]

    def _name(self, address: int, back: int) -> str:
        name = self._known.get(address)
        if name:
            return name
        name = self._from_files(address, back) or self._from_bcc(address, back)
        if not name:
            return self._place(address, back)  # perhaps a later refresh knows more
        self._known[address] = name
        return name

    def _from_files(self, address: int, back: int) -> str:
        found = self._target.find(address - back)
        elf = found[0].elf if found else None
        if not found or not elf:
            return ""
        try:
            at = elf.address_of(found[1])
            function = elf.function_at(at)
        except (BadElf, OSError):
            return ""
        if not function:
            return ""
        return f"{self._demangle(function.name)}+{at + back - function.address:#x}"

    def _from_bcc(self, address: int, back: int) -> str:
        if not self._asked_bcc:
            self._asked_bcc = True
            self._bcc = _bcc_cache(self._target)
        if not self._bcc:
            return ""
        name, offset, _ = self._bcc.resolve(address - back, True)
        return f"{from_kernel(name)}+{offset + back:#x}" if name else ""

    def _place(self, address: int, back: int) -> str:
        found = self._target.find(address - back)
        if not found:
            return f"[unknown]+{address:#x}"
        module, offset = found
        return f"{module.name}+{offset + back:#x}"


def _bcc_cache(target: Target) -> Any:
    """Return BCC's symbol cache of a process that lives, None without BCC."""
    if not target.alive:
        return None
    try:
        import bcc

        return bcc.SymbolCache(target.pid)
    except (ImportError, OSError, AttributeError):
        return None


def _demangler() -> Callable[[str], str]:
    """Return what turns `_ZN3FooC2Ev` into `Foo::Foo()`: the C++ library's own function."""
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
        if not name.startswith("_Z"):
            return name
        result = convert(to_bytes(name), None, None, None)
        if not result:
            return name
        text = from_kernel(ct.string_at(result))
        free(result)
        return text

    return demangle
