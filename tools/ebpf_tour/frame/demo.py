"""--demo: a child process that causes events, and which rows are its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base import limits
from ebpf_tour.base.errors import Error
from ebpf_tour.base.text import from_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpf_tour.frame.interrupt import Interrupt
    from ebpf_tour.frame.record import Row

# How long its child process may take, and how long after that, and after each row
# of its own, the demo waits for the next one.
_PATIENCE_SECONDS = 20.0
_GRACE_SECONDS = 5.0


class Demo(NamedTuple):
    """What --demo does: cause events in a child process, and know which.

    `story` says what happens. `workload()` runs in a child process once everything is
    attached, and causes `rows` rows; `caused(row)` says whether a row is one of these. The
    demo ends when they have come, and fails if they do not come. For a tool that counts,
    `counted` is how many events the child causes: the last report comes once it has ended.

    A row with a `pid` counts only if that is the tool, the child, or a process that comes from
    them, by its `ppid`; in a container, where PIDs are not ours to compare, `caused` alone
    decides. With `exclusive`, a row that the demo did not cause is an error. With
    `makes_files`, the workload runs in a directory of its own, which is removed. (To find a
    place for it, the tool makes and removes one file before: a row that is not the demo's. If
    you count deletions, expect one more.) With `lives_on`, the workload is done before the
    first row, and the child goes on until the rows have come.
    """

    story: str
    workload: Callable[[], None]
    rows: int
    caused: Callable[[Row], bool]
    exclusive: bool = False
    makes_files: bool = False
    counted: int = 0
    lives_on: bool = False


class DemoRun:
    """A demo under way: its child process, and how many rows have come."""

    def __init__(self, demo: Demo, interrupt: Interrupt) -> None:
        from ebpf_tour.loader import features

        self.demo = demo
        self._interrupt = interrupt
        self._own_rows = self._other_rows = 0
        # Those whose rows are its own: the tool, the child, and who comes from them.
        self._family = {os.getpid()}
        self._knows_pids = features.pid_in_first_namespace() > 0
        self._directory = ""
        self._said = b""  # the beginning of why the child cannot do its work
        self._child = 0
        self._status: int | None = None
        self._pidfd = self._reason = self._alive = -1
        self._deadline = float("inf")

    def begin(self) -> None:
        """Start the child process."""
        if self.demo.makes_files:
            self._directory = _temporary_directory()
        self._reason, writer = os.pipe()
        until, self._alive = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            self._work(writer, until)
        os.close(writer)
        os.close(until)
        self._family.add(self._child)
        os.read(self._reason, 1)  # returns when the child has closed everything
        if self.demo.lives_on:
            self._said = os.read(self._reason, 1).strip(b".")  # and has done its work, or cannot
        os.set_blocking(self._reason, False)
        self._pidfd = os.pidfd_open(self._child)
        self._deadline = time.monotonic() + _PATIENCE_SECONDS

    def _work(self, writer: int, until: int) -> None:
        """Do what the child is for, and write to the parent why it cannot. Does not return."""
        status = 1
        try:
            self._interrupt.forget()
            # What the tool has open in the kernel is to end with the tool:
            # a trace instance, for one, cannot go while it is open here.
            for start, end in pairwise((2, *sorted((writer, until)), os.sysconf("SC_OPEN_MAX"))):
                os.closerange(start + 1, end)
            os.write(writer, b".")
            if self._directory:
                os.chdir(self._directory)
            self.demo.workload()
            if self.demo.lives_on:
                os.write(writer, b".")
                os.read(until, 1)  # returns when the tool closes its end, or ends
            status = 0
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent tells
            told = limits.ran_out(error)
            reason = f"{told or _said(error)}\n{told.hint if told else ''}"
            os.write(writer, reason.encode("utf-8", "surrogateescape"))
        finally:
            os._exit(status)

    def count(self, row: Row) -> None:
        """Take note of a row that is shown."""
        if self._is_familys(row) and self.demo.caused(row):
            self._own_rows += 1
            if self._status is not None:
                self._deadline = time.monotonic() + _GRACE_SECONDS
        else:
            self._other_rows += 1

    def _is_familys(self, row: Row) -> bool:
        """Say whether a row is by one of its processes, as far as the row tells."""
        pid = row.get("pid")
        if not self._knows_pids or not isinstance(pid, int):
            return True
        if row.get("ppid") in self._family:
            self._family.add(pid)
        return pid in self._family

    @property
    def complete(self) -> bool:
        """Whether all rows have come; of counts, those at the end of the child, too."""
        if self.demo.counted and self._status is None:
            return False
        return self._own_rows >= self.demo.rows

    def over(self) -> bool:
        """Say whether there is nothing more to wait for.

        When the child has ended, what it did has been counted: the report at the end has it.
        """
        self._look()
        if self._status is not None and (self._status != 0 or self.demo.counted):
            return True
        return self.complete or time.monotonic() >= self._deadline

    def _look(self) -> None:
        """See whether the child has ended."""
        if self._child and self._status is None:
            pid, status = os.waitpid(self._child, os.WNOHANG)
            if pid:
                self._status = status
                self._deadline = time.monotonic() + _GRACE_SECONDS

    def wait(self, seconds: float, *fds: int) -> list[int]:
        """Wait like `Interrupt.wait()`, but a second at most, and not past the child's end."""
        if self._status is None:
            fds += (self._pidfd,)
        asked = min(seconds, 1.0)
        begun = time.monotonic()
        ready = self._interrupt.wait(asked, *fds)
        # Time for which we were stopped (Ctrl-Z) is not time that the child has had.
        late = time.monotonic() - begun - asked
        if late > 0.5:
            self._deadline += late
        return ready

    def verdict(self, ended_by: str, ran: int | None, hint: str) -> str:
        """Return what there is to say at the end. Raises Error if the demo failed.

        `ended_by` is what has ended the run before the demo was over, `ran` how often
        the program was run, if that is known, `hint` what to do where rows are missing.
        """
        self._let_end()
        rows, own, others = self.demo.rows, self._own_rows, self._other_rows
        if self.complete or not ended_by:
            self._wait_for_child()
        # Cut short, its child may fail after that: nothing is attached any more.
        if self._interrupt.seen and not (self.complete and self._status == 0):
            return self._ended_early("a signal")
        if self._status:
            raise self._child_failed(self._status)
        if own < rows and not ended_by:
            raise Error(f"the demo failed: {self._what_came(ran)}", hint)
        # A count that was cut short is not yet what it causes.
        cut_short = self.demo.counted and ended_by and not self.complete
        if self.demo.exclusive and others and not cut_short:
            raise Error(f"the demo failed: it saw {_rows(others)} that it did not cause", hint)
        if not self.complete and ended_by:
            return self._ended_early(ended_by)
        if self._status is None:
            raise Error("the demo failed: its child process does not end", self._by_hand())
        if self.demo.counted and self.demo.exclusive:
            return f"Demo: saw all that it caused ({self.demo.counted}), and nothing else.\n"
        if self.demo.counted:
            return f"Demo: saw at least as many as it caused ({self.demo.counted}).\n"
        rest = ", and nothing else" if self.demo.exclusive else ""
        return f"Demo: saw every row that it caused ({rows}){rest}.\n"

    def _let_end(self) -> None:
        """Let a child end that lives on until the rows have come."""
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1

    def _wait_for_child(self) -> None:
        self._deadline = time.monotonic() + _PATIENCE_SECONDS
        self._look()
        while self._status is None and not self._interrupt.seen:
            left = self._deadline - time.monotonic()
            if left <= 0:
                return
            self.wait(left)
            self._look()

    def _ended_early(self, ended_by: str) -> str:
        if self.demo.counted:
            return f"Demo: ended by {ended_by} before its own counts arrived.\n"
        rows = f"{self._own_rows} of the {self.demo.rows} rows that it causes"
        return f"Demo: ended by {ended_by} after {rows}.\n"

    def _what_came(self, ran: int | None) -> str:
        """Return what is wrong with the rows."""
        if self.demo.counted:
            return f"the counts do not contain the {self.demo.counted} that it caused"
        if self._own_rows:
            return f"of {_rows(self.demo.rows)} that it caused, it saw {self._own_rows}"
        if self._other_rows:
            return f"it saw {_rows(self._other_rows)}, but did not cause them"
        if ran is None:
            return "it saw no row"
        if ran == 0:
            return "the program is attached, but the kernel never ran it"
        return f"the kernel ran the program {ran} times, but the demo saw no row"

    def _child_failed(self, status: int) -> Error:
        """Return the error for a child that did not do its work."""
        said = self._said
        with contextlib.suppress(BlockingIOError):  # it was killed, and left a process behind
            said += os.read(self._reason, 4096)
        cause, _, hint = said.decode("utf-8", "surrogateescape").partition("\n")
        if os.WIFSIGNALED(status):
            from ebpf_tour.base.names import signal_name

            cause = f"{signal_name(os.WTERMSIG(status))} killed it"
        return Error(
            f"the demo failed: its child process did not do its work: {cause}",
            hint or self._by_hand(),
        )

    def _by_hand(self) -> str:
        return f"do by hand what the demo does: {self.demo.story}"

    def close(self) -> None:
        """End the child if it is still going on, and remove its files."""
        self._let_end()
        if self._child and self._status is None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0
        for fd in (self._reason, self._pidfd):
            if fd >= 0:
                os.close(fd)
        self._reason = self._pidfd = -1
        if self._directory:
            import shutil

            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = ""


def adding_up_to(wanted: int) -> Callable[[Row], bool]:
    """Return a `caused` for a report of several rows: true once their counts add up to `wanted`.

    The tool's own row is left out.
    """
    seen = 0

    def caused(row: Row) -> bool:
        nonlocal seen
        seen += int(str(row["count"])) if row["pid"] != os.getpid() else 0
        return seen >= wanted

    return caused


def own_comm() -> str:
    """Return the kernel's name for this process, which the child has, too."""
    with open("/proc/self/comm", "rb") as file:
        return from_kernel(file.read().removesuffix(b"\n"))


def _rows(number: int) -> str:
    return "1 row" if number == 1 else f"{number} rows"


def _said(error: BaseException) -> str:
    """Return what an exception says, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _temporary_directory() -> str:
    import tempfile

    try:
        return tempfile.mkdtemp(prefix="ebpf-demo-")
    except OSError:
        raise Error(
            "no directory can hold the files of the demo", "name one that can: TMPDIR=DIRECTORY"
        ) from None
