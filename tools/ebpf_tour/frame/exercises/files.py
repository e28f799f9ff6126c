"""The files of an exercise: those that come with the suite, and the learner's copies."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ebpf_tour
from ebpf_tour.base.caller import as_caller
from ebpf_tour.base.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = "ebpf-exercises"
_SOURCES = Path(ebpf_tour.__path__[0]) / "exercises/files"
_SOLVED = "solved"


def originals(name: str) -> dict[str, bytes]:
    """Return the files that a learner gets, by their names."""
    return _files(_SOURCES / name)


def _files(directory: Path) -> dict[str, bytes]:
    """Return the files in a directory, by their names.

    The Python is run by who runs this: another one does not have this package.
    """
    python = os.fsencode(sys.executable)
    files = {path.name: path.read_bytes() for path in sorted(directory.iterdir()) if path.is_file()}
    for file, content in files.items():
        if file.endswith(".py"):
            files[file] = content.replace(b"/usr/bin/env python3", python, 1)
    return files


class Copied(NamedTuple):
    """What a start did: the files that are new, and those that the learner had changed."""

    new: list[str]
    changed: list[str]


def start(name: str, directory: Path) -> Copied:
    """Copy the files of an exercise that are not there. Nothing is overwritten. Raises Error."""
    files = originals(name)
    with as_caller(), _explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        copied = Copied(missing(files, directory), changed(files, directory))
        for file in copied.new:
            _write(directory / file, files[file])
    return copied


def missing(files: dict[str, bytes], directory: Path) -> list[str]:
    """Return the names of the files that are not in a directory."""
    return [file for file in files if not (directory / file).exists()]


def changed(files: dict[str, bytes], directory: Path) -> list[str]:
    """Return the names of the files that are not as they came. Missing ones do not count."""
    return [
        file
        for file, content in files.items()
        if (directory / file).exists() and (directory / file).read_bytes() != content
    ]


def reset(name: str, directory: Path) -> dict[str, str]:
    """Put the files back as they came.

    What was changed stays beside them: returned are the names, and what each is called now.
    """
    files = originals(name)
    with as_caller(), _explained(directory):
        kept = {file: _free_name(directory, file) for file in changed(files, directory)}
        for file, other in kept.items():
            (directory / file).replace(directory / other)
        for file in missing(files, directory):
            _write(directory / file, files[file])
    return kept


def _free_name(directory: Path, file: str) -> str:
    """Return a name for a file to keep: with a ~ behind it, or ~2, ~3 if there are others."""
    numbers = itertools.chain([""], map(str, itertools.count(2)))
    return next(f"{file}~{n}" for n in numbers if not (directory / f"{file}~{n}").exists())


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    if path.suffix == ".py":
        path.chmod(path.stat().st_mode | 0o111)


def digest(name: str, directory: Path) -> str:
    """Return a number for the files as they are now, "" if one is missing."""
    total = hashlib.sha256()
    names = list(originals(name))
    with as_caller():
        for file in names:
            try:
                content = (directory / file).read_bytes()
            except OSError:
                return ""
            total.update(f"{file} {len(content)}\n".encode() + content)
    return total.hexdigest()


def solution(name: str) -> Iterator[str]:
    """Yield the lines of a diff: how the files look in the solved exercise."""
    before = originals(name)
    for file, after in solved(name).items():
        yield from difflib.unified_diff(
            *(before[file].decode().splitlines(), after.decode().splitlines()),
            *(file, f"{file} (solved)"),
            lineterm="",
        )


def solved(name: str) -> dict[str, bytes]:
    """Return the files that are different in the solved exercise."""
    return _files(_SOURCES / name / _SOLVED)


class _explained:  # noqa: N801 - used like a function
    """Turns an OSError into an Error about the directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if isinstance(error, OSError):
            raise Error(
                f"cannot use {self._directory}: {error.strerror}",
                "name another place: --directory DIRECTORY",
            ) from None
