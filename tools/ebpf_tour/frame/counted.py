"""What ebpf-syscount has counted: from its maps to sums for each key.

Its maps are `counts`, `times` (for -L) and `process_names` (for -n).
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Any, NamedTuple

from ebpf_tour.frame.pattern import is_named

if TYPE_CHECKING:
    import re

    from ebpf_tour.loader import Program


class Key(NamedTuple):
    """What is counted by: struct key of syscount.h."""

    number: int
    is_32bit: int
    pid: int
    comm: bytes

    @classmethod
    def of(cls, record: Any) -> Key:
        """Return the key that a map has, alone or in a structure."""
        return cls(record.number, record.is_32bit, record.pid, record.comm)


# What was seen of a key: the number of calls by "count", nanoseconds by "ns", and how many
# calls were in which slot of the histogram, by its number.
Seen = collections.Counter[str | int]


def read(program: Program, by: str, wanted: re.Pattern[bytes] | None) -> dict[Key, Seen]:
    """Return what was seen since the program was attached, on all CPUs together.

    With -n, the keys say all of a call, and only here we count by one thing.
    """
    names = program.map("process_names").items() if wanted else ()
    called = {Key.of(key): name.comm for key, name in names}
    found: dict[Key, Seen] = collections.defaultdict(Seen)

    def seen(key: Key) -> Seen:
        if not wanted:
            return found[key]
        if is_named(wanted, key.comm, called.get(key, b"")):
            return found[key._replace(**NOT_COUNTED_BY[by])]
        return Seen()

    for key, per_cpu in program.map("counts").items():
        seen(Key.of(key))["count"] += sum(per_cpu)
    for slot, times in program.map("times").items():
        sums = seen(Key.of(slot))
        sums["ns"] += sum(time.ns for time in times)
        sums[slot.slot] += sum(time.calls for time in times)
    return found


NOT_COUNTED_BY: dict[str, dict[str, Any]] = {
    "syscall": {"pid": 0, "comm": b""},
    "pid": {"number": 0, "is_32bit": 0},
    "comm": {"number": 0, "is_32bit": 0, "pid": 0},
}


def since(before: dict[Key, Seen], seen: dict[Key, Seen]) -> dict[Key, Seen]:
    """Return what was seen after `before`."""
    new = {key: sums - before.get(key, Seen()) for key, sums in seen.items()}
    return {key: sums for key, sums in new.items() if sums}


def by_process(seen: dict[Key, Seen]) -> dict[Key, Seen]:
    """Return the sums of each process, under the name that it used most."""
    totals: dict[int, Seen] = collections.defaultdict(Seen)
    names: dict[int, Key] = {}
    for key, sums in sorted(seen.items(), key=lambda item: item[1]["count"]):
        totals[key.pid].update(sums)
        names[key.pid] = key  # the last one is the largest
    return {names[pid]: sums for pid, sums in totals.items()}
