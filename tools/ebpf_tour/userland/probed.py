"""What to put a breakpoint on: places in a file, found by name, and the process to trace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error
from ebpf_tour.userland import reader
from ebpf_tour.userland.binaries import WHAT, Binaries, Binary
from ebpf_tour.userland.child import Child, ChildError
from ebpf_tour.userland.target import Target

if TYPE_CHECKING:
    from ebpf_tour.userland.address_space import Module
    from ebpf_tour.userland.elf import Place


class Probed(Closing):
    """Places in a file that is held open, so that `path` leads to it whatever its name does.

    `file` is that name. With `pid`, one process is meant: its PID as its own PID
    namespace counts, and the ID of a thread that lives. `namespace` is /proc/PID/ns/pid.
    """

    def __init__(
        self, fd: int, file: str, places: list[Place], target: Target | None = None
    ) -> None:
        self._fd = fd
        self.path = f"/proc/self/fd/{fd}"
        self.file = file
        self.places = places
        self.pid = target.pid_in_namespace if target else 0
        self.tid = target.tid if target else -1
        self.namespace = target.pid_namespace if target else os.stat("/proc/self/ns/pid")

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def in_file(kind: str, name: str, binary: str, wake: int) -> Probed:
    """Find a function ("uprobe") or probe ("usdt") in a file, by its name or path, for everyone.

    Raises Error if it is not there.
    """
    with Binaries(wake) as binaries:
        files = binaries.find(binary)
        for file in files:
            if places := file.places(kind, name):
                return Probed(file.reopen(), os.path.basename(file.path), places)
        raise files[0].has_no(kind, name)


def in_process(kind: str, name: str, pid: int, wake: int) -> Probed:
    """Find a function ("uprobe") or probe ("usdt") in what a process has mapped, for it alone.

    Raises Error if it is not there.
    """
    with Child(reader.make, wake) as child, Target(pid, child) as target:
        find = _function if kind == "uprobe" else _usdt
        module, places = find(name, target, child)
        known = [place._replace(address=target.address_of(module, place)) for place in places]
        return Probed(target.open(module), module.name, known, target)


def _function(name: str, target: Target, child: Child) -> tuple[Module, list[Place]]:
    """Return the file with the function that the process calls by that name.

    That is one of the program, also one that only the program itself can call, or what
    the dynamic linker finds. Raises Error.
    """
    for path, module in target.files():
        if target.is_program(module):
            program = Binary(path, module.number, child)
            if places := program.places("uprobe", name):
                return module, places
    provider = target.providers(name)[0]
    return provider.module, [provider.place]


def _usdt(name: str, target: Target, child: Child) -> tuple[Module, list[Place]]:
    """Return the first file with the probe. Raises Error."""
    for path, module in target.files():
        try:
            if places := Binary(path, module.number, child).places("usdt", name):
                return module, places
        except ChildError:
            raise
        except Error:  # a broken file, which another one may make up for
            continue
    raise Error(
        f"no file that the process {target.pid} ({target.comm}) has mapped has a {WHAT['usdt']} "
        f"{name}",
        f"list what there is: ebpf-probes -p {target.pid} 'usdt:*'",
    )
