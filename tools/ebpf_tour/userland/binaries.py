"""Programs and libraries as files: found by name, by pattern, or by a process that uses them."""

from __future__ import annotations

import contextlib
import glob
import os
import shlex
import shutil
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error, NotPermitted
from ebpf_tour.base.paths import absolute
from ebpf_tour.base.text import from_kernel
from ebpf_tour.userland import opening, reader
from ebpf_tour.userland.child import Child, ChildError
from ebpf_tour.userland.elf import Place, Usdt
from ebpf_tour.userland.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

# Where the dynamic linker looks; distributions differ in which of them they have.
_LIBRARIES = (
    *("/lib/*-linux-gnu", "/usr/lib/*-linux-gnu", "/lib64", "/usr/lib64", "/usr/local/lib"),
    *("/lib", "/usr/lib"),
)


# What the kinds of places are called, by the names that ebpf-probes has for them.
WHAT = {"uprobe": "function", "usdt": "USDT probe"}


class Binary:
    """An ELF file, which the child without privileges reads.

    `path` is its path as text that keeps every byte, as its names are. `number` is
    what the child knows it by, `file` its device and inode.
    """

    def __init__(
        self, path: str, number: int, child: Child, file: tuple[int, int] | None = None
    ) -> None:
        self.path = from_kernel(os.fsencode(path))
        self.file = file
        self._number = number
        self._child = child

    def functions(self) -> set[str]:
        """Return the names of the functions it defines, with those of its debug file.

        Raises Error if it is broken, ChildError.
        """
        self._add_debug_file()
        return set(map(str, self._ask("functions")))

    def _add_debug_file(self) -> None:
        for number, build in self._child.ask("build_ids"):
            if number == self._number:
                with contextlib.suppress(OSError), opening.closing(opening.debug_file(build)) as fd:
                    self._child.tell("add_debug", number, fd=fd)

    def places(self, kind: str, name: str) -> list[Place]:
        """Return where a function ("uprobe") or a USDT probe ("usdt") is; none if it has none.

        A probe may be at several places. Raises Error if the file is broken or the
        function an indirect one, ChildError.
        """
        if kind == "uprobe":
            self._add_debug_file()
        found = self._ask(f"places_of_{kind}", name)
        try:
            places = [
                Place(int(offset), int(semaphore), str(arguments), bool(indirect))
                for offset, semaphore, arguments, indirect, _ in found
            ]
        except (TypeError, ValueError):
            self._child.broken()
        if any(place.indirect for place in places):
            raise Error(
                f"{name} in {self.path} is an indirect function (ifunc): which code runs is "
                "decided when a program starts",
                "name the function that it chooses: --function NAME",
            )
        return places

    def has_no(self, kind: str, name: str) -> Error:
        """Return the error for a function or USDT probe that the file does not have."""
        stripped = kind == "uprobe" and self._child.ask("is_stripped", self._number)
        return Error(
            f"{self.path} has no {WHAT[kind]} {name}",
            ("it is stripped, so only what it exports has a name; " if stripped else "")
            + f"list what it has: ebpf-probes --binary {shlex.quote(self.path)} '{kind}:*'",
        )

    def reopen(self) -> int:
        """Return a descriptor of the very file that the child has read. Raises Error."""
        try:
            fd = opening.regular_file(self.path)
        except OSError as error:
            raise Error(f"cannot read {self.path}: {error.strerror}", "look at it: ls -l") from None
        if opening.identity(fd) != self.file:
            os.close(fd)
            raise Error(f"{self.path} was replaced just now", "try again")
        return fd

    def usdt(self) -> list[Usdt]:
        """Return its USDT probes. Raises Error if it is broken, ChildError."""
        found = self._ask("usdt")
        try:
            return [Usdt(str(p), str(n), str(a), int(address)) for p, n, a, address in found]
        except (TypeError, ValueError):
            self._child.broken()

    def _ask(self, request: str, *arguments: str) -> list[Any]:
        try:
            answer = self._child.ask(request, self._number, *arguments)
        except ChildError as error:
            raise ChildError(f"{self.path} cannot be read: {error}", error.hint) from None
        except Error as error:
            raise Error(f"{self.path} is broken: {error}", "reinstall it") from None
        if not isinstance(answer, list):
            self._child.broken()
        return answer


class Binaries(Closing):
    """The child that reads programs and libraries, and those that it has got."""

    def __init__(self, wake: int = -1) -> None:
        self._child = Child(reader.make, wake)
        self._number = 0

    def open(self, path: str) -> Binary:
        """Open a file. Raises Error if it is none that can be probed, NotPermitted."""
        shown = from_kernel(os.fsencode(path))
        try:
            with opening.closing(opening.regular_file(path)) as fd:
                self._number += 1
                file = opening.identity(fd)
                self._child.tell("add", self._number, fd=fd)
        except PermissionError:
            raise NotPermitted(f"may not read {shown}") from None
        except OSError as error:
            raise Error(
                f"cannot read {shown}: {error.strerror}",
                "name a program or a library, such as /usr/bin/python3",
            ) from None
        what, why = map(str, self._child.ask("what", self._number))
        if what != "elf":
            raise Error(
                f"{shown} has nothing to probe: {why}",
                "it is a script; name the program that runs it"
                if what == "script"
                else "name a 64-bit program or library",
            )
        return Binary(path, self._number, self._child, file)

    def find(self, name: str) -> list[Binary]:
        """Return the files that a name stands for.

        That is a path, a pattern for paths, or a program or library where the shell
        and the dynamic linker look for them: "bash", "libc". Raises Error.
        """
        if any(character in name for character in "*?[") and not os.path.exists(name):
            found = list(self._among(sorted(glob.glob(name))))
            if found:
                return found
            raise Error(f"no program or library matches {name}", "list what is there: ls -l")
        if "/" in name:
            return [self.open(absolute(name))]  # as it can be pasted anywhere
        program = shutil.which(name)
        if program:
            return [self.open(program)]
        libraries = (
            os.path.realpath(path)  # as /proc/PID/maps has it
            for directory in _LIBRARIES
            # libc.so is a text for the linker, libc.so.6 the library.
            for form in (f"{name}.so.*", f"{name}.so", name)
            for path in sorted(glob.glob(f"{directory}/{form}"))
        )
        for library in self._among(libraries):
            return [library]
        raise Error(
            f"there is no program or library {name}", "name it by its path: /usr/bin/python3"
        )

    def _among(self, paths: Iterable[str]) -> Iterator[Binary]:
        """Yield those that are none of scripts, directories, and whatever else there may be."""
        for path in paths:
            with contextlib.suppress(Error):
                yield self.open(path)

    def of_process(self, pid: int) -> list[Binary]:
        """Return the files that a process has mapped to execute. Raises Error."""
        with Target(pid, self._child) as target:
            return [Binary(path, module.number, self._child) for path, module in target.files()]

    def close(self) -> None:
        self._child.close()
