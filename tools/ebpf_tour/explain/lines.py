"""Which line of C each instruction was made from.

The compiler writes BTF line info: for libbpf, in the object's section .BTF.ext. BCC
exports none, but prints it with the source.
"""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ebpf_tour.loader.btf import Btf

# struct btf_ext_header, from libbpf's btf.h: magic, version, flags, its own
# length; offset and length of the function info and of the line info.
_HEADER = struct.Struct("=HBBI4I")

# The name by which BCC knows the text that it compiles, whatever file it is from.
BCC_MAIN = "/virtual/main.c"

_BCC_FUNCTION = re.compile(r"^Disassembly of function (\w+)\n", re.MULTILINE)
_BCC_ENTRY = re.compile(r"^; .* // Line +(\d+)$|^ *(\d+):\t", re.MULTILINE)


class SourceLine(NamedTuple):
    """A line of C: the name of its file, its number, its text without indentation."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.text} @ {self.file}:{self.number}"


Place = tuple[str, int]
"""A file and the number of a line in it."""

Lines = dict[int, "SourceLine | None"]
"""By the number of an instruction; those between have the same line. None: nobody knows."""


def of_object(btf: Btf, ext: bytes) -> dict[str, Lines]:
    """Return the lines of each function of an object, from its .BTF and .BTF.ext."""
    _, _, _, length, funcs_at, funcs_length, lines_at, lines_length = _HEADER.unpack_from(ext)
    functions = {
        (section, offset): btf.type_name(kind)  # struct bpf_func_info: insn_off, type_id
        for section, (offset, kind) in _records(ext, length + funcs_at, funcs_length, 2)
    }
    found: dict[str, Lines] = {name: {} for name in functions.values()}
    # struct bpf_line_info: insn_off, file_name_off, line_off, line_col
    for section, record in _records(ext, length + lines_at, lines_length, 4):
        offset, file, text, position = record
        start = max(at for of, at in functions if of == section and at <= offset)
        if position >> 10:  # the low bits are the column; line 0 is the compiler's own
            found[functions[section, start]][(offset - start) // 8] = SourceLine(
                os.path.basename(btf.text(file)), position >> 10, btf.text(text).strip()
            )
    return found


def _records(ext: bytes, at: int, length: int, words: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the records of one kind, each with the section that it is about."""
    (size,) = struct.unpack_from("=I", ext, at)
    end = at + length
    at += 4
    while at < end:
        section, count = struct.unpack_from("=2I", ext, at)  # struct btf_ext_info_sec
        at += 8
        for _ in range(count):
            yield section, struct.unpack_from(f"={words}I", ext, at)
            at += size


def of_bcc(said: str, text: str, places: Sequence[Place]) -> dict[str, Lines]:
    """Return the same from what BCC prints with DEBUG_SOURCE.

    It has compiled what `numbered()` made of `text` as the file BCC_MAIN; `places` are
    where each line of the text is from.
    """
    texts = text.split("\n")
    _, *parts = _BCC_FUNCTION.split(said)
    found: dict[str, Lines] = {}
    for function, listing in zip(parts[::2], parts[1::2], strict=True):
        lines: Lines = {}
        number = 0
        for line, insn in _BCC_ENTRY.findall(listing):
            if line:
                number = int(line)
            elif 0 < number <= len(texts):
                file, there = places[number - 1]
                lines[int(insn)] = SourceLine(
                    os.path.basename(file), there, texts[number - 1].strip()
                )
        found[function] = lines
    return found


def in_one_file(text: str, name: str) -> list[Place]:
    """Return the places of the lines of a text that is a file called `name`."""
    return [(name, number) for number in range(1, text.count("\n") + 2)]


def numbered(text: str, places: Sequence[Place]) -> str:
    """Return C text that tells the compiler where its lines are from, statement by statement.

    BCC inserts structures before the functions, joins lines, and counts those
    that it has then. `places` has the file and the number of each line.
    """
    lines: list[str] = []
    in_comment = False
    expected: Place | None = None
    for line, place in zip(text.split("\n"), places, strict=True):
        name, number = place
        if line == "{":  # the function's first instructions count for its head, above
            lines.append(f'#line {number - 1} "{name}"')
        elif place != expected:
            lines.append(f'#line {number} "{name}"')
        lines.append(line)
        expected = (name, number + 1)
        if "/*" in line or "*/" in line:
            in_comment = line.rfind("/*") > line.rfind("*/")
        directive = line.startswith("#") and not line.endswith("\\")
        if (directive or line.endswith(("{", ";"))) and not in_comment:
            expected = None
    return "\n".join(lines)
