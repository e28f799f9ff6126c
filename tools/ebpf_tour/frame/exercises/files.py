"""The files of an exercise: those that come with the suite, and the learner's copies."""

from __future__ import annotations

import difflib
import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

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


def start(name: str, directory: Path) -> list[str]:
    """Copy the files of an exercise, and return the names of those that were not there.

    Raises Error if one of them was changed: nothing is overwritten.
    """
    files = originals(name)
    with as_caller(), _explained(directory):
        differ = changed(files, directory)
        if differ:
            raise Error(
                f"{directory} has files that you changed: {', '.join(differ)}",
                f"check them: ebpf-tour exercises check {name}; to begin again: ebpf-tour "
                f"exercises reset {name}",
            )
        missing = [file for file in files if not (directory / file).exists()]
        directory.mkdir(parents=True, exist_ok=True)
        for file in missing:
            _write(directory / file, files[file])
    return missing


def changed(files: dict[str, bytes], directory: Path) -> list[str]:
    """Return the names of the files that are not as they came. Missing ones do not count."""
    return [
        file
        for file, content in files.items()
        if (directory / file).exists() and (directory / file).read_bytes() != content
    ]


def reset(name: str, directory: Path) -> list[str]:
    """Put the files back as they came, and return the names of those that were not so.

    What was changed stays beside them, with a ~ behind its name.
    """
    files = originals(name)
    with as_caller(), _explained(directory):
        differ = changed(files, directory)
        for file in differ:
            (directory / file).replace(directory / f"{file}~")
        directory.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            if not (directory / file).exists():
                _write(directory / file, content)
    return differ


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
