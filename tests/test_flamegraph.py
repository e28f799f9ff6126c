"""Flame graphs: boxes as wide as their share, above their caller, whatever is in a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

import pytest

from ebpf_tour.frame.output.flamegraph import flamegraph
from ebpf_tour.frame.output.stacks import Measure

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Row

SVG = "{http://www.w3.org/2000/svg}"
SAMPLES = Measure("count", "samples", "none")


class Box(NamedTuple):
    """What the picture has for a function."""

    said: str
    shown: str
    left: float
    width: float
    top: float


def boxes_of(svg: str) -> list[Box]:
    """Return the boxes, the widest of the lowest level first."""
    found = []
    for group in ET.fromstring(svg).findall(f"{SVG}g"):
        title, rect, text = group
        x, width, y = (float(rect.get(name, "")) for name in ("x", "width", "y"))
        found.append(Box(title.text or "", text.text or "", x, width, y))
    return sorted(found, key=lambda box: (-box.top, box.left))


def row(count: int, *stack: str, truncated: bool = False, comm: str = "work") -> Row:
    return {"comm": comm, "stack": list(stack), "count": count, "truncated": truncated}


def test_shares() -> None:
    rows = [row(3, "f+0x1", "main+0x9"), row(1, "g+0x2", "main+0x8"), row(4, "f+0x7", "main+0x9")]
    everything, comm, main, f, g = boxes_of(flamegraph("me", rows, SAMPLES))
    assert everything == ("all: me (8 samples, 100.0%)", "all: me", 0, 1200, everything.top)
    assert comm == ("work (8 samples, 100.0%)", "work", 0, 1200, everything.top - 17)
    assert main == ("main (8 samples, 100.0%)", "main", 0, 1200, comm.top - 17)
    assert f == ("f (7 samples, 87.5%)", "f", 0, 1050, main.top - 17)
    assert g == ("g (1 samples, 12.5%)", "g", 1050, 150, f.top)


def test_text_is_cut_to_fit() -> None:
    rows = [row(99, "a" * 500, "main"), row(1, "b" * 500, "main"), row(1, "short", "main")]
    *_, wide, narrow, short = boxes_of(flamegraph("me", rows, SAMPLES))
    assert re.fullmatch(r"a{100,165}\.\.", wide.shown)
    assert (narrow.shown, short.shown) == ("", "")
    assert narrow.said.startswith("b" * 500)


def test_what_nobody_sees_is_left_out() -> None:
    rows = [row(1_000_000, "f"), row(1, "g")]
    assert [box.shown for box in boxes_of(flamegraph("me", rows, SAMPLES))][2:] == ["f"]


def test_a_stack_that_was_cut_says_so() -> None:
    *_, cut, f = boxes_of(flamegraph("me", [row(1, "f", truncated=True)], SAMPLES))
    assert (cut.shown, f.shown) == ("[truncated]", "f")


@pytest.mark.parametrize("count", [0, 1])
def test_nothing(count: int) -> None:
    rows = [row(0)] * count
    assert boxes_of(flamegraph("me", rows, SAMPLES))[0].said == "all: me (0 samples, 0.0%)"


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", "a&b;\"'", "]]>", "\x1b[31m\x00\r", "\udcff\ufffe", "ü\u202e"],
)
def test_hostile_names(name: str) -> None:
    """They are text, in a document that is well-formed, and only there."""
    svg = flamegraph(name, [row(1, name, comm=name)], SAMPLES)
    svg.encode("utf-8")
    boxes = boxes_of(svg)
    assert len(boxes) == 3
    assert {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()} == {
        *("svg", "g", "title", "rect", "text")
    }
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", svg)


def test_the_deepest_stack() -> None:
    """Without a recursion that Python would not like."""
    boxes = boxes_of(flamegraph("me", [row(1, *map(str, range(5000)))], SAMPLES))
    assert len(boxes) == 1001
