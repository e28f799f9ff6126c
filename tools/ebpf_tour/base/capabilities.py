"""Capabilities: what only root may do, piece by piece. See capabilities(7)."""

from __future__ import annotations

import ctypes as ct
import os
import struct

# include/uapi/linux/capability.h, those that a tool may need once it is attached.
_BITS = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_KILL": 5,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_PTRACE": 19,
    "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}
_HEADER = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
_MASK = 0xFFFFFFFF


def permitted() -> tuple[str, ...]:
    """Return those of the capabilities known here that this thread may use."""
    _, may_use, _ = _get()
    return tuple(name for name, bit in _BITS.items() if may_use >> bit & 1)


def keep(*names: str) -> None:
    """Give up for good all capabilities of this thread but these. Raises OSError."""
    _, may_use, _ = _get()
    kept = may_use & _set_of(names)
    _put(kept, kept)


def use(*names: str) -> None:
    """Use only these of the capabilities, until the next call. Raises OSError."""
    _, may_use, _ = _get()
    _put(may_use & _set_of(names), may_use)


def _set_of(names: tuple[str, ...]) -> int:
    return sum(1 << _BITS[name] for name in set(names))


def _get() -> tuple[int, int, int]:
    """Return the sets: effective, permitted, inheritable."""
    data = ct.create_string_buffer(24)
    _call("capget", data)
    low = struct.unpack("=6I", data.raw)
    effective, may_use, inheritable = (low[i] | low[i + 3] << 32 for i in range(3))
    return effective, may_use, inheritable


def _put(effective: int, may_use: int) -> None:
    """Set them; nothing is inherited by programs that are executed."""
    sets = (effective, may_use, 0)
    parts = [word & _MASK for word in sets] + [word >> 32 for word in sets]
    _call("capset", struct.pack("=6I", *parts))


def _call(name: str, data: object) -> None:
    libc = ct.CDLL(None, use_errno=True)
    if libc[name](_HEADER, data):
        number = ct.get_errno()
        raise OSError(number, f"{name}(2): {os.strerror(number)}")
