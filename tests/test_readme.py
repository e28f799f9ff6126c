"""README.md names what there is: commands, targets, options, and the tool of one's own."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import BIN, ROOT

from ebpf_tour.frame.catalogue import parser_of, tools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "examples").glob("*.md")})
TOOLS = {tool.command: tool for tool in tools()}

each = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def code(path: Path) -> Iterator[str]:
    """Yield the pieces of a document that are to be typed: lines after a prompt, inline code."""
    text = path.read_text(encoding="utf-8")
    yield from re.findall(r"(?m)^(?:[#$] |    )(.*)$", text)
    prose = re.sub(r"(?ms)^```.*?^```$", "", text)
    yield from (" ".join(piece.split()) for piece in re.findall(r"`([^`]+)`", prose))


@pytest.mark.parametrize(("language", "name"), [("python", "kills.py"), ("c", "kills.bpf.c")])
def test_own_tool_is_the_file(language: str, name: str) -> None:
    """What is shown is what tests/test_own_tool.py runs."""
    assert blocks(README, language)[0] == (ROOT / "examples/own" / name).read_text(encoding="utf-8")


def test_lines_of_the_own_tool() -> None:
    block, _ = blocks(README, "python")
    count = len([line for line in block.splitlines() if line])
    assert f"## Your own tool in {count} lines\n" in README


@each
def test_targets(path: Path) -> None:
    """Each `make TARGET` is one of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for piece in code(path):
        if match := re.match(r"make ([a-z-]+)", piece):
            assert re.search(rf"(?m)^{match[1]}:", makefile), piece


def words_of(line: str) -> list[str]:
    """Return the words of a command, up to where the shell goes on; not so in quotes."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    return list(itertools.takewhile(lambda word: not word or not set(word) <= set("|;&<>"), lexer))


@each
def test_files_of_tests(path: Path) -> None:
    """Also where SECURITY.md says what holds a promise."""
    named = set(re.findall(r"`(tests/test_[a-z_]+\.py)", path.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / name).is_file()] == []


@each
def test_command_lines(path: Path) -> None:
    """Each command line of a tool, in blocks that are not run, too, is one that it takes."""
    for piece in code(path):
        # What the shell would put there.
        line = re.sub(r"\$\([^)]*\)+|\$[\w$!]+", "1", piece)
        found = re.match(r"(?:sudo )?(ebpf-\w+)(?= |$)(.*)", line)
        if not found:
            continue
        name, words = found[1], words_of(found[2])
        if re.search(r"\b[A-Z]{3,}\b|\.\.\.", " ".join(words)):
            continue  # a placeholder, as in "--limit N"
        assert name in TOOLS, piece
        parser_of(TOOLS[name]).parse_args(words)  # SystemExit fails the test


@pytest.mark.parametrize("command", [name for name, tool in TOOLS.items() if tool.via])
def test_bpftrace(command: str) -> None:
    """README.md says that every walkthrough has the line for it."""
    text = (ROOT / f"examples/{TOOLS[command].name}.md").read_text(encoding="utf-8")
    assert "bpftrace " in text.partition("## The same by other means")[2]


@pytest.mark.skipif(not (BIN / "activate").exists(), reason="not in a virtual environment")
def test_shell_of_the_course(tmp_path: Path) -> None:
    """It finds the commands, and their Python, though ~/.bashrc sets PATH, as pyenv's lines do."""
    others = tmp_path / "others"
    others.mkdir()
    for name in ("python3", "ebpf-hello"):
        (others / name).write_text("#!/bin/sh\nexit 1\n")
        (others / name).chmod(0o755)
    (tmp_path / ".bashrc").write_text(f'PATH="{others}:$PATH"\n')
    text = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    start, activate, *_ = re.findall(r"(?m)^    (.*)$", text)
    assert start == "sudo bash"
    done = subprocess.run(
        ["bash", "-i"],
        input=f"command -v python3\n{activate}\ncommand -v python3 ebpf-hello\n",
        cwd=BIN.parent.parent,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert done.stdout.splitlines() == [
        f"{others}/python3",
        f"{BIN}/python3",
        f"{BIN}/ebpf-hello",
    ]
