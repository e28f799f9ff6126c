"""BPF bytecode as text, in the notation of llvm-objdump and of the verifier.

The encoding is that of RFC 9669, BPF Instruction Set Architecture: 8 bytes an
instruction, opcode, registers, offset, immediate.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The three low bits of the opcode: the class.
_LD, _LDX, _ST, _STX, _ALU32, _JMP64, _JMP32, _ALU64 = range(8)

_LOAD_CONSTANT = 0x18  # BPF_LD | BPF_IMM | BPF_DW, the only one of 16 bytes
_CALL = 0x85
_ATOMIC = 0xC0
_MAP_VALUE = 2  # BPF_PSEUDO_MAP_VALUE
_FUNCTION = 4  # BPF_PSEUDO_FUNC
_LOCAL_CALL, _KERNEL_CALL = 1, 2  # BPF_PSEUDO_CALL, BPF_PSEUDO_KFUNC_CALL

_SIZES = {0x00: "u32", 0x08: "u16", 0x10: "u8", 0x18: "u64"}

# The four high bits of the opcode: the operation.
_ALU = ["+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "end"]
_JUMPS = [
    *["goto", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit"],
    *["<", "<=", "s<", "s<="],
]
_ATOMICS = {0x00: "+=", 0x40: "|=", 0x50: "&=", 0xA0: "^="}
_FETCHES = {0x01: "fetch_add", 0x41: "fetch_or", 0x51: "fetch_and", 0xA1: "fetch_xor"}

# What a 64-bit constant stands for: BPF_PSEUDO_* in its source register.
_PSEUDO = {1: "map fd", _MAP_VALUE: "map value of fd", 3: "btf id", _FUNCTION: "function"}


class _Insn(NamedTuple):
    """One instruction, decoded."""

    number: int
    opcode: int
    dst: int
    src: int
    offset: int
    imm: int


def _decode(insns: bytes) -> list[_Insn]:
    return [
        _Insn(number, opcode, registers & 0xF, registers >> 4, offset, imm)
        for number, (opcode, registers, offset, imm) in enumerate(
            struct.iter_unpack("=BBhi", insns)
        )
    ]


def local_functions(insns: bytes) -> set[int]:
    """Return where the functions begin that a program calls, behind its own code."""
    return {
        insn.number + 1 + insn.imm
        for insn in _decode(insns)
        if (insn.opcode == _CALL and insn.src == _LOCAL_CALL)
        or (insn.opcode == _LOAD_CONSTANT and insn.src == _FUNCTION)
    }


def disassemble(insns: bytes, helpers: Mapping[int, str]) -> Iterator[tuple[int, str]]:
    """Yield the number of each instruction and what it does.

    `helpers` names the kernel's helper functions by number.
    """
    decoded = _decode(insns)
    skip = False
    for insn in decoded:
        if skip:  # the second half of a 64-bit constant
            skip = False
            continue
        if insn.opcode == _LOAD_CONSTANT:
            skip = True
            text = f"r{insn.dst} = {_constant(insn, decoded[insn.number + 1].imm)}"
        elif insn.opcode & 7 in {_ALU32, _ALU64}:
            text = _arithmetic(insn)
        elif insn.opcode & 7 in {_JMP64, _JMP32}:
            text = _jump(insn, helpers)
        else:
            text = _memory(insn)
        yield insn.number, text


def _constant(insn: _Insn, high: int) -> str:
    if insn.src in _PSEUDO:
        at = f" + {high}" if insn.src == _MAP_VALUE else ""
        return f"{_PSEUDO[insn.src]} {insn.imm}{at} ll"
    return f"{(high & 0xFFFFFFFF) << 32 | (insn.imm & 0xFFFFFFFF):#x} ll"


def _memory(insn: _Insn) -> str:
    size = _SIZES[insn.opcode & 0x18]
    kind = insn.opcode & 7
    if kind == _LDX:
        return f"r{insn.dst} = *({size} *)(r{insn.src} {insn.offset:+})"
    where = f"*({size} *)(r{insn.dst} {insn.offset:+})"
    if kind == _ST:
        return f"{where} = {insn.imm}"
    if kind == _STX and insn.opcode & 0xE0 == _ATOMIC:
        if insn.imm in _ATOMICS:
            return f"lock {where} {_ATOMICS[insn.imm]} r{insn.src}"
        name = _FETCHES.get(insn.imm, f"{insn.imm:#x}")
        return f"r{insn.src} = atomic_{name}({where}, r{insn.src})"
    if kind == _STX:
        return f"{where} = r{insn.src}"
    return f"opcode {insn.opcode:#x}"


def _arithmetic(insn: _Insn) -> str:
    register = "r" if insn.opcode & 7 == _ALU64 else "w"
    target = f"{register}{insn.dst}"
    operation = _ALU[insn.opcode >> 4]
    operand = f"{register}{insn.src}" if insn.opcode & 8 else str(insn.imm)
    if operation == "end":  # change of byte order; the size is the immediate
        order = "be" if insn.opcode & 8 else "le"
        return f"r{insn.dst} = {order}{insn.imm} r{insn.dst}"
    if operation == "neg":
        return f"{target} = -{target}"
    if operation == "=" and insn.offset:  # a move that extends the sign
        return f"{target} = (s{insn.offset}){operand}"
    return f"{target} {operation} {operand}"


def _jump(insn: _Insn, helpers: Mapping[int, str]) -> str:
    register = "r" if insn.opcode & 7 == _JMP64 else "w"
    operation = _JUMPS[insn.opcode >> 4]
    following = insn.number + 1
    if operation == "goto":
        # In the 32-bit class, the distance is in the immediate.
        return f"goto {following + (insn.offset if register == 'r' else insn.imm)}"
    if operation == "call" and insn.src == _LOCAL_CALL:
        return f"call {following + insn.imm}"
    if operation == "call" and insn.src == _KERNEL_CALL:
        return f"call kfunc#{insn.imm}"  # by its number in the kernel's BTF
    if operation == "call":
        return f"call {helpers.get(insn.imm, 'helper')}#{insn.imm}"
    if operation == "exit":
        return "exit"
    operand = f"{register}{insn.src}" if insn.opcode & 8 else str(insn.imm)
    return f"if {register}{insn.dst} {operation} {operand} goto {following + insn.offset}"
