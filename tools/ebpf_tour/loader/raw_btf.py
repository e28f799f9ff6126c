"""BTF read from its bytes, for lists of what the kernel and its modules have.

btf.py asks libbpf, which is quick for one type. A walk through all of them by
calls into a library would take seconds. Source: Documentation/bpf/btf.rst.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import struct
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Iterator

# BTF_KIND_*, from include/uapi/linux/btf.h.
_PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF = 2, 3, 4, 5, 6, 7, 8
_VOLATILE, _CONST, _RESTRICT, _FUNC, _FUNC_PROTO = 9, 10, 11, 12, 13
_TYPE_TAG, _ENUM64 = 18, 19

# How many bytes follow the twelve of a type: for each of its `vlen` items, or
# whatever that is.
_ITEM_BYTES = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _FUNC_PROTO: 8, 15: 12, _ENUM64: 12}
_REST_BYTES = {1: 4, _ARRAY: 12, 14: 4, 17: 4}

_KEYWORDS = {_STRUCT: "struct ", _UNION: "union ", _ENUM: "enum ", _ENUM64: "enum "}
# A type tag, such as __user, is none of C's own.
_QUALIFIERS = {_VOLATILE: "volatile", _CONST: "const", _RESTRICT: "restrict", _TYPE_TAG: ""}

_MAGIC = 0xEB9F
_NAME = "@"  # no character of C
_HEADER = struct.Struct("=HBBI4I")  # struct btf_header
_TYPE = struct.Struct("=3I")  # struct btf_type: name_off, info, size or type
_PARAM = struct.Struct("=2I")  # struct btf_param: name_off, type
# Of struct btf_enum (name_off, val) and btf_enum64 (name_off, val_lo32, val_hi32), the value.
_VALUE = {_ENUM: "I", _ENUM64: "Q"}


# Of one declaration. The longest ones of the kernel take some dozens.
_MOST_STEPS = 10_000


class RawBtf:
    """The types of the kernel, or of a module, which continue those of the kernel.

    Raises Unsupported if the bytes are no BTF.
    """

    def __init__(self, data: bytes, base: RawBtf | None = None) -> None:
        self._data = data
        self._base = base
        self._first: int = base.end if base else 1
        self._first_text: int = base.text_end if base else 0
        try:
            magic, _, _, header, start, size, texts, text_size = _HEADER.unpack_from(data)
        except struct.error:
            magic = 0
        if magic != _MAGIC:
            raise Unsupported("the kernel's BTF is in a form that cannot be read here")
        self._texts = data[header + texts : header + texts + text_size]
        self.text_end: int = self._first_text + text_size
        self._positions: list[int] = []
        # The ids of the types that lists are made of, by kind.
        self._ids: dict[int, list[int]] = {
            kind: [] for kind in (_STRUCT, _FUNC, _TYPEDEF, _ENUM, _ENUM64)
        }
        self._steps = 0
        with self._limited():
            self._walk(header + start, header + start + size)
        self.end: int = self._first + len(self._positions)
        self._declarations: dict[int, str] = {}

    @contextlib.contextmanager
    def _limited(self) -> Iterator[None]:
        """Raise Error where the types lead nowhere, in a circle, or to too much."""
        self._steps = 0
        try:
            yield
        except (struct.error, IndexError, ValueError, RecursionError):
            raise Error(
                "the BTF of the kernel or of a module is broken",
                "see what it has: bpftool btf dump file /sys/kernel/btf/vmlinux",
            ) from None

    def _step(self) -> None:
        """Count a step from type to type. Raises ValueError where there are too many."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise ValueError

    def _walk(self, position: int, end: int) -> None:
        """Note where each type is. The loop runs some 100,000 times."""
        unpack, data, ids = _TYPE.unpack_from, self._data, self._ids
        add = self._positions.append
        number = self._first
        while position < end:
            _, info, _ = unpack(data, position)
            add(position)
            position += 12
            kind = info >> 24 & 0x1F
            if kind in ids:
                ids[kind].append(number)
            if kind in _ITEM_BYTES:
                position += _ITEM_BYTES[kind] * (info & 0xFFFF)
            elif kind in _REST_BYTES:
                position += _REST_BYTES[kind]
            number += 1

    @functools.cached_property
    def functions(self) -> dict[str, int]:
        """The id of each function, by its name; of a module, only its own."""
        return self._named(_FUNC)

    @functools.cached_property
    def typedefs(self) -> dict[str, int]:
        """The id of each typedef, by its name; of a module, only its own."""
        return self._named(_TYPEDEF)

    @functools.cached_property
    def structs(self) -> dict[str, int]:
        """The id of each structure, by its name; of a module, only its own."""
        return self._named(_STRUCT)

    def enumeration(self, name: str) -> dict[str, int]:
        """Return the values of `enum NAME` by their names, in their order; empty if it has none.

        Several names may have the same value.
        """
        for kind, value in _VALUE.items():
            number = self._named(kind).get(name)
            if number is not None:
                with self._limited():
                    return self._values(number, value)
        return {}

    def _values(self, number: int, value: str) -> dict[str, int]:
        info = self._type(number)[1]
        # With the kind flag set, they are signed.
        item = struct.Struct(f"=I{value.lower() if info >> 31 else value}")
        start = self._position(number) + _TYPE.size
        items = item.iter_unpack(self._data[start : start + item.size * (info & 0xFFFF)])
        return {self._text(name): found for name, found in items}

    def _named(self, kind: int) -> dict[str, int]:
        with self._limited():
            return {self._text(self._type(number)[0]): number for number in self._ids[kind]}

    def _type(self, number: int) -> tuple[int, int, int]:
        """Return a type's name_off, info, and size or type."""
        if number < self._first and self._base:
            return self._base._type(number)  # noqa: SLF001 - the same class
        found: tuple[int, int, int] = _TYPE.unpack_from(self._data, self._position(number))
        return found

    def _position(self, number: int) -> int:
        return self._positions[number - self._first]

    def _text(self, offset: int) -> str:
        if offset < self._first_text and self._base:
            return self._base._text(offset)  # noqa: SLF001 - the same class
        start = offset - self._first_text
        return self._texts[start : self._texts.index(b"\0", start)].decode("ascii", "replace")

    def parameters(self, number: int) -> list[str]:
        """Return the parameters of a function as C text, such as "struct file *file".

        `number` is a function, its prototype, or a typedef for a pointer to one.
        """
        with self._limited():
            return self._parameters(number)

    def _parameters(self, number: int) -> list[str]:
        _, info, target = self._type(number)
        while info >> 24 & 0x1F in {_FUNC, _TYPEDEF, _PTR}:
            self._step()
            number = target
            _, info, target = self._type(number)
        return [
            self._declare(kind, self._text(name)) if kind else "..."
            for name, kind in self._items(number)
        ]

    def arity(self, function: int) -> int | None:
        """Return how many parameters a function has, None if that is open ("...")."""
        with self._limited():
            _, _, prototype = self._type(function)
            kinds = [kind for _, kind in self._items(prototype)]
        return None if kinds and not kinds[-1] else len(kinds)

    def returns(self, function: int, name: str) -> str:
        """Return what a function returns, under a name, as C text: "int retval"."""
        with self._limited():
            _, _, prototype = self._type(function)
            return self._declare(self._type(prototype)[2], name)

    def _items(self, prototype: int) -> Iterator[tuple[int, int]]:
        if prototype < self._first and self._base:
            yield from self._base._items(prototype)  # noqa: SLF001 - the same class
            return
        start = self._position(prototype) + 12
        count = self._type(prototype)[1] & 0xFFFF
        yield from _PARAM.iter_unpack(self._data[start : start + 8 * count])

    def _declare(self, number: int, name: str) -> str:
        """Return the declaration of something that has a type."""
        if number not in self._declarations:  # most types are needed more than once
            self._declarations[number] = self._declaration(number)
        return self._declarations[number].replace(_NAME, name).rstrip()

    def _declaration(self, number: int) -> str:
        """Return a declaration with _NAME where the name goes: in C, that is in the middle."""
        self._step()
        if not number:
            return f"void {_NAME}"
        text, info, target = self._type(number)
        kind = info >> 24 & 0x1F
        if kind == _PTR:
            inner = self._declaration(target)
            # Without parentheses, "(*x)[2]" and "(*x)(int)" would be something else.
            pointer = f"(*{_NAME})" if re.search(rf"{_NAME}[\[(]", inner) else f"*{_NAME}"
            return inner.replace(_NAME, pointer)
        if kind in _QUALIFIERS:
            return _qualified(_QUALIFIERS[kind], self._declaration(target))
        if kind == _ARRAY:
            item, count = self._array(number)
            return self._declaration(item).replace(_NAME, f"{_NAME}[{count}]")
        if kind == _FUNC_PROTO:
            parameters = ", ".join(self._parameters(number)) or "void"
            return self._declaration(target).replace(_NAME, f"{_NAME}({parameters})")
        keyword = _KEYWORDS.get(kind, "")
        if kind == _FWD:
            keyword = "union " if info >> 31 else "struct "
        return f"{keyword}{self._text(text) or '{...}'} {_NAME}"

    def _array(self, number: int) -> tuple[int, int]:
        """Return an array's item type and how many there are."""
        if number < self._first and self._base:
            return self._base._array(number)  # noqa: SLF001 - the same class
        # struct btf_array: type, index_type, nelems
        item, _, count = struct.unpack_from("=3I", self._data, self._position(number) + 12)
        return item, count


def _qualified(qualifier: str, declaration: str) -> str:
    """`const` stands before what it is about, but behind the asterisk of a pointer."""
    if not qualifier:
        return declaration
    if f"*{_NAME}" in declaration:
        return declaration.replace(f"*{_NAME}", f"*{qualifier} {_NAME}")
    return f"{qualifier} {declaration}"


@functools.cache
def of_kernel() -> RawBtf:
    """Read the running kernel's, once. Raises Unsupported."""
    if not features.has_kernel_btf():
        raise Unsupported(
            f"this kernel has no BTF in {features.KERNEL_BTF}{features.without('DEBUG_INFO_BTF')}",
            "boot your distribution's stock kernel, which has it",
        )
    return RawBtf(_bytes(features.KERNEL_BTF))


def of_modules(kernel: RawBtf) -> Iterator[tuple[str, RawBtf]]:
    """Yield name and BTF of each module that is loaded and has some."""
    directory = os.path.dirname(features.KERNEL_BTF)
    for name in sorted(os.listdir(directory)):
        if name == os.path.basename(features.KERNEL_BTF):
            continue
        try:
            yield name, RawBtf(_bytes(f"{directory}/{name}"), kernel)
        except (OSError, Unsupported, ValueError, IndexError, struct.error):
            # It was unloaded meanwhile, or was built against another kernel.
            continue


def _bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
