"""The disassembler, held against llvm-objdump and against RFC 9669."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support import ROOT

from ebpf_tour.build import compile_object
from ebpf_tour.explain.asm import disassemble, local_functions

if TYPE_CHECKING:
    from pathlib import Path


def insn(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, dst | src << 4, offset, imm)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (insn(0x18, 1, imm=-1) + insn(0, imm=1), "r1 = 0x1ffffffff ll"),
        (insn(0x18, 1, 1, imm=5) + insn(0), "r1 = map fd 5 ll"),
        (insn(0x18, 2, 2, imm=5) + insn(0, imm=16), "r2 = map value of fd 5 + 16 ll"),
        (insn(0x85, imm=6), "call trace_printk#6"),
        (insn(0x85, imm=999), "call helper#999"),
        (insn(0x85, src=1, imm=3), "call 4"),
        (insn(0x85, src=2, imm=65280), "call kfunc#65280"),
        (insn(0x95), "exit"),
        (insn(0x05, offset=3), "goto 4"),
        (insn(0x06, imm=70000), "goto 70001"),
        (insn(0x55, 1, offset=-1, imm=7), "if r1 != 7 goto 0"),
        (insn(0x5E, 1, 2, offset=4), "if w1 != w2 goto 5"),
        (insn(0x16, 1, offset=4, imm=-1), "if w1 == -1 goto 5"),
        (insn(0xCD, 1, 2, offset=1), "if r1 s< r2 goto 2"),
        (insn(0xDB, 1, 2, offset=8), "lock *(u64 *)(r1 +8) += r2"),
        (insn(0xC3, 1, 2, offset=-4, imm=0xA0), "lock *(u32 *)(r1 -4) ^= r2"),
        (insn(0xDB, 1, 2, imm=0x01), "r2 = atomic_fetch_add(*(u64 *)(r1 +0), r2)"),
        (insn(0xD4, 3, imm=16), "r3 = le16 r3"),
        (insn(0xDC, 3, imm=64), "r3 = be64 r3"),
        (insn(0x87, 3), "r3 = -r3"),
        (insn(0x84, 3), "w3 = -w3"),
        (insn(0xBC, 1, 2), "w1 = w2"),
        (insn(0xBF, 1, 2, offset=8), "r1 = (s8)r2"),
        (insn(0xC7, 1, imm=32), "r1 s>>= 32"),
        (insn(0x04, 1, imm=-5), "w1 += -5"),
        (insn(0x71, 1, 2, offset=-3), "r1 = *(u8 *)(r2 -3)"),
        (insn(0x62, 10, offset=-8, imm=-1), "*(u32 *)(r10 -8) = -1"),
        (insn(0x6B, 10, 1, offset=-2), "*(u16 *)(r10 -2) = r1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_instruction(raw: bytes, text: str) -> None:
    assert list(disassemble(raw, {6: "trace_printk"})) == [(0, text)]


def test_numbers_count_the_halves_of_a_constant() -> None:
    assert list(disassemble(insn(0x18) + insn(0) + insn(0x95), {})) == [
        (0, "r0 = 0x0 ll"),
        (2, "exit"),
    ]


def test_functions_that_are_called() -> None:
    """By a call, or as what a helper is to call; a helper is none."""
    code = insn(0x85, src=1, imm=4) + insn(0x18, 2, 4, imm=5) + insn(0) + insn(0x85, imm=181)
    assert local_functions(code + insn(0x95) * 3) == {5, 7}


def objdump(path: Path) -> list[tuple[int, bytes, str]]:
    """Return number, bytes and text of each instruction."""
    done = subprocess.run(["llvm-objdump", "-d", path], capture_output=True, text=True, check=True)
    lines = re.findall(r"(?m)^ +(\d+):\t((?:[0-9a-f]{2} )+[0-9a-f]{2})\t(.*)$", done.stdout)
    return [(int(number), bytes.fromhex(raw), text) for number, raw, text in lines]


def like_ours(text: str, number: int) -> str:
    """Turn llvm-objdump's notation into ours: `(r10 - 8)`, `goto +16 <LBB0_4>`, `call 120`."""
    text = re.sub(r"\((r\d+) ([+-]) ", r"(\1 \2", text)
    text = re.sub(r" <.*>$", "", text)
    text = re.sub(r"goto ([+-]\d+)$", lambda match: f"goto {number + 1 + int(match[1])}", text)
    constant = r"= (-?\d+) ll$"  # with a sign, ours is without
    text = re.sub(constant, lambda match: f"= {int(match[1]) % (1 << 64):#x} ll", text)
    text = re.sub(r"^call (\d+)$", r"call helper#\1", text)
    # To itself: a function of the kernel, which libbpf finds when it loads this.
    return text.replace("call -1", f"call {number}")


@pytest.mark.parametrize("source", sorted((ROOT / "bpf").glob("*.bpf.c")), ids=lambda p: p.name)
def test_as_llvm_objdump(source: Path, tmp_path: Path) -> None:
    if not shutil.which("llvm-objdump"):
        pytest.skip("llvm-objdump is not installed")
    path = tmp_path / "object.o"
    compile_object(source, path, "x86")
    theirs = objdump(path)
    # The numbers begin anew in each section.
    starts = [at for at, (number, _, _) in enumerate(theirs) if number == 0]
    for start, stop in pairwise([*starts, len(theirs)]):
        section = theirs[start:stop]
        ours = list(disassemble(b"".join(raw for _, raw, _ in section), {}))
        assert ours == [(number, like_ours(text, number)) for number, _, text in section]
    assert len(theirs) > len(starts) > 0
