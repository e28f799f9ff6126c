"""The generated files are what the records say, and well-formed."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import ROOT

from ebpf_tour.frame.catalogue import parser_of, tools
from ebpf_tour.frame.picture import drawing
from ebpf_tour.loader import trace_instance
from ebpf_tour.loader.hooks import clsact, kretprobe_event
from ebpf_tour.survey.territory import hook_rows, map_rows
from ebpf_tour.userland import cgroup

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from ebpf_tour.frame.record import Tool

each = pytest.mark.parametrize("tool", tools(), ids=lambda tool: tool.command)

SECTIONS = (
    *("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"),
    *("HOW IT WORKS", "OUTPUT", "OVERHEAD"),  # of man/NAME.inc
    *("EXIT STATUS", "EXAMPLES", "REQUIREMENTS", "SEE ALSO"),
)


def load_generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "man/generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(tool: Tool) -> Path:
    return ROOT / f"man/{tool.command}.{tool.section}"


def rendered(path: Path) -> str:
    """Return a page as man shows it; what groff complains about fails the test."""
    if not shutil.which("man"):
        pytest.skip("man is not installed")
    done = subprocess.run(
        ["man", "--warnings", "--local-file", path],
        env={
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "MANWIDTH": "80",
            "MAN_KEEP_FORMATTING": "",
        },
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)


def test_files_are_current() -> None:
    for path, text in load_generate().derived().items():
        assert path.read_text() == text, f"{path.name}: run make man"


def test_reading() -> None:
    """Prose, tables and code count; what is typed and printed, or generated, does not."""
    reading = load_generate().reading
    text = (
        "# one\n\n<!-- reading -->\nno\n<!-- end -->\n\n| two | `three` |\n|---|---|\n- four\n"
        "```console\n# no\n```\n```console no-run\nno\n```\n```c\nfive;\n```\n"
    )
    assert reading(text + "six " * 195, ()) == "Reading time: 1 minute."
    assert reading(text + "six " * 196, ("hello", "verifier")) == (
        "Read before: [ebpf-hello](hello.md), [When the verifier says no](verifier.md). "
        "Reading\ntime: 2 minutes."
    )


@each
def test_sections(tool: Tool) -> None:
    found = re.findall(r"(?m)^\.SH (.*)$", page(tool).read_text())
    optional = {"ENVIRONMENT", "COMMANDS", "EXERCISES", "COMPARISON", "WHICH PROCESSES", "METRICS"}
    assert [heading for heading in found if heading not in optional] == list(SECTIONS)
    assert ("ENVIRONMENT" in found) == bool(tool.via)
    assert ("COMMANDS" in found) == bool(tool.commands)
    assert ("EXERCISES" in found) == (tool.name == "tour")


def squeezed(text: str) -> str:
    return re.sub(r"[\s-]", "", text)


@each
def test_page_shows_everything(tool: Tool) -> None:
    shown = rendered(page(tool))
    text = " ".join(shown.replace("\u2010\n", "-").replace("\u2010", "-").split())
    assert f"{tool.command} - {tool.summary}" in text
    for action in parser_of(tool)._actions:
        for name in action.option_strings or [action.metavar or action.dest]:
            assert str(name) in text
        # A line of a help that roff takes for a command would be missing.
        assert action.help
        expanded = (action.help % vars(action)) if "%(" in action.help else action.help
        assert squeezed(expanded) in squeezed(text)
    for column in (*tool.columns, *(c for command in tool.commands for c in command.columns)):
        assert f"{column.header} ({column.key})" in text
    for example in tool.examples:
        assert example.command in text
    for hook in tool.hooks:
        assert str(hook) in text
    for command in tool.commands:
        assert text.count(f"{tool.command} {command.name}") >= 2  # synopsis, what it does
        for paragraph in (command.description, command.exit_status):
            assert squeezed(paragraph) in squeezed(text)  # groff hyphenates
    for line in drawing(tool).splitlines():
        assert re.search(rf"(?m)^ +{re.escape(line)}$", shown) or not line


@pytest.mark.parametrize("word", ["hooks", "maps"])
def test_page_of_types(word: str) -> None:
    """It has each line of the types, whatever kernel has made it."""
    shown = squeezed(rendered(ROOT / f"man/ebpf-{word}.7").replace("\u2010", "-"))
    rows = hook_rows(tools(), None) if word == "hooks" else map_rows(tools(), None)
    for row in rows:
        for key in ("program_type", "map_type", "attach_types", "sections", "since", "taught_by"):
            value = row.get(key) or []
            for text in value if isinstance(value, list) else [value]:
                assert squeezed(str(text)) in shown, row
        assert squeezed(str(row["what"])[1:]) in shown
        assert squeezed(str(row["why_not"] or "")) in shown
    assert "Notinthiskernel" not in shown


@each
def test_date_is_the_release_and_not_today(tool: Tool) -> None:
    """Two builds of one release are the same."""
    title = next(line for line in page(tool).read_text().splitlines() if line.startswith(".TH"))
    release = re.search(r"(?m)^## \S+ - (\S+)$", (ROOT / "CHANGELOG.md").read_text())
    assert release
    assert release[1] in title.replace("\\", "")


def test_roff_escapes() -> None:
    """A line of a text that looks like a command of roff is none."""
    roff = load_generate().roff
    assert roff(".SH no\n'br no\na\\b -x") == "\\&.SH no\n\\&'br no\na\\eb \\-x"


@pytest.mark.parametrize("path", sorted((ROOT / "man").glob("*.inc")), ids=lambda path: path.name)
def test_prose(path: Path) -> None:
    """argparse-manpage takes a line that begins with / or [ for a heading of its own."""
    names = {tool.name for tool in tools()} | {
        *("overview", "program", "list", "processes", "metrics", "hook_types", "map_types"),
    }
    assert path.stem in names
    lines = path.read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith(("[", "/"))]
    assert headings
    for heading in headings:
        assert re.fullmatch(r"\[>?[A-Z][A-Z ]+\]", heading), heading


def test_what_a_killed_tool_leaves() -> None:
    """The overview names all that has a name of ours, as the sources name it."""
    text = (ROOT / "man/overview.inc").read_text(encoding="utf-8").replace("\\-", "-")
    section = text.partition("[WHAT A KILLED TOOL LEAVES]\n")[2].partition("\n[")[0]
    for left in (
        f"/sys/kernel/tracing/instances/{trace_instance._PREFIX}*",
        f"{kretprobe_event._PREFIX}*",
        f"filter {clsact._PREFIX}*",
        f"cgroup {cgroup._PREFIX}PID",
    ):
        assert left in section, left
