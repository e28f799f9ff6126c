"""Stacks for flame graphs: folded lines, and speedscope's file format."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour import __version__
from ebpf_tour.base.text import as_utf8, printable
from ebpf_tour.frame.output import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ebpf_tour.frame.output import Lines
    from ebpf_tour.frame.record import Row


def frame_names(row: Row) -> list[str]:
    """Return the frames of a row, root first, without the offsets in the functions.

    The outermost one of a stack that was cut says so.
    """
    stack = row["stack"]
    names = stack if isinstance(stack, list) else []
    cut = ["[truncated]"] if row.get("truncated") else []
    return [*cut, *map(without_offset, reversed(names))]


def without_offset(name: str) -> str:
    """Return the function, or the file, of a frame: "main" of "main+0x1f"."""
    return name.rpartition("+0x")[0] or name


class FoldedWriter(Writer):
    """`comm;main;work;malloc 4096`: what flamegraph.pl, speedscope and others read.

    The first column is the number. Stacks that differ only inside functions
    are one line.
    """

    def row(self, row: Row) -> None:
        self.report([row])

    def report(self, rows: Iterable[Row], lines: Lines | None = None) -> None:  # noqa: ARG002
        sums: dict[str, int] = {}
        for row in rows:
            frames = [str(row["comm"]), *frame_names(row)]
            # The semicolon separates frames; the number comes after the last space.
            line = ";".join(printable(frame).replace(";", ":") for frame in frames)
            sums[line] = sums.get(line, 0) + int(str(row[self._columns[0].key]))
        for line, number in sums.items():
            self._stdout.write(f"{line} {number}\n")


class Measure(NamedTuple):
    """A number that rows have, and its unit in speedscope's terms."""

    key: str
    name: str
    unit: str


def speedscope(name: str, rows: Sequence[Row], measures: Iterable[Measure]) -> dict[str, object]:
    """Return rows with stacks as a speedscope document, with a profile for each measure.

    Source: https://www.speedscope.app/file-format-schema.json
    """
    name = as_utf8(name)
    frames: dict[str, int] = {}
    samples = [
        [frames.setdefault(as_utf8(frame), len(frames)) for frame in frame_names(row)]
        for row in rows
    ]
    profiles = []
    for measure in measures:
        weights = [row[measure.key] for row in rows]
        profiles.append(
            {
                "type": "sampled",
                "name": f"{measure.name} of {name}",
                "unit": measure.unit,
                "startValue": 0,
                "endValue": sum(int(str(weight)) for weight in weights),
                "samples": samples,
                "weights": weights,
            }
        )
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": name,
        "exporter": f"ebpf-tour {__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": frame} for frame in frames]},
        "profiles": profiles,
    }
