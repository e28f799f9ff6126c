"""The types of what BCC compiled: the keys and values of its maps, and the record.

The compiler writes them as BTF, which libbcc passes to the kernel with the maps and
programs. What has no BTF, such as a stack-trace map, libbcc describes in its own way:
the types of a map in JSON, a record by its members.
"""

from __future__ import annotations

import ctypes as ct
import math
import re
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error
from ebpf_tour.loader.btf import Btf, btf_of_program, load_libbpf, types_of_map
from ebpf_tour.loader.layout import NO_KEY, Layout, Member, as_bytes

if TYPE_CHECKING:
    from typing import Any

RECORD_H = """\
/* With this, the compiler's type information (BTF) has the record, for Python. */
struct event *ebpf_tour_event __attribute__((unused));
"""

# Size and sign of the types that libbcc spells so.
_INTEGERS = {
    "_Bool": (1, False),
    "char": (1, True),
    "signed char": (1, True),
    "unsigned char": (1, False),
    "short": (2, True),
    "unsigned short": (2, False),
    "int": (4, True),
    "unsigned int": (4, False),
    "long": (8, True),
    "unsigned long": (8, False),
    "__SIZE_TYPE__": (8, False),
    "long long": (8, True),
    "unsigned long long": (8, False),
}


_ARRAY = re.compile(r" ?\[(\d+)\]$")
_TYPEDEF = re.compile(r"^typedef (\w[\w ]*) (\w+);", re.MULTILINE)


class Types:
    """The types of a module of libbcc that is loaded.

    `programs` and `maps` are file descriptors, `types_h` the path of a header
    with the names that integers have in the kernel.
    """

    def __init__(
        self, lib: Any, module: int, programs: list[int], maps: list[int], types_h: str
    ) -> None:
        self._lib = lib
        self._module = module
        self._types_h = types_h
        ids = [btf_of_program(fd) for fd in programs] + [types_of_map(fd).btf for fd in maps]
        self._id = next(filter(None, ids), 0)
        self._btf = Btf.of_loaded(load_libbpf(), self._id) if self._id else None

    def close(self) -> None:
        """Free what this holds."""
        if self._btf:
            self._btf.close()
            self._btf = None

    def of_map(self, name: str, fd: int) -> tuple[Layout, Layout]:
        """Return the layouts of a map's keys and values. Raises Error."""
        types = types_of_map(fd)
        # One that somebody else has made and pinned has another BTF.
        if self._btf and types.btf == self._id:
            key = self._btf.layout(types.key) if types.key else NO_KEY
            return key, self._btf.layout(types.value)
        return self.described(name)

    def of_record(self, through: str, name: str = "event") -> Layout | None:
        """Return the layout of a structure that goes to user space through a map.

        `through` is the map's name, "" if it is an iterator that writes it. None if there
        is no such structure. Raises Error.
        """
        return self._btf.struct_layout(name) if self._btf else self.listed(through)

    def described(self, name: str) -> tuple[Layout, Layout]:
        """Return the layouts of a map's keys and values as libbcc describes them."""
        import json

        of = name.encode()
        for ask in (self._lib.bpf_table_key_desc, self._lib.bpf_table_leaf_desc):
            ask.argtypes, ask.restype = [ct.c_void_p, ct.c_char_p], ct.c_char_p
        key = self._lib.bpf_table_key_desc(self._module, of)  # empty for a queue, which has none
        value = self._lib.bpf_table_leaf_desc(self._module, of)
        return _layout(json.loads(key)) if key else NO_KEY, _layout(json.loads(value))

    def listed(self, name: str) -> Layout | None:
        """Return the layout of the record by the members that libbcc lists.

        None if it lists none, as for a map that no program sends through. Raises
        Error for a member of a type that it only names.
        """
        lib, module, of = self._lib, self._module, name.encode()
        lib.bpf_perf_event_fields.argtypes = [ct.c_void_p, ct.c_char_p]
        lib.bpf_perf_event_fields.restype = ct.c_size_t
        lib.bpf_perf_event_field.argtypes = [ct.c_void_p, ct.c_char_p, ct.c_size_t]
        lib.bpf_perf_event_field.restype = ct.c_char_p
        listed = [
            lib.bpf_perf_event_field(module, of, number).decode()
            for number in range(lib.bpf_perf_event_fields(module, of))
        ]
        if not listed:
            return None
        with open(self._types_h, encoding="utf-8") as file:
            typedefs = {name: of for of, name in _TYPEDEF.findall(file.read())}
        return _layout(["event", [_described(text, typedefs) for text in listed], "struct"])


def _described(listed: str, typedefs: dict[str, str]) -> list[Any]:
    """Return a member of the list as libbcc describes those of maps.

    "comm#char[16]" becomes ["comm", "char", [16]].
    """
    name, _, spelled = listed.partition("#")
    kind, *count = _ARRAY.split(spelled)[:2]
    if kind.endswith("*"):
        kind = "unsigned long"
    elif kind.startswith("enum "):
        kind = "unsigned int"
    while kind not in _INTEGERS:
        if kind not in typedefs:
            raise Error(
                f"{name} in struct event has a type that BCC does not describe: {spelled}",
                "make it an integer, or an array of integers",
            )
        kind = typedefs[kind]
    return [name, kind, *([int(number)] for number in count)]


def _layout(described: Any) -> Layout:
    """Return the layout of a type that libbcc describes."""
    members, size, _ = _members_of(described)
    return Layout("" if isinstance(described, str) else described[0] or "struct_", size, members)


def _members_of(described: Any) -> tuple[list[Member], int, int]:
    """Return the members of a type, its size, and its alignment.

    An integer is described by its name, a structure or union by a list: its
    name, its members, and which of them it is. The members of a "struct_packed"
    follow one another, and what is between them is a member, too.
    """
    if isinstance(described, str):
        size, signed = _INTEGERS[described]
        return [Member("", 0, size, signed)], size, size
    _, inner, kind = described
    members: list[Member] = []
    end, widest = 0, 1
    for name, of, *count in inner:
        parts, size, alignment = _members_of(of)
        items = count[0] if count else []
        if not isinstance(items, list):
            raise Error(f"{name} is a bit field, which Python does not read", "make it an integer")
        start = 0 if kind == "union" else end
        if kind == "struct":
            start = _rounded(start, alignment)
        if not name.startswith("__pad_"):
            members += _placed(name, start, parts, size, items)
        widest = max(widest, alignment)
        end = max(end, start + size * math.prod(items))
    if kind == "struct":
        end = _rounded(end, widest)
    return ([as_bytes("", 0, end)] if kind == "union" else members), end, widest


def _placed(
    name: str, start: int, parts: list[Member], size: int, items: list[int]
) -> list[Member]:
    """Return what a member adds to a structure; `parts` are those of its type.

    `items` is empty unless it is an array.
    """
    first = parts[0]
    if not first.name and not first.text and len(items) < 2:  # an integer, or an array of them
        text = bool(items) and size == 1
        return [first._replace(name=name, offset=start, items=math.prod(items), text=text)]
    if items or not first.name:
        return [as_bytes(name, start, size * math.prod(items))]
    return [part._replace(offset=start + part.offset) for part in parts]


def _rounded(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
