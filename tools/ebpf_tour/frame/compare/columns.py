"""The columns of ebpf-tour compare: all that its description needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.frame.record import Column

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Row


def yes_or_no(row: Row) -> str:
    """Return the cell of the column EQUAL."""
    return {None: "-", True: "yes", False: "no"}[row["equal"]]  # type: ignore[index]


COLUMNS = (
    Column("tool", "", "the tool's command"),
    Column(
        "via", "VIA", "the hooks, as --via names them; untraced is the workload without the tool"
    ),
    Column("engine", "ENGINE", "the engine"),
    Column(
        "ns",
        "NS/EVENT",
        "nanoseconds that an event of the workload takes: the median of the rounds",
        form="%.0f",
        right=True,
    ),
    Column(
        "added_ns",
        "ADDED",
        "how many of them the tool adds: ns less that of the workload alone",
        form="%.0f",
        right=True,
    ),
    Column("min_ns", "MIN", "nanoseconds in the fastest round", form="%.0f", right=True),
    Column("max_ns", "MAX", "nanoseconds in the slowest round", form="%.0f", right=True),
    Column("events", "", "how many events there were, in all rounds together"),
    Column("rows", "ROWS", "how many the tool showed or counted, in all rounds", right=True),
    Column("lost", "LOST", "how many it lost, by its own summary", right=True),
    Column(
        "equal",
        "EQUAL",
        "whether it showed in each round the same as the first choice did in the first round, "
        "apart from times and new PIDs; in JSON true, false or null",
        text=yes_or_no,
    ),
    Column("reason", "", "why it could not be measured"),
)
