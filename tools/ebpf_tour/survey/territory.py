"""The rows of `ebpf-tour hooks` and `ebpf-tour maps`: each type, and the tool that shows it.

Three sources meet here: the running kernel's BTF says which types it has, bpf_types.py what
they are for, and the tools' records which tool has them.
"""

from __future__ import annotations

import textwrap
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING

from ebpf_tour.base.text import wrapped
from ebpf_tour.loader import raw_btf
from ebpf_tour.survey.bpf_types import HOOKS, MAPS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from ebpf_tour.frame.record import Row, Tool
    from ebpf_tour.loader.hooks import Hook
    from ebpf_tour.survey.bpf_types import HookLine, MapLine

    # The names and values of an enumeration, by its name.
    Types = Mapping[str, Mapping[str, int]]

PROGRAM, ATTACH, MAP = "BPF_PROG_TYPE_", "BPF_", "BPF_MAP_TYPE_"
WIDTH = 80


def types_of_kernel() -> Types:
    """Return the types that the running kernel has. Raises Unsupported where it has no BTF."""
    btf = raw_btf.of_kernel()
    names = ("bpf_prog_type", "bpf_attach_type", "bpf_map_type")
    return {name: btf.enumeration(name) for name in names}


def hook_rows(
    tools: Sequence[Tool], types: Types | None, lines: Sequence[HookLine] = HOOKS
) -> Iterator[Row]:
    """Yield a row for each line, and for each type of the kernel that has none.

    `types` is None where nobody knows what the kernel has. `tools` are in the order of the
    course: the first one that has a type teaches it.
    """
    for line in lines:
        names = [PROGRAM + line.program, *attach_types(line)]
        users = [tool.command for tool in tools if any(is_of(line, hook) for hook in tool.hooks)]
        yield {
            "program_type": names[0],
            "attach_types": [*names[1:]],
            "sections": line.sec.split(),
            "bcc": line.bcc or None,
            "since": line.since,
            "here": has(types, names),
            "taught_by": line.teacher or (users[0] if users else None),
            "tools": [*users],
            "what": line.what,
            "why_not": line.why or None,
        }
    if types is None:
        return
    unknown = {"sections": [], **UNKNOWN}
    known = {PROGRAM + line.program for line in lines}
    for name in without_line(types["bpf_prog_type"], known):
        yield {"program_type": name, "attach_types": [], **unknown}
    # The kernel does not say of which program type an attach type is.
    known = {name for line in lines for name in attach_types(line)}
    for name in without_line(types["bpf_attach_type"], known):
        yield {"program_type": None, "attach_types": [name], **unknown}


def map_rows(
    tools: Sequence[Tool], types: Types | None, lines: Sequence[MapLine] = MAPS
) -> Iterator[Row]:
    """Yield a row for each line, and for each type of the kernel that has none."""
    for line in lines:
        users = [tool.command for tool in tools if uses(tool, line)]
        lesson = [f"ebpf-maps {line.lesson}"] if line.lesson else []
        yield {
            "map_type": MAP + line.type,
            "name": line.name,
            "bcc": line.bcc or None,
            "since": line.since,
            "here": has(types, [MAP + line.type]),
            "taught_by": next(iter([*lesson, *users]), None),
            "tools": [*users],
            "what": line.what,
            "why_not": line.why or None,
        }
    known = {MAP + line.type for line in lines}
    for name in without_line(types["bpf_map_type"], known) if types else ():
        yield {"map_type": name, "name": None, **UNKNOWN}


# What there is to say of a type that the kernel has and no line.
UNKNOWN: Row = {
    "bcc": None,
    "since": None,
    "here": True,
    "taught_by": None,
    "tools": [],
    "what": None,
    "why_not": "no line in ebpf-tour yet",
}


def attach_types(line: HookLine) -> list[str]:
    """Return the kernel's names of the attach types of a line."""
    return [ATTACH + name for name in line.attach.split()]


def is_of(line: HookLine, hook: Hook) -> bool:
    """Say whether a program for a hook is of the types of a line: its SEC() says so."""
    return any(f"{hook.section}/".startswith(f"{section}/") for section in line.sec.split())


def uses(tool: Tool, line: MapLine) -> bool:
    """Say whether a tool has a map of the type of a line."""
    declared = any(item.base_type == line.name for item in tool.maps)
    sections = [hook.section.partition("/")[0] for hook in tool.hooks]
    return declared or line.section in sections


def has(types: Types | None, names: Iterable[str]) -> bool | None:
    """Say whether the kernel has types, None where nobody knows."""
    if types is None:
        return None
    there = {name for enumeration in types.values() for name in enumeration}
    return there.issuperset(names)


def without_line(enumeration: Mapping[str, int], known: Collection[str]) -> Iterator[str]:
    """Yield the types of an enumeration that are in no line.

    Its first value, UNSPEC, is no type, nor is the one that only counts them. A type that
    was renamed has both names. It is known by either, otherwise it goes by the last one.
    """
    names: dict[int, list[str]] = {}
    for name, value in enumeration.items():
        if not name.startswith("__MAX_") and not name.endswith("_TYPE_UNSPEC"):
            names.setdefault(value, []).append(name)
    yield from (same[-1] for same in names.values() if set(same).isdisjoint(known))


def hook_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the hooks for a terminal, below their program types."""
    widths = (25, 22, 6)
    yield from beside(widths, "SEC()", "BCC", "SINCE", "TAUGHT BY")
    yield from below("WHAT RUNS THE PROGRAM (ATTACH TYPE)")
    for program, group in groupby(rows, lambda row: row["program_type"]):
        yield ""
        yield str(program or "Attach types, of whatever program type:")
        for row in group:
            yield from beside(widths, row["sections"], row["bcc"], row["since"], row["taught_by"])
            yield from below(" ".join(sentences(row, row["attach_types"])))
    yield ""
    yield from wrapped("", LEGEND, 0)


LEGEND = (
    "SEC(): what libbpf knows the type by. BCC: a macro, what the function's name begins with, "
    "or the type that load_func() takes. SINCE: the first Linux that has it."
)


def map_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the maps for a terminal."""
    widths = (19, 29, 6)
    yield from beside(widths, "MAP", "BCC", "SINCE", "TAUGHT BY")
    yield from below("WHAT IT HAS (TYPE)")
    yield ""
    for row in rows:
        yield from beside(widths, row["name"], row["bcc"], row["since"], row["taught_by"])
        yield from below(" ".join(sentences(row, [row["map_type"]])))


def sentences(row: Row, types: object) -> Iterator[str]:
    """Yield what there is to say of a row: what it is, why no tool shows it, what is not here."""
    names = ", ".join(types) if isinstance(types, list) else ""
    if not row["what"]:
        yield f"{names}: {row['why_not']}" if names else f"{row['why_not']}"
        return
    what = str(row["what"])
    yield f"{what[0].upper()}{what[1:]}{names and f' ({names})'}."
    if row["why_not"]:
        yield f"No tool: {row['why_not']}."
    if row["here"] is None:
        yield "Unknown here."
    elif not row["here"]:
        yield "Not in this kernel."


def beside(widths: Sequence[int], *cells: object) -> Iterator[str]:
    """Yield the lines of cells beside each other. What is too long goes on in the next line."""
    columns = []
    for width, cell in zip((*widths, WIDTH - sum(widths) + 1), cells, strict=True):
        text = ", ".join(cell) if isinstance(cell, list) else str(cell or "")
        columns.append(in_cell(text or "-", width - 1))
    for line in zip_longest(*columns, fillvalue=""):
        padded = (f"{text:{width}}" for text, width in zip(line, (*widths, 0), strict=True))
        yield "".join(padded).rstrip()


def below(text: str) -> list[str]:
    """Return the lines of a text below the cells."""
    return wrapped("    ", text, 4)


def in_cell(text: str, width: int) -> list[str]:
    """Return a text in lines. Its names stay whole, since they are to be found and copied."""
    return textwrap.wrap(text, width, break_on_hyphens=False, break_long_words=False)
