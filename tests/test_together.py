"""Tests side by side: who waits for whom, who is told of, and what is made once."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

import pytest
from support import ROOT

CONFTEST = """
import json, time
import pytest, together

@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    with together.turn(item):
        return (yield)

@pytest.fixture(autouse=True)
def _noted(request):
    common = together.directory(request.config)
    together.once(common / "made", lambda path: path.open("a").write("made"))
    neighbours = together.Neighbours(request.config)
    began = time.monotonic()
    yield
    span = [request.node.name, began, time.monotonic(), neighbours.names()]
    with (common.parent / "spans").open("a") as file:
        file.write(json.dumps(span) + "\\n")
    assert (common / "made").read_text() == "made"
"""

TESTS = """
import time
import pytest

@pytest.mark.parametrize("number", range(6))
def test_beside(number):
    time.sleep(0.1)

@pytest.mark.alone
@pytest.mark.parametrize("number", range(3))
def test_alone(number):
    time.sleep(0.1)
"""


class Span(NamedTuple):
    """What a test wrote down: from when to when it ran, and which ones ran beside it."""

    name: str
    began: float
    ended: float
    neighbours: list[str]

    def overlaps(self, other: Span) -> bool:
        return self != other and self.began < other.ended and other.began < self.ended


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> list[Span]:
    """Run nine tests in two workers, three of them alone, and return when each one ran."""
    pytest.importorskip("xdist")
    directory = tmp_path_factory.mktemp("run")
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_it.py").write_text(TESTS)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n2", "--maxschedchunk=1"]
    done = subprocess.run(
        [*command, f"--basetemp={directory}/base"],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (directory / "spans").read_text().splitlines()
    assert len(lines) == 9
    return [Span(*json.loads(line)) for line in lines]


def test_a_test_that_is_alone(spans: list[Span]) -> None:
    """Nothing else runs meanwhile; the others do run side by side."""
    for span in spans:
        if "alone" in span.name:
            assert not any(span.overlaps(other) for other in spans)
    assert any(span.overlaps(other) for span in spans for other in spans)


def test_neighbours(spans: list[Span]) -> None:
    """Each one that ran beside a test is among those that it is told of, and it is not itself."""
    for span in spans:
        named = {name.partition("::")[2] for name in span.neighbours}
        assert {other.name for other in spans if span.overlaps(other)} <= named
        assert span.name not in named
