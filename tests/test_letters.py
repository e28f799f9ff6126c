"""One meaning for a letter, in all tools."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from cases import ALL_TOOLS, TOOLS
from support import BIN, assert_error, run

from ebpf_tour.frame.catalogue import parser_of
from ebpf_tour.frame.pattern import least_bytes, pattern

if TYPE_CHECKING:
    import argparse

    from ebpf_tour.frame.record import Tool

# What the letters mean that every tool shares: the long name, and whether there is a value.
SHARED = {
    "-p": ("--pid", True),
    "-c": ("--command", True),
    "-u": ("--user", True),
    "-n": ("--name", True),
    "-t": ("--timestamp", False),
    "-T": ("--time", False),
    "-v": ("--verbose", False),
    "-h": ("--help", False),
}
# These keep the meaning of the tool that a reader may know them from.
OF_ORIGINALS = {"-i", "-x", "-d", "-e", "-f", "-U", "-P", "-L"}
ORIGINALS = re.compile(r"\b(bcc's [a-z]+|libbpf-bootstrap)\b")


def letters(tool: Tool) -> dict[str, argparse.Action]:
    return {
        word: action
        for action in parser_of(tool)._actions
        for word in action.option_strings
        if not word.startswith("--")
    }


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.command)
def test_a_shared_letter_has_its_long_name(tool: Tool) -> None:
    for letter, action in letters(tool).items():
        if letter in SHARED:
            name, has_value = SHARED[letter]
            assert name in action.option_strings
            assert (action.nargs != 0) == has_value


def test_a_shared_letter_says_the_same_everywhere() -> None:
    said = defaultdict(set)
    for tool in TOOLS:  # ebpf-probes and ebpf-tour have no program, and -v is their own
        for letter, action in letters(tool).items():
            if letter in SHARED:
                # What the events are called is the tool's own matter, and what -c shows.
                text = re.sub(r"only \w+ by", "only calls by", str(action.help))
                text = re.sub("(start this command [^;]*).*", r"\1", text)
                said[letter].add((*action.option_strings, action.metavar, text))
    assert set(said) == set(SHARED)
    for letter, texts in said.items():
        # A lesson has one process.
        assert len(texts) == (2 if letter == "-p" else 1), letter


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.command)
def test_the_other_letters_name_their_original(tool: Tool) -> None:
    for letter, action in letters(tool).items():
        if letter in OF_ORIGINALS:
            assert ORIGINALS.search(str(action.help)), letter


def test_user_has_one_name_and_an_old_one() -> None:
    found = [letters(tool)["-u"] for tool in TOOLS if "-u" in letters(tool)]
    assert len(found) >= 4
    assert {tuple(action.option_strings) for action in found} == {("-u", "--user", "--uid")}


def test_failures_only_or_too() -> None:
    """The two meanings of -x, each of which names the other one."""
    meanings = {
        action.option_strings[-1]: str(action.help)
        for tool in TOOLS
        for letter, action in letters(tool).items()
        if letter == "-x"
    }
    assert set(meanings) == {"--failed", "--fails"}
    assert "only attempts that failed" in meanings["--failed"]
    assert "execsnoop's -x" in meanings["--failed"]
    assert "also show calls that fail" in meanings["--fails"]
    assert "opensnoop's -x" in meanings["--fails"]


WITH_NAME = [tool for tool in TOOLS if "-n" in letters(tool)]
each_with_name = pytest.mark.parametrize("tool", WITH_NAME, ids=lambda tool: tool.command)


@each_with_name
@pytest.mark.parametrize("wrong", ["(", "[a", "*", "(?u)a", "(?P<n>a)(?P<n>b)", "a{99999999999}"])
def test_a_wrong_pattern_is_a_usage_error(tool: Tool, wrong: str) -> None:
    cause, _ = assert_error(run(BIN / tool.command, f"-n={wrong}"), 2, tool.command)
    assert cause.startswith("argument -n/--name: ")
    assert "is not a regular expression" in cause


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("", 0),
        ("^(ba)?sh$", 2),
        ("x" * 15, 15),
        ("é" * 8, 16),  # bytes, not characters
        ("^(a{10}){2}$", 20),
        ("a{20}|b", 1),
        ("(?=a{20})a", 1),  # it needs more, but that is hard to know
    ],
)
def test_least_bytes(text: str, least: int) -> None:
    assert least_bytes(pattern(text)) == least


def test_python_says_nothing_of_a_pattern(capfd: pytest.CaptureFixture[str]) -> None:
    """It would tell programmers of "[[" and others, in two lines of its own."""
    assert pattern("[[a]").search(b"[")
    assert capfd.readouterr().err == ""
