"""Histograms by powers of two, as bcc and bpftrace draw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WIDTH = 40  # of the longest bar


class Histogram:
    """A value of a row that says how often numbers of each size came, from the kernel's counters.

    Counter n of `slots` is for the numbers from 2^n to 2^(n+1) - 1, the first one also for 0.
    `buckets` has those from the first one that is not 0 to the last, as JSON has them.

    >>> Histogram([0, 3, 0, 1, 0]).buckets[0]
    {'from': 2, 'to': 3, 'count': 3}
    """

    def __init__(self, slots: Sequence[int]) -> None:
        used = [index for index, count in enumerate(slots) if count] or [-1]
        self.buckets = [
            {"from": 1 << index if index else 0, "to": (2 << index) - 1, "count": slots[index]}
            for index in range(max(0, used[0]), used[-1] + 1)
        ]

    def drawn(self, unit: str) -> Iterator[str]:
        """Yield the lines of a picture: the range in `unit`, the count, and a bar."""
        most = max((bucket["count"] for bucket in self.buckets), default=1)
        width = max([len(unit) // 2, *(len(str(bucket["to"])) for bucket in self.buckets)])
        yield f"{unit:>{2 * width + 4}}  {'COUNT':>8}  DISTRIBUTION"
        for bucket in self.buckets:
            count = bucket["count"]
            bar = "*" * -(-_WIDTH * count // most)  # rounded up: what there is can be seen
            where = f"{bucket['from']:>{width}} -> {bucket['to']:>{width}}"
            yield f"{where}  {count:>8} |{bar:{_WIDTH}}|"
