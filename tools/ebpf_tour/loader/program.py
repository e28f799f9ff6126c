"""The one interface that both engines have: open, configure, load, attach, read, close."""

from __future__ import annotations

import abc
import contextlib
import itertools
import os
import time
from typing import TYPE_CHECKING, NamedTuple

import ebpf_tour
from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error
from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from ebpf_tour.base.errors import EngineUnavailable
    from ebpf_tour.explain.lines import Lines
    from ebpf_tour.loader.hooks import Hook
    from ebpf_tour.loader.hooks.prog_run import ProgRun
    from ebpf_tour.loader.layout import Layout
    from ebpf_tour.loader.maps import Map
    from ebpf_tour.loader.pace import Pace
    from ebpf_tour.loader.reader import Reader
    from ebpf_tour.loader.syscall import Ran


def sources() -> str:
    """Return the directory of the package's C files and objects, in a checkout a link to `bpf/`."""
    return f"{os.path.dirname(ebpf_tour.__file__)}/bpf"


# BPF_MAP_TYPE_*, from include/uapi/linux/bpf.h.
PERF_EVENT_ARRAY, RINGBUF = 4, 27

# The raw tracepoints of the programs in bpf/lib/processes.bpf.h, which follow a process to
# those that it starts. They are loaded only where that is wanted.
_FREE = "sched_process_free"
FOLLOW_EVENTS = ("sched_process_fork", _FREE)

# Once events come, how long they gather before they are read: a wake-up for each
# event costs more than the event itself.
_BATCH_SECONDS = 0.01


def not_there(kind: str, name: str, path: str, names: Iterable[str]) -> Error:
    """Return the error for a map or a variable that the C file at `path` does not have.

    `names` are those that it has.
    """
    there = ", ".join(sorted(names))
    return Error(
        f"there is no {kind} {name} in {os.path.basename(path)}",
        f"it has {there}: take one of them, or declare {name} there"
        if there
        else f"it has none: declare {name} there",
    )


class Settings(abc.ABC):
    """Integers by name that shape a program before it is loaded."""

    @abc.abstractmethod
    def __setitem__(self, name: str, value: int) -> None:
        """Set one. Raises Error if the C source has nothing of that name."""


class Program(Closing, abc.ABC):
    """A BPF object: its programs, its maps and its global variables.

    The constructor opens it and loads nothing. Closing detaches and unloads
    everything; the `with` statement does so on every way out.
    """

    engine: str
    """The engine that has opened it: "libbpf" or "bcc"."""

    source: str
    """Path of the C file."""

    via: str
    """The name of the way that was chosen, where `hooks` had several."""

    fallback: EngineUnavailable | None = None
    """Why another engine, which comes first, could not be used."""

    after_load: Callable[[Program, Error | None], None] | None = None
    """Called once the kernel has taken the programs, or refused them with this error."""

    globals: Settings
    """Integers by name, for the C to read: `program.globals["only_pid"] = 42`. Set before load.

    In the libbpf dialect, each is a global variable, which keeps its value in the C
    where Python sets none. If it is `const volatile`, as in `const volatile __s64 only_uid
    = -1;`, the verifier knows the value, and leaves out code that is never reached. In the
    BCC dialect, each is a macro that the compiler gets (`-D`): it has no value in the C, so
    Python has to set it. Setting one raises Error if the C file has none of that name.
    """

    max_entries: Settings
    """The size of a map, by its name: entries, or the bytes of a ring buffer. Set before load."""

    perf_bytes: int
    """The size in bytes of each CPU's perf buffer, a power of two. Set before attach."""

    runs: int | None = None
    """How often its programs ran, once they are unloaded; None if nobody has counted.

    Only with `Options.count_runs`, and where the kernel lets us.
    """

    unfinished = 0
    """How many calls began and did not end, as `lost()` found them in its map."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.via = options.via
        self.perf_bytes = 64 * os.sysconf("SC_PAGE_SIZE")  # as in libbpf-bootstrap
        self._readers: dict[int, Reader] = {}
        self._counting = -1

    def load(self) -> None:
        """Hand programs and maps to the kernel, whose verifier checks them.

        Raises Error if the verifier refuses one, NotPermitted, Unsupported.
        """
        try:
            self._load()
        except Error as error:
            if self.after_load:
                self.after_load(self, error)
            raise
        if self.after_load:
            self.after_load(self, None)

    @abc.abstractmethod
    def omit_map(self, name: str) -> None:
        """Leave out a map that the program does not use as it is configured. Call before load."""

    def reuse_map(self, name: str, path: str, key_bytes: int) -> None:
        """Use the hash that is pinned at `path` in place of the map `name`. Call before load.

        Raises UsageError if it is not there or has other keys, NotPermitted.
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
        from ebpf_tour.explain.verifier import TOO_LONG, reason, refusal

        if features.NO_HELPER in log and (why := features.explain_lockdown("load BPF programs")):
            return why
        if self._options.whole_log and reason(log, number) == TOO_LONG:
            return Error(
                f"the verifier's log of {function} is longer than 16 MiB",
                "read its beginning above; without --show log, the kernel may accept the program",
            )
        error = refusal(function, log, number, self.source_lines(function))
        if self._options.verbose:
            self._say(log)
        elif not self._options.whole_log:
            error.more = "the verifier's whole log"
        return error

    def _say(self, text: str) -> None:
        """Hand on what the libraries and the kernel say, to whoever wants to show it."""
        if self._options.say:
            self._options.say(text)

    def attach(self) -> None:
        """Attach each program to its hook: from now on it runs. `attach_to()` is for the others.

        The last hook is attached first, and detached last: where one hook sees a
        beginning and the next one its end, every beginning that is seen has an end.
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
    def attach_to(self, hook: Hook, target: Any) -> None:
        """Attach the program of a hook that needs a target: a uprobe's is an `Instruction`.

        May be called again with other targets. Raises Error, NotPermitted, Unsupported.
        """

    @abc.abstractmethod
    def detach(self) -> None:
        """Detach every program. Maps keep their content. May be called twice."""

    @abc.abstractmethod
    def map(self, name: str) -> Map:
        """Return the map of that name, once it is loaded. Raises Error if there is none.

        A key or value is an `int` where the C has a number, and a namedtuple with the members
        where it has a struct; an array of char is `bytes`. The value of a per-CPU map is a
        list with a value for each possible CPU. Its methods raise OSError if the kernel
        refuses.
        """

    @abc.abstractmethod
    def counter(self, name: str) -> int:
        """Return the number in a u64 that the program counts in.

        It is a global variable in the libbpf dialect, a BPF_ARRAY() with one entry
        in the BCC dialect. Raises Error if there is none of that name.
        """

    @abc.abstractmethod
    def map_fd(self, name: str) -> int:
        """Return the file descriptor of a map. Raises Error if there is none of that name."""

    @abc.abstractmethod
    def _perf_event_arrays(self) -> list[int]:
        """Return the file descriptors of the maps of that type."""

    @abc.abstractmethod
    def _open_reader(self, fd: int) -> Reader:
        """Open the reader of a ring buffer or perf event array."""

    def events(
        self,
        name: str,
        pace: Pace | None = None,
        *,
        seconds: float = float("inf"),
        until: Callable[[], object] | None = None,
        wake: int | None = None,
    ) -> Iterator[Any]:
        """Yield the records of the ring buffer or perf event array `name`, as they come.

        Each is a namedtuple with the members of the C `struct event`: integers, and
        `bytes` for arrays of char (see `from_kernel()`). It ends with the session that it gets
        as `pace`; without one, after `seconds`, when `until()` is true, or when the file
        descriptor `wake` is readable. Then everything is detached.
        """
        if pace is None:
            from ebpf_tour.loader.pace import Until

            pace = Until(seconds, until, wake)
        fd = self.map_fd(name)
        reader = self._readers.get(fd) or self._open_reader(fd)
        try:
            yield from self.read(reader, pace)
        finally:
            self._readers.pop(fd, None)
            reader.close()

    def read(self, reader: Reader, pace: Pace) -> Iterator[Any]:
        """Yield what a reader of your own has, such as a `TraceInstance`, until the pace ends.

        Then everything is detached, and what was recorded until then still comes, so
        that nothing is between "shown" and "lost".
        """
        # (The chain goes through each list in C.)
        return itertools.chain.from_iterable(self._drained(reader, pace))

    def _drained(self, reader: Reader, pace: Pace) -> Iterator[list[Any]]:
        while pace.running:
            due = time.monotonic() + _BATCH_SECONDS
            records = reader.drain()
            yield records
            if records:
                pace.sleep(due - time.monotonic())
            else:
                pace.wait_readable(reader.fd)
        self.detach()
        while records := reader.drain():
            yield records

    def records(self, name: str) -> list[Any]:
        """Return the records that are in the ring buffer `name` now, oldest first.

        It waits for nothing; see `events()` for what a record is.
        """
        fd = self.map_fd(name)
        if fd not in self._readers:
            self._readers[fd] = self._open_reader(fd)
        return self._readers[fd].drain()

    def walk(self, link: int, record: str = "event") -> Iterator[Any]:
        """Run an iterator once, and yield the records that its program writes.

        `link` is the `link` of a `Walk` that is attached. Each record is a namedtuple with the
        members of the C structure `record`. Raises Error.
        """
        from ebpf_tour.loader import syscall

        layout = self._record_layout(record)
        rest = b""
        try:
            for piece in syscall.read_iterator(link):
                rest += piece
                end = len(rest) - len(rest) % layout.size
                for start in range(0, end, layout.size):
                    yield layout.decode(rest[start : start + layout.size])
                rest = rest[end:]
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise Error(f"the kernel cannot walk through the tasks: {why}") from None

    @abc.abstractmethod
    def _record_layout(self, name: str) -> Layout:
        """Return the layout of a C structure that the program of an iterator writes.

        Raises Error if the C source has none of that name.
        """

    def run(self, function: str, *numbers: int, repeat: int = 1, live: bool = False) -> Ran:
        """Run the program of a `ProgRun` on this CPU; return what it returned, and ns for a run.

        The program finds the numbers in its context, up to five of 32 bits in that of "tc".
        `repeat` is for "tc" and "xdp". With `live`, so many packets go where a program for "xdp"
        sends them. Raises OSError.
        """
        from ebpf_tour.loader import syscall

        hook, fd = self._to_run(function)
        again = 0 if hook.section == "raw_tp" else repeat
        return syscall.run_program(fd, *hook.input(numbers), again, live=live)

    def function_fd(self, function: str) -> int:
        """Return the file descriptor of the program of a `ProgRun`."""
        return self._to_run(function)[1]

    def _to_run(self, function: str) -> tuple[ProgRun, int]:
        from ebpf_tour.loader.hooks.prog_run import ProgRun

        found = ((hook, fd) for hook, fd in self._hooks_and_fds() if isinstance(hook, ProgRun))
        return next((hook, fd) for hook, fd in found if hook.function == function)

    def intervals(self, pace: Pace, seconds: float) -> Iterator[float]:
        """Yield whenever a report is due: every `seconds`, and once more at the end.

        What it yields is the seconds since the report before, as measured. `pace` is the
        session. At the end everything is detached before, so the last report misses nothing.
        """
        last = time.monotonic()
        due = last + seconds
        ended = False
        while not ended:
            pace.sleep(due - time.monotonic())
            ended = not pace.running
            if ended:
                self.detach()
            now = time.monotonic()
            yield now - last
            last = now
            due += seconds

    def lost(self, begun: str = "") -> int:
        """Return how many events were missed. Ask once everything is detached.

        It adds up what the C counts in its variable `lost` and the events at which a program
        did not run. `begun` is the name of your map of calls that have begun:
        `lost(begun="calls")`. The calls that are still in there count as lost, too, and
        `unfinished` is their number. Raises Error where the C has no such variable or map.
        """
        self.unfinished = sum(1 for _ in self.map(begun).items()) if begun else 0
        # A call whose end was missed is still in the map.
        return sum(self.losses(beginnings=bool(begun)).values()) + self.unfinished

    def losses(self, *, beginnings: bool = False) -> dict[str, int]:
        """Return how many events were missed until now, by reason.

        "full": a map or the buffer was. "skipped": the kernel did not run a program.
        "not_followed": it is not known how much a process did, since the map of --follow was full.
        """
        losses = {"full": self.counter("lost"), "skipped": self.missed(beginnings=beginnings)}
        if self._options.follow:
            losses["not_followed"] = self.counter("not_followed")
        return losses

    def missed(self, *, beginnings: bool = False) -> int:
        """Return how often a program did not run, since one was running on that CPU already.

        A kernel with trace_call_bpf_faultable(), such as 7.2, may take the CPU from a
        program at a system call's tracepoint, and skips that program for every other thread
        on this CPU until it goes on. Since v7.0, a46023d5616e ("tracing: Guard
        __DECLARE_TRACE() use of __DO_TRACE_CALL() with SRCU-fast"), also from one at a raw
        tracepoint.

        With `beginnings`, only of those that see a call begin, or a process to be followed.
        """
        from ebpf_tour.loader import syscall

        return sum(
            syscall.program_info(fd).missed
            for hook, fd in self._hooks_and_fds()
            if not (beginnings and (hook.returns or hook.within))
            # Without this one, an ID stays in the map until fork's sees who gets it next.
            and not (self._options.follow and hook.name == _FREE)
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
        """Return the C that is loaded: the file, and below it each header of ours.

        Raises Error if it did not come with the program.
        """
        from ebpf_tour.loader import c_source

        try:
            return c_source.read(self.source, (self._options.directory, sources())).shown()
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
        """Return name of each program and what the verifier wrote, if the whole log was wanted."""

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
    was chosen, `hooks` are the ones to attach. `known` are all that the C file may
    have programs for; empty where the caller does not know. `say` gets what the
    libraries say: with `verbose` all of it, otherwise their warnings. With
    `whole_log`, the verifier writes down each step; with `count_runs`, the kernel
    counts how often the programs run.
    """

    name: str
    directory: str
    via: str
    hooks: tuple[Hook, ...]
    known: tuple[Hook, ...] = ()
    say: Callable[[str], None] | None = None
    verbose: bool = False
    whole_log: bool = False
    count_runs: bool = False
    follow: bool = False
