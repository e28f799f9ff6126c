"""Make the files of a new tool from the files of another.

    python3 -m ebpf_tour.new mytool --like minimal

In the root of a checkout the tool becomes part of the package, elsewhere it is your
own. It builds and runs as it is; then change it, a step at a time.
"""

from __future__ import annotations

import argparse
import keyword
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from ebpf_tour.base.errors import Error, UsageError

_COMMAND = "python3 -m ebpf_tour.new"
PACKAGE = Path(__file__).resolve().parent
# The examples of a checkout; an installed package has none.
EXAMPLES = PACKAGE.parent.parent / "examples/own"

TEST = '''"""{command}, on the real kernel."""

from __future__ import annotations

import pytest
from support import BIN, run

from ebpf_tour.commands.{stem} import TOOL

pytestmark = [pytest.mark.kernel(TOOL), pytest.mark.core]


def test_demo(engine: str) -> None:
    """It sees every row that it causes."""
    result = run(BIN / TOOL.command, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    assert result.summary["lost"] == 0
'''


class Names(NamedTuple):
    """What a tool is called: the command, and the stem of its module and C files."""

    stem: str
    command: str


class Made(NamedTuple):
    """The files to write, with their texts, and what to do then."""

    files: dict[Path, str]
    next_steps: list[str]


def tools_to_copy() -> list[str]:
    """Return the tools that have a C file in both dialects."""
    stems = {path.name.partition(".")[0] for path in (PACKAGE / "bpf").glob("*.bpf.c")}
    both = [stem for stem in stems if (PACKAGE / f"bpf/{stem}.bcc.c").exists()]
    return sorted(stem for stem in both if (PACKAGE / f"commands/{stem}.py").exists())


def examples_to_copy() -> list[str]:
    """Return the tools of examples/own."""
    return sorted(path.stem for path in EXAMPLES.glob("*.py"))


def renamed(text: str, old: Names, new: Names) -> str:
    """Return a text of one tool as a text of another: its command, its files, its name.

    In roff, the dash of a command has a backslash.
    """
    text = re.sub(rf"(?<![\w-]){old.command}\b", new.command, text)
    text = text.replace(old.command.replace("-", r"\-"), new.command.replace("-", r"\-"))
    text = re.sub(rf"\b{old.stem}(?=[.\w]*\.(?:c|h|py|md|inc)\b)", new.stem, text)
    return text.replace(f'name="{old.stem}"', f'name="{new.stem}"')


def c_files(old: Names, new: Names) -> dict[str, str]:
    """Return the C files of a tool by their new names: NAME.bpf.c, and what is only its own."""
    return {
        renamed(path.name, old, new): renamed(path.read_text(encoding="utf-8"), old, new)
        for path in sorted((PACKAGE / "bpf").glob(f"{old.stem}[._]*"))
        if path.suffix in (".c", ".h")
    }


def of_ones_own(old: Names, new: Names, directory: Path) -> Made:
    """Return the files of a tool in a directory of your own."""
    text = renamed((PACKAGE / f"commands/{old.stem}.py").read_text(encoding="utf-8"), old, new)
    text = re.sub(r"\n    lesson=\d+,", "\n    directory=os.path.dirname(__file__),", text)
    text = re.sub(r"\n    (for_work|read_before)=.*,", "", text)  # it has no place in the course
    for module in ("sys", "os"):
        if not re.search(rf"^import {module}$", text, re.MULTILINE):
            text = text.replace("annotations\n\n", f"annotations\n\nimport {module}\n", 1)
    files = {directory / f"{new.stem}.py": f"#!{sys.executable}\n{text}\nsys.exit(main())\n"}
    files |= {directory / name: text for name, text in c_files(old, new).items()}
    return Made(files, next_steps(new, directory))


def of_an_example(old: str, new: Names, directory: Path) -> Made:
    """Return the files of a tool of examples/own in a directory of your own."""
    files: dict[Path, str] = {}
    for path in sorted(EXAMPLES.glob(f"{old}.*")):
        if path.suffix in (".c", ".h", ".py"):
            text = re.sub(rf"\b{old}(?=[.\w]*\.(?:c|h|py)\b)", new.stem, path.read_text("utf-8"))
            text = text.replace(f'"{old}",', f'"{new.stem}",')  # the name in its record
            text = text.replace("#!/usr/bin/env python3\n", f"#!{sys.executable}\n")
            files[directory / path.name.replace(old, new.stem, 1)] = text
    return Made(files, next_steps(new, directory))


def what_to_change(module: str) -> str:
    """Return the first step: what makes the copy your own tool."""
    return f"change the hook (via), the columns, the demo and the summary in {module}, and the C"


def next_steps(new: Names, directory: Path) -> list[str]:
    """Return what to do once the files of your own tool are there."""
    where = os.path.relpath(directory)
    return [
        what_to_change(os.path.relpath(directory / f"{new.stem}.py")),
        f"{sys.executable} -m ebpf_tour.build {where}",
        f"sudo {os.path.join(where, new.stem)}.py --demo",
    ]


def of_the_package(old: Names, new: Names, root: Path) -> Made:
    """Return the files of a tool of the package, in a checkout, and what changes in others."""
    files = {root / f"bpf/{name}": text for name, text in c_files(old, new).items()}
    for form in ("tools/ebpf_tour/commands/{}.py", "man/{}.inc", "examples/{}.md"):
        text = (root / form.format(old.stem)).read_text(encoding="utf-8")
        files[root / form.format(new.stem)] = renamed(text, old, new)
    module = root / f"tools/ebpf_tour/commands/{new.stem}.py"
    commands = "".join(path.read_text(encoding="utf-8") for path in module.parent.glob("*.py"))
    last = max(map(int, re.findall(r"(?m)^    lesson=(\d+),", commands)))
    place = f"    lesson={last + 10},\n    for_work=True,\n"  # what comes last is for work
    form = r"(?m)^    lesson=\d+,\n(    for_work=True,\n)?"
    files[module] = re.sub(form, place, files[module])
    files[root / f"tests/test_{new.stem}.py"] = TEST.format(stem=new.stem, command=new.command)
    project = root / "pyproject.toml"
    files[project] = with_script(project.read_text(encoding="utf-8"), new)
    return Made(
        files,
        [
            what_to_change(os.path.relpath(module)),
            "make man",
            f'make test ARGS="tests/test_{new.stem}.py tests/test_records.py"',
        ],
    )


def with_script(project: str, new: Names) -> str:
    """Return pyproject.toml with the console script of a tool, in its place."""
    head, title, rest = project.partition("[project.scripts]\n")
    scripts, _, tail = rest.partition("\n\n")
    line = f'{new.command} = "ebpf_tour.commands.{new.stem}:main"'
    return f"{head}{title}" + "\n".join(sorted([*scripts.split("\n"), line])) + f"\n\n{tail}"


def make(name: str, like: str, directory: Path) -> Made:
    """Return the files of a new tool. Raises UsageError."""
    stem = name.removeprefix("ebpf-").replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", stem) or keyword.iskeyword(stem):
        raise UsageError(
            f"{name!r} cannot be the name of a tool",
            "use lower-case letters, digits and dashes, and begin with a letter: task-iter",
        )
    like = like.removeprefix("ebpf-").replace("-", "_")
    known = [*examples_to_copy(), *tools_to_copy()]
    if like not in known:
        raise UsageError(
            f"there is no tool {like!r} to begin with", f"take one of {', '.join(known)}"
        )
    old = Names(like, f"ebpf-{like.replace('_', '-')}")
    in_package = (directory / "tools/ebpf_tour/commands").is_dir()
    if like in examples_to_copy():
        if in_package:
            raise UsageError(
                f"{like} is an example, and cannot become a tool of the package",
                f"name another directory: {sys.executable} -m ebpf_tour.new {name} ~/{stem} "
                f"--like {like}",
            )
        made = of_an_example(like, Names(stem, stem), directory)
    elif in_package:
        made = of_the_package(old, Names(stem, f"ebpf-{stem.replace('_', '-')}"), directory)
    else:
        made = of_ones_own(old, Names(stem, stem), directory)
    there = [path for path in made.files if path.exists() and path.name != "pyproject.toml"]
    if there:
        raise UsageError(f"{there[0]} exists already", "take another name, or remove it")
    return made


def reference() -> str:
    """Return where the page is that says what a tool can use: an installed package has none."""
    page = PACKAGE.parent.parent / "examples/reference.md"
    return str(page) if page.exists() else "examples/reference.md, where ebpf-tour comes from"


def main() -> int:
    """Write the files and say what to do then."""
    parser = argparse.ArgumentParser(
        prog=_COMMAND, description="Make the files of a new tool from the files of another."
    )
    parser.add_argument("name", metavar="NAME", help="the name of the new tool: mytool")
    parser.add_argument(
        "directory",
        metavar="DIRECTORY",
        nargs="?",
        type=Path,
        default=Path(),
        help="the directory for its files (default: here); in the root of a checkout of "
        "ebpf-tour, the tool becomes part of the package",
    )
    parser.add_argument(
        "--like",
        metavar="TOOL",
        default="minimal",
        help="the tool to begin with (default: minimal): "
        f"{', '.join([*examples_to_copy(), *tools_to_copy()])}",
    )
    args = parser.parse_args()
    try:
        made = make(args.name, args.like, args.directory)
        for path, text in made.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if text.startswith("#!"):
                path.chmod(0o755)
            print(path)
    except (Error, OSError) as error:
        print(f"{_COMMAND}: error: {error}", file=sys.stderr)
        print(f"hint: {getattr(error, 'hint', 'name another directory')}", file=sys.stderr)
        return getattr(error, "status", 1)
    print("Then:", *made.next_steps, sep="\n    ")
    print(f"What a tool can use: {reference()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
