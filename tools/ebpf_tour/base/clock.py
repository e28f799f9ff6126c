"""From the kernel's clock to the one on the wall."""

from __future__ import annotations

import functools
import time


def local_time(since_boot_ns: int) -> str:
    """Return HH:MM:SS, local time, for what bpf_ktime_get_ns() gave."""
    ago_ns = time.monotonic_ns() - since_boot_ns
    return _clock_time((time.time_ns() - ago_ns) // 1_000_000_000)


@functools.lru_cache(maxsize=8)  # most events are of the same second as the one before
def _clock_time(since_epoch_s: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(since_epoch_s))
