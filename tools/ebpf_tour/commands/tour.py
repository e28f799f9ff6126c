"""ebpf-tour: the catalogue of tools and of types, what runs here, and what is missing."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported, UsageError, did_you_mean
from ebpf_tour.base.paths import course
from ebpf_tour.base.text import printable, wrapped
from ebpf_tour.frame import Column, Command, Example, Row, Session, Tool, cli
from ebpf_tour.frame.compare.columns import COLUMNS
from ebpf_tour.frame.picture import drawing
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from ebpf_tour.survey.territory import Types


def run(session: Session) -> None:
    # Imported here: the catalogue imports every tool, this one included.
    from ebpf_tour.frame.catalogue import tools

    word = session.args.command
    refuse_options_of_others(session.args)
    others = [tool for tool in tools() if tool.name != TOOL.name]
    if word is None:
        catalogue(session, others)
    elif word == CHECK.name:
        check(session)
    elif word == HOOKS.name:
        hooks(session, others)
    elif word == MAPS.name:
        maps(session, others)
    elif word == EXERCISES.name:
        exercises(session)
    elif word == COMPARE.name:
        compare(session)
    else:
        card(session, tool_called(word, others))


def refuse_options_of_others(args: argparse.Namespace) -> None:
    """Raise UsageError if something is given that only other words take."""
    own = {
        name
        for command in TOOL.commands
        if command.name == args.command
        for name in command.options
    }
    for command in TOOL.commands:
        for name in command.options:
            value = getattr(args, name)
            if name in own or value == DEFAULTS.get(name):
                continue
            given = value if name in ARGUMENTS else f"--{name.replace('_', '-')}"
            who = [f"{TOOL.command} {c.name}" for c in TOOL.commands if name in c.options]
            take = "takes" if len(who) == 1 else "take"
            raise UsageError(
                f"only {' and '.join(who)} {take} {printable(given)}",
                f"see the options: {TOOL.command} --help",
            )


ARGUMENTS = ("action", "exercise")
DEFAULTS = {"engine": "auto", "time_limit": 60, "rounds": 7}


def exercises(session: Session) -> None:
    from ebpf_tour.frame.exercises import command

    command.run(session)


def compare(session: Session) -> None:
    from ebpf_tour.frame.compare import command

    command.run(session)


def catalogue(session: Session, others: list[Tool]) -> None:
    session.report((catalogue_row(tool) for tool in others), lines=catalogue_lines)
    if page := course():
        session.warn(f"the course begins in {page}")
    if features.lockdown() == "confidentiality":
        session.warn(
            "the kernel is locked down (confidentiality), so a tool may still fail; to see what "
            "works: ebpf-tour check"
        )


def catalogue_row(tool: Tool) -> Row:
    engine, via, reason = how_it_runs(tool)
    return {
        "tool": tool.command,
        "lesson": tool.lesson,
        "kind": "for work" if tool.for_work else "lesson",
        "read_before": list(tool.read_before),
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


def catalogue_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the catalogue for a terminal: two lines for a tool, and at the end the reasons."""
    shown = list(rows)
    hooks = [joined(row["hooks"], "/") for row in shown]
    wide = max(len(text) for text in ("HOOK", *hooks)) + 2
    yield f"{'TOOL':19}{'HOOK':{wide}}MAP"
    yield f"{'  RUNS':19}SHOWS"
    kind = None
    for row, hook in zip(shown, hooks, strict=True):
        if row["kind"] != kind:
            kind = row["kind"]
            yield ""
            yield HEADINGS[str(kind)]
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
        yield "Why not, or not by the first choice of hooks:"
    for (reason, hint), names in reasons.items():
        yield from wrapped("  ", f"{', '.join(names)}: {reason}", 4)
        if hint:
            yield from wrapped("    -> ", hint, 7)


def joined(value: object, separator: str) -> str:
    return separator.join(value) if isinstance(value, list) and value else "-"


HEADINGS = {"lesson": "Lessons:", "for work": "Tools for work:"}


def tool_called(word: str, others: list[Tool]) -> Tool:
    """Return the tool with a name such as mkdir or ebpf-mkdir. Raises UsageError."""
    for tool in others:
        if word in (tool.name, tool.command, tool.command.removeprefix("ebpf-")):
            return tool
    names = [command.name for command in TOOL.commands if command != CARD]
    names += [tool.command.removeprefix("ebpf-") for tool in others]
    raise UsageError(
        f"there is no tool {printable(word)!r}",
        did_you_mean(word.removeprefix("ebpf-"), names, "list the tools: ebpf-tour"),
    )


def card(session: Session, tool: Tool) -> None:
    from ebpf_tour.frame import catalogue
    from ebpf_tour.frame.exercises import exercises

    row = catalogue_row(tool) | {
        "description": tool.description,
        "picture": drawing(tool) or None,
        "requirements": tool.requirements,
        "try": [example.command for example in things_to_try(tool)],
        "walkthrough": f"examples/{tool.name}.md",
        "exercises": [exercise.name for exercise in exercises() if exercise.page == tool.name],
    }
    pages = [page.name for page in catalogue.course()]
    place = f"{pages.index(tool.name) + 1} of {len(pages)}"
    columns = (*TOOL.columns, *CARD.columns)
    session.report([row], columns, lambda rows: card_lines(tool, rows, place))


def things_to_try(tool: Tool) -> list[Example]:
    """Return three examples: the demo first, for which one terminal is enough."""
    return sorted(tool.examples, key=lambda example: "--demo" not in example.command)[:3]


def card_lines(tool: Tool, rows: Iterable[Row], place: str) -> Iterator[str]:
    """Yield the card for a terminal: what a tool shows, its picture, whether it runs, and so on."""
    (row,) = rows
    yield from wrapped(f"{tool.command}: ", tool.summary, 0)
    yield ""
    yield from wrapped("", tool.description, 0)
    if row["picture"]:
        yield ""
        yield from (f"    {line}".rstrip() for line in str(row["picture"]).splitlines())
    yield ""
    yield from wrapped("Needs   ", tool.requirements, 8)
    yield from wrapped("Here    ", how_it_runs_here(row), 8)
    yield from wrapped("        -> ", str(row["hint"]), 11) if row["hint"] else ()
    head = "Try     "
    for example in things_to_try(tool):
        yield f"{head}{example.command}"
        yield f"            {example.doc}"
        head = " " * 8
    yield f"Lesson  {place}: {row['walkthrough']}, man {tool.command}"
    if isinstance(row["exercises"], list):
        for name in row["exercises"]:
            yield f"Do      {TOOL.command} exercises start {name}"


def how_it_runs_here(row: Row) -> str:
    """Return whether a tool runs here and by what, or why not."""
    if row["runs"] == "no":
        return f"it does not run: {row['reason']}"
    by = f" by {row['engine']}" if row["engine"] else ""
    if row["reason"]:
        return f"it runs via {row['via']}{by}, since {row['reason']}"
    return f"it runs{by}"


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


def hooks(session: Session, others: list[Tool]) -> None:
    from ebpf_tour.survey import territory

    rows = territory.hook_rows(others, types_of_kernel(session))
    session.report(rows, HOOKS.columns, territory.hook_lines)


def maps(session: Session, others: list[Tool]) -> None:
    from ebpf_tour.survey import territory

    rows = territory.map_rows(others, types_of_kernel(session))
    session.report(rows, MAPS.columns, territory.map_lines)


def types_of_kernel(session: Session) -> Types | None:
    """Return what types the running kernel has, None (and say so) where it has no BTF."""
    from ebpf_tour.survey import territory

    try:
        return territory.types_of_kernel()
    except Unsupported as error:
        session.warn(f"which of these types are here is unknown: {error}")
        return None


CHECK = Command(
    name="check",
    summary="check what the tools need on this machine, and say how to get what is missing",
    description=(
        "Check this machine: the kernel and its features, the rights of the caller, each kind "
        "of hook and of buffer, and the two engines. It tries what can be tried. For each kind "
        "of hook, it loads a program that only counts, attaches it for a moment, makes it run, "
        "and detaches it; this needs neither BCC nor a compiler. Each engine loads one of the "
        "tools. Where something is missing, it names the cause, what needs it, and what to do. "
        "Without root it checks only what needs no root. With -v, it says what everything is "
        "for."
    ),
    columns=(
        Column("check", "CHECK", "what was checked"),
        Column("group", "", "kernel, rights, hooks, maps or engines"),
        Column(
            "found",
            "FOUND",
            "yes, no, or ? where only root could find out; in JSON true, false or null",
        ),
        Column("detail", "DETAIL", "a version, for example; if it is missing, the reason"),
        Column("used_for", "", "what it is for"),
        Column("hint", "", "what to do if it is missing"),
    ),
    exit_status=(
        "0 if at least one engine can load programs here, even if some hook is missing. "
        "Otherwise 77 if the caller has no permission, and 69 if the machine lacks what the "
        "engines need."
    ),
)

HOOKS = Command(
    name="hooks",
    summary="list all types of programs, and which tool teaches each",
    description=(
        "List the program types of Linux and their attach types: what each is called by libbpf "
        "and by BCC, since which version of Linux it is there, which tool teaches it, and if "
        "none does, why. The running kernel's BTF says which types it has. So a type that is "
        "newer than this list is in it, too. Whether a kernel was built with a hook, ebpf-tour "
        "check says. ebpf-hooks(7) is the same list for all kernels."
    ),
    columns=(
        Column("program_type", "", "the program type; null if the kernel does not say it"),
        Column("attach_types", "", "its attach types that came together, a list"),
        Column("sections", "SEC()", "what SEC() says in the libbpf dialect, a list"),
        Column(
            "bcc",
            "BCC",
            "the macro of the BCC dialect, what the function's name begins with, or the type "
            "that load_func() takes; null if BCC has no name for it",
        ),
        Column("since", "SINCE", "the first version of Linux that has it"),
        Column("here", "", "whether the running kernel has it; null if it has no BTF"),
        Column("taught_by", "TAUGHT BY", "the first tool of the course that has such a hook"),
        Column("tools", "", "all tools that have one, a list"),
        Column("what", "", "what runs the program"),
        Column("why_not", "", "why no tool has such a hook"),
    ),
)

MAPS = Command(
    name="maps",
    summary="list all types of maps, and which tool teaches each",
    description=(
        "List the types of maps in the same way. ebpf-maps(7) is the same list for all kernels."
    ),
    columns=(
        Column("map_type", "", "the type"),
        Column("name", "MAP", "what the tools call it"),
        Column("bcc", "BCC", "the macro of the BCC dialect; null if BCC does not have it"),
        Column("since", "SINCE", "the first version of Linux that has it"),
        Column("here", "", "whether the running kernel has it; null if it has no BTF"),
        Column("taught_by", "TAUGHT BY", "the command that teaches it"),
        Column("tools", "", "the tools that have such a map, a list"),
        Column("what", "", "what it has, and for which keys"),
        Column("why_not", "", "why no tool teaches it"),
    ),
)

EXERCISES = Command(
    name="exercises",
    summary="list the exercises of the course, and start, check or solve one",
    description=(
        "List the exercises of the course with their state, or do something with one of them: "
        "start copies its files, check says whether your change is right, hint and solution "
        "help, reset puts its files back. See EXERCISES."
    ),
    columns=(
        Column("exercise", "EXERCISE", "its name"),
        Column("page", "LESSON", "the page of the course that it belongs to"),
        Column(
            "state",
            "STATE",
            "new, started, solved (its files are those that a check has passed), or not here",
        ),
        Column("reason", "", "why it cannot be done here"),
        Column("directory", "", "where its files are; null if it is new"),
        Column("summary", "WHAT TO DO", "what the program should do"),
        Column("text", "", "what an action says, a list of lines; null in the list"),
    ),
    exit_status=(
        "check ends with 0 if the exercise is solved, 1 if it is not, and 69 if this machine "
        "lacks what it needs. The list and the next exercise leave such an exercise out."
    ),
    options=("action", "exercise", "directory", "engine", "time_limit"),
)

COMPARE = Command(
    name="compare",
    summary="measure what each choice of hooks and each engine costs a tool's events",
    description=(
        "Do the same workload again and again: alone, and while the tool sees it through each of "
        "its choices of hooks, with each engine. Show how much time each adds to an event, and "
        "whether the rows are the same. The tool is mkdir, execsnoop, tc or syscount. See "
        "COMPARISON."
    ),
    columns=COLUMNS,
    exit_status=(
        "0 if at least one choice of hooks could be measured. Otherwise 77 if the caller has no "
        "permission, and 69 if the machine lacks what the tool needs."
    ),
    options=("action", "engine", "rounds", "events"),
)

CARD = Command(
    name="NAME",
    summary="show a tool's card: what it shows and needs, its picture, what to try",
    description=(
        "Show the card of a tool, such as mkdir: what it shows, a picture of how the data gets "
        "from the event to the tool, what it needs and whether it runs here, three things to "
        "try, and where its lesson is."
    ),
    columns=(
        Column("description", "", "what it does"),
        Column("picture", "", "event, hook, program, maps and tool, drawn; null without a program"),
        Column("requirements", "", "what it needs"),
        Column("try", "", "three command lines to try"),
        Column("walkthrough", "", "the file of its lesson, in the source"),
        Column("exercises", "", "the names of its exercises"),
    ),
)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        nargs="?",
        metavar="ACTION",
        help="of exercises: list (the default), start, check, hint, solution, or reset; of "
        "compare: the tool",
    )
    parser.add_argument(
        "exercise", nargs="?", metavar="EXERCISE", help="the name of an exercise, such as user"
    )
    parser.add_argument(
        "--directory",
        metavar="DIRECTORY",
        help="where start makes the exercise's directory (default: ./ebpf-exercises)",
    )
    parser.add_argument(
        "--engine",
        choices=cli.ENGINES,
        default="auto",
        help="what check takes; auto takes the engine of each C file that was changed. Of compare: "
        "what it measures; auto is both (default: auto)",
    )
    parser.add_argument(
        "--time-limit",
        type=cli.seconds,
        default="60",
        metavar="SECONDS",
        help="how long check waits until the program is attached (default: 60)",
    )
    parser.add_argument(
        "--rounds",
        type=cli.positive_int,
        default="7",
        metavar="N",
        help="of compare: how often each is measured (default: 7)",
    )
    parser.add_argument(
        "--events",
        type=cli.positive_int,
        metavar="N",
        help="of compare: how many events a round has (default: 500 for execsnoop, 5000 for mkdir, "
        "10000 for tc, 200000 for syscount)",
    )


TOOL = Tool(
    name="tour",
    lesson=0,
    summary="list the tools, what each one shows, and whether it runs here",
    description=(
        "List the tools of the suite in the order of the course: the hook and the map that each "
        "one teaches, what it shows, and whether this machine has what it needs."
    ),
    columns=(
        Column("tool", "TOOL", "the command"),
        Column("lesson", "", "its place in the course"),
        Column("kind", "", "lesson, or for work (exact rather than short)"),
        Column("read_before", "", "the pages of the course to read before its own"),
        Column("hooks", "HOOK", "the choices of hooks to see its event, as --via names them"),
        Column("maps", "MAP", "the types of the maps that it uses"),
        Column("runs", "RUNS", "whether it runs here: yes or no"),
        Column("via", "", "the choice of hooks that it uses here"),
        Column("engine", "", "the engine that it uses here: libbpf or bcc"),
        Column("reason", "", "why it does not run here, or not by the first choice of hooks"),
        Column("hint", "", "what to do about that"),
        Column("summary", "SHOWS", "what it shows"),
    ),
    examples=(
        Example("ebpf-tour", "the catalogue"),
        Example("ebpf-tour mkdir", "the card of ebpf-mkdir"),
        Example("ebpf-tour check", "what is missing on this machine, and how to get it"),
        Example("ebpf-tour check -v", "the same, with what everything is for"),
        Example("ebpf-tour hooks", "every type of hook, and the tool that teaches it"),
        Example("ebpf-tour maps", "the same for the types of maps"),
        Example("ebpf-tour exercises", "the exercises, and which of them are solved"),
        Example("ebpf-tour exercises start user", "begin with one of them"),
        Example("ebpf-tour exercises check", "check the next one that is not solved"),
        Example("ebpf-tour compare mkdir", "what each choice of hooks costs ebpf-mkdir's events"),
        Example("ebpf-tour --json", "the catalogue for a script"),
    ),
    requirements=(
        "None to list the tools. Root to say whether they run, and for most of what ebpf-tour "
        "check tries."
    ),
    see_also=("ebpf-hooks(7)", "ebpf-maps(7)", "bpftool(8)", "bpf(2)", "capabilities(7)"),
    verbose="with check: say what everything is for, not only what is missing",
    commands=(CHECK, HOOKS, MAPS, EXERCISES, COMPARE, CARD),
)

main = cli.command(TOOL, run, options)
