"""From the kernel's clock to local time."""

from __future__ import annotations

import contextlib
import functools
import os
import time

# The number of the first time namespace, from include/linux/proc_ns.h.
_PROC_TIME_INIT_INO = 0xEFFFFFFA

_SECOND_NS = 1_000_000_000


def kernel_ns() -> int:
    """Return what bpf_ktime_get_ns() would give now.

    It has the machine's monotonic clock, Python that of our time namespace.
    """
    return time.monotonic_ns() - _offset_ns()


@functools.cache
def _offset_ns() -> int:
    """Return how far the monotonic clock of our time namespace is ahead of the machine's.

    /proc/PID/timens_offsets is about the namespace that children of PID will be
    in. Mostly that is ours, too. Right after unshare(2) it is not; then the offsets
    are those of a process whose children will be in ours, such as our parent.
    """
    ours = _namespace("self", "time")
    if ours in (None, _PROC_TIME_INIT_INO):
        return 0
    for pid in ("self", *filter(str.isdigit, os.listdir("/proc"))):
        if _namespace(pid, "time_for_children") == ours:
            with contextlib.suppress(OSError):  # it has ended
                return _monotonic_offset_ns(pid)
    return 0


def _namespace(pid: str, kind: str) -> int | None:
    """Return the number of a process's namespace; None where there is no such thing."""
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except OSError:
        return None


def _monotonic_offset_ns(pid: str) -> int:
    # "monotonic      100000         0": seconds, nanoseconds
    with open(f"/proc/{pid}/timens_offsets", encoding="ascii") as file:
        offsets = {name: (int(s), int(ns)) for name, s, ns in map(str.split, file)}
    seconds, nanoseconds = offsets["monotonic"]
    return seconds * _SECOND_NS + nanoseconds


# The second of the event before, on the kernel's clock, and its local time: most are of the same.
_begins_ns, _ends_ns, _text = 0, 0, ""


def local_time(since_boot_ns: int) -> str:
    """Return HH:MM:SS, local time, for what bpf_ktime_get_ns() gave."""
    global _begins_ns, _ends_ns, _text  # noqa: PLW0603 - a cache of one
    if not _begins_ns <= since_boot_ns < _ends_ns:
        boot_ns = time.time_ns() - kernel_ns()
        since_epoch_s = (boot_ns + since_boot_ns) // _SECOND_NS
        _text = time.strftime("%H:%M:%S", time.localtime(since_epoch_s))
        _begins_ns = since_epoch_s * _SECOND_NS - boot_ns
        _ends_ns = _begins_ns + _SECOND_NS
    return _text
