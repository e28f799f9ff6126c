"""Names of the numbers that the kernel takes and returns."""

from __future__ import annotations

import errno
import functools
import os
import re
import signal

# Errors that programs never see, from include/linux/errno.h. A system call that
# a signal interrupts ends with one of them; then it is called anew by the kernel
# itself, or the program gets EINTR.
_INTERNAL_ERRORS = {
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    516: "ERESTART_RESTARTBLOCK",
}


def error_name(number: int) -> str:
    """Return "EEXIST" for 17, the number itself where Linux has no such error."""
    return errno.errorcode.get(number) or _INTERNAL_ERRORS.get(number) or str(number)


def error_number(name: str) -> int | None:
    """Return 17 for "EEXIST", None if there is no such error."""
    names = {text: number for number, text in (*_INTERNAL_ERRORS.items(), *errno.errorcode.items())}
    found = getattr(errno, name, None) if re.fullmatch("E[A-Z0-9]+", name) else None
    return found or names.get(name)


def signal_name(number: int) -> str:
    """Return "SIGTERM" for 15; a real-time signal has its number only, "SIG40"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


# From fs/proc/array.c: by the highest bit that is set.
_STATES = "RSDTtXZP"
_REPORTED, _NOLOAD = 0x7F, 0x402


def state_letter(state: int) -> str:
    """Return the letter that ps(1) has for the state of a task: __state and exit_state.

    >>> state_letter(1)
    'S'
    """
    if state & 0xFFF == _NOLOAD:
        return "I"
    return _STATES[(state & _REPORTED).bit_length()]


# The C library says that this flag is 0: on 64-bit machines it is always meant.
# musl passes it all the same. From arch/*/include/uapi/asm/fcntl.h.
_O_LARGEFILE = 0o400000 if os.uname().machine == "aarch64" else 0o100000

_ACCESS_MODES = {0: "O_RDONLY", 1: "O_WRONLY", 2: "O_RDWR", 3: "O_ACCMODE"}

# A flag that includes another one comes before it.
_OPEN_FLAGS = {
    getattr(os, name): name
    for name in (
        *("O_CREAT", "O_EXCL", "O_NOCTTY", "O_TRUNC", "O_APPEND", "O_NONBLOCK", "O_SYNC"),
        *("O_DSYNC", "O_ASYNC", "O_DIRECT", "O_TMPFILE", "O_DIRECTORY", "O_NOFOLLOW"),
        *("O_NOATIME", "O_PATH", "O_CLOEXEC"),
    )
} | {_O_LARGEFILE: "O_LARGEFILE"}


def open_flags(flags: int) -> list[str]:
    """Return ["O_WRONLY", "O_CREAT"] for 0o101: the access mode, then the flags of open(2).

    Bits without a name are the last item, as a number.
    """
    return list(_open_flags(flags))


@functools.lru_cache(maxsize=128)  # programs open files in few ways
def _open_flags(flags: int) -> list[str]:
    names = [_ACCESS_MODES[flags & 3]]
    rest = flags & ~3
    for flag, name in _OPEN_FLAGS.items():
        if rest & flag == flag:
            names.append(name)
            rest &= ~flag
    return [*names, f"{rest:#x}"] if rest else names


def is_open_flag(name: str) -> bool:
    """Say whether `open_flags()` can return this name."""
    return name in _ACCESS_MODES.values() or name in _OPEN_FLAGS.values()


def syscall_numbers() -> dict[str, int]:
    """Return the numbers of this machine's system calls, by name."""
    return {name: number for number, name in _syscalls().items()}


def syscall_name(number: int, bits: int = 64) -> str:
    """Return "getppid" for 110 (on x86-64), "[syscall 9999]" for one without a name.

    A 32-bit program's calls have other numbers: "[32-bit syscall 20]".
    """
    if bits == 32:
        return f"[32-bit syscall {number}]"
    return _syscalls().get(number) or f"[syscall {number}]"


def _syscalls() -> dict[int, str]:
    from ebpf_tour.base.syscall_table import SYSCALLS

    return SYSCALLS.get(os.uname().machine, {})


# From include/uapi/linux/in.h and in6.h; the names as in /etc/protocols, in short. The
# last four are IPv6's extension headers: there the protocol comes later.
_PROTOCOLS = (
    {1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 33: "DCCP", 41: "IPv6", 47: "GRE"}
    | {50: "ESP", 51: "AH", 58: "ICMPv6", 89: "OSPF", 132: "SCTP"}
    | {0: "HOPOPT", 43: "ROUTE", 44: "FRAG", 60: "OPTS"}
)


def protocol_name(number: int) -> str:
    """Return "UDP" for 17, the number itself for one without a name here."""
    return _PROTOCOLS.get(number) or str(number)


def address_text(version: int, raw: bytes) -> str:
    """Return an IP address as text: "127.0.0.1", "::1". Of IPv4, 4 of the bytes count.

    An IPv4 address within IPv6 is "::ffff:127.0.0.1". Python's ipaddress writes it so only
    since 3.13.
    """
    import socket

    if version == 4:
        return socket.inet_ntop(socket.AF_INET, raw[:4])
    return socket.inet_ntop(socket.AF_INET6, raw)
