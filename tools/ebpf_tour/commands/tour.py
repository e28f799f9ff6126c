"""ebpf-tour: the catalogue of tools, which of them run here, and what is missing."""

from __future__ import annotations

import sys
import textwrap

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.base.typed import TYPE_CHECKING
from ebpf_tour.frame import cli
from ebpf_tour.frame.record import Column, Command, Example, Row, Tool
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpf_tour.frame.session import Session

CHECK = Command(
    name="check",
    summary="look what this machine has of what the tools need, and how to get the rest",
    description=(
        "Look into the machine as a doctor would: the kernel and its features, the rights of the "
        "caller, each kind of hook and of buffer, the two engines. It tries what can be tried: a "
        "program that does nothing but count is loaded for each kind of hook, attached for a "
        "moment, caused to run, and detached, without BCC or a compiler; one of the tools is "
        "loaded by each engine. Where something is missing, it names the cause, what that is "
        "needed for, and what to do. Without root it finds out what can be found out without. "
        "With -v, it says of everything what it is for."
    ),
    columns=(
        Column("check", "CHECK", "what was looked for"),
        Column("group", "", "kernel, rights, hooks, maps or engines"),
        Column(
            "found",
            "FOUND",
            "yes, no, or ? where only root could find out; in JSON true, false or null",
        ),
        Column("detail", "DETAIL", "a version or the like; if it is not there, why"),
        Column("used_for", "", "what it is for"),
        Column("hint", "", "what to do, if it is not there"),
    ),
    exit_status=(
        "0 if at least one engine can load programs here, even if some hook is missing. Otherwise "
        "77 if that is not permitted to the caller, and 69 if the machine lacks it."
    ),
)

TOOL = Tool(
    name="tour",
    lesson=0,
    summary="list the tools, what each one shows, and whether it runs here",
    description=(
        "List the tools of the suite in the order of the course: the hook and the map that each "
        "one teaches, what it shows, and whether this machine has what it needs."
    ),
    how_it_works=(
        "The catalogue asks of each tool what the tool asks itself when it starts: whether the "
        "kernel has the hooks of one of its ways to see an event, and whether one of the engines "
        "can open its program. Nothing is loaded for that."
    ),
    output=(
        "RUNS is yes if the tool runs in the way that it teaches, via and another way if it has "
        "to take that one, no if it does not run. Below the table stands why, and what to do."
    ),
    columns=(
        Column("tool", "TOOL", "the command"),
        Column("lesson", "", "its place in the course"),
        Column("hooks", "HOOK", "the ways to see its event, each by a kind of hook"),
        Column("maps", "MAP", "the types of the maps that it uses"),
        Column("runs", "RUNS", "whether it runs here: yes or no"),
        Column("via", "", "the way that it takes here"),
        Column("engine", "", "the engine that it takes here: libbpf or bcc"),
        Column("reason", "", "why it does not run here, or not in the first way"),
        Column("hint", "", "what to do about that"),
        Column("summary", "SHOWS", "what it shows"),
    ),
    examples=(
        Example("ebpf-tour", "the catalogue"),
        Example("ebpf-tour check", "what is missing on this machine, and how to get it"),
        Example("ebpf-tour check -v", "the same, with what everything is for"),
        Example("ebpf-tour --json", "the catalogue for a script"),
    ),
    requirements=(
        "None to list the tools. To say whether they run it needs root, as they do; so does most "
        "of what ebpf-tour check tries."
    ),
    overhead=(
        "None: the catalogue reads a few files and ends. ebpf-tour check is done in a second or "
        "two; each of its programs is attached for some milliseconds."
    ),
    see_also=("bpftool(8)", "bpf(2)", "capabilities(7)"),
    verbose="with check: say of everything what it is for, not only of what is missing",
    commands=(CHECK,),
)

WIDTH = 80


def run(session: Session) -> None:
    if session.args.command == "check":
        check(session)
        return
    # Imported here: the catalogue imports every tool, this one included.
    from ebpf_tour.frame.catalogue import tools

    session.report(
        (catalogue_row(tool) for tool in tools() if tool.name != TOOL.name), lines=catalogue_lines
    )
    if features.lockdown() == "confidentiality":
        session.warn(
            "the kernel is locked down (confidentiality), so a tool may fail all the same; "
            "ebpf-tour check says what works"
        )


def catalogue_row(tool: Tool) -> Row:
    engine, via, reason = how_it_runs(tool)
    return {
        "tool": tool.command,
        "lesson": tool.lesson,
        "hooks": list(tool.via),
        "maps": list(dict.fromkeys(item.type for item in tool.maps)),
        "runs": "no" if reason and not via else "yes",
        "via": via,
        "engine": engine,
        "reason": str(reason) if reason else None,
        "hint": (reason and reason.hint) or None,
        "summary": tool.summary,
    }


def how_it_runs(tool: Tool) -> tuple[str | None, str | None, Error | None]:
    """Return the engine and the way that a tool takes here, and why not (in the first way)."""
    from ebpf_tour.loader import open_program

    if not tool.via:
        return None, None, None
    try:
        with open_program(tool.name, tool.via, directory=tool.directory) as program:
            engine, via = program.engine, program.via
    except Error as error:
        cli.add_hint(error, TOOL.command)
        return None, None, error
    first = next(iter(tool.via))
    return engine, via, None if via == first else what_is_missing(tool.via[first])


def why_not(tool: Tool) -> Error | None:
    """Return why none of the tool's ways works here, or None if one does."""
    reasons = []
    for hooks in tool.via.values():
        missing = what_is_missing(hooks)
        if not missing:
            return None
        reasons.append(missing)
    return reasons[0]


def catalogue_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the catalogue for a terminal: two lines for a tool, and at the end the reasons."""
    shown = list(rows)
    hooks = [joined(row["hooks"], "/") for row in shown]
    wide = max(len(text) for text in ("HOOK", *hooks)) + 2
    yield f"{'TOOL':19}{'HOOK':{wide}}MAP"
    yield f"{'  RUNS':19}SHOWS"
    for row, hook in zip(shown, hooks, strict=True):
        start = f"{row['tool']:19}{hook:{wide}}"
        yield from wrapped(start, joined(row["maps"], ", "), 19 + wide)
        yield from wrapped(f"  {runs(row):17}", str(row["summary"]), 19)
    yield from reason_lines(shown)


def runs(row: Row) -> str:
    return f"via {row['via']}" if row["via"] and row["reason"] else str(row["runs"])


def reason_lines(rows: list[Row]) -> Iterator[str]:
    """Yield each reason once, with the tools that it is for."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row["reason"]:
            key = str(row["reason"]), str(row["hint"] or "")
            reasons.setdefault(key, []).append(str(row["tool"]))
    if reasons:
        yield ""
        yield "Why not, or not in the way that comes first:"
    for (reason, hint), names in reasons.items():
        yield from wrapped("  ", f"{', '.join(names)}: {reason}", 4)
        if hint:
            yield from wrapped("    -> ", hint, 7)


def joined(value: object, separator: str) -> str:
    return separator.join(value) if isinstance(value, list) and value else "-"


def wrapped(start: str, text: str, indent: int) -> list[str]:
    """Return lines of at most WIDTH columns: `start` and the text, which goes on at `indent`."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start.rstrip()]


def check(session: Session) -> None:
    # Imported here: it brings in ctypes, which --help does not need.
    from ebpf_tour.survey import check

    rows = list(check.rows())
    session.report(rows, CHECK.columns, lambda rows: check_lines(rows, session.args.verbose))
    engines = [row for row in rows if row["check"] in ("libbpf", "BCC")]
    able = [str(row["check"]) for row in engines if row["found"]]
    if not able:
        session.finish()  # the summary comes before the error
        features.require_privileges()
        causes = "; ".join(f"{row['check']}: {row['detail']}" for row in engines)
        raise Unsupported(
            f"no engine can be used here: {causes}",
            "; ".join(str(row["hint"]) for row in engines if row["hint"]),
        )
    session.warn(f"{' and '.join(able)} can be used here; ebpf-tour lists the tools")


def check_lines(rows: Iterable[Row], verbose: bool) -> Iterator[str]:
    """Yield the results for a terminal; of what is missing, what it is for and what to do."""
    yield f"{'CHECK':20}FOUND  DETAIL"
    group, hint = None, None
    for row in rows:
        if group not in (None, row["group"]):
            yield ""
        found = "?" if row["found"] is None else "yes" if row["found"] else "no"
        yield from wrapped(f"{row['check']:20}{found:7}", str(row["detail"]), 27)
        if verbose or row["found"] is False:
            yield from wrapped(" " * 27 + "for ", str(row["used_for"]), 31)
        if row["hint"] and row["hint"] != hint:
            yield from wrapped(" " * 27 + "-> ", str(row["hint"]), 30)
        group, hint = row["group"], row["hint"]


def main() -> int:
    """Run the command; for the console script."""
    return cli.main(TOOL, run)


if __name__ == "__main__":
    sys.exit(main())
