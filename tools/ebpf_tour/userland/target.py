"""A process that is traced: what it has mapped, and when it ends.

Its files are opened through /proc/PID/map_files, which leads to the very file
that is mapped: that of a container, one that an update has replaced, and one
that is deleted. So nothing here depends on names.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error
from ebpf_tour.base.text import from_kernel
from ebpf_tour.userland.elf import BadElf, Elf, Function, Not64Bit
from ebpf_tour.userland.process import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

# From include/linux/sched.h: a flag in /proc/PID/stat.
_PF_KTHREAD = 0x00200000


class Mapping(NamedTuple):
    """A part of a file in the memory of a process, as a line in /proc/PID/maps."""

    start: int
    end: int
    offset: int
    file: tuple[str, int]
    path: str


class Provider(NamedTuple):
    """A mapped file that has the function: where the kernel is to probe it."""

    path: str
    offset: int
    name: str


class Module:
    """A file that is mapped for execution. It stays open, so it outlives the process."""

    def __init__(self, name: str, path: str, fd: int) -> None:
        self.name = name
        self.path = path
        self._fd = fd
        self.elf: Elf | None = None
        self.is_32_bit = False
        try:
            self.elf = Elf(fd)
        except Not64Bit:
            self.is_32_bit = True
        except (BadElf, OSError):
            pass

    @property
    def inode(self) -> tuple[int, int]:
        status = os.fstat(self._fd)
        return status.st_dev, status.st_ino

    def close(self) -> None:
        os.close(self._fd)


class Target(Process):
    """A process that can be traced, by its PID. Raises Error if it is none."""

    def __init__(self, pid: int) -> None:
        self._modules: dict[tuple[str, int], Module] = {}
        self._mappings: dict[Mapping, None] = {}
        super().__init__(pid)

    def _identify(self) -> None:
        """Find out its name, what it has mapped, and its number as its own PID namespace counts."""
        super()._identify()
        flags = self._proc("stat").rpartition(b")")[2].split()[6]
        if int(flags) & _PF_KTHREAD:
            raise Error(
                f"the process {self.pid} ({self.comm}) is a thread of the kernel",
                "name a process that runs a program: ps --ppid 2 -N shows those",
            )
        numbers = self._status().get("NSpid", str(self.pid)).split()
        self.pid_in_namespace = int(numbers[-1])
        self.pid_namespace = os.stat(f"/proc/{self.pid}/ns/pid")
        program = os.stat(f"/proc/{self.pid}/exe")
        self._program = program.st_dev, program.st_ino
        self.refresh()
        if not self._mappings:
            raise self.ended()

    def refresh(self) -> None:
        """Look for what the process has mapped since the last time.

        Does nothing once it has ended: what is known by then stays known.
        """
        try:
            lines = self._proc("maps").splitlines()
        except (ProcessLookupError, FileNotFoundError):
            return
        for line in lines:
            mapping = _parse(line)
            if mapping and mapping not in self._mappings:
                self._mappings[mapping] = None
                if mapping.file not in self._modules:
                    self._open_module(mapping)

    def _open_module(self, mapping: Mapping) -> None:
        path = mapping.path.removesuffix(" (deleted)")
        name = from_kernel(os.fsencode(os.path.basename(path)))
        for path in (
            f"/proc/{self.pid}/map_files/{mapping.start:x}-{mapping.end:x}",
            # Without CAP_SYS_ADMIN; not for deleted files.
            f"/proc/{self.pid}/root{mapping.path}",
        ):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    raise  # not the file's fault
                continue
            self._modules[mapping.file] = Module(name, path, fd)
            return

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield for each mapped file a path to name it by, and one to open it by.

        The first is the plain one where that leads to the same file from here,
        which it does not if the process lives in a container.
        """
        for number, module in self._modules.items():
            plain = next(mapping.path for mapping in self._mappings if mapping.file == number)
            for path in (plain, f"/proc/{self.pid}/root{plain}"):
                with contextlib.suppress(OSError):
                    status = os.stat(path)
                    if (status.st_dev, status.st_ino) == module.inode:
                        yield path, module.path
                        break
            else:
                yield module.path, module.path

    def find(self, address: int) -> tuple[Module, int] | None:
        """Return the mapped file that an address lies in, and where in the file."""
        for mapping in reversed(self._mappings):
            if mapping.start <= address < mapping.end and mapping.file in self._modules:
                module = self._modules[mapping.file]
                return module, address - mapping.start + mapping.offset
        return None

    def providers(self, function: str) -> list[Provider]:
        """Return the mapped files with that function; the first one is what is called.

        The dynamic linker binds every call to the first that it finds: the
        program itself, then a library that was loaded to replace the function,
        then the C library. Raises Error if there is none.
        """
        found: list[tuple[int, Provider]] = []
        indirect: list[str] = []
        for module in self._modules.values():
            symbol = _exported(module, function)
            if symbol is None or module.elf is None:
                continue
            if symbol.indirect:
                indirect.append(module.name)
                continue
            try:
                offset = module.elf.offset_of(symbol.address)
            except BadElf:
                continue
            found.append((self._rank(module), Provider(module.path, offset, module.name)))
        if not found:
            raise self._not_found(function, indirect)
        return [provider for _, provider in sorted(found, key=lambda item: item[0])]

    def _rank(self, module: Module) -> int:
        if module.inode == self._program:
            return 0
        if module.name.startswith(("ld-linux", "ld-2", "ld.so", "ld64")):
            return 3  # older ones have a malloc for the time before the C library is there
        return 2 if module.name.startswith(("libc.", "libc-", "ld-musl")) else 1

    def _not_found(self, function: str, indirect: list[str]) -> Error:
        who = f"the process {self.pid} ({self.comm})"
        if any(module.is_32_bit for module in self._modules.values()):
            return Error(
                f"{who} is a 32-bit program, whose arguments are not in registers",
                "trace a 64-bit build of it",
            )
        if indirect:
            return Error(
                f"{function} in {indirect[0]} is an indirect function (ifunc): which code runs "
                "is decided when the program starts",
                "name the function that it chooses: --function NAME",
            )
        return Error(
            f"nothing that {who} has mapped has a function {function}",
            "it may be a static program without symbols, or name its allocator otherwise: "
            "--function NAME",
        )

    def close(self) -> None:
        """Close the files. May be called twice."""
        while self._modules:
            self._modules.popitem()[1].close()
        super().close()


def _exported(module: Module, function: str) -> Function | None:
    try:
        return module.elf.exported(function) if module.elf else None
    except (BadElf, OSError):
        return None


def _parse(line: bytes) -> Mapping | None:
    """Return a line of /proc/PID/maps, or None if it is no file mapped for execution."""
    # start-end perms offset dev inode path
    fields = line.split(None, 5)
    if len(fields) < 6 or b"x" not in fields[1] or not fields[5].startswith(b"/"):
        return None
    start, _, end = fields[0].partition(b"-")
    return Mapping(
        int(start, 16),
        int(end, 16),
        int(fields[2], 16),
        (fields[3].decode(), int(fields[4])),
        os.fsdecode(fields[5]),
    )
