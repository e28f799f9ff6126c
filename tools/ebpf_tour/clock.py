"""From the kernel's clock to the one on the wall."""

from __future__ import annotations

import time


def local_time(since_boot_ns: int) -> str:
    """Return HH:MM:SS, local time, for what bpf_ktime_get_ns() gave."""
    ago_ns = time.monotonic_ns() - since_boot_ns
    return time.strftime("%H:%M:%S", time.localtime(time.time() - ago_ns / 1e9))
