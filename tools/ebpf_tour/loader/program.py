"""The one interface that both engines have: open, configure, load, attach, read, close."""

from __future__ import annotations

import abc
import os
from typing import TYPE_CHECKING, NamedTuple

import ebpf_tour

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ebpf_tour.loader.hooks import Hook


class Bytecode(NamedTuple):
    """A program's name and its instructions, 8 bytes each."""

    name: str
    insns: bytes


def sources() -> str:
    """Return the directory of the C files and objects; in a checkout a link to `bpf/`."""
    return f"{os.path.dirname(ebpf_tour.__file__)}/bpf"


class Globals(abc.ABC):
    """Integers that are handed to the program; set them before it is loaded."""

    @abc.abstractmethod
    def __setitem__(self, name: str, value: int) -> None:
        """Set one. Raises KeyError if the C source has no variable of that name."""


class Program(abc.ABC):
    """A BPF object: its programs, its maps and its global variables.

    The constructor opens it and loads nothing. Closing detaches and unloads
    everything; the `with` statement does so on every way out.
    """

    engine: str
    """ "libbpf" or "bcc"."""

    source: str
    """Path of the C file."""

    globals: Globals

    @abc.abstractmethod
    def load(self) -> None:
        """Hand programs and maps to the kernel, whose verifier checks them.

        Raises Error if it refuses, NotPermitted, Unsupported.
        """

    @abc.abstractmethod
    def attach(self) -> None:
        """Attach each program to its hook: from now on it runs.

        Raises Error, NotPermitted, Unsupported.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Detach and unload everything. May be called twice."""

    @abc.abstractmethod
    def bytecode(self) -> list[Bytecode]:
        """Return the instructions of each loaded program, 8 bytes each."""

    @abc.abstractmethod
    def verifier_log(self) -> str:
        """Return what the verifier wrote, if it was opened with `log=True`."""

    @abc.abstractmethod
    def program_fds(self) -> list[int]:
        """Return the file descriptors of the loaded programs."""

    @abc.abstractmethod
    def map_fds(self) -> list[int]:
        """Return the file descriptors of the maps."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Options(NamedTuple):
    """How to open a program.

    `hooks` are the ones to attach, `log` keeps the verifier's log, `verbose`
    shows the libraries' debug messages on stderr.
    """

    name: str
    hooks: tuple[Hook, ...]
    log: bool = False
    verbose: bool = False
