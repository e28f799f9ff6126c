"""What stands in for the kernel's headers on BCC, held against the kernel's own BTF."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from support import ROOT, UNSUPPORTED, run

from ebpf_tour.loader.btf import Btf, load_libbpf
from ebpf_tour.loader.kernel_structs import definitions, place_of, structs_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VMLINUX_H = (ROOT / "bpf/vmlinux.h").read_text()

pytestmark = pytest.mark.kernel()


@pytest.fixture
def btf() -> Iterator[Btf]:
    btf = Btf.of_kernel(load_libbpf())
    yield btf
    btf.close()


def assert_places(btf: Btf, structs: dict[str, str], text: str, where: Path) -> int:
    """Have the compiler compare where it puts each member; return how many there are."""
    lines = []
    for name, body in structs.items():
        for member in re.findall(r"(\w+)(?:\[\w+\])?;", body):
            place = place_of(btf, name, member)
            offset = f"__builtin_offsetof(struct {name}, {member})"
            if place:
                lines.append(f'_Static_assert({offset} == {place.offset}, "{member}");')
    where.write_text("\n".join([text, *lines]))
    types = ("-include", ROOT / "bpf/include/linux/types.h")
    result = run("clang", "-target", "bpf", "-std=gnu11", "-fsyntax-only", *types, where)
    assert (result.status, result.stderr) == (0, "")
    return len(lines)


def test_members_are_where_the_kernel_has_them(btf: Btf, tmp_path: Path) -> None:
    """All that vmlinux.h names and this kernel has. None is packed, so each is read whole."""
    structs = structs_of(VMLINUX_H)
    text = definitions(btf, structs, VMLINUX_H)
    assert assert_places(btf, structs, text, tmp_path / "structs.c") > 50
    assert "packed" not in text


def test_a_structure_that_is_packed(btf: Btf, tmp_path: Path) -> None:
    """A member at no multiple of its alignment is where the kernel has it, too."""
    structs = {"acpi_generic_address": "\tu8 space_id;\n\tu64 address;\n"}
    if not btf.struct_size("acpi_generic_address"):
        pytest.skip(f"{UNSUPPORTED}this kernel has no ACPI")
    text = definitions(btf, structs, "struct acpi_generic_address space_id address")
    assert assert_places(btf, structs, text, tmp_path / "structs.c") == 2
    packed = [line for line in text.splitlines() if "packed" in line]
    assert [re.findall(r"(\w+);", line) for line in packed] == [["address"]]


def test_a_member_that_was_renamed(btf: Btf) -> None:
    """Linux 5.14 renamed state. Under the name that programs read, each kernel has it."""
    before, after = btf.place("task_struct", "state"), btf.place("task_struct", "__state")
    assert (before is None) != (after is None)
    assert place_of(btf, "task_struct", "__state") == (before or after)
    text = definitions(btf, structs_of(VMLINUX_H), "struct task_struct __state")
    assert "unsigned int __state;" in text
