"""Flame graphs: one SVG file, which a browser shows without anything else.

Each box is a function, as wide as its share. Below it is its caller. The form is Brendan
Gregg's: https://www.brendangregg.com/flamegraphs.html
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from ebpf_tour.base.text import printable
from ebpf_tour.frame.output.stacks import frame_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ebpf_tour.frame.output.stacks import Measure
    from ebpf_tour.frame.record import Row

_WIDTH, _HEIGHT = 1200, 17  # of the picture, and of a box, in pixels
_CHARACTER = 7.3  # the width of one in a monospaced font of 12 pixels
_LEAST = 0.1  # a box that is narrower is left out: nobody sees it
_DEEPEST = 1000  # the kernel takes far fewer frames


class _Box:
    """A function at a place in the stacks: how much is in it, and whom it calls."""

    def __init__(self) -> None:
        self.total = 0
        self.callees: dict[str, _Box] = {}


class _Place(NamedTuple):
    """Where a box is in the picture: `left` in pixels, `level` boxes are below it."""

    name: str
    box: _Box
    left: float
    level: int


def flamegraph(name: str, rows: Sequence[Row], measure: Measure) -> str:
    """Return rows with stacks as an SVG document: the boxes are as wide as the measure."""
    root = _tree(rows, measure.key)
    places = list(_places(_Place(f"all: {name}", root, 0.0, 0)))
    height = (max(place.level for place in places) + 3) * _HEIGHT
    shapes = "".join(_shape(place, height, root.total, measure.name) for place in places)
    title = escape(f"{printable(name)}: {root.total} {measure.name}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="monospace" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#fffdf5"/>\n<text x="4" y="14">{title}</text>\n'
        f"{shapes}</svg>\n"
    )


def _tree(rows: Iterable[Row], key: str) -> _Box:
    root = _Box()
    for row in rows:
        count = int(str(row[key]))
        box = root
        box.total += count
        for frame in (str(row["comm"]), *frame_names(row))[:_DEEPEST]:
            box = box.callees.setdefault(frame, _Box())
            box.total += count
    return root


def _places(root: _Place) -> Iterator[_Place]:
    """Yield each box that can be seen."""
    scale = _WIDTH / max(1, root.box.total)
    waiting = [root]
    while waiting:
        place = waiting.pop()
        yield place
        left = place.left
        for name, box in sorted(place.box.callees.items()):
            if box.total * scale >= _LEAST:
                waiting.append(_Place(name, box, left, place.level + 1))
            left += box.total * scale


def _shape(place: _Place, height: float, total: int, unit: str) -> str:
    """Return a box with its text, cut to fit, and what a browser shows when it is pointed at."""
    share = place.box.total / max(1, total)
    width, top = share * _WIDTH, height - (place.level + 1.5) * _HEIGHT
    text = printable(place.name)
    most = int((width - 6) / _CHARACTER)
    short = text if len(text) <= most else f"{text[: most - 2]}.." if most > 3 else ""
    whole = f"{text} ({place.box.total} {unit}, {share:.1%})"
    return (
        f'<g><title>{escape(whole)}</title><rect x="{place.left:.1f}" y="{top:.1f}" '
        f'width="{width:.1f}" height="{_HEIGHT - 1}" rx="1" fill="{_color(text)}"/>'
        f'<text x="{place.left + 3:.1f}" y="{top + 12:.1f}">{escape(short)}</text></g>\n'
    )


def _color(name: str) -> str:
    """Return a warm colour, the same for the same function in every picture."""
    number = zlib.crc32(name.encode())
    return f"rgb({225 + number % 30},{100 + number // 30 % 110},{50 + number // 3300 % 50})"
