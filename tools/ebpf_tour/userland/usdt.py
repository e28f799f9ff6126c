"""A USDT probe to attach to: which file has it, where in it, and who is to hit it."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator


class Probe(NamedTuple):
    """A USDT probe in a file.

    `path`, `file`, `namespace`, `pid` and `tid` are as in userland/functions.py.
    `places` are where it is, each with its semaphore (0: none) and its arguments,
    as the note has them.
    """

    path: str
    places: list[tuple[int, int, str]]
    file: str
    namespace: os.stat_result
    pid: int = 0
    tid: int = -1


@contextlib.contextmanager
def in_file(provider: str, name: str, binary: str, wake: int, pid: int = 0) -> Iterator[Probe]:
    """Find a probe in a program or library, by its name or path; for one process or all.

    `pid` is one of our own PID namespace, 0: all. Raises Error.
    """
    from ebpf_tour.userland import opening
    from ebpf_tour.userland.binaries import Binaries

    with Binaries(wake) as binaries:
        for file in binaries.find(binary):
            places = file.usdt_places(provider, name)
            if places:
                with opening.closing(file.reopen()) as fd:
                    shown, namespace = os.path.basename(file.path), os.stat("/proc/self/ns/pid")
                    yield Probe(f"/proc/self/fd/{fd}", places, shown, namespace, pid, pid or -1)
                return
    raise _not_found(f"{binary} has no", provider, name, f"--binary {shlex.quote(binary)}")


def own_python() -> str:
    """Return the file with our own interpreter: a library, where Python was built so."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        paths = [line.split(None, 5)[-1].rstrip("\n") for line in file if "/libpython" in line]
    return next(iter(paths), os.path.realpath(sys.executable))


@contextlib.contextmanager
def in_process(provider: str, name: str, pid: int, wake: int) -> Iterator[Probe]:
    """Find a probe in the files that a process has mapped. Raises Error."""
    from ebpf_tour.userland import reader
    from ebpf_tour.userland.binaries import Binary
    from ebpf_tour.userland.child import Child, ChildError
    from ebpf_tour.userland.target import Provider, Target

    with Child(reader.make, wake) as child, Target(pid, child) as target:
        for path, module in target.files():
            try:
                places = Binary(path, module.number, child).usdt_places(provider, name)
            except ChildError:
                raise
            except Error:  # a broken file, which another one may make up for
                continue
            if places:
                open_path = target.path_of(Provider(module, 0))
                number, namespace = target.pid_in_namespace, target.pid_namespace
                yield Probe(open_path, places, module.name, namespace, number, target.tid)
                return
    raise _not_found(
        f"no file that the process {pid} has mapped has a", provider, name, f"-p {pid}"
    )


def _not_found(who: str, provider: str, name: str, files: str) -> Error:
    return Error(
        f"{who} USDT probe {provider}:{name}",
        f"see which there are: ebpf-probes {files} 'usdt:*'",
    )
