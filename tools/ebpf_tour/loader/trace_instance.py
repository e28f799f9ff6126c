"""A private trace instance: bpf_printk() lines without stealing them.

The whole machine shares `trace_pipe`, and a reader that takes a line from it takes it
from all others. A new directory in `instances/` of tracefs is a private trace buffer,
with its own `trace_pipe`.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.descriptors import Closing, lock
from ebpf_tour.base.errors import Error, NotPermitted, Unsupported
from ebpf_tour.base.text import from_kernel
from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "ebpf-tour-"

# "         python3-2338    [001]   742.294553: bpf_trace_printk: ". The name is
# padded to 16 columns and cannot be longer, so a name that looks like a header
# deceives nobody. Behind the thread's ID there is "(   2338) ", its process, if the
# machine's option record-tgid is on.
# They are compiled when the first line is read: by then the tool is attached.
_HEADER = (
    rb"(?ms)^(?P<comm>.{16})-(?P<tid>\d+) +(?:\([ \d-]+\) )?\[(?P<cpu>\d+)\]"
    rb" +(?P<time>\d+\.\d+): \w+: "
)
_LOST = rb"(?m)^CPU:\d+ \[LOST (\d+) EVENTS\]\n"

# The options that make a line look as above, one for each event, that keep the
# newest lines, and that let a poll() wait. A new instance has those of the machine.
#
# Not here are record-tgid and record-cmd. The kernel would switch what they record
# for the events of all other instances, too: see trace_event_enable_tgid_record() in
# kernel/trace/trace_events.c. Without record-cmd, threads are called <...>.
_OPTIONS = (
    *("context-info", "noirq-info", "nolatency-format"),
    *("noraw", "nohex", "nobin", "nofields", "noprintk-msg-only"),
    *("nostacktrace", "nouserstacktrace", "markers", "overwrite", "noblock"),
)

# How often to read at once, a page or two each time: who prints all the time
# must not keep the tool from showing what it has, and from ending.
_READS = 256


class Line(NamedTuple):
    """One line of the trace buffer.

    `time_s` is in seconds since boot, `tid` the thread that caused it, counted
    in the first PID namespace, `comm` that thread's name.
    """

    time_s: float
    cpu: int
    comm: str
    tid: int
    message: str


# How long to wait for the lock on the instances: when many tools start at once, and at the
# end of a run, which is to come soon.
_PATIENCE_SECONDS = 10.0
_PATIENCE_AT_END = 0.3


class TraceInstance(Closing):
    """A trace buffer of our own, gone when the `with` statement ends.

    It is a reader of lines, for `Program.read()`: `fd` is readable when there
    are some. `lost` counts those that the kernel overwrote before they were read.
    Raises Unsupported without tracefs, NotPermitted where it is read-only.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._instances = f"{features.tracefs()}/instances"
        self._path = f"{self._instances}/{_PREFIX}{os.getpid()}-{os.urandom(4).hex()}"
        self.fd = self._create()

    def _create(self) -> int:
        """Make the instance, set its options, and return its trace_pipe, open.

        While that is open nobody can remove the instance, and a starting tool
        removes what it can; the lock is for the moment between the two.
        """
        try:
            with self._lock(_PATIENCE_SECONDS) as locked:
                if not locked:
                    raise Error(
                        f"another process has locked {self._instances} for "
                        f"{_PATIENCE_SECONDS:.0f} s",
                        f"see which one: fuser -v {self._instances}",
                    )
                self._remove_abandoned()
                os.mkdir(self._path)
                try:
                    self._set_options()  # some count when trace_pipe is opened
                    return os.open(f"{self._path}/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
                except BaseException:
                    os.rmdir(self._path)
                    raise
        except FileNotFoundError:
            raise Unsupported("this kernel's tracefs has no trace instances") from None
        except PermissionError:
            hint = "also give it CAP_DAC_OVERRIDE" if features.has_capabilities() else ""
            raise NotPermitted(f"may not create {self._path}", hint) from None
        except OSError as error:
            # A locked-down kernel answers EINVAL.
            raise features.explain_lockdown(f"create {self._path}") or Error(
                f"cannot create {self._path}: {error.strerror}"
            ) from None

    @contextlib.contextmanager
    def _lock(self, seconds: float) -> Iterator[bool]:
        """Let only one tool at a time make or remove instances; say whether that is so.

        Whoever may open the directory can hold the lock for ever, so there is a limit to
        the wait. Raises OSError.
        """
        directory = os.open(self._instances, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield lock(directory, seconds)
        finally:
            os.close(directory)

    def _remove_abandoned(self) -> None:
        """Remove what a run that was killed has left.

        An instance in use has its trace_pipe open, and rmdir answers EBUSY.
        """
        for name in os.listdir(self._instances):
            if name.startswith(_PREFIX):
                with contextlib.suppress(OSError):
                    os.rmdir(f"{self._instances}/{name}")

    def _set_options(self) -> None:
        """Set what differs from what `_parse()` can read. Raises Error, OSError.

        An option that the kernel does not have is not in its list, nor is its opposite.
        """
        with open(f"{self._path}/trace_options", encoding="ascii") as file:
            there = set(file.read().split())
        for option in _OPTIONS:
            opposite = option.removeprefix("no") if option.startswith("no") else f"no{option}"
            if opposite in there:
                self._write("trace_options", option)

    def _write(self, file: str, text: str) -> None:
        try:
            with open(f"{self._path}/{file}", "w", encoding="ascii") as stream:
                stream.write(text)
        except OSError as error:
            raise Error(f"cannot write {self._path}/{file}: {error.strerror}") from None

    def enable(self, category: str, event: str, condition: str = "") -> None:
        """Let the events of a tracepoint into this buffer, or those that meet a condition.

        The condition is in the notation of tracefs: `bpf_string == "text"`. What does
        not meet it takes no room from what does.
        """
        directory = f"events/{category}/{event}"
        if condition:
            self._write(f"{directory}/filter", condition)
        self._write(f"{directory}/enable", "1")

    def enable_for_this_thread(self, category: str, event: str) -> None:
        """Let the events of a tracepoint into this buffer that this thread causes."""
        self.enable(category, event, f"common_pid == {self._own_tid()}")
        # The kernel takes down a thread's name for the buffer when the thread
        # next leaves the processor; until then it is shown as <...>.
        self._write("trace_marker", "what is my name")
        time.sleep(50e-6)
        self._read()

    def _own_tid(self) -> int:
        """Return this thread's id as the first PID namespace counts it.

        In a container getpid() answers with another number. The kernel stamps
        the id that we want on what we write into the trace buffer ourselves.
        """
        self._write("trace_marker", "what is my id")
        # "         python3-2338    [001] ...": nothing else is in the buffer yet.
        return int(self._read()[17:].split(None, 1)[0])

    def _read(self) -> bytes:
        """Return what is in the buffer now, whole lines; nothing if it is empty."""
        try:
            return os.read(self.fd, 64 << 10)
        except BlockingIOError:
            return b""

    def drain(self) -> list[Line]:
        """Return the lines that are there now, oldest first, without waiting.

        There may be more of them; none are left when it returns nothing.
        """
        lines: list[Line] = []
        for _ in range(_READS):
            chunk = self._read()
            if not chunk:
                break
            lines += self._parse(chunk)
        return lines

    def _parse(self, chunk: bytes) -> Iterator[Line]:
        self.lost += sum(int(lost[1]) for lost in re.finditer(_LOST, chunk))
        chunk = re.sub(_LOST, b"", chunk)
        headers = list(re.finditer(_HEADER, chunk))
        starts = [header.start() for header in headers] + [len(chunk)]
        self.lost += chunk.count(b"\n", 0, starts[0])  # lines that are none of ours
        for header, end in zip(headers, starts[1:], strict=True):
            yield Line(
                time_s=float(header["time"]),
                cpu=int(header["cpu"]),
                comm=from_kernel(header["comm"].lstrip(b" ")),
                tid=int(header["tid"]),
                message=from_kernel(chunk[header.end() : end].rstrip(b"\n")),
            )

    def close(self) -> None:
        """Remove the buffer."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            with contextlib.suppress(OSError), self._lock(_PATIENCE_AT_END):
                os.rmdir(self._path)
