"""The choice of cases: that it covers what it says, and does not grow with each tool."""

from __future__ import annotations

import argparse
import re

import cases
import pytest
from cases import CHOICE, FAULTS, TOOLS, Case, covered_by, covering, is_missing
from support import ROOT

from ebpf_tour.frame import Tool
from ebpf_tour.loader.hooks.uprobe import Uprobe

CHOSEN = [case for cases in CHOICE.values() for case in cases]
PRODUCT = [case for cases in FAULTS.values() for case in cases]


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault(name: str) -> None:
    """On each engine that there is for it, in a case that this kernel can run, and not on all."""
    able = [case for case in FAULTS[name] if not is_missing(case.hooks)]
    assert all(case in FAULTS[name] for case in CHOICE[name])
    run = {case.engine for case in CHOICE[name] if not is_missing(case.hooks)}
    assert run == {case.engine for case in able}


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.command)
def test_each_tool(tool: Tool) -> None:
    """On each of its engines, and in each of its ways."""
    chosen = [case for case in CHOSEN if case.tool == tool]
    assert {case.engine for case in chosen} >= set(tool.engines)
    ways = {case.options for case in PRODUCT if case.tool == tool}
    assert {case.options for case in chosen} == ways


def test_each_kind_of_hook() -> None:
    kinds = {hook.kind for tool in TOOLS for hook in tool.hooks}
    assert {hook.kind for case in CHOSEN for hook in case.hooks} == kinds


def test_what_is_missing_here_is_no_example() -> None:
    """It is chosen only where nothing else is of its kind."""
    for case in CHOSEN:
        if is_missing(case.hooks):
            others = set().union(*(covered_by(c) for c in CHOSEN if not is_missing(c.hooks)))
            assert covered_by(case) - others


def test_it_is_the_same_each_time() -> None:
    assert covering(FAULTS) == CHOICE


def test_it_is_smaller_than_the_product() -> None:
    assert 4 * len(CHOSEN) < len(PRODUCT)


def test_more_tools() -> None:
    """Three times as many are covered, too, with less than 2.5 times as many cases."""

    def copies(case: Case) -> list[Case]:
        tool = case.tool
        return [case._replace(tool=tool._replace(name=f"{tool.name}{n}")) for n in range(3)]

    faults = {
        name: [copy for case in cases for copy in copies(case)] for name, cases in FAULTS.items()
    }
    chosen = [case for cases in covering(faults).values() for case in cases]
    wanted = (covered_by(case) for cases in faults.values() for case in cases)
    assert set().union(*map(covered_by, chosen)) == set().union(*wanted)
    assert 2 * len(chosen) < 5 * len(CHOSEN)


def test_each_fault_has_a_test() -> None:
    text = "".join(path.read_text() for path in sorted((ROOT / "tests").glob("test_*.py")))
    found = re.findall(r"(?m)^@fault\n(?:@.*\n)*def test_(\w+)\(", text)
    assert sorted(found) == sorted(FAULTS)


@pytest.mark.parametrize(("argument", "watches"), [("pid", True), ("--pid", False), (None, False)])
def test_a_tool_with_a_uprobe(
    monkeypatch: pytest.MonkeyPatch, argument: str | None, watches: bool
) -> None:
    """One that finds its function in a library needs no PID, and does not see what others do."""
    parser = argparse.ArgumentParser()
    if argument:
        parser.add_argument(argument)
    monkeypatch.setattr(cases, "parser_of", lambda _: parser)
    tool = Tool("labs", via={"uprobe": (Uprobe("handle_entry"),)})
    assert cases.looks_into_programs(tool)
    assert cases.watches_a_process(tool) == watches
