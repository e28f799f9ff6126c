"""A cache of kernel BTF: of each object, the few types that CO-RE needs for it.

Half of what it takes to load an object is libbpf reading all of the kernel's types,
hundreds of thousands of them, for the offsets of a dozen members. What an object needs
is the same until the next boot. So the first run leaves a BTF file with just that, as
`bpftool gen min_core_btf` makes them, and the later ones give it to libbpf.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
import stat

from ebpf_tour.loader.btf import (
    KIND_ARRAY,
    KIND_ENUM,
    KIND_ENUM64,
    KIND_INT,
    KIND_PTR,
    KIND_STRUCT,
    KIND_UNION,
    Btf,
)
from ebpf_tour.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "EBPF_TOUR_CACHE"

# Gone with the next boot, and only root may write there.
_DIRECTORY = "/run/ebpf-tour"


def place(object_path: str) -> str:
    """Return where the file for an object is, or is to be; "" where there is to be none.

    Its name has the object's time and size and the kernel's boot id: a container may
    keep its /run when the machine boots another kernel.
    """
    directory = os.environ.get(VARIABLE, _DIRECTORY)
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        status = os.stat(object_path)
    except OSError:
        return ""
    name = os.path.basename(object_path).partition(".")[0]
    file_name = f"{name}-{status.st_mtime_ns:x}-{status.st_size:x}-{boot}.btf"
    return f"{directory}/{file_name}" if directory else ""


def is_there(path: str) -> bool:
    """Say whether there is a file that nobody but us can have written."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    ours = status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISREG(status.st_mode) and ours


def forget(path: str) -> None:
    """Remove a file, if there is one."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def save(lib: ct.CDLL, object_path: str, path: str) -> None:
    """Write the file for an object. Where that is not possible, do nothing."""
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        own, _ = _Object.of_object(lib, object_path)
        kernel = _Kernel.of_kernel(lib)
        try:
            data = kernel.copy(own.structures(), own.members())
        finally:
            kernel.close()
            own.close()
        temporary = f"{path}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)  # another run may read it right now


class _Object(Btf):
    """The types of a compiled object: which of the kernel's it reads."""

    def _structures(self) -> Iterator[int]:
        for number in range(1, self.count()):
            if self._type(number)[0].kind in {KIND_STRUCT, KIND_UNION}:
                yield number

    def structures(self) -> set[tuple[int, str]]:
        """Return kind and name of each. A flavour, "task_struct___old", counts as the first."""
        return {
            (self._type(number)[0].kind, self.type_name(number).partition("___")[0])
            for number in self._structures()
        }

    def members(self) -> set[str]:
        """Return the names of all their members."""
        return {
            self._name(name) for number in self._structures() for name, _, _ in self._fields(number)
        }


class _Kernel(Btf):
    """The running kernel's types, and a copy of some of them."""

    def copy(self, structures: set[tuple[int, str]], members: set[str]) -> bytes:
        """Return BTF with these structures, and of their members only these."""
        lib = self._declare()
        self._target = lib.btf__new_empty()
        self._wanted = structures
        self._names = members
        self._copies: dict[int, int] = {}
        for kind, name in sorted(structures):
            number = self._find(name, kind) if name else 0
            if number:
                self._copied(number)
        size = ct.c_uint32()
        address = lib.btf__raw_data(self._target, ct.byref(size))
        data = ct.string_at(address, size.value)
        lib.btf__free(self._target)
        return data

    def _declare(self) -> ct.CDLL:
        pointer, string, integer, size = ct.c_void_p, ct.c_char_p, ct.c_int, ct.c_size_t
        for name, result, arguments in (
            ("btf__new_empty", pointer, []),
            ("btf__raw_data", pointer, [pointer, ct.POINTER(ct.c_uint32)]),
            ("btf__add_int", integer, [pointer, string, size, integer]),
            ("btf__add_ptr", integer, [pointer, integer]),
            ("btf__add_array", integer, [pointer, integer, integer, ct.c_uint32]),
            ("btf__add_struct", integer, [pointer, string, ct.c_uint32]),
            ("btf__add_union", integer, [pointer, string, ct.c_uint32]),
            ("btf__add_field", integer, [pointer, string, integer, ct.c_uint32, ct.c_uint32]),
            ("btf__add_enum", integer, [pointer, string, ct.c_uint32]),
        ):
            function = getattr(self._lib, name)
            function.restype = result
            function.argtypes = arguments
        return self._lib

    def _copied(self, number: int) -> int:
        """Return the id of a type's copy; typedefs and qualifiers are left out."""
        number = self._resolve(number)
        if number not in self._copies:
            self._copies[number] = self._copy(number)
        return self._copies[number]

    def _copy(self, number: int) -> int:
        lib, target = self._lib, self._target
        head, address = self._type(number)
        name = self._name(head.name_off).encode()
        copy: int = 0  # void
        if head.kind in {KIND_STRUCT, KIND_UNION}:
            copy = self._copy_structure(number)
        elif head.kind == KIND_INT:
            copy = lib.btf__add_int(target, name, head.size, self._encoding(number))
        elif head.kind in {KIND_ENUM, KIND_ENUM64}:
            copy = lib.btf__add_enum(target, name, head.size)
        elif head.kind == KIND_ARRAY:
            element, index, length = (ct.c_uint32 * 3).from_address(address)
            copies = self._copied(index), self._copied(element)
            copy = lib.btf__add_array(target, *copies, length)
        elif head.kind == KIND_PTR:
            # Each step of BPF_CORE_READ() is a relocation of its own: it does not
            # matter what a pointer leads to.
            copy = lib.btf__add_ptr(target, 0)
        return copy

    def _copy_structure(self, number: int) -> int:
        lib, target = self._lib, self._target
        head, _ = self._type(number)
        name = self._name(head.name_off)
        fields = []
        if not name or (head.kind, name) in self._wanted:
            for name_off, kind, bits in self._fields(number):
                member = self._name(name_off)
                # One without a name is a structure whose members count as ours.
                if not member or member in self._names:
                    start, width = (bits & 0xFFFFFF, bits >> 24) if head.info >> 31 else (bits, 0)
                    fields.append((member.encode(), self._copied(kind), start, width))
        # Fields go to the type that was added last, so it comes after theirs.
        add = lib.btf__add_struct if head.kind == KIND_STRUCT else lib.btf__add_union
        copy: int = add(target, name.encode(), head.size)
        for field in fields:
            lib.btf__add_field(target, *field)
        return copy
