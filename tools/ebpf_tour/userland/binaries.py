"""Programs and libraries as files: found by name, by pattern, or by a process that uses them."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error, NotPermitted
from ebpf_tour.base.paths import absolute
from ebpf_tour.base.text import from_kernel
from ebpf_tour.userland.elf import BadElf, Elf, Usdt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpf_tour.userland.target import Target

_DEBUG = "/usr/lib/debug/.build-id"

# Where the dynamic linker looks; distributions differ in which of them they have.
_LIBRARIES = (
    *("/lib/*-linux-gnu", "/usr/lib/*-linux-gnu", "/lib64", "/usr/lib64", "/usr/local/lib"),
    *("/lib", "/usr/lib"),
)


class Binary(Closing):
    """An ELF file; `path` is its path as text that keeps every byte, as its names are.

    Raises Error if it is none or cannot be read, NotPermitted.
    """

    def __init__(self, path: str, opened_as: str = "") -> None:
        self.path = from_kernel(os.fsencode(path))
        self._fd = -1
        try:
            self._fd = os.open(opened_as or path, os.O_RDONLY | os.O_CLOEXEC)
            self._elf = Elf(self._fd)
        except PermissionError:
            raise NotPermitted(f"may not read {self.path}") from None
        except OSError as error:
            self.close()
            raise Error(
                f"cannot read {self.path}: {error.strerror}",
                "name a program or a library, such as /usr/bin/python3",
            ) from None
        except BadElf as error:
            is_script = os.pread(self._fd, 2, 0) == b"#!"
            self.close()
            raise Error(
                f"{self.path} has nothing to probe: {error}",
                "it is a script; name the program that runs it"
                if is_script
                else "name a 64-bit program or library",
            ) from None

    def functions(self) -> set[str]:
        """Return the names of the functions it defines, with those of its debug file.

        Raises Error if it is broken.
        """
        with self._broken():
            names = self._elf.functions()
            number = self._elf.build_id()
        if number:
            path = f"{_DEBUG}/{number[:2]}/{number[2:]}.debug"
            with contextlib.suppress(Error), Binary(path) as debug:
                names |= debug._elf.functions()
        return names

    def usdt(self) -> list[Usdt]:
        """Return its USDT probes. Raises Error if it is broken."""
        with self._broken():
            return self._elf.usdt()

    @contextlib.contextmanager
    def _broken(self) -> Iterator[None]:
        try:
            yield
        except (BadElf, OSError) as error:
            raise Error(f"{self.path} is broken: {error}", "reinstall it") from None

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def find(name: str) -> list[Binary]:
    """Return the files that a name stands for, opened.

    That is a path, a pattern for paths, or a program or library where the shell
    and the dynamic linker look for them: "bash", "libc". Raises Error.
    """
    if any(character in name for character in "*?["):
        found = list(_binaries_among(sorted(glob.glob(name))))
        if found:
            return found
        raise Error(f"no program or library matches {name}", "see what there is: ls -l")
    if "/" in name:
        return [Binary(absolute(name))]  # as it can be pasted anywhere
    program = shutil.which(name)
    if program:
        return [Binary(program)]
    libraries = (
        os.path.realpath(path)  # as /proc/PID/maps has it
        for directory in _LIBRARIES
        # libc.so is a text for the linker, libc.so.6 the library.
        for form in (f"{name}.so.*", f"{name}.so", name)
        for path in sorted(glob.glob(f"{directory}/{form}"))
    )
    for library in _binaries_among(libraries):
        return [library]
    raise Error(f"there is no program or library {name}", "name it by its path: /usr/bin/python3")


def _binaries_among(paths: Iterable[str]) -> Iterator[Binary]:
    """Yield those that are none of scripts, directories, and whatever else there may be."""
    for path in paths:
        with contextlib.suppress(Error):
            yield Binary(path)


def of_process(target: Target) -> Iterator[Binary]:
    """Yield the files that a process has mapped to execute."""
    for path, opened_as in target.files():
        with contextlib.suppress(Error):
            yield Binary(path, opened_as)
