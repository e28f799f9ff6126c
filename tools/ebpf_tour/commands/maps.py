"""ebpf-maps: which map when, and a lesson on each type.

A lesson has no event. The tool runs the functions of its program itself, step by step, and
shows what each returned.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator

from ebpf_tour.base.errors import EngineUnavailable, UsageError, did_you_mean
from ebpf_tour.base.text import printable, wrapped
from ebpf_tour.frame import Column, Example, Row, Session, Tool, cli
from ebpf_tour.frame.maps import MapLesson, Steps, map_lessons
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.loader.program import sources


def run(session: Session) -> None:
    args = session.args
    lessons = map_lessons()
    if args.type is None:
        if args.show:
            raise UsageError("--show what?", f"name a type: {TOOL.command} hash --show {args.show}")
        which_when(session, lessons)
    elif args.measure:
        which_when(session, [called(args.type, lessons)])
    else:
        teach(session, called(args.type, lessons))


def called(name: str, lessons: list[MapLesson]) -> MapLesson:
    """Return the lesson on a type: hash, lru-hash, LRU_HASH. Raises UsageError."""
    word = name.lower().removeprefix("bpf_map_type_").replace("_", "-")
    for lesson in lessons:
        if word in (lesson.name, lesson.type.lower().replace("_", "-")):
            return lesson
    raise UsageError(
        f"there is no lesson on {printable(name)!r}",
        did_you_mean(word, [lesson.name for lesson in lessons], f"list them: {TOOL.command}"),
    )


def which_when(session: Session, lessons: list[MapLesson]) -> None:
    """Show when to take which map; with --measure, what each costs."""
    rows = [row_of(lesson) for lesson in lessons]
    if not session.args.measure:
        session.report(rows, lines=which_lines)
        return
    from ebpf_tour.frame.maps import measure

    measured = measure.rows(rows, [(lesson, tool_of(lesson)) for lesson in lessons], session)
    session.report(measured, MEASURED, measure.lines)


def row_of(lesson: MapLesson) -> Row:
    missing = what_is_missing(lesson.programs)
    return {
        "map": lesson.name,
        "type": f"BPF_MAP_TYPE_{lesson.type}",
        "about": lesson.about,
        "when": lesson.when,
        "full": lesson.full,
        "gone": lesson.gone,
        "shared": lesson.shared,
        "rather": lesson.rather,
        "reason": str(missing) if missing else None,
    }


def which_lines(rows: Iterable[Row]) -> Iterator[str]:
    yield f"{'MAP':18}TAKE IT WHEN"
    for row in rows:
        yield ""
        yield from beside(f"{row['map']}", str(row["when"]))
        yield from beside("", f"Full: {row['full']}")
        yield from beside("", f"Or rather: {row['rather']}")
        if row["reason"]:
            yield from beside("", f"Not here: {row['reason']}.")


def beside(start: str, text: str, indent: int = 18) -> list[str]:
    """Return lines of 80 columns: `start`, and beside it the text."""
    return wrapped(f"{start:{indent}}", text, indent)


def teach(session: Session, lesson: MapLesson) -> None:
    require_engine(session.args.engine, lesson)
    with session.open(tool_of(lesson)) as program:
        program.load()
        program.attach()
        steps = Steps(program)
        lesson.run(steps)
        rows = [{"map": lesson.name, **row} for row in steps.rows]
    session.report(rows, STEPS, lambda rows: lesson_lines(lesson, rows))


def require_engine(engine: str, lesson: MapLesson) -> None:
    """Raise EngineUnavailable if an engine has no word for the type."""
    if engine not in ("auto", *lesson.engines):
        raise EngineUnavailable(
            f"{engine} has no word for {lesson.name}, BPF_MAP_TYPE_{lesson.type}",
            f"use the engine that has: --engine {lesson.engines[0]}",
        )


def tool_of(lesson: MapLesson) -> Tool:
    """Return the record of a tool with the lesson's program, which has no event."""
    return Tool(name=lesson.stem, via={"prog run": lesson.programs}, directory=f"{sources()}/maps")


def lesson_lines(lesson: MapLesson, rows: Iterable[Row]) -> Iterator[str]:
    """Yield the lesson for a terminal: what it is about, its steps, and where the C is."""
    yield f"{lesson.name}: {lesson.about} (BPF_MAP_TYPE_{lesson.type})"
    yield ""
    yield from beside("program", "the tool runs this function of the BPF program", 12)
    yield from beside("tool", "user space", 12)
    yield from beside("-ENOENT", "there is no such element; in C, a lookup returns NULL", 12)
    part = None
    for row in rows:
        if row["part"] != part:
            part = row["part"]
            yield ""
            yield str(part)
        yield from step_lines(row)
    yield ""
    yield from beside("Take it when", lesson.when, 14)
    yield from beside("Or rather", lesson.rather, 14)
    yield from beside("Full", lesson.full, 14)
    yield from beside("Who removes", lesson.gone, 14)
    yield from beside("Two CPUs", lesson.shared, 14)
    yield f"{'The C':14}{TOOL.command} {lesson.name} --show source"
    yield f"{'Since when':14}ebpf-tour maps"


def step_lines(row: Row) -> Iterator[str]:
    """Yield a step: who calls what, what comes back, and a note beside it or below."""
    start = f"  {row['by']:9}{row['call']:21} {result_of(row):>9}".rstrip()
    note = str(row["note"] or "")
    if len(start) <= 42 and note:
        yield from beside(start, note, 44)
        return
    yield start
    yield from beside("", note, 44) if note else ()


def result_of(row: Row) -> str:
    """Return the result for the table: a number, "-E2BIG", or the values of all CPUs."""
    if row["error"]:
        return f"-{row['error']}"
    result = row["result"]
    if isinstance(result, list):
        return " ".join(result) or "nothing"
    return "" if result is None else str(result)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "type", nargs="?", metavar="TYPE", help="a type of map, such as hash: show its lesson"
    )
    cli.add_flag(
        *(parser, "--measure"),
        help="measure lookup, update and delete on this machine, of TYPE or of all types",
    )
    cli.add_engine_option(parser)
    cli.add_show_option(parser)
    parser.set_defaults(demo=False)


MAP = Column("map", "MAP", "its name here")
TYPE = Column("type", "", "its name in the kernel")

STEPS = (
    MAP,
    Column("part", "", "the part of the lesson"),
    Column(
        "by", "BY", "who does it: the program, on 2 CPUs at once, in a thread or child, or the tool"
    ),
    Column("call", "CALL", "the function of the program with its numbers, or what the tool does"),
    Column("result", "RESULT", "what it returned: a number, or a list", text=result_of),
    Column("error", "", "the name of the error, if the number is below 0"),
    Column("note", "NOTE", "what to see in it"),
)

MEASURED = (
    MAP,
    TYPE,
    *(
        Column(f"{what}_{cpus}_ns", f"{head} {cpus}", f"ns for {text}, on {where}", form="%.1f")
        for what, head, text in (
            ("lookup", "LOOKUP", "a lookup"),
            ("update", "UPDATE", "an update"),
            ("update_delete", "UPDATE+DELETE", "a new element and its removal"),
        )
        for cpus, where in ((1, "one CPU"), (2, "each of two CPUs at once"))
    ),
    Column("reason", "", "why it was not measured"),
)

TOOL = Tool(
    name="maps",
    lesson=180,
    read_before=("tailcall",),
    summary="show which map to take when, and what each type does",
    description=(
        "Show when to take which type of map. With a TYPE, show its lesson: what goes in and "
        "comes out, what happens when it is full, what two CPUs do to each other in it, and how "
        "user space reads it. Nothing is attached: the tool runs the functions of a small "
        "program itself."
    ),
    columns=(
        MAP,
        TYPE,
        Column("about", "", "what it is"),
        Column("when", "TAKE IT WHEN", "when to take it"),
        Column("full", "", "what happens when it is full"),
        Column("gone", "", "who removes what is in it"),
        Column("shared", "", "what two CPUs do to each other in it"),
        Column("rather", "", "what to take in other cases"),
        Column("reason", "", "why its lesson does not run here"),
    ),
    commands=(),
    examples=(
        Example("ebpf-maps", "which map when"),
        Example("ebpf-maps hash", "the lesson on hashes"),
        Example("ebpf-maps hash --show source", "its C"),
        Example("ebpf-maps --measure", "what each map costs here"),
    ),
    requirements=(
        "None for the list. Linux 5.8 or newer and root (or CAP_BPF, CAP_PERFMON and "
        "CAP_NET_ADMIN) for the lessons; some types need a newer kernel."
    ),
    see_also=("bpf(2)", "bpf-helpers(7)"),
)

main = cli.command(TOOL, run, options)
