"""Kernel structures for BCC, made from the running kernel's BTF.

BCC compiles against headers, and there are none. So for each structure that a
program names, this writes a definition that has those members of bpf/vmlinux.h
that it names, too, at the offsets of the running kernel, and padding for all
others.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ebpf_tour.loader.btf import Btf, Place

_REGION = re.compile(
    r"#pragma clang attribute push\b.*?\n\n(.*)#pragma clang attribute pop", re.DOTALL
)
_STRUCT = re.compile(r"^struct (\w+) \{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
_MEMBER = re.compile(r"^\t(?P<type>.+?)(?P<name>\w+)(?P<array>\[\w+\])?;", re.MULTILINE)
_EMBEDDED = re.compile(r"(?:const )?struct (\w+) $")
_POINTER = re.compile(r"(?:const )?struct (\w+) \*")

# The older name of a member, by structure and member. A CO-RE program checks which of the two
# exists; a BCC program has no such check.
#
# task_struct: renamed in Linux 5.14, commit 2f064a59a11f ("sched: Change task_struct::state").
# It was a long before. x86-64 and arm64 store its low half first.
_CALLED_BEFORE = {("task_struct", "__state"): "state"}


def structs_of(vmlinux_h: str) -> dict[str, str]:
    """Return the bodies of the kernel structures that bpf/vmlinux.h names."""
    region = _REGION.search(vmlinux_h)
    return dict(_STRUCT.findall(region[1])) if region else {}


def definitions(btf: Btf, structs: dict[str, str], program: str) -> str:
    """Return definitions of the structures that a program names, and those they lead to."""
    words = set(re.findall(r"\w+", program))
    seen: set[str] = set()
    defined: list[str] = []

    def define(name: str) -> None:
        if name in seen or name not in structs or not btf.struct_size(name):
            return
        seen.add(name)
        members = [m for m in _MEMBER.finditer(structs[name]) if m["name"] in words]
        types = [member["type"] for member in members]
        for embedded in filter(None, map(_EMBEDDED.match, types)):
            define(embedded[1])  # C wants these first
        defined.append(_definition(btf, name, members))
        for pointer in filter(None, map(_POINTER.match, types)):
            define(pointer[1])

    for name in re.findall(r"\bstruct (\w+)", program):
        define(name)
    return "\n".join(defined)


def place_of(btf: Btf, name: str, member: str) -> Place | None:
    """Return where a member of `struct NAME` lies, whatever this kernel calls it."""
    before = _CALLED_BEFORE.get((name, member))
    return btf.place(name, member) or (btf.place(name, before) if before else None)


def _definition(btf: Btf, name: str, members: list[re.Match[str]]) -> str:
    """Each member is one alternative of a union, behind padding of its own."""
    parts = [f"\t\tchar __size[{btf.struct_size(name)}];\n"]
    for member in members:
        place = place_of(btf, name, member["name"])
        if place is None:  # not in this kernel: a program that reads it fails to compile
            continue
        declaration = f"{member['type']}{member['name']}{member['array'] or ''};"
        pad = f"char __pad_{member['name']}[{place.offset}]; " if place.offset else ""
        # Packed, it would be read byte by byte, and where the verifier knows
        # the structure by BTF, it takes only reads of the whole member.
        packed = "" if place.aligned else " __attribute__((packed))"
        parts.append(f"\t\tstruct {{ {pad}{declaration} }}{packed};\n")
    return f"struct {name} {{\n\tunion {{\n{''.join(parts)}\t}};\n}};\n"
