"""BTF, the type information of the kernel, of compiled objects, and of what is loaded.

A thin layer over libbpf's btf.h. It returns the offset of a global variable or
of a structure's member, and the names of an enumeration's values.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import functools
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import EngineUnavailable, Error, Unsupported
from ebpf_tour.loader import syscall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from ebpf_tour.loader.layout import Layout, Member

# BTF_KIND_*, from include/uapi/linux/btf.h.
KIND_INT, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM = 1, 2, 3, 4, 5, 6
KIND_FWD, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT = 7, 9, 10, 11
KIND_FUNC, KIND_FUNC_PROTO, KIND_DATASEC, KIND_TYPE_TAG, KIND_ENUM64 = 12, 13, 15, 18, 19

_SIGNED, _CHAR = 1, 2  # BTF_INT_SIGNED, BTF_INT_CHAR

# What becomes an int in Python, unless it has more bytes.
_INTEGERS = {KIND_INT, KIND_PTR, KIND_ENUM, KIND_ENUM64}
_WORD = 8


def load_libbpf() -> ct.CDLL:
    """Return libbpf. Raises EngineUnavailable where it cannot be loaded."""
    try:
        return ct.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        from ebpf_tour.base import packages

        raise EngineUnavailable(
            f"libbpf.so.1 cannot be loaded: {error}",
            f"install it: {packages.install('libbpf')}",
        ) from None


TRACING, LSM = 26, 29  # BPF_PROG_TYPE_*


def takes(program_type: int) -> bool:
    """Say whether the kernel takes programs of a type, by loading a trivial one.

    For TRACING, libbpf tries fentry. Iterators and tp_btf are of that type, too, and may
    work where this says no.
    """
    lib = load_libbpf()
    lib.libbpf_probe_bpf_prog_type.argtypes = [ct.c_int, ct.c_void_p]
    result: int = lib.libbpf_probe_bpf_prog_type(program_type, None)
    return result == 1


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


class Place(NamedTuple):
    """Where a member of a structure lies: in bytes, and at a multiple of its alignment or not.

    What is not `aligned` is in a packed structure.
    """

    offset: int
    aligned: bool


_READ_BTF = "see what it has: bpftool btf dump file /sys/kernel/btf/vmlinux format raw"


class Prototype(NamedTuple):
    """A function as its header declares it: the types are C text, such as "struct dentry *"."""

    returns: str
    parameters: tuple[tuple[str, str], ...]
    """Name and type of each."""

    def position(self, name: str) -> int:
        """Return which parameter has a name, from 0. Raises Unsupported."""
        names = [parameter for parameter, _ in self.parameters]
        if name not in names:
            raise Unsupported(
                f"the kernel's function has no parameter {name}; it has {', '.join(names)}",
                _READ_BTF,
            )
        return names.index(name)


def kernel_function(name: str) -> Prototype:
    """Return the prototype of a function of the running kernel. Raises Unsupported."""
    btf = Btf.of_kernel(load_libbpf())
    try:
        prototype = btf.prototype(name)
    finally:
        btf.close()
    if prototype is None:
        raise Unsupported(f"the kernel's BTF has no function {name}", _READ_BTF)
    return prototype


@functools.cache
def kernel_function_id(name: str) -> int:
    """Return the id of a function in the running kernel's BTF, 0 if it has none of that name."""
    try:
        btf = Btf.of_kernel(load_libbpf())
    except Unsupported:
        return 0
    try:
        return btf.function_id(name)
    finally:
        btf.close()


def has_kernel_function(name: str) -> bool:
    """Say whether the running kernel's BTF has a function of that name."""
    return kernel_function_id(name) > 0


def _info(fd: int, asked: bytes) -> bytes:
    """Return what the kernel says about one of its objects. Raises OSError.

    `asked` is as long as the answer, and may name memory for more of it.
    """
    answer = ct.create_string_buffer(asked, len(asked))
    get_info = 15  # BPF_OBJ_GET_INFO_BY_FD
    syscall.bpf(get_info, struct.pack("=IIQ", fd, len(asked), ct.addressof(answer)))
    return answer.raw


def _open_btfs() -> Iterator[int]:
    """Yield the descriptors of BTF that this process has open."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the directory itself
            if os.readlink(f"/proc/self/fd/{name}") == "anon_inode:btf":
                yield int(name)


class MapTypes(NamedTuple):
    """The id of the BTF that a loaded map has, 0 if it has none, and its types' ids in that."""

    btf: int
    key: int
    value: int


def types_of_map(fd: int) -> MapTypes:
    """Ask the kernel about the map behind `fd`. Raises OSError."""
    # struct bpf_map_info, up to btf_id, btf_key_type_id, btf_value_type_id
    return MapTypes(*struct.unpack("=64x3I", _info(fd, bytes(76))))


def btf_of_program(fd: int) -> int:
    """Return the id of the BTF of the program behind `fd`, 0 if it has none. Raises OSError."""
    # struct bpf_prog_info, up to btf_id
    number: int = struct.unpack("=128xI", _info(fd, bytes(132)))[0]
    return number


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
        lib.btf__align_of.argtypes = [ct.c_void_p, ct.c_uint32]
        lib.btf__align_of.restype = ct.c_int
        lib.btf__free.argtypes = [ct.c_void_p]
        lib.btf__free.restype = None

    @classmethod
    def of_kernel(cls, lib: ct.CDLL) -> Self:
        """Load the running kernel's. Raises Unsupported. The caller closes it."""
        lib.btf__load_vmlinux_btf.restype = ct.c_void_p
        pointer = lib.btf__load_vmlinux_btf()
        if not pointer:
            reason = os.strerror(ct.get_errno())
            raise Unsupported(f"the kernel's BTF cannot be loaded: {reason}")
        return cls(lib, pointer)

    @classmethod
    def of_loaded(cls, lib: ct.CDLL, number: int) -> Self | None:
        """Load that which this process has open in the kernel, by its id.

        None if there is none. To open it by its id would take CAP_SYS_ADMIN. The
        caller closes it.
        """
        lib.btf__new.argtypes = [ct.c_char_p, ct.c_uint32]
        lib.btf__new.restype = ct.c_void_p
        for fd in _open_btfs():
            size, found = struct.unpack("=8xII", _info(fd, bytes(16)))
            if found != number:
                continue
            buffer = ct.create_string_buffer(size)
            _info(fd, struct.pack("=QII", ct.addressof(buffer), size, 0))
            pointer = lib.btf__new(buffer.raw, size)
            return cls(lib, pointer) if pointer else None
        return None

    @classmethod
    def of_object(cls, lib: ct.CDLL, path: str) -> tuple[Self, bytes]:
        """Load that of a compiled object, with the bytes of its section .BTF.ext.

        Raises OSError. The caller closes it.
        """
        lib.btf__parse_elf.argtypes = [ct.c_char_p, ct.POINTER(ct.c_void_p)]
        lib.btf__parse_elf.restype = ct.c_void_p
        lib.btf_ext__get_raw_data.argtypes = [ct.c_void_p, ct.POINTER(ct.c_uint32)]
        lib.btf_ext__get_raw_data.restype = ct.c_void_p
        lib.btf_ext__free.argtypes = [ct.c_void_p]
        lib.btf_ext__free.restype = None
        ext, size = ct.c_void_p(), ct.c_uint32()
        pointer = lib.btf__parse_elf(os.fsencode(path), ct.byref(ext))
        if not pointer:
            number = ct.get_errno()
            raise OSError(number, os.strerror(number), path)
        raw = b""
        if ext:
            raw = ct.string_at(lib.btf_ext__get_raw_data(ext, ct.byref(size)), size.value)
            lib.btf_ext__free(ext)
        return cls(lib, pointer), raw

    def close(self) -> None:
        """Free it. Not for one that belongs to an open object."""
        self._lib.btf__free(self._pointer)

    def _find(self, name: str, kind: int) -> int:
        number: int = self._lib.btf__find_by_name_kind(self._pointer, name.encode(), kind)
        return max(0, number)

    def _name(self, offset: int) -> str:
        name: bytes = self._lib.btf__name_by_offset(self._pointer, offset) or b""
        return name.decode("ascii", "replace")

    def text(self, offset: int) -> str:
        """Return a string of the string section."""
        text: bytes = self._lib.btf__name_by_offset(self._pointer, offset) or b""
        return text.decode("utf-8", "backslashreplace")

    def type_name(self, number: int) -> str:
        """Return the name of a type, or of a function, by its id."""
        return self._name(self._type(number)[0].name_off)

    def _type(self, number: int) -> tuple[_Type, int]:
        """Return a type and the address of what follows it."""
        address = self._lib.btf__type_by_id(self._pointer, number)
        return _Type.from_address(address), address + ct.sizeof(_Type)

    def _words(self, number: int, words: int) -> Iterator[tuple[int, ...]]:
        """Yield the entries that follow a type, `words` u32 each."""
        if not number:
            return
        head, address = self._type(number)
        entry = ct.c_uint32 * words
        for value in (entry * head.vlen).from_address(address):
            yield tuple(value)

    def _fields(self, number: int) -> Iterator[tuple[int, ...]]:
        """Yield name, type and offset of the members of a structure: struct btf_member."""
        return self._words(number, 3)

    def variables(self, section: str) -> dict[str, Variable]:
        """Return the global variables of a section such as ".bss", by name."""
        found = {}
        # struct btf_var_secinfo: type, offset, size
        for number, offset, size in self._words(self._find(section, KIND_DATASEC), 3):
            variable, _ = self._type(number)
            signed = bool(self._encoding(self._resolve(variable.size)) & _SIGNED)
            found[self._name(variable.name_off)] = Variable(offset, size, signed)
        return found

    def enumeration(self, name: str) -> dict[int, str]:
        """Return the names of `enum NAME` by value; empty if there is none."""
        # struct btf_enum: name_off, val
        number = self._find(name, KIND_ENUM)
        return {value: self._name(offset) for offset, value in self._words(number, 2)}

    def _resolve(self, number: int) -> int:
        """Look through typedefs, const and volatile."""
        resolved: int = self._lib.btf__resolve_type(self._pointer, number)
        return resolved

    def _size(self, number: int) -> int:
        size: int = self._lib.btf__resolve_size(self._pointer, number)
        return size

    def _encoding(self, number: int) -> int:
        """Return the BTF_INT_* flags of an integer type, 0 for any other."""
        head, address = self._type(number)
        return ct.c_uint32.from_address(address).value >> 24 & 0xF if head.kind == KIND_INT else 0

    def struct_layout(self, name: str) -> Layout | None:
        """Return the layout of `struct NAME`, or None if there is none."""
        number = self._find(name, KIND_STRUCT)
        return self.layout(number) if number else None

    def layout(self, number: int) -> Layout:
        """Return the layout of a type by its id.

        Integers, enumerations, pointers, arrays of them, and structures of
        these; of anything else, its bytes. Raises Error for a bit field.
        """
        from ebpf_tour.loader.layout import Layout

        number = self._resolve(number)
        head, _ = self._type(number)
        if head.kind != KIND_STRUCT:
            return Layout("", self._size(number), [self._member("", 0, number)])
        members = list(self._members(number, 0))
        return Layout(self._name(head.name_off) or "struct_", head.size, members)

    def _members(self, number: int, start: int) -> Iterator[Member]:
        """Yield the members of a structure; those of structures in it count as its own."""
        head, _ = self._type(number)
        for name, kind, bits in self._words(number, 3):  # struct btf_member
            # With the kind flag set, the high byte is the width of a bit field.
            if head.info >> 31 and bits >> 24:
                raise Error(
                    f"{self._name(name)} in struct {self._name(head.name_off)} is a bit field, "
                    "which Python does not read here",
                    "make it an integer",
                )
            inner = self._resolve(kind)
            offset = start + bits // 8
            if self._type(inner)[0].kind == KIND_STRUCT:
                yield from self._members(inner, offset)
            elif not name:
                raise Error(
                    f"there is a union without a name in struct {self._name(head.name_off)}",
                    "give it a name: Python gets its bytes by that",
                )
            else:
                yield self._member(self._name(name), offset, inner)

    def _member(self, name: str, offset: int, number: int) -> Member:
        from ebpf_tour.loader.layout import Member, as_bytes

        number = self._resolve(number)
        head, address = self._type(number)
        size = self._size(number)
        if head.kind == KIND_ARRAY:
            item, _, count = (ct.c_uint32 * 3).from_address(address)  # struct btf_array
            one = self._member(name, offset, item)
            if one.items > 1 or one.text:  # an array of arrays, or of structures
                return as_bytes(name, offset, size)
            text = bool(self._encoding(self._resolve(item)) & _CHAR) or one.size == 1
            return one._replace(items=count, text=text)
        if head.kind not in _INTEGERS or size > _WORD:
            return as_bytes(name, offset, size)
        return Member(name, offset, size, bool(self._encoding(number) & _SIGNED))

    def struct_size(self, name: str) -> int:
        """Return the size of `struct NAME` in bytes, 0 if there is none."""
        number = self._find(name, KIND_STRUCT)
        return self._size(number) if number else 0

    def place(self, struct_name: str, member: str) -> Place | None:
        """Return where a member of `struct NAME` lies, or None if there is none of that name.

        Members of anonymous structures and unions inside count as its own.
        """
        number = self._find(struct_name, KIND_STRUCT)
        found = self._find_member(number, member) if number else None
        if found is None:
            return None
        bits, kind = found
        alignment = max(1, self._lib.btf__align_of(self._pointer, kind))
        return Place(bits // 8, bits // 8 % alignment == 0)

    def _find_member(self, number: int, member: str) -> tuple[int, int] | None:
        """Return the place of a member in bits, and the id of its type."""
        for name, kind, bits in self._fields(number):
            # With the kind flag set, the high byte is the width of a bit field.
            start = bits & 0xFFFFFF if self._type(number)[0].info >> 31 else bits
            if self._name(name) == member:
                return start, kind
            inner = self._resolve(kind)
            if not name and self._type(inner)[0].kind in {KIND_STRUCT, KIND_UNION}:
                found = self._find_member(inner, member)
                if found is not None:
                    return start + found[0], found[1]
        return None

    def function_id(self, function: str) -> int:
        """Return the id of a function, 0 if there is none of that name."""
        return self._find(function, KIND_FUNC)

    def prototype(self, function: str) -> Prototype | None:
        """Return the prototype of a function, or None if there is none of that name."""
        number = self.function_id(function)
        if not number:
            return None
        prototype = self._type(number)[0].size  # the field is `type` in this kind
        parameters = tuple(
            (self._name(name), self._spelled(kind))
            for name, kind in self._words(prototype, 2)  # struct btf_param
        )
        return Prototype(self._spelled(self._type(prototype)[0].size), parameters)

    def _spelled(self, number: int) -> str:
        """Return a type's name in C, without const and its like."""
        if not number:
            return "void"
        head, _ = self._type(number)
        if head.kind == KIND_PTR:
            target = self._spelled(head.size)
            return f"{target}*" if target.endswith("*") else f"{target} *"
        if head.kind in {KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_TYPE_TAG}:
            return self._spelled(head.size)
        union = head.kind == KIND_UNION or (head.kind == KIND_FWD and head.info >> 31)
        keywords = {KIND_STRUCT: "struct ", KIND_ENUM: "enum ", KIND_FWD: "struct "}
        keyword = "union " if union else keywords.get(head.kind, "")
        return f"{keyword}{self._name(head.name_off)}"
