"""The text of a C program: its first file, and our own headers that it includes.

Our headers are those that the C names in quotes and that exist beside the file or
among the package's. BCC gets their text in place of the #include: it rewrites its dialect
in the text that it compiles, and in no header (clang's Rewriter gives it the main file).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpf_tour.explain.lines import Place

# The kernel's types. For libbpf it is our own file, but nobody's program.
_VMLINUX_H = "vmlinux.h"

# Comments and literals, which may hold what looks like code.
_NO_CODE = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.DOTALL | re.VERBOSE
)
_INCLUDE = re.compile(r'[ \t]*#[ \t]*include[ \t]*"([^"]+)"')
_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*include\b")
_ONCE = re.compile(r"[ \t]*#[ \t]*pragma[ \t]+once\b")


class Source(NamedTuple):
    """A C program.

    `text` has each included header in its place, and `places` where each of its lines
    is from. `files` are the texts as they are, by name, in the order of their first line.
    """

    text: str
    places: list[Place]
    files: dict[str, str]

    def shown(self) -> str:
        """Return the first file, and below it the headers, each under a line with its name."""
        (_, first), *headers = self.files.items()
        return first + "".join(f"\n/* ===== {name} ===== */\n{text}" for name, text in headers)


def read(path: str, directories: tuple[str, ...]) -> Source:
    """Read a C file and its headers, which the compiler looks for in these directories, too.

    Raises FileNotFoundError if the C file itself is not there.
    """
    with open(path, encoding="utf-8") as file:
        text = file.read()
    reader = _Reader(directories)
    name = os.path.basename(path)
    lines = list(reader.lines(path, name, text))
    return Source("\n".join(line for line, _ in lines), [at for _, at in lines], reader.files)


class _Reader:
    """Follows the #include lines of one program."""

    def __init__(self, directories: tuple[str, ...]) -> None:
        self.files: dict[str, str] = {}
        self._directories = directories
        self._open: list[str] = []

    def lines(self, path: str, name: str, text: str) -> Iterator[tuple[str, Place]]:
        """Yield each line of a file, of what it includes as well, and where it is from."""
        self.files.setdefault(name, text)
        self._open.append(path)
        lines = zip(text.split("\n"), code_of(text).split("\n"), strict=True)
        for number, (line, code) in enumerate(lines, 1):
            include = _INCLUDE.match(line) if _DIRECTIVE.match(code) else None
            found = self._find(include[1], path) if include else None
            yield ("" if found else line), (name, number)
            if found and found not in self._open:
                yield from self._header(found)
        self._open.pop()

    def _header(self, path: str) -> Iterator[tuple[str, Place]]:
        """Yield the lines of a header. In the main file, #pragma once would mean nothing."""
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            text = file.read()
        name = self._name(path)
        self.files.setdefault(name, text)
        guard = f"EBPF_TOUR_HEADER_{list(self.files).index(name)}"
        guarded = False
        at = (name, 1)
        for line, at in self.lines(path, name, text):
            if at[0] == name and _ONCE.match(line):
                guarded = True
                yield f"#ifndef {guard}", at
            else:
                yield line, at
        if guarded:
            yield f"#define {guard}", at
            yield "#endif", at

    def _find(self, name: str, includer: str) -> str | None:
        """Return the path of a header as the compiler finds it; None if it is not ours."""
        if os.path.basename(name) == _VMLINUX_H:
            return None
        for directory in (os.path.dirname(includer), *self._directories):
            path = os.path.normpath(os.path.join(directory, name))
            if os.path.isfile(path) and os.access(path, os.R_OK, effective_ids=True):
                return path
        return None

    def _name(self, path: str) -> str:
        """Return how a header is called: below one of the directories, as from there."""
        for directory in self._directories:
            if path.startswith(f"{directory}/"):
                return path.removeprefix(f"{directory}/")
        return os.path.relpath(path, self._directories[0])


def code_of(text: str) -> str:
    """Return a C file with blanks in place of comments and literals."""
    return _NO_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
