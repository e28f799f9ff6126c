"""The walkthroughs in examples/, and README.md, show what really happens.

A fenced block marked `console` holds commands, after a prompt of `# ` or `$ `,
and what they print. Each is run; numbers and the width of blanks may differ,
a line of `...` stands for any lines, and the trace buffer's `<...>` for any name.
`console no-run` is for what waits for Ctrl-C or needs a second terminal.
"""

from __future__ import annotations

import os
import re
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cases import CAN_RUN
from support import BIN, PATIENCE_S, ROOT

from ebpf_tour.frame.catalogue import course, tools

if TYPE_CHECKING:
    from pathlib import Path

    from ebpf_tour.frame.record import Page, Tool

TOOLS = [tool for tool in tools() if tool.via]
# What has no commands.
INDEXES = {ROOT / "examples/README.md", ROOT / "examples/glossary.md"}
DOCUMENTS = [ROOT / "README.md", *sorted(set((ROOT / "examples").glob("*.md")) - INDEXES)]

# The path that every walkthrough takes; some have stations of their own besides. Where
# there are exercises, "Things to try" is called "Exercises".
PATH = (
    *("Run it", "The kernel side", "The user side", "Look inside"),
    *("The same by other means", "Things to try"),
)
ENDS = (
    "ebpf-execcount 0.5 2",
    "--limit",
    " -c ",
    "--time-limit",
    "--demo",
    "--show",
    "--help",
    "--version",
    "| head",
)


class Step(NamedTuple):
    """A command in a document, and what is printed below it."""

    line: int
    command: str
    expected: list[str]


def steps(text: str) -> list[Step]:
    found: list[Step] = []
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fence = "" if fence else line
        elif fence != "```console":
            continue
        elif line.startswith(("# ", "$ ")):
            found.append(Step(number, line[2:], []))
        else:
            found[-1].expected.append(line)
    return found


def normalised(line: str) -> str:
    return " ".join(re.sub(r"\d+", "N", line).split())


def pattern(expected: list[str]) -> str:
    lines = [r"(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in expected]
    return "".join(lines).replace(re.escape("<...>"), r"\S+")


def matches(expected: list[str], printed: str) -> bool:
    wanted = [normalised(line) for line in expected]
    actual = "".join(f"{normalised(line)}\n" for line in printed.splitlines())
    return re.fullmatch(pattern(wanted), actual) is not None


def named(step: tuple[Path, Step]) -> str:
    return f"{step[0].name}:{step[1].line}"


ALL = [(path, step) for path in DOCUMENTS for step in steps(path.read_text(encoding="utf-8"))]


@pytest.mark.native
@pytest.mark.kernel(*CAN_RUN)
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands(path: Path) -> None:
    """One after the other, as a reader would: some need what one before has made."""
    for step in steps(path.read_text(encoding="utf-8")):
        done = subprocess.run(
            ["bash", "-c", step.command.replace(".venv/bin/", f"{BIN}/")],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "80"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE_S,
        )
        printed = done.stdout.decode()
        if not matches(step.expected, printed):
            # Whole texts, for pytest to show the difference.
            assert printed == "\n".join([*step.expected, ""]), f"{path.name}:{step.line}"


@pytest.mark.parametrize("where", ALL, ids=named)
def test_command_ends_by_itself(where: tuple[Path, Step]) -> None:
    """Otherwise the block has to be marked no-run."""
    command = where[1].command
    if command.split()[0] in {tool.command for tool in TOOLS}:
        assert any(end in command for end in ENDS)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_document_has_commands(path: Path) -> None:
    assert steps(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_pictures_fit_a_terminal(path: Path) -> None:
    for picture in re.findall(r"(?ms)^```text\n(.*?)^```$", path.read_text(encoding="utf-8")):
        for line in picture.splitlines():
            assert line.isascii()
            assert len(line) <= 78


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.command)
def test_same_path(tool: Tool) -> None:
    text = walkthrough(tool.name)
    title, *rest = re.findall(r"(?m)^##? (.*)$", text)
    assert title.startswith(f"{tool.command}: ")
    rest = [PATH[-1] if heading == "Exercises" else heading for heading in rest]
    assert [heading for heading in rest if heading in PATH] == list(PATH)


def test_each_leads_to_the_next() -> None:
    """In the order of the course."""
    for page, following in pairwise(course()):
        *_, last = walkthrough(page.name).split("\n- ")
        assert last.startswith(f"Next: [{following.title}]({following.name}.md)"), page.name


def walkthrough(name: str) -> str:
    return (ROOT / f"examples/{name}.md").read_text(encoding="utf-8")


def test_lessons_come_first() -> None:
    """And no two pages are at the same place."""
    pages = course()
    assert [page.for_work for page in pages] == sorted(page.for_work for page in pages)
    places = [page.lesson for page in pages]
    assert places == sorted(set(places))


def test_what_to_read_before_comes_before() -> None:
    """Each page but the first builds on others."""
    earlier: list[str] = []
    for page in course():
        assert set(page.read_before) <= set(earlier), page.name
        assert page.read_before or not earlier, page.name
        earlier.append(page.name)


@pytest.mark.parametrize("page", course(), ids=lambda page: page.name)
def test_reading_time(page: Tool | Page) -> None:
    """Below the title, and less than ten minutes. How long it is, test_generated.py holds."""
    below = walkthrough(page.name).split("<!-- reading -->\n")[1].partition("<!-- end -->")[0]
    line = " ".join(below.split())
    found = re.fullmatch(r"(Read before: .*\. )?Reading time: (\d+) minutes?\.", line)
    assert found
    assert int(found[2]) < 10


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.command)
def test_other_means_are_short(tool: Tool) -> None:
    """bpftrace comes first, and nobody reads more than a dozen lines."""
    section = (
        walkthrough(tool.name).partition("## The same by other means\n")[2].partition("\n## ")[0]
    )
    lines = [line for line in section.splitlines() if line and not line.startswith("```")]
    assert len(lines) <= 12
    assert next(line for line in lines if line.startswith("# ")).startswith("# bpftrace ")


def test_links_lead_somewhere() -> None:
    for path in {*DOCUMENTS, *ROOT.glob("*.md"), *INDEXES}:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


DOCUMENT = """
```console
# first --limit 1
a 1
...
z
$ second
```
```console no-run
# third
```
"""


def test_steps() -> None:
    assert steps(DOCUMENT) == [
        Step(3, "first --limit 1", ["a 1", "...", "z"]),
        Step(7, "second", []),
    ]


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        (["a 1.5  b"], "a 22.25 b\n", True),
        (["a 1"], "a b\n", False),
        (["a 1"], "a 1\na 1\n", False),
        (["a", "...", "z"], "a\nz\n", True),
        (["a", "...", "z"], "a\nb\nc\nz\n", True),
        (["a", "...", "z"], "a\nb\n", False),
        (["..."], "", True),
        ([], "", True),
        ([], "a\n", False),
        (["a.b"], "axb\n", False),
        (["1 <...> a"], "2 python3 a\n", True),
        (["1 <...> a"], "2  a\n", False),
    ],
)
def test_matches(expected: list[str], printed: str, same: bool) -> None:
    assert matches(expected, printed) == same
