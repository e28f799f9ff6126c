"""ebpf-tour compare TOOL: the rounds, and what they add up to."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from ebpf_tour.base.errors import Unsupported, UsageError, did_you_mean
from ebpf_tour.base.text import printable, wrapped
from ebpf_tour.frame.compare.columns import COLUMNS
from ebpf_tour.frame.compare.traced import Cannot, Seen, Traced
from ebpf_tour.frame.compare.worker import Worker
from ebpf_tour.frame.compare.workloads import WORKLOADS
from ebpf_tour.frame.output import report_cell
from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpf_tour.frame.compare.workloads import Workload
    from ebpf_tour.frame.record import Row, Tool
    from ebpf_tour.frame.session import Session


def run(session: Session) -> None:
    """Measure each way of the tool that `ebpf-tour compare` names, and report them."""
    args = session.args
    workload = workload_of(args.action)
    tool = record_of(workload.tool)
    events = args.events or workload.events
    features.require_privileges()
    if not features.pid_in_first_namespace():
        raise Unsupported(
            "in a PID namespace of its own, a workload has another PID than the kernel tells "
            "the tools, so they cannot see it alone",
            "run it outside of the container",
        )
    if workload.packets:
        from ebpf_tour.loader import interfaces

        interfaces.enter_own_network()
    ways = [
        Way(via, engine)
        for via in tool.via
        for engine in tool.engines
        if args.engine in ("auto", engine)
    ]
    untraced: list[float] = []
    session.end_in_order()
    with Worker(workload, session) as worker:
        for _ in range(args.rounds):
            ns = worker.run(events)
            if ns is None:
                break
            untraced.append(ns)
            for way in ways:
                way.measure(tool, workload, worker, session, events)
    if not session.running:
        session.warn("ended by a signal before all rounds were done, so there are no figures")
        return
    rows = list(rows_of(workload, untraced, ways, events))
    about = f"An event: {workload.event}. Rounds: {args.rounds}, of {events} events; times in ns."
    session.report(rows, COLUMNS, lambda rows: lines(rows, about))
    if not any(way.seen for way in ways):
        session.finish()  # the summary comes before the error
        raise Unsupported(f"{tool.command} does not run here: {ways[0].reason}", HINT)


HINT = "see what this machine lacks: ebpf-tour check"


def workload_of(word: str | None) -> Workload:
    """Return the workload for a tool with a name such as mkdir or ebpf-mkdir.

    Raises UsageError.
    """
    known = f"compare one of these: {', '.join(WORKLOADS)}"
    if word is None:
        raise UsageError("which tool?", known)
    name = word.removeprefix("ebpf-")
    if name not in WORKLOADS:
        raise UsageError(
            f"there is no workload for {printable(word)!r}", did_you_mean(name, WORKLOADS, known)
        )
    return WORKLOADS[name]


def record_of(name: str) -> Tool:
    from ebpf_tour.frame.catalogue import tools

    return next(tool for tool in tools() if tool.name == name)


class Way:
    """A way to see the event with one engine, and what was measured of it."""

    def __init__(self, via: str, engine: str) -> None:
        self.via = via
        self.engine = engine
        self.ns: list[float] = []  # for an event, one for each round
        self.seen: list[list[dict[str, Any]]] = []  # the records, for each round
        self.lost = 0
        self.reason = ""  # why it cannot be measured

    def measure(
        self, tool: Tool, workload: Workload, worker: Worker, session: Session, events: int
    ) -> None:
        """Run the tool in this way while the workload is done once. Raises Error."""
        if self.reason or not session.running:
            return
        options = ["--engine", self.engine, "--via", self.via, *workload.options(worker.pid)]
        with Traced(tool, options, session) as traced:
            try:
                attached = traced.wait_attached()
            except Cannot as cannot:
                self.reason = str(cannot)
                return
            ns = worker.run(events) if attached else None
            seen = traced.end() if ns is not None else None
        if ns is not None and seen is not None:
            self.add(workload, ns, seen)

    def add(self, workload: Workload, ns: float, seen: Seen) -> None:
        """Add a round. What differs from round to round is left out of the records."""
        self.ns.append(ns)
        self.lost += seen.lost
        self.seen.append(
            [
                {key: value for key, value in record.items() if key not in workload.varies}
                for record in seen.records
            ]
        )


def rows_of(
    workload: Workload, untraced: list[float], ways: list[Way], events: int
) -> Iterator[Row]:
    """Yield the row of the workload alone, and one for each way."""
    command = f"ebpf-{workload.tool}"
    alone = statistics.median(untraced)
    first = next((seen for way in ways for seen in way.seen), None)
    row: Row = dict.fromkeys(column.key for column in COLUMNS)
    yield {**row, "tool": command, "via": "untraced", **figures(untraced, events)}
    for way in ways:
        row |= {"tool": command, "via": way.via, "engine": way.engine}
        if way.reason:
            yield {**row, "reason": way.reason}
            continue
        yield {
            **row,
            **figures(way.ns, events),
            "added_ns": statistics.median(way.ns) - alone,
            "rows": sum(workload.seen(record) for seen in way.seen for record in seen),
            "lost": way.lost,
            "equal": all(seen == first for seen in way.seen),
        }


def figures(ns: list[float], events: int) -> Row:
    """Return the median of the rounds, the least and the most, and the events of all rounds."""
    return {
        "ns": statistics.median(ns),
        "min_ns": min(ns),
        "max_ns": max(ns),
        "events": events * len(ns),
    }


def lines(rows: Iterable[Row], about: str) -> Iterator[str]:
    """Yield the table for a terminal, and below it why ways could not be measured."""
    shown = list(rows)
    yield about
    yield ""
    yield from table([row for row in shown if not row["reason"]])
    reasons: dict[str, list[str]] = {}
    for row in shown:
        if row["reason"]:
            reasons.setdefault(str(row["reason"]), []).append(f"{row['via']} ({row['engine']})")
    if reasons:
        yield ""
        yield "Not measured:"
    for reason, names in reasons.items():
        yield from wrapped("  ", f"{', '.join(names)}: {reason}", 4)


def table(rows: list[Row]) -> Iterator[str]:
    """Yield the lines of the table.

    tabulate makes a column two characters wider than its header, and then it is too wide for
    a terminal.
    """
    columns = [column for column in COLUMNS if column.header]
    cells = [[report_cell(column, row) for column in columns] for row in rows]
    cells.insert(0, [column.header for column in columns])
    widths = [max(map(len, texts)) for texts in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(
            text.rjust(width) if column.right else text.ljust(width)
            for column, width, text in zip(columns, widths, line, strict=True)
        ).rstrip()
