"""/tmp/perf-PID.map: what a JIT compiler says of the functions that it made.

A line is "ADDRESS SIZE NAME", the numbers in hexadecimal. Source:
tools/perf/Documentation/jit-interface.txt.
"""

from __future__ import annotations

import bisect
import re

from ebpf_tour.base.text import from_kernel

_LINE = re.compile(rb"([0-9a-fA-F]{1,16}) ([0-9a-fA-F]{1,16}) ([^\n]{1,4096})")


class PerfMap:
    """The functions of a map, by address. Lines that are none are left out."""

    def __init__(self, text: bytes) -> None:
        # A later line is about newer code.
        found = {int(line[1], 16): line for line in _LINE.finditer(text)}
        self._addresses = sorted(found)
        self._lines = found

    def find(self, address: int) -> tuple[str, int] | None:
        """Return the function that an address lies in, and how far from its beginning."""
        index = bisect.bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        start = self._addresses[index]
        line = self._lines[start]
        if address >= start + int(line[2], 16):
            return None
        return from_kernel(line[3]), address - start
