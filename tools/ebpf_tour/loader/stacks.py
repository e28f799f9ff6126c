"""Stacks as the kernel records them: how deep, in a stack-trace map, with the kernel's names."""

from __future__ import annotations

import bisect
import errno
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpf_tour.loader.maps import Map

# The kernel takes at most this many frames of a stack, or fewer if the setting says so.
MAX_FRAMES = 127
DEPTH_SETTING = "/proc/sys/kernel/perf_event_max_stack"

_KALLSYM = re.compile(rb"^([0-9a-f]+) [tTwW] ([^\s]+)", re.MULTILINE)


def kernel_depth() -> int:
    """Return how many frames of a stack the kernel takes; it stays while a program uses them."""
    try:
        with open(DEPTH_SETTING, encoding="ascii") as file:
            return min(int(file.read()), MAX_FRAMES)
    except OSError:
        return MAX_FRAMES


class Stack(NamedTuple):
    """Addresses, innermost first. `truncated` says that the stack has more of them.

    `refused` says that the map did not take the stack: then there are none.
    """

    addresses: tuple[int, ...] = ()
    truncated: bool = False
    refused: bool = False


def as_taken(addresses: Iterable[int], depth: int) -> Stack:
    """Return the stack that the kernel has taken, by what it wrote and its depth.

    If there are as many frames as it takes, nobody knows whether the last one is the
    stack's last. Without it, the stack certainly has more.
    """
    taken = tuple(address for address in addresses if address)
    if len(taken) < depth:
        return Stack(taken)
    return Stack(taken[: max(1, len(taken) - 1)], truncated=True)


class StackTraces:
    """A map of the type stack trace, read by what bpf_get_stackid() has returned."""

    def __init__(self, stacks: Map) -> None:
        self._map = stacks
        self._depth = kernel_depth()
        self._known: dict[int, Stack] = {}

    def get(self, number: int) -> Stack:
        """Return the stack in a slot; one without addresses for a negative errno."""
        if number < 0:
            return Stack(refused=number == -errno.EEXIST)
        if number not in self._known:
            value = self._map.get(number)
            self._known[number] = as_taken(value.ip if value else (), self._depth)
        return self._known[number]


class KernelSymbols:
    """The kernel's functions, by /proc/kallsyms."""

    def __init__(self) -> None:
        with open("/proc/kallsyms", "rb") as file:
            found = sorted((int(at, 16), name) for at, name in _KALLSYM.findall(file.read()))
        self._addresses = [address for address, _ in found]
        self._names = [name.decode("utf-8", "surrogateescape") for _, name in found]

    def names(self, addresses: Sequence[int]) -> list[str]:
        """Return `function+0x1f` for each address of a stack, innermost first."""
        return [self._name(address, min(index, 1)) for index, address in enumerate(addresses)]

    def _name(self, address: int, back: int) -> str:
        """Return the function; of one where a call returns to, the call is just before."""
        index = bisect.bisect_right(self._addresses, address - back) - 1
        # Without the right to see them, all addresses in the file are 0.
        if index < 0 or not self._addresses[index]:
            return f"[unknown]+{address:#x}"
        return f"{self._names[index]}+{address - self._addresses[index]:#x}"
