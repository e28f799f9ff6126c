"""The exercises: each is unsolved as it comes, and solved with its solution, on each engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import BIN, PATIENCE_S, ROOT, UNSUPPORTED, Result, assert_error, everyones, run

from ebpf_tour.commands.tour import EXERCISES
from ebpf_tour.frame.catalogue import course
from ebpf_tour.frame.exercises import Exercise, exercises, files
from ebpf_tour.frame.exercises.state import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator

TOUR = BIN / "ebpf-tour"
ALL = exercises()
ENGINES = ("libbpf", "bcc")
NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
DIALECTS = {"libbpf": "bpf", "bcc": "bcc"}

each = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)


def engines_of(exercise: Exercise) -> list[str]:
    """Return the engines that there is a C file for."""
    names = files.originals(exercise.name)
    return [e for e in ENGINES if f"{exercise.name}.{DIALECTS[e]}.c" in names]


EACH_DIALECT = [
    pytest.param(
        exercise,
        engine,
        id=f"{exercise.name}-{engine}",
        # In guests, what most native kernels refuse, and one that each kernel takes.
        marks=[pytest.mark.core] if exercise.name in ("fexit", "refuse", "user") else [],
    )
    for exercise in ALL
    for engine in engines_of(exercise)
]


@pytest.fixture
def learner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory to work in, with a state of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tour(*words: str | Path) -> Result:
    patience = ("--time-limit", str(PATIENCE_S)) if "check" in words else ()
    return run(TOUR, "exercises", *words, *patience)


def apply(name: str, directory: Path, engine: str | None = None) -> None:
    """Put the solution's files into a directory, or those of one dialect."""
    others = {f".{DIALECTS[e]}.c" for e in ENGINES if engine and e != engine}
    for file, content in files.solved(name).items():
        if not any(file.endswith(other) for other in others):
            (directory / file).write_bytes(content)


@pytest.mark.kernel
@pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")
@pytest.mark.parametrize(("exercise", "engine"), EACH_DIALECT)
def test_unsolved_then_solved(exercise: Exercise, engine: str, learner: Path) -> None:
    name = exercise.name
    assert tour("start", name).status == 0
    unsolved = tour("check", name, "--engine", engine)
    if missing := why_not(exercise):
        cause, _ = assert_error(unsolved, 69, "ebpf-tour")
        assert cause == str(missing)
        pytest.skip(f"{UNSUPPORTED}{missing}")
    cause, hint = assert_error(unsolved, 1, "ebpf-tour")
    assert cause.startswith(f"{name} with {engine} is not solved yet: ")
    assert exercise.unsolved in unsolved.stderr
    assert hint.endswith(f"see a hint: ebpf-tour exercises hint {name}")
    apply(name, learner / files.DIRECTORY / name, engine)
    solved = tour("check", name, "--engine", engine)
    assert solved.status == 0, solved.stderr
    assert solved.stdout.startswith(f"{name} with {engine}: solved.\nNext: ")


@pytest.mark.kernel
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("name", "right", "wrong", "said"),
    [
        ("byuser", "gid();", "gid() >> 32;", "the counters of these users have 0 and 0"),
        ("user", "gid();", "gid() >> 32;", "it showed 0 and 0"),
        ("nullcheck", "*policy;", "policy ? *policy : 0;", "it showed 6, and 4 of these"),
        ("bound", "sizeof(e.text))\n", "17)\n", "of texts with 1, 15, 16, 17 and 26 bytes"),
        ("tail", "if (size > ROOM)\n", "", "5 have a row, and right are those with"),
    ],
)
def test_what_only_looks_right_is_not(
    learner: Path, name: str, right: str, wrong: str, said: str
) -> None:
    """The group for the user, a null for the value 0, one byte too many, and so on."""
    tour("start", name)
    apply(name, learner / files.DIRECTORY / name, "libbpf")
    path = learner / files.DIRECTORY / name / f"{name}.bpf.c"
    text = path.read_text(encoding="ascii")
    assert right in text
    text = text.replace(right, wrong)
    if name == "nullcheck":
        text = re.sub(r"\tif \(!policy\).*\n\t\treturn 0;\n", "", text)
    if name == "bound":
        text = text.replace("length = sizeof(e.text);", "length = 17;")
    path.write_text(text, encoding="ascii")
    result = tour("check", name, "--engine", "libbpf")
    assert_error(result, 1, "ebpf-tour")
    assert said in result.stderr


# What holds for each exercise's texts and files


@each
def test_what_an_exercise_has(exercise: Exercise) -> None:
    name = exercise.name
    task = files.originals(name)["task.md"].decode().splitlines()
    assert len(task) <= 20
    assert max(map(len, task)) <= 80
    assert task[0].startswith(f"# {name}: ")
    assert task[-1] == f"    ebpf-tour exercises check {name}"
    assert engines_of(exercise)
    assert set(files.solved(name)) < set(files.originals(name))
    for engine in engines_of(exercise):
        assert f"{name}.{DIALECTS[engine]}.c" in files.solved(name)
    assert [len(hint) > 20 for hint in exercise.hints] == [True, True, True]
    assert exercise.page in {page.name for page in course()}
    page = (ROOT / f"examples/{exercise.page}.md").read_text(encoding="utf-8")
    assert f"ebpf-tour exercises start {name}" in page


@each
def test_the_solution_is_a_diff(exercise: Exercise, tmp_path: Path) -> None:
    """patch(1) makes the solved files of the first ones, with the lines as JSON has them."""
    (row,) = run(TOUR, "exercises", "solution", exercise.name, "--json").records
    for file, content in files.originals(exercise.name).items():
        (tmp_path / file).write_bytes(content)
    diff = "".join(f"{line}\n" for line in row["text"])
    done = subprocess.run(["patch", "-d", tmp_path], input=diff, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
    for file, content in files.solved(exercise.name).items():
        assert (tmp_path / file).read_bytes().splitlines() == content.splitlines()


# The learner's files and state


def states() -> dict[str, str]:
    return {row["exercise"]: row["state"] for row in tour("--json").records}


@pytest.mark.usefixtures("learner")
def test_the_list() -> None:
    result = tour("--json")
    assert [row["exercise"] for row in result.records] == [e.name for e in ALL]
    assert all(list(row) == [c.key for c in EXERCISES.columns] for row in result.records)
    for row, exercise in zip(result.records, ALL, strict=True):
        missing = why_not(exercise)
        assert row["state"] == ("not here" if missing else "new")
        assert row["reason"] == (str(missing) if missing else None)
        assert row["text"] is None
    able = sum(row["state"] == "new" for row in result.records)
    lines = tour().stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["EXERCISE", "LESSON", "STATE", "WHAT", "TO", "DO"]
    assert re.fullmatch(rf"0 of {able} solved\. Next: ebpf-tour exercises start \w+", lines[-1])
    header, *rows = tour("--format", "csv").stdout.splitlines()
    assert header.split(",") == [c.key for c in EXERCISES.columns]
    assert len(rows) == len(ALL)


def test_the_list_without_root(learner: Path, open_directory: Path) -> None:
    """What only root may find out does not make an exercise one that cannot be done."""
    command = (everyones("tour", open_directory), "exercises", "--json")
    rows = run(*AS_NOBODY, "env", f"XDG_STATE_HOME={learner}", *command).records
    assert {row["state"] for row in rows} <= {"new", "not here"}
    assert next(row["state"] for row in rows if row["exercise"] == "user") == "new"


def test_start_and_reset_keep_what_was_changed(learner: Path) -> None:
    directory = learner / "ebpf-exercises/user"
    first = tour("start", "user").stdout
    assert first.startswith(
        f"In {directory}:\n  new: task.md, user.bcc.c, user.bpf.c, user.h, user.py\n\n# user: "
    )
    assert max(map(len, first.replace(str(directory), "").splitlines())) <= 80
    assert states()["user"] == "started"
    nothing = f"In {directory}:\n  all files were there\n\n# user: "
    assert tour("start", "user").stdout.startswith(nothing)
    (directory / "user.h").unlink()
    for number, kept in enumerate(("user.bpf.c~", "user.bpf.c~2", "user.bpf.c~3"), 1):
        with open(directory / "user.bpf.c", "a", encoding="ascii") as file:
            file.write(f"// mine {number}\n")
        again = tour("start", "user").stdout
        assert again.startswith(f"In {directory}:\n")
        assert ("  new: user.h\n" in again) == (number == 1)
        assert "  changed by you: user.bpf.c\n" in again
        assert tour("reset", "user").stdout == (
            f"In {directory}:\n  user.bpf.c: yours is {kept} now\n"
        )
        assert (directory / "user.bpf.c").read_bytes() == files.originals("user")["user.bpf.c"]
        assert (directory / kept).read_text(encoding="ascii").endswith(f"// mine {number}\n")
    assert tour("reset", "user").stdout == f"In {directory}:\n  nothing was changed\n"


@pytest.mark.kernel
def test_check_misses_a_file(learner: Path) -> None:
    tour("start", "user")
    (learner / "ebpf-exercises/user/user.h").unlink()
    cause, hint = assert_error(tour("check", "user"), 1, "ebpf-tour")
    assert cause == f"{learner}/ebpf-exercises/user has no user.h"
    assert hint == "get what is missing: ebpf-tour exercises start user"


@pytest.mark.kernel
def test_by_hand_it_takes_libbpf_and_has_no_demo(learner: Path) -> None:
    """It says what to compile once the C is newer."""
    tour("start", "user")
    directory = learner / "ebpf-exercises/user"
    demo = run(directory / "user.py", "--demo")
    cause, hint = assert_error(demo, 2, "user")
    assert cause == "user has no demo"
    assert hint == "run it without --demo, and cause events in another terminal"
    apply("user", directory)
    changed = run(directory / "user.py", "--engine", "libbpf", "--time-limit", "1")
    cause, hint = assert_error(changed, 1, "user")
    assert "-m ebpf_tour.build" in hint


def test_another_place(learner: Path) -> None:
    assert tour("start", "user", "--directory", learner / "there").status == 0
    assert (learner / "there/user/user.bpf.c").exists()
    (row,) = tour("start", "user", "--json").records
    assert row["directory"] == str(learner / "there/user")
    assert row["text"][:2] == [f"In {learner}/there/user:", "  all files were there"]
    shutil.rmtree(learner / "there")
    assert states()["user"] == "new"
    cause, hint = assert_error(tour("check", "user"), 1, "ebpf-tour")
    assert cause == "the exercise user is not started, or its directory is gone"
    assert hint == "start it: ebpf-tour exercises start user"
    (learner / "file").touch()
    cause, hint = assert_error(
        tour("start", "user", "--directory", learner / "file"), 1, "ebpf-tour"
    )
    assert cause == f"cannot use {learner}/file/user: Not a directory"
    assert hint == "name another place: --directory DIRECTORY"


@pytest.mark.usefixtures("learner")
def test_hints_help_more_and_more() -> None:
    (exercise,) = (e for e in ALL if e.name == "user")
    for number, more in enumerate(("hint", "hint", "solution", "solution")):
        text = tour("hint", "user").stdout.splitlines()
        shown = min(number, 2)
        assert text[0] == f"Hint {shown + 1} of 3:"
        assert " ".join(text[1:-2]) == exercise.hints[shown]
        assert text[-1] == f"More: ebpf-tour exercises {more} user"
    tour("start", "user")
    tour("reset", "user")
    assert tour("hint", "user").stdout.startswith("Hint 1 of 3:")


@pytest.mark.parametrize(
    ("words", "cause", "hint"),
    [
        (
            ("foo",),
            "there is no action 'foo'",
            "take one of these: list, start, check, hint, solution, reset",
        ),
        (("user",), "there is no action 'user'", "did you mean ebpf-tour exercises start user?"),
        (("start",), "which exercise?", "list them: ebpf-tour exercises"),
        (("start", "usr"), "there is no exercise 'usr'", "did you mean user?"),
        (("list", "user"), "list takes no exercise", "leave it out: ebpf-tour exercises"),
    ],
)
@pytest.mark.usefixtures("learner")
def test_words_that_make_no_sense(words: tuple[str, ...], cause: str, hint: str) -> None:
    assert assert_error(tour(*words), 2, "ebpf-tour") == (cause, hint)


@pytest.mark.parametrize("words", [("check", "user"), ("--engine", "bcc"), ("--directory", ".")])
def test_other_commands_take_none_of_this(words: tuple[str, ...]) -> None:
    cause, _ = assert_error(run(TOUR, *words), 2, "ebpf-tour")
    assert cause.startswith("only ebpf-tour exercises ")
    assert cause.split()[-1] in words


@pytest.mark.kernel
@pytest.mark.usefixtures("leaves_nothing")
def test_check_takes_the_next_and_what_was_changed(learner: Path) -> None:
    """It is solved while its files are those that have passed."""
    able = [e.name for e in ALL if not why_not(e)]
    cause, hint = assert_error(tour("check"), 1, "ebpf-tour")
    assert cause == f"the exercise {able[0]} is not started, or its directory is gone"
    assert hint == f"start it: ebpf-tour exercises start {able[0]}"
    tour("start", "user")
    directory = learner / "ebpf-exercises/user"
    apply("user", directory)
    (row,) = tour("check", "user", "--json").records
    assert row["state"] == "solved"
    assert row["text"][0] == "user with libbpf and bcc: solved."
    assert states()["user"] == "solved"
    with open(directory / "user.bcc.c", "a", encoding="ascii") as file:
        file.write("x\n")
    assert states()["user"] == "started"
    cause, _ = assert_error(tour("check", "user"), 1, "ebpf-tour")
    assert cause.startswith("user with bcc is not solved yet: ")


@pytest.mark.kernel
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("user.bpf.c", "e.uid =", "e.uid", "error: expected ';'"),
        ("user.py", "program.load()", "return", "it ended before it was attached"),
        ("user.py", "session.row({", 'print("hello") or session.row({', "its output is not JSON"),
        ("user.py", "program.load()", "sys.exit(5)", "the program does not start"),
    ],
)
def test_what_is_broken_is_said(
    learner: Path, file: str, before: str, after: str, said: str
) -> None:
    tour("start", "user")
    path = learner / "ebpf-exercises/user" / file
    text = path.read_text(encoding="ascii")
    assert before in text
    path.write_text(text.replace(before, after), encoding="ascii")
    result = tour("check", "user", "--engine", "libbpf")
    assert_error(result, 1, "ebpf-tour")
    assert said in result.stderr


@pytest.mark.usefixtures("learner")
def test_check_needs_root() -> None:
    tour("start", "user")
    without = ("setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon")
    result = run(*without, TOUR, "exercises", "check", "user")
    assert_error(result, 77, "ebpf-tour")


@pytest.fixture
def users_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a directory that belongs to nobody, who calls sudo."""
    path = Path(tempfile.mkdtemp(prefix="exercises-"))
    os.chown(path, NOBODY, NOBODY)
    monkeypatch.chdir(path)
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    monkeypatch.setenv("XDG_STATE_HOME", str(path / "state"))
    yield path
    shutil.rmtree(path)


@pytest.mark.kernel
def test_files_belong_to_who_calls_sudo(users_home: Path) -> None:
    assert tour("start", "user").status == 0
    assert tour("hint", "user").status == 0
    made = list(users_home.rglob("*"))
    assert len(made) > 6
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(NOBODY, NOBODY)}
    state = json.loads((users_home / "state/ebpf-tour/exercises.json").read_text(encoding="utf-8"))
    assert state["user"] == {"directory": str(users_home / "ebpf-exercises/user"), "hints": 1}


@pytest.mark.kernel
def test_root_follows_no_link_of_that_user(users_home: Path, tmp_path: Path) -> None:
    """Where the user may not write, root does not for the user."""
    (users_home / "ebpf-exercises").symlink_to(tmp_path)
    cause, _ = assert_error(tour("start", "user"), 1, "ebpf-tour")
    assert cause.endswith("ebpf-exercises/user: Permission denied")
    assert not any(tmp_path.iterdir())
