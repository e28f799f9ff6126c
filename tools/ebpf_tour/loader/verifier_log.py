"""How much the verifier should write, and where: the same for both engines."""

from __future__ import annotations

import ctypes as ct

# BPF_LOG_LEVEL2 | BPF_LOG_STATS: every instruction that the verifier looked
# at with the state of the registers, and statistics. BPF_LOG_LEVEL1 is the path
# to where it refuses the program.
LOG_ALL = 2 | 4
LOG_PATH = 1
LOG_SIZE = (16 << 20) - 1  # the most that all kernels accept: UINT_MAX >> 8


def log_buffer() -> ct.Array[ct.c_char]:
    """Return a buffer for the verifier's log; what is not written to takes no memory."""
    import mmap

    return (ct.c_char * LOG_SIZE).from_buffer(mmap.mmap(-1, LOG_SIZE))
