"""The one interface that both engines have: open, configure, load, attach, read, close."""

from __future__ import annotations

import abc
import contextlib
import os
import time

import ebpf_tour
from ebpf_tour.errors import Error
from ebpf_tour.loader import features
from ebpf_tour.loader.closing import Closing
from ebpf_tour.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ebpf_tour.loader.hooks import Hook, Uprobe
    from ebpf_tour.loader.lines import Lines
    from ebpf_tour.loader.maps import Map
    from ebpf_tour.loader.reader import Reader
    from ebpf_tour.session import Session


def sources() -> str:
    """Return the directory of the package's C files and objects, in a checkout a link to `bpf/`."""
    return f"{os.path.dirname(ebpf_tour.__file__)}/bpf"


PERF_EVENT_ARRAY = 4  # BPF_MAP_TYPE_PERF_EVENT_ARRAY

# Once events come, how long they gather before they are read: a wake-up for each
# event costs more than the event itself.
_BATCH_SECONDS = 0.01


class Settings(abc.ABC):
    """Integers by name that shape a program before it is loaded."""

    @abc.abstractmethod
    def __setitem__(self, name: str, value: int) -> None:
        """Set one. Raises KeyError if the C source has nothing of that name."""


class Program(Closing, abc.ABC):
    """A BPF object: its programs, its maps and its global variables.

    The constructor opens it and loads nothing. Closing detaches and unloads
    everything; the `with` statement does so on every way out.
    """

    engine: str
    """ "libbpf" or "bcc"."""

    source: str
    """Path of the C file."""

    via: str
    """Which of the tool's ways to see its event was chosen: a key of `Tool.via`."""

    globals: Settings

    max_entries: Settings
    """By map name, how many entries it gets (a ring buffer: bytes); set before load."""

    perf_bytes: int
    """Size of the perf buffer of each CPU, a power of two; set before attach."""

    runs: int | None = None
    """How often its programs ran, once they are unloaded; None if nobody has counted.

    Only with `Options.count_runs`, and where the kernel lets us.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.via = options.via
        self.perf_bytes = 64 * os.sysconf("SC_PAGE_SIZE")  # as in libbpf-bootstrap
        self._readers: dict[int, Reader] = {}
        self._counting = -1

    def load(self) -> None:
        """Hand programs and maps to the kernel, whose verifier checks them.

        Raises Error if it refuses, NotPermitted, Unsupported. With --show, it
        shows what was loaded and raises Finished.
        """
        if not self._options.show:
            self._load()
            return
        from ebpf_tour.loader import show

        try:
            self._load()
        except Error as error:
            if self._options.show == "log":
                show.show_log_of_refused(self, error)
            raise
        show.show(self, self._options.show, json=self._options.json)

    @abc.abstractmethod
    def omit_map(self, name: str) -> None:
        """Do not create a map that the configured program does not use."""

    def reuse_map(self, name: str, path: str, key_bytes: int) -> None:
        """Take the hash that is pinned at `path` for the one that the C source declares.

        Before load. Raises UsageError if it is not there or has other keys, NotPermitted.
        """
        from ebpf_tour.loader.maps import open_pinned_hash

        fd = open_pinned_hash(path, key_bytes)
        try:
            self._reuse_map(name, path, fd)
        finally:
            os.close(fd)

    @abc.abstractmethod
    def _reuse_map(self, name: str, path: str, fd: int) -> None:
        """Do what `reuse_map()` is for; `fd` is the open map."""

    @abc.abstractmethod
    def _load(self) -> None:
        """Do what `load()` is for."""

    def _refused(self, function: str, log: str, number: int) -> Error:
        """Return the error for a program that the verifier refuses, by its log and errno."""
        from ebpf_tour.loader.verifier import TOO_LONG, reason, refusal
        from ebpf_tour.session import say
        from ebpf_tour.text import printable_lines

        if features.NO_HELPER in log and (why := features.explain_lockdown("load BPF programs")):
            return why
        if self._options.show == "log" and reason(log, number) == TOO_LONG:
            return Error(
                f"the verifier has more to say about {function} than the 16 MiB of its log",
                "above is what there is of it; without --show log, the kernel may take the program",
            )
        error = refusal(function, log, number, self.source_lines(function))
        if self._options.verbose:
            say(printable_lines(log))
        elif self._options.show != "log":
            error.hint = f"{error.hint}; " if error.hint else ""
            error.hint += "-v shows the verifier's whole log"
        return error

    def attach(self) -> None:
        """Attach each program to its hook: from now on it runs.

        The last hook of the record comes first, and is detached last: where
        one marks a beginning and the next one its end, every beginning that is
        seen has an end.

        Raises Error, NotPermitted, Unsupported.
        """
        # A perf buffer takes nothing before it is open, unlike a ring buffer.
        for fd in self._perf_event_arrays():
            self._readers[fd] = self._open_reader(fd)
        if self._options.count_runs:
            from ebpf_tour.loader import syscall

            with contextlib.suppress(OSError):
                self._counting = syscall.count_runs()
        self._attach()

    @abc.abstractmethod
    def _attach(self) -> None:
        """Do what `attach()` is for."""

    @abc.abstractmethod
    def attach_uprobe(self, hook: Uprobe, path: str, offset: int, pid: int = -1) -> None:
        """Attach a uprobe to `offset` in the file at `path`, for one process or all.

        Raises Error, NotPermitted, Unsupported.
        """

    @abc.abstractmethod
    def detach(self) -> None:
        """Detach every program; maps keep their content. May be called twice."""

    @abc.abstractmethod
    def map(self, name: str) -> Map:
        """Return a map of the loaded object. Raises KeyError if there is none."""

    @abc.abstractmethod
    def counter(self, name: str) -> int:
        """Return a u64 that the program counts in.

        A global variable in the libbpf dialect, a BPF_ARRAY() with one entry
        in the BCC dialect.
        """

    @abc.abstractmethod
    def map_fd(self, name: str) -> int:
        """Return the file descriptor of a map. Raises KeyError if there is none."""

    @abc.abstractmethod
    def _perf_event_arrays(self) -> list[int]:
        """Return the file descriptors of the maps of that type."""

    @abc.abstractmethod
    def _open_reader(self, fd: int) -> Reader:
        """Open the reader of a ring buffer or perf event array."""

    def events(self, name: str, session: Session) -> Iterator[Any]:
        """Yield the records of a ring buffer or perf event array while the session runs.

        They are namedtuples with the members of the C `struct event`.
        """
        fd = self.map_fd(name)
        reader = self._readers.get(fd) or self._open_reader(fd)
        try:
            yield from self.read(reader, session)
        finally:
            self._readers.pop(fd, None)
            reader.close()

    def read(self, reader: Reader, session: Session) -> Iterator[Any]:
        """Yield the records of a reader while the session runs.

        At the end everything is detached, and what was recorded until then
        comes, so that nothing is between "shown" and "lost".
        """
        while session.running:
            due = time.monotonic() + _BATCH_SECONDS
            records = reader.drain()
            yield from records
            if records:
                session.sleep(due - time.monotonic())
            else:
                session.wait_readable(reader.fd)
        self.detach()
        while records := reader.drain():
            yield from records

    def intervals(self, session: Session, seconds: float) -> Iterator[float]:
        """Yield whenever a report is due, with the seconds since the one before.

        The last one is due when the session ends. By then everything is
        detached, so that it misses nothing.
        """
        last = time.monotonic()
        due = last + seconds
        ended = False
        while not ended:
            session.sleep(due - time.monotonic())
            ended = not session.running
            if ended:
                self.detach()
            now = time.monotonic()
            yield now - last
            last = now
            due += seconds

    def missed(self, *, beginnings: bool = False) -> int:
        """Return how often a program did not run, since one was running on that CPU already.

        A kernel with trace_call_bpf_faultable(), such as 7.2, may take the CPU
        from a program at a system call's tracepoint, and skips that program for
        every other thread on this CPU until it goes on.

        With `beginnings`, only of those that see a call begin: where it is kept
        in a map until its end, a call whose end was missed is still in there.
        """
        from ebpf_tour.loader import syscall

        return sum(
            syscall.program_info(fd).missed
            for hook, fd in self._hooks_and_fds()
            if not (beginnings and hook.returns)
        )

    def close(self) -> None:
        """Detach and unload everything. May be called twice."""
        self.detach()
        while self._readers:  # opened, but never read
            self._readers.popitem()[1].close()
        if self._counting >= 0:
            from ebpf_tour.loader import syscall

            self.runs = sum(syscall.program_info(fd).runs for fd in self.program_fds())
            os.close(self._counting)
            self._counting = -1
        self._close()

    @abc.abstractmethod
    def _close(self) -> None:
        """Do what `close()` is for, once everything is detached."""

    def source_text(self) -> str:
        """Return the C that is loaded. Raises Error if it did not come with the program."""
        try:
            with open(self.source, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            raise Error(f"{self.source} is not there", "see the bytecode: --show asm") from None

    @abc.abstractmethod
    def bytecode(self) -> list[tuple[str, bytes]]:
        """Return name and instructions, 8 bytes each, of the loaded programs."""

    @abc.abstractmethod
    def source_lines(self, function: str) -> Lines:
        """Return which lines of C the instructions of a program are from.

        Empty where nobody knows. A call takes time: it asks the compiler's output.
        """

    @abc.abstractmethod
    def verifier_logs(self) -> list[tuple[str, str]]:
        """Return name of each program and what the verifier wrote, if --show needs that."""

    def program_fds(self) -> list[int]:
        """Return the file descriptors of the loaded programs."""
        return [fd for _, fd in self._hooks_and_fds()]

    @abc.abstractmethod
    def _hooks_and_fds(self) -> list[tuple[Hook, int]]:
        """Return the hook and the file descriptor of each loaded program."""

    @abc.abstractmethod
    def map_fds(self) -> list[int]:
        """Return the file descriptors of the maps."""


class Options(NamedTuple):
    """How to open a program.

    `name` is the stem of the C files in `directory`. `via` names the way that
    was chosen, `hooks` are the ones to attach, `show` is what --show asks for,
    as JSON if `json`, `verbose` shows the libraries' debug messages, `count_runs` has
    the kernel count how often the programs run.
    """

    name: str
    directory: str
    via: str
    hooks: tuple[Hook, ...]
    show: str | None = None
    json: bool = False
    verbose: bool = False
    count_runs: bool = False
