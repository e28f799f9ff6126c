"""Hooks: the places in the kernel where a program can be attached.

A hook knows its name in both dialects, whether this kernel has it, and why
not. It asks for the feature itself; it never compares version numbers.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ebpf_tour.errors import Error, Unsupported
from ebpf_tour.loader import features


class Tracepoint(NamedTuple):
    """A tracepoint: a place the kernel's developers marked and named.

    `ls /sys/kernel/tracing/events` lists the categories and their events.
    """

    category: str
    event: str

    @property
    def kind(self) -> str:
        """What the field calls this type of hook."""
        return "tracepoint"

    def __str__(self) -> str:
        return f"{self.kind} {self.category}:{self.event}"

    @property
    def section(self) -> str:
        """SEC() of its program in the libbpf dialect."""
        return f"tp/{self.category}/{self.event}"

    @property
    def function(self) -> str:
        """Name of the function that TRACEPOINT_PROBE() makes in the BCC dialect."""
        return f"tracepoint__{self.category}__{self.event}"

    def unsupported(self) -> Error | None:
        """Return why this hook cannot be used here, or None if it can."""
        try:
            events = f"{features.tracefs()}/events"
        except Error as error:
            return error
        if os.path.isdir(f"{events}/{self.category}/{self.event}"):
            return None
        why = features.without("FTRACE_SYSCALLS") if self.category == "syscalls" else ""
        return Unsupported(
            f"this kernel has no {self}{why}",
            f"see which it has: ls {events}",
        )


Hook = Tracepoint
