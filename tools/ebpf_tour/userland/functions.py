"""A function to put a breakpoint on: which file has it, where in it, and who is to hit it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Function(NamedTuple):
    """A function in a file.

    `path` is an open descriptor's, so it leads to that very file, whatever happens
    to its name. `file` is the name. With `pid`, only that process is meant: its
    PID as its own PID namespace counts, and the ID of a thread that lives.
    `namespace` is /proc/PID/ns/pid.
    """

    path: str
    offset: int
    file: str
    namespace: os.stat_result
    pid: int = 0
    tid: int = -1


@contextlib.contextmanager
def in_file(function: str, binary: str, wake: int) -> Iterator[Function]:
    """Find a function in a program or library, by its name or path. Raises Error."""
    from ebpf_tour.userland import opening
    from ebpf_tour.userland.binaries import Binaries

    with Binaries(wake) as binaries:
        file, *_ = binaries.find(binary)
        offset = file.offset_of(function)
        with opening.closing(file.reopen()) as fd:
            name, namespace = os.path.basename(file.path), os.stat("/proc/self/ns/pid")
            yield Function(f"/proc/self/fd/{fd}", offset, name, namespace)


@contextlib.contextmanager
def in_process(function: str, pid: int, wake: int) -> Iterator[Function]:
    """Find the function that a process calls by that name. Raises Error."""
    from ebpf_tour.userland import reader
    from ebpf_tour.userland.child import Child
    from ebpf_tour.userland.target import Target

    with Child(reader.make, wake) as child, Target(pid, child) as target:
        provider = target.providers(function)[0]
        path = target.path_of(provider)
        number, namespace = target.pid_in_namespace, target.pid_namespace
        yield Function(path, provider.offset, provider.name, namespace, number, target.tid)
