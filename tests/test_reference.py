"""examples/reference.md has what tools use, as the docstrings and the hooks say it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
import reference
from support import ROOT
from test_readme import blocks

from ebpf_tour import new
from ebpf_tour.frame.catalogue import tools
from ebpf_tour.loader import c_source, hooks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ebpf_tour.loader.hooks import Hook

PAGE = (ROOT / "examples/reference.md").read_text(encoding="utf-8")
# What the parts of a command line are called in all tools.
OBJECTS = ("session", "program", "cli")
EXAMPLES = sorted((ROOT / "examples/own").glob("*.py"))
MODULES = [ROOT / f"tools/ebpf_tour/commands/{tool.name}.py" for tool in tools() if tool.via]


def used(path: Path) -> Iterator[str]:
    """Yield what a tool's module takes from frame/ and loader/, and of a session and a program."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module.startswith(("ebpf_tour.frame", "ebpf_tour.loader")):
                yield from (name.name for name in node.names)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in OBJECTS
        ):
            yield f"{node.value.id}.{node.attr}"


def code() -> str:
    """Return what the page has in backticks or a table, and not in an example."""
    prose = re.sub(r"(?ms)^```.*?^```$", "", PAGE)
    return " ".join(re.findall(r"`([^`]+)`", prose))


@pytest.mark.parametrize("path", [*EXAMPLES, *MODULES], ids=lambda path: path.stem)
def test_has_what_a_tool_uses(path: Path) -> None:
    names = sorted(set(used(path)))
    assert names
    shown = code()
    missing = [name for name in names if not re.search(rf"\b{re.escape(name)}\b", shown)]
    assert not missing


def test_that_a_name_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "tool.py"
    path.write_text("from ebpf_tour.loader import nothing\nsession.nowhere()\nother.nowhere()\n")
    assert list(used(path)) == ["nothing", "session.nowhere"]
    assert not re.search(r"\bnothing\b|session\.nowhere", code())


def test_no_private_names() -> None:
    assert not re.search(r"(^|[\s.(])_[a-z]", code().replace("__attribute__", ""))


@pytest.mark.parametrize(("language", "name"), [("python", "sockets.py"), ("c", "sockets.bpf.c")])
def test_example_is_the_file(language: str, name: str) -> None:
    """What is shown is what tests/test_own_tool.py runs."""
    (shown,) = blocks(PAGE, language)
    assert shown == (ROOT / "examples/own" / name).read_text(encoding="utf-8")


def test_is_linked() -> None:
    assert "(examples/reference.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(reference.md)" in (ROOT / "examples/README.md").read_text(encoding="utf-8")


def test_entries_are_made_anew() -> None:
    assert reference.reference(PAGE.replace("Return the value of a key", "Something")) == PAGE
    # Nothing but the entries is touched, also where there are none yet.
    marker = "<!-- in brief from ebpf_tour.loader.maps:Map as map: get -->\n"
    made = reference.reference(f"{marker}<!-- end -->\nbetween\n{marker}<!-- end -->\n")
    assert made.count("- `map.get(key)`: Return") == 2
    assert "<!-- end -->\nbetween\n" in made


def test_what_has_no_docstring_is_refused() -> None:
    with pytest.raises(AssertionError, match="PACKAGE has no docstring"):
        reference.entry_of(new, "PACKAGE", "", brief=True)


def all_hooks() -> list[Hook]:
    return list(dict.fromkeys(hook for tool in tools() for hook in tool.hooks))


@pytest.mark.parametrize("hook", all_hooks(), ids=str)
def test_hook_begins_as_shown(hook: Hook) -> None:
    """In the files of the tools that have it, in both dialects."""
    for tool in tools():
        if hook not in tool.hooks:
            continue
        begins = {"libbpf": ("bpf", f'SEC("{hook.section}'), "bcc": ("bcc", hook.in_bcc)}
        for dialect, wanted in (begins[engine] for engine in hook.engines):
            directories = (str(ROOT / "bpf"),)
            source = c_source.read(f"{directories[0]}/{tool.name}.{dialect}.c", directories)
            beginning = wanted.partition(", ...")[0].partition("struct ")[0].rstrip(")")
            assert beginning in source.shown(), dialect


@pytest.mark.parametrize("kind", hooks.kinds(), ids=lambda kind: kind.__name__)
def test_kind(kind: type[Hook]) -> None:
    """The table has it, with its target; its module has its name."""
    assert bool(kind.takes) == kind.needs_target
    (row, *_) = (line for line in PAGE.splitlines() if line.startswith(f"| `{kind.__name__}("))
    assert row.endswith(f"| `{kind.takes}` |" if kind.takes else "| - |")
    module = kind.__module__.rpartition(".")[2]
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    assert module == words or (module, words) == ("iterator", "task_iterator")
