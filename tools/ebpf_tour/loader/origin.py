"""What a compiled object was made from: the C file and its headers, each with a checksum.

An object says nothing of the text that it was compiled from, and the times of files
say little: pip and git give them as they like. So `build.py` writes a section into the
object, with a line for each file:

    5f3a9c01 kills.bpf.c

A name is relative to the directory of the C file or of the package's headers. Those
of the compiler and of libbpf-dev have absolute ones, as they are of the machine that
compiled it.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING

from ebpf_tour.base.text import from_kernel, to_bytes
from ebpf_tour.userland.elf import BadElf, Elf

if TYPE_CHECKING:
    from collections.abc import Iterable

SECTION = ".ebpf_tour.sources"


def record(names: Iterable[str], directories: Iterable[str]) -> bytes:
    """Return the content of the section for these files."""
    directories = tuple(directories)
    lines = (f"{_checksum(name, directories)} {name}\n" for name in dict.fromkeys(names))
    return b"".join(map(to_bytes, lines))


def changed(path: str, directories: Iterable[str]) -> list[str]:
    """Return which files are there, but are not what the object at `path` was compiled from.

    Nothing of one that has no such section: another build has made it.
    """
    directories = tuple(directories)
    return [
        name
        for name, then in _recorded(path)
        if not os.path.isabs(name) and _checksum(name, directories) not in (then, "")
    ]


def is_current(path: str, directories: Iterable[str]) -> bool:
    """Say whether compiling the object at `path` once more would make nothing new of it."""
    directories = tuple(directories)
    recorded = _recorded(path)
    return bool(recorded) and all(
        then and _checksum(name, directories) == then for name, then in recorded
    )


def section(path: str, name: str) -> bytes | None:
    """Return the content of an object's section, None if it has none or is no object."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return Elf(fd).section(name)
    except BadElf:
        return None
    finally:
        os.close(fd)


def _recorded(path: str) -> list[tuple[str, str]]:
    """Return name and checksum of each file that the object at `path` was compiled from."""
    text = from_kernel(section(path, SECTION) or b"")
    lines = (line.partition(" ") for line in text.split("\n") if line)
    return [(name, checksum) for checksum, _, name in lines]


def _checksum(name: str, directories: Iterable[str]) -> str:
    """Return the checksum of a file in the first directory that has it, "" if none has.

    The compiler looks in the same order. A CRC is enough to notice an edit, and hashlib
    alone would take 2 ms of each start.
    """
    for directory in directories:
        try:
            with open(os.path.join(directory, name), "rb") as file:
                return f"{zlib.crc32(file.read()):08x}"
        except OSError:
            continue
    return ""
