"""ebpf-tour exercises: the list, and what can be done with one of them."""

from __future__ import annotations

import contextlib
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from ebpf_tour.base.caller import as_caller
from ebpf_tour.base.errors import Error, UsageError, did_you_mean
from ebpf_tour.base.paths import absolute
from ebpf_tour.base.text import printable
from ebpf_tour.frame.exercises import files
from ebpf_tour.frame.exercises.record import exercises
from ebpf_tour.frame.exercises.state import CANNOT, NEW, SOLVED, State, why_not

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ebpf_tour.frame.exercises.check import Verdict
    from ebpf_tour.frame.exercises.record import Exercise
    from ebpf_tour.frame.record import Column, Row
    from ebpf_tour.frame.session import Session

COMMAND = "ebpf-tour exercises"


def run(session: Session) -> None:
    """Do what the action behind `ebpf-tour exercises` is."""
    args = session.args
    state = State()
    action = args.action or "list"
    if action not in (*ACTIONS, "list"):
        known = {exercise.name for exercise in exercises()}
        raise UsageError(
            f"there is no action {printable(action)!r}",
            f"did you mean {COMMAND} start {action}?"
            if action in known
            else f"take one of these: list, {', '.join(ACTIONS)}",
        )
    if action == "list":
        if args.exercise:
            raise UsageError("list takes no exercise", f"leave it out: {COMMAND}")
        list_all(session, state)
        return
    if args.exercise is None and action == "check":
        exercise = next_open(state)
    else:
        exercise = called(args.exercise)
    ACTIONS[action](session, state, exercise)


def called(name: str | None) -> Exercise:
    """Return the exercise with a name. Raises UsageError."""
    known = {exercise.name: exercise for exercise in exercises()}
    if name is None:
        raise UsageError("which exercise?", f"list them: {COMMAND}")
    if name not in known:
        raise UsageError(
            f"there is no exercise {printable(name)!r}",
            did_you_mean(name, known, f"list them: {COMMAND}"),
        )
    return known[name]


def next_open(state: State) -> Exercise:
    """Return the first exercise that is not solved and can be done here. Raises Error."""
    for exercise in exercises():
        if state.of(exercise) not in (SOLVED, CANNOT):
            return exercise
    raise Error(
        "every exercise that can be done here is solved",
        f"write a tool of your own: examples/reference.md; list the exercises: {COMMAND}",
    )


def list_all(session: Session, state: State) -> None:
    """Show each exercise with its state."""
    rows = (row_of(exercise, state) for exercise in exercises())
    session.report(rows, columns_of(session), list_lines)


def columns_of(session: Session) -> tuple[Column, ...]:
    """Return the columns of this command."""
    return next(c.columns for c in session.tool.commands if f"ebpf-tour {c.name}" == COMMAND)


def row_of(exercise: Exercise, state: State, text: Iterable[str] | None = None) -> Row:
    """Return an exercise as a row, with what an action has to say of it."""
    is_ = state.of(exercise)
    cannot = why_not(exercise) if is_ == CANNOT else None
    directory = state.directory(exercise.name)
    return {
        "exercise": exercise.name,
        "page": exercise.page,
        "state": is_,
        "reason": str(cannot) if cannot else None,
        "directory": str(directory) if directory else None,
        "summary": exercise.summary,
        "text": None if text is None else list(text),
    }


def list_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the list for a terminal."""
    shown = list(rows)
    yield f"{'EXERCISE':12}{'LESSON':12}{'STATE':10}WHAT TO DO"
    for row in shown:
        start = f"{row['exercise']:12}{row['page']:12}{row['state']:10}"
        yield from textwrap.wrap(
            str(row["summary"]), 80, initial_indent=start, subsequent_indent=" " * 34
        )
    reasons: dict[str, list[str]] = {}
    for row in shown:
        if row["reason"]:
            reasons.setdefault(str(row["reason"]), []).append(str(row["exercise"]))
    if reasons:
        yield ""
    for reason, names in reasons.items():
        yield from textwrap.wrap(
            f"Not here: {', '.join(names)}: {reason}", 80, subsequent_indent="    "
        )
    solved = sum(row["state"] == SOLVED for row in shown)
    able = sum(row["state"] != CANNOT for row in shown)
    yield ""
    yield f"{solved} of {able} solved. {what_next(shown)}"


def what_next(rows: list[Row]) -> str:
    """Return the step after this one."""
    for row in rows:
        if row["state"] not in (SOLVED, CANNOT):
            action = "start" if row["state"] == NEW else "check"
            return f"Next: {COMMAND} {action} {row['exercise']}"
    return "Next: write a tool of your own, examples/reference.md"


def say(session: Session, state: State, exercise: Exercise, text: Iterable[str]) -> None:
    """Report one exercise with a text, which is all that a table shows."""

    def lines(rows: Iterable[Row]) -> Iterator[str]:
        for row in rows:
            text = row["text"]
            yield from (line.expandtabs() for line in text) if isinstance(text, list) else ()

    session.report([row_of(exercise, state, text)], columns_of(session), lines)


def start(session: Session, state: State, exercise: Exercise) -> None:
    """Copy the files, and show the task."""
    directory = place(session, state, exercise)
    copied = files.start(exercise.name, directory)
    build_if_possible(directory)
    state.started(exercise.name, directory)
    text = [f"In {directory}:"]
    text += listed("new", copied.new) + listed("changed by you", copied.changed)
    text += [] if copied.new else ["  all files were there"]
    if missing := why_not(exercise):
        text += textwrap.wrap(f"It cannot be checked here: {missing}.", 80)
    task = files.originals(exercise.name)["task.md"].decode().splitlines()
    say(session, state, exercise, [*text, "", *task])


def listed(what: str, names: list[str]) -> list[str]:
    return textwrap.wrap(f"  {what}: {', '.join(names)}", 80) if names else []


def build_if_possible(directory: Path) -> None:
    """Compile the objects. So NAME.py takes libbpf, and says so when the C changes.

    Nothing is said where there is no compiler: check says it.
    """
    from ebpf_tour.build import compile_all

    with contextlib.suppress(Error), as_caller():
        compile_all(directory, directory)


def place(session: Session, state: State, exercise: Exercise) -> Path:
    """Return the directory of an exercise: as named, where it was started, or here."""
    named = session.args.directory
    known = state.directory(exercise.name)
    if named is None and known:
        return known
    return Path(absolute(named or files.DIRECTORY), exercise.name)


def started(state: State, exercise: Exercise) -> Path:
    """Return where an exercise was started. Raises Error."""
    directory = state.directory(exercise.name)
    if not directory:
        raise Error(
            f"the exercise {exercise.name} is not started, or its directory is gone",
            f"start it: {COMMAND} start {exercise.name}",
        )
    return directory


def check(session: Session, state: State, exercise: Exercise) -> None:
    """Run an exercise's check. Raises Error with what was seen if it is not solved."""
    from ebpf_tour.frame.exercises import check

    directory = started(state, exercise)
    require_files(exercise, directory)
    engine = session.args.engine
    chosen = [engine] if engine != "auto" else check.engines(exercise, directory)
    for engine in chosen:
        args = session.args
        verdict = check.check(exercise, directory, engine, args.time_limit, verbose=args.verbose)
        if verdict.said:
            raise not_yet(session, exercise, engine, verdict)
    state.solved(exercise.name, directory)
    rest = what_next([row_of(other, state) for other in exercises()])
    say(session, state, exercise, [f"{exercise.name} with {' and '.join(chosen)}: solved.", rest])


def require_files(exercise: Exercise, directory: Path) -> None:
    """Raise Error if a file of the exercise is gone."""
    originals = files.originals(exercise.name)
    with as_caller():
        missing = files.missing(originals, directory)
    if missing:
        raise Error(
            f"{directory} has no {', '.join(missing)}",
            f"get what is missing: {COMMAND} start {exercise.name}",
        )


def not_yet(session: Session, exercise: Exercise, engine: str, verdict: Verdict) -> Error:
    """Return the error for an exercise that is not solved. With -v, all is said before it."""
    detail = verdict.detail
    if detail and session.args.verbose:
        session.say(detail)
        detail = ""
    first = "read what is said above; " if verdict.detail else ""
    return Error(
        f"{exercise.name} with {engine} is not solved yet: {verdict.said}",
        f"{first}see a hint: {COMMAND} hint {exercise.name}",
        detail,
    )


def hint(session: Session, state: State, exercise: Exercise) -> None:
    """Show the next hint; after the last one, the last one."""
    number = state.hint(exercise)
    text = textwrap.wrap(exercise.hints[number], 80, break_long_words=False)
    last = len(exercise.hints) - 1
    more = f"{COMMAND} {'hint' if number < last else 'solution'} {exercise.name}"
    head = f"Hint {number + 1} of {last + 1}:"
    say(session, state, exercise, [head, *text, "", f"More: {more}"])


def solution(session: Session, state: State, exercise: Exercise) -> None:
    """Show how the files of the solved exercise differ."""
    say(session, state, exercise, files.solution(exercise.name))


def reset(session: Session, state: State, exercise: Exercise) -> None:
    """Put the files back as they came, and forget the hints."""
    directory = started(state, exercise)
    kept = files.reset(exercise.name, directory)
    state.forget(exercise.name)
    text = [f"  {name}: yours is {other} now" for name, other in kept.items()]
    say(session, state, exercise, [f"In {directory}:", *(text or ["  nothing was changed"])])


ACTIONS: dict[str, Callable[[Session, State, Exercise], None]] = {
    "start": start,
    "check": check,
    "hint": hint,
    "solution": solution,
    "reset": reset,
}
