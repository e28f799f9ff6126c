"""A process that is traced: what it has mapped, and when it ends.

Its files are opened through /proc/PID/map_files, which leads to the very file
that is mapped: that of a container, one that an update has replaced, and one
that is deleted. Nothing depends on names, which the process may have chosen to
mislead: what tells files apart is fstat(2).

An exec replaces all that. What was mapped before stays known, with the program's name.
What tells programs apart is where their stack begins, since that is a random number
which the kernel's programs can read, too: startstack in /proc/PID/stat.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error, NotPermitted
from ebpf_tour.base.text import from_kernel
from ebpf_tour.userland import opening
from ebpf_tour.userland.address_space import AddressSpace, Mapping, Module, parse
from ebpf_tour.userland.elf import Place
from ebpf_tour.userland.process import Process

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence

    from ebpf_tour.userland.child import Child

# Fields of /proc/PID/stat, see proc(5); the flag is from include/linux/sched.h.
_FLAGS, _START_STACK = 9, 28
_PF_KTHREAD = 0x00200000

# A process can have 65,530 (sysctl vm.max_map_count), and new ones all the time.
_MOST_MAPPINGS = 1 << 17

# The name of a mapped file that may not be opened: in a container, or by an ordinary user.
NOT_READABLE = "[file not readable]"


class Provider(NamedTuple):
    """A function of a mapped file: its name, where in the file it is, and its bytes.

    `exported` says whether other files can call it.
    """

    module: Module
    function: str
    offset: int
    size: int
    exported: bool

    @property
    def name(self) -> str:
        """The file's name."""
        return self.module.name

    @property
    def place(self) -> Place:
        """Where in the file the function begins."""
        return Place(self.offset)


class Handed:
    """What a child has got: files by device and inode, and for which of them debug files.

    `given_up` are those whose names took too long to find. Each is told by its number.
    """

    def __init__(self) -> None:
        self.modules: dict[tuple[int, int], Module] = {}
        self.debugged: set[int] = set()
        self.given_up: set[int] = set()


class Target(Process):
    """A process that can be traced, by its PID. Raises Error if it is none.

    The child without privileges gets what the process has mapped, so that nothing
    of it is read here. Several processes of one child have `handed` in common.
    """

    def __init__(self, pid: int, child: Child, handed: Handed | None = None) -> None:
        self._child = child
        self.handed = handed or Handed()
        self._modules: dict[tuple[int, int], Module] = {}
        self._space = AddressSpace("?")  # of the program that it runs
        self._spaces: dict[int, AddressSpace] = {}  # of each that it ran, by the stack's beginning
        self.is_complete = True  # whether all that it has mapped is known
        self._expected: dict[Module, str] = {}  # what it will have mapped, by path
        self.before = 0  # the program that it ran before that: not the one that is meant
        self.tid = pid
        super().__init__(pid)

    def _identify(self) -> None:
        """Find out its name, what it has mapped, and its number as its own PID namespace counts."""
        super()._identify()
        if self._stat(_FLAGS) & _PF_KTHREAD:
            raise Error(
                f"the process {self.pid} ({self.comm}) is a thread of the kernel",
                "name a process that runs a program; list them: ps --ppid 2 -N",
            )
        self.tid = self._living_thread()
        if not self.tid:
            raise self.ended()
        numbers = self._status().get("NSpid", str(self.pid)).split()
        self.pid_in_namespace = int(numbers[-1])
        self.pid_namespace = os.stat(f"/proc/{self.pid}/ns/pid")
        program = os.stat(f"/proc/{self.tid}/exe")
        self._program = program.st_dev, program.st_ino
        self.refresh()
        if not self._space.mappings:
            raise self.ended()

    def _stat(self, field: int) -> int:
        """Return a number from /proc/PID/stat, by what proc(5) counts. Raises OSError."""
        with open(f"/proc/{self.tid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[field - 3])

    def _living_thread(self) -> int:
        """Return a thread that has memory: the first one may have ended before the others.

        Returns 0 if there is none. Raises PermissionError.
        """
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for tid in (self.pid, *sorted(map(int, os.listdir(f"/proc/{self.pid}/task")))):
                with (
                    contextlib.suppress(FileNotFoundError, ProcessLookupError),
                    open(f"/proc/{tid}/maps", "rb") as file,
                ):
                    if file.readline():
                        return tid
        return 0

    def refresh(self) -> bool:
        """Look for what the process has mapped since the last time, and what it executed.

        Does nothing once it has ended, or may not be looked at: what is known by then
        stays known. Returns whether it runs another program now.
        """
        before = self._space
        with contextlib.suppress(PermissionError):
            # The thread may end and the process execute something meanwhile, but not all the time.
            for _ in range(3):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if self._look():
                        break
                self.tid = self._living_thread() or self.tid
        return self._space is not before

    def _look(self) -> bool:
        """Take over what the thread has mapped. Returns False if that is gone meanwhile.

        The file of the mappings stays that of the address space that it was opened for:
        it is empty once that is gone. Raises OSError.
        """
        program = self._stat(_START_STACK)
        with open(f"/proc/{self.tid}/maps", "rb") as file:
            # A path may hold any other character that ends a line elsewhere.
            mapped = dict.fromkeys(filter(None, map(parse, file.read().split(b"\n"))))
            space = self._spaces.get(program) or AddressSpace(self._read_comm())
            new = {m: self._module(m) for m in mapped if m not in space.mappings}
            if new or space is not self._space:
                file.seek(0)
                if not file.readline() or self._stat(_START_STACK) != program:
                    return False
        if new:
            self._make_room(len(new), space, mapped)
            space.add((mapping, module) for mapping, module in new.items() if module)
            self._spaces[program] = self._space = space
            self._modules = {m.file: m for m in space.mappings.values() if m.file}
            self.comm = space.comm
        return bool(mapped)

    def _make_room(self, number: int, space: AddressSpace, mapped: Container[Mapping]) -> None:
        """Forget what is not mapped any more if so many new mappings are too many."""
        if number + sum(len(space.mappings) for space in self._spaces.values()) > _MOST_MAPPINGS:
            self.is_complete = False
            self._spaces.clear()
            space.forget_all_but(mapped)

    def _module(self, mapping: Mapping) -> Module | None:
        """Return the file of a mapping, None if it is not mapped any more. Raises OSError."""
        name = from_kernel(os.fsencode(os.path.basename(mapping.path.removesuffix(" (deleted)"))))
        try:
            fd = opening.regular_file(opening.path_of_mapping(self.tid, mapping.start, mapping.end))
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise  # not the file's fault
            gone = error.errno in (errno.ENOENT, errno.ESRCH)
            return None if gone else Module(NOT_READABLE, -1, None)
        with opening.closing(fd):
            return self._handed(fd, name)

    def expect(self, paths: Sequence[str]) -> None:
        """Take files for those that the process has mapped, until it executes the first of them.

        They are in the order in which the dynamic linker looks for functions. Raises Error.
        """
        # The last one has the lowest number: see _order().
        self._expected = {self._file(path): path for path in reversed(paths)}
        self._modules = {module.file: module for module in self._expected if module.file}
        program = self._file(paths[0]).file
        assert program
        self._program = program
        self.before = self._stat(_START_STACK)

    def interpreter(self, path: str) -> tuple[str, bool]:
        """Return what the kernel starts in place of a file, "" if nothing, and if it is a script.

        Raises Error.
        """
        answer = self._child.ask("interpreter", self._file(path).number)
        try:
            return str(answer[0]), bool(answer[1])
        except (TypeError, LookupError):
            self._child.broken()

    def _file(self, path: str) -> Module:
        """Return a file that is not mapped yet, which the child gets. Raises Error."""
        try:
            with opening.closing(opening.regular_file(path)) as fd:
                return self._handed(fd, from_kernel(os.fsencode(os.path.basename(path))))
        except OSError as error:
            raise Error(
                f"cannot read {from_kernel(os.fsencode(path))}: {error.strerror}",
                "name a program that can be read",
            ) from None

    def _handed(self, fd: int, name: str) -> Module:
        """Return an open file as the child knows it, which gets it if need be. Raises OSError."""
        file = opening.identity(fd)
        if file not in self.handed.modules:
            self.handed.modules[file] = Module(name, len(self.handed.modules), file)
            self._child.tell("add", self.handed.modules[file].number, fd=fd)
        return self.handed.modules[file]

    def _not_readable(self) -> Error:
        return NotPermitted(
            f"may not open the files that the process {self.pid} ({self.comm}) has mapped",
            "run it outside the container, with CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE",
        )

    def files(self) -> Iterator[tuple[str, Module]]:
        """Yield each mapped file with a path to name it by. Raises NotPermitted.

        That is the plain one where it leads to the same file from here, which it
        does not if the process lives in a container.
        """
        if not self._modules:
            raise self._not_readable()
        for module in self._modules.values():
            mapping = next(m for m, known in self._space.mappings.items() if known is module)
            for path in (mapping.path, f"/proc/{self.tid}/root{mapping.path}"):
                with contextlib.suppress(OSError):
                    status = os.stat(path)  # only looked at, never opened
                    if (status.st_dev, status.st_ino) == module.file:
                        yield path, module
                        break
            else:
                yield opening.path_of_mapping(self.tid, mapping.start, mapping.end), module

    def find(self, program: int, address: int) -> set[tuple[Module, int]]:
        """Return the mapped files that an address was in, and where in each.

        `program` is where the stack of the program began that the process ran.
        """
        space = self._spaces.get(program)
        return space.places(address) if space else set()

    def runs(self, program: int) -> bool:
        """Say whether the process runs that program now, or did when it ended."""
        return self._spaces.get(program) is self._space

    def comm_of(self, program: int) -> str | None:
        """Return the name of the process while it ran that program, None if nobody looked."""
        space = self._spaces.get(program)
        return space.comm if space else None

    def providers(self, function: str) -> list[Provider]:
        """Return all that a call of that function may reach.

        The first one is what the dynamic linker most likely binds calls to: the first
        that it finds, which is the program itself, then a library that was loaded to
        replace the function, then the C library. Raises Error if there is none.
        """
        found = self.implementations(function)
        if not found:
            raise self._not_found(function)
        return found

    def implementations(self, *functions: str) -> list[Provider]:
        """Return all that calls of these functions may reach, but for indirect functions."""
        found = [provider for provider, indirect in self._ask_for(*functions) if not indirect]
        return sorted(found, key=self._order)

    def _ask_for(self, *functions: str) -> list[tuple[Provider, bool]]:
        """Return each function of one of these names, and whether it is an ifunc."""
        answer = self._child.ask("implementations", *functions)
        modules = {module.number: module for module in self._modules.values()}
        try:
            return [
                (
                    Provider(modules[number], str(name), int(offset), int(size), bool(exported)),
                    bool(indirect),
                )
                for number, name, offset, size, indirect, exported in answer
                if number in modules  # not in what was mapped by an earlier program
            ]
        except (TypeError, ValueError, LookupError):
            self._child.broken()

    @contextlib.contextmanager
    def path_of(self, provider: Provider) -> Iterator[str]:
        """Lend a path that leads to the file, whatever its name does: an open descriptor's.

        Raises Error if it is not mapped any more.
        """
        with opening.closing(self.open(provider.module)) as fd:
            yield f"/proc/self/fd/{fd}"

    def open(self, module: Module) -> int:
        """Return a descriptor of a mapped file. Raises Error if it is not mapped any more."""
        for path in self._paths(module):
            with contextlib.suppress(OSError):
                fd = opening.regular_file(path)
                if opening.identity(fd) == module.file:
                    return fd
                os.close(fd)
        raise self.ended()

    def _paths(self, module: Module) -> Iterator[str]:
        """Yield paths that lead to a file."""
        if module in self._expected:
            yield self._expected[module]
        for mapping, known in self._space.mappings.items():
            if known is module:
                yield opening.path_of_mapping(self.tid, mapping.start, mapping.end)

    def path_there(self, module: Module) -> str:
        """Return the path that the process has mapped a file by."""
        mapped = (m.path for m, known in self._space.mappings.items() if known is module)
        return from_kernel(os.fsencode(self._expected.get(module) or next(mapped)))

    def address_of(self, module: Module, place: Place) -> int:
        """Return where in its memory a place of a mapped file is, 0 if it is not mapped."""
        for mapping, known in self._space.mappings.items():
            address = mapping.start + place.offset - mapping.offset
            if known is module and mapping.start <= address < mapping.end:
                return address
        return 0

    def is_program(self, module: Module) -> bool:
        """Say whether a mapped file is the program that the process runs."""
        return module.file == self._program

    def _order(self, provider: Provider) -> tuple[int, int]:
        # What is loaded first is mostly mapped highest, so it has the last number.
        return self._rank(provider), -provider.module.number

    def _rank(self, provider: Provider) -> int:
        module = provider.module
        if self.is_program(module):
            return 0
        if not provider.exported:
            return 4  # only its own file can call it
        if module.name.startswith(("ld-linux", "ld-2", "ld.so", "ld64")):
            return 3  # older ones have a malloc for the time before the C library is there
        return 2 if module.name.startswith(("libc.", "libc-", "ld-musl")) else 1

    def _not_found(self, function: str) -> Error:
        who = f"the process {self.pid} ({self.comm})"
        if not self._modules:
            return self._not_readable()
        if self._child.ask("has_32_bit") is True:
            return Error(
                f"{who} is a 32-bit program, whose arguments are not in registers",
                "trace a 64-bit build of it",
            )
        indirect = [provider for provider, is_indirect in self._ask_for(function) if is_indirect]
        if indirect:
            return Error(
                f"{function} in {indirect[0].name} is an indirect function (ifunc): which code "
                "runs is decided when the program starts",
                "name the function that it chooses: --function NAME",
            )
        return Error(
            f"no file that {who} has mapped has a function {function}",
            "name another function (--function NAME), or run a build with symbols: the program "
            "is stripped, and only what it exports has a name"
            if self._is_stripped()
            else "name the function as this program calls it: --function NAME",
        )

    def _is_stripped(self) -> bool:
        return any(
            self._child.ask("is_stripped", module.number) is True
            for module in self._modules.values()
            if self.is_program(module)
        )
