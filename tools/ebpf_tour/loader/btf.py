"""BTF, the type information of the kernel and of the compiled objects.

A thin layer over libbpf's btf.h. What it gives: where a global variable or a
structure's member lies, and the names of an enumeration's values.
"""

from __future__ import annotations

import ctypes as ct
import os
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.errors import EngineUnavailable, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator

# BTF_KIND_*, from include/uapi/linux/btf.h.
KIND_INT, KIND_ENUM, KIND_DATASEC = 1, 6, 15


def load_libbpf() -> ct.CDLL:
    """Return libbpf. Raises EngineUnavailable where it cannot be loaded."""
    try:
        return ct.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        raise EngineUnavailable(
            f"libbpf.so.1 cannot be loaded: {error}",
            "install it: apt install libbpf1 (Debian, Ubuntu), dnf install libbpf (Fedora)",
        ) from None


class _Type(ct.Structure):
    """struct btf_type; what follows it depends on its kind."""

    _fields_ = [("name_off", ct.c_uint32), ("info", ct.c_uint32), ("size", ct.c_uint32)]

    @property
    def kind(self) -> int:
        return int(self.info >> 24 & 0x1F)

    @property
    def vlen(self) -> int:
        return int(self.info & 0xFFFF)


class Variable(NamedTuple):
    """A global variable: where it lies in its section, and its bytes."""

    offset: int
    size: int
    signed: bool


class Btf:
    """Type information that libbpf parsed; `pointer` is its struct btf."""

    def __init__(self, lib: ct.CDLL, pointer: int) -> None:
        self._lib = lib
        self._pointer = pointer
        lib.btf__type_by_id.argtypes = [ct.c_void_p, ct.c_uint32]
        lib.btf__type_by_id.restype = ct.c_void_p
        lib.btf__name_by_offset.argtypes = [ct.c_void_p, ct.c_uint32]
        lib.btf__name_by_offset.restype = ct.c_char_p
        lib.btf__find_by_name_kind.argtypes = [ct.c_void_p, ct.c_char_p, ct.c_uint32]
        lib.btf__find_by_name_kind.restype = ct.c_int
        lib.btf__resolve_type.argtypes = [ct.c_void_p, ct.c_uint32]
        lib.btf__resolve_type.restype = ct.c_int
        lib.btf__resolve_size.argtypes = [ct.c_void_p, ct.c_uint32]
        lib.btf__resolve_size.restype = ct.c_int64
        lib.btf__free.argtypes = [ct.c_void_p]
        lib.btf__free.restype = None

    @classmethod
    def of_kernel(cls, lib: ct.CDLL) -> Btf:
        """Load the running kernel's. Raises Unsupported. The caller closes it."""
        lib.btf__load_vmlinux_btf.restype = ct.c_void_p
        pointer = lib.btf__load_vmlinux_btf()
        if not pointer:
            reason = os.strerror(ct.get_errno())
            raise Unsupported(f"the kernel's BTF cannot be loaded: {reason}")
        return cls(lib, pointer)

    def close(self) -> None:
        """Free it. Only for one that `of_kernel()` made."""
        self._lib.btf__free(self._pointer)

    def _find(self, name: str, kind: int) -> int:
        number: int = self._lib.btf__find_by_name_kind(self._pointer, name.encode(), kind)
        return max(0, number)

    def _name(self, offset: int) -> str:
        name: bytes = self._lib.btf__name_by_offset(self._pointer, offset) or b""
        return name.decode("ascii", "replace")

    def _type(self, number: int) -> tuple[_Type, int]:
        """Return a type and the address of what follows it."""
        address = self._lib.btf__type_by_id(self._pointer, number)
        return _Type.from_address(address), address + ct.sizeof(_Type)

    def _words(self, name: str, kind: int, words: int) -> Iterator[tuple[int, ...]]:
        """Yield the entries that follow a type, `words` u32 each."""
        number = self._find(name, kind)
        if not number:
            return
        head, address = self._type(number)
        entry = ct.c_uint32 * words
        for value in (entry * head.vlen).from_address(address):
            yield tuple(value)

    def variables(self, section: str) -> dict[str, Variable]:
        """Return the global variables of a section such as ".bss", by name."""
        found = {}
        # struct btf_var_secinfo: type, offset, size
        for number, offset, size in self._words(section, KIND_DATASEC, 3):
            variable, _ = self._type(number)
            resolved = self._lib.btf__resolve_type(self._pointer, variable.size)
            kind, extra = self._type(resolved)
            encoding = ct.c_uint32.from_address(extra).value if kind.kind == KIND_INT else 0
            signed = bool(encoding >> 24 & 1)  # BTF_INT_SIGNED
            found[self._name(variable.name_off)] = Variable(offset, size, signed)
        return found

    def enumeration(self, name: str) -> dict[int, str]:
        """Return the names of `enum NAME` by value; empty if there is none."""
        # struct btf_enum: name_off, val
        return {value: self._name(offset) for offset, value in self._words(name, KIND_ENUM, 2)}
