"""What a process can run out of, wherever it does: open files, processes, memory."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error

if TYPE_CHECKING:
    from collections.abc import Iterator

# No tool opens more, its libraries included, but for one for each CPU: the buffers of
# a perf event array.
_FILES = 32


def require_files() -> None:
    """Raise OSError unless as many files can be opened as a tool needs.

    Later, half of what fails for want of one would not say so: a library that
    cannot be opened counts as not there, a file that cannot be read as empty.
    """
    needed = _FILES + (os.cpu_count() or 1)
    opened: list[int] = []
    try:
        while len(opened) < needed:
            opened.append(os.dup(2))
    finally:
        for fd in opened:
            os.close(fd)


def ran_out(error: BaseException) -> Error | None:
    """Return the error to report if an exception is about something that has run out.

    An Error that hides the reason counts, too: what it says itself would mislead.
    """
    numbers = set(_numbers(error))
    if errno.EMFILE in numbers:
        most = os.sysconf("SC_OPEN_MAX")
        return Error(
            f"this process may open no more than {most} files (RLIMIT_NOFILE)",
            f"raise the limit: ulimit -n {max(1024, 2 * most)}",
        )
    if errno.ENFILE in numbers:
        return Error(
            "this machine has reached its limit of open files",
            "raise the limit: sysctl fs.file-max=1000000",
        )
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        return Error(
            "there is not enough memory",
            "see what takes it (ps aux --sort=-rss | head), or what limits it (ulimit -v)",
        )
    if number == errno.EAGAIN:  # of fork(2): no other call that may fail so is left to this
        return Error(
            "no more processes can be started here: their number is limited",
            "raise pids.max of the cgroup (TasksMax= of systemd, --pids-limit of a container), "
            "or ulimit -u",
        )
    return None


def _numbers(error: BaseException | None) -> Iterator[int]:
    """Yield the errno of an exception, and of those that it was raised for."""
    while error:
        if isinstance(error, OSError) and error.errno:
            yield error.errno
        error = error.__cause__ or error.__context__
