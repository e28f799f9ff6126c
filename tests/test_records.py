"""What every tool has to have, from the records alone: nothing may be missing."""

from __future__ import annotations

import ctypes  # noqa: TID251 - bpf(2) takes addresses
import re
import shlex
import struct
import tomllib
from typing import TYPE_CHECKING

import pytest
from support import ROOT, need

from ebpf_tour.commands.minimal import TOOL as MINIMAL
from ebpf_tour.frame.catalogue import parser_of, tools
from ebpf_tour.frame.picture import WIDTH, drawing
from ebpf_tour.loader import c_source, open_program, syscall

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Tool

TOOLS = tools()
each = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.command)


def files(tool: Tool) -> list[str]:
    """Return the files that make up a tool."""
    found = [
        f"tools/ebpf_tour/commands/{tool.name}.py",
        f"man/{tool.command}.{tool.section}",
        f"man/{tool.name}.inc",
        f"tests/test_{tool.name}.py",
    ]
    found.append(f"examples/{tool.name}.md")
    if tool.via:
        dialects = {"libbpf": "bpf.c", "bcc": "bcc.c"}
        found += [f"bpf/{tool.name}.{dialects[engine]}" for engine in tool.engines]
    return found


def check_files(tool: Tool) -> None:
    missing = [name for name in files(tool) if not (ROOT / name).is_file()]
    assert not missing, f"{tool.command} has no {', '.join(missing)}"


def scripts() -> dict[str, str]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, str] = tomllib.load(file)["project"]["scripts"]
    return found


@each
def test_files(tool: Tool) -> None:
    check_files(tool)


def test_that_a_missing_file_is_named() -> None:
    made_up = MINIMAL._replace(name="made_up")
    with pytest.raises(AssertionError, match=re.escape("has no")) as caught:
        check_files(made_up)
    for name in files(made_up):
        assert name in str(caught.value)
    assert {"bpf/made_up.bpf.c", "bpf/made_up.bcc.c", "examples/made_up.md"} <= set(files(made_up))


def test_contributing_names_them() -> None:
    """What the guide tells people to write is what is demanded here."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`([\w/.-]*NAME[\w.]*)`", text)) | {"man/ebpf-NAME.8"}
    assert named == {
        *files(MINIMAL._replace(name="NAME")),
        *("bpf/NAME.h", "bpf/NAME_PART.bpf.h", "bpf/NAME_PART.bcc.h"),
    }


def test_console_scripts() -> None:
    """Every tool has one, and every one has a tool."""
    assert scripts() == {tool.command: f"ebpf_tour.commands.{tool.name}:main" for tool in TOOLS}


def test_no_file_without_a_tool() -> None:
    """Nothing is left behind when a tool is renamed."""
    known = {name for tool in TOOLS for name in files(tool)} | {
        "bpf/replace_target.bpf.c",  # the program whose function ebpf-replace replaces
        *("man/ebpf-tour.7", "man/ebpf-hooks.7", "man/ebpf-maps.7"),
        "examples/README.md",
        "examples/ebpf.md",
        "examples/fleet.md",
        "examples/glossary.md",
        "examples/packets.md",
        "examples/verifier.md",
        "examples/reference.md",
        "examples/where.md",
    }
    there = {
        str(path.relative_to(ROOT))
        for pattern in ("bpf/*.c", "man/ebpf-*", "examples/*.md")
        for path in ROOT.glob(pattern)
    }
    assert there <= known


def included(name: str) -> set[str]:
    """Return which headers of ours a C file of bpf/ includes, by their names there."""
    path = str(ROOT / "bpf" / name)
    return {file for file in c_source.read(path, (str(ROOT / "bpf"),)).files if file not in name}


def test_no_header_without_a_program() -> None:
    used: set[str] = set()
    bpf = ROOT / "bpf"
    for path in (*bpf.glob("*.c"), *bpf.glob("maps/*.c")):
        headers = included(str(path.relative_to(bpf)))
        used |= headers
        # A part is of one tool and in one dialect; what two tools share is in lib/.
        name, dialect, _ = path.name.split(".")
        for header in headers:
            assert header.startswith(("lib/", f"{name}.", f"{name}_"))
            assert header.endswith(f".{dialect}.h") or header.count(".") == 1  # a record
    there = {*bpf.glob("*.h"), *bpf.glob("maps/*.h"), *(bpf / "lib").iterdir()}
    names = {str(path.relative_to(bpf)) for path in there}
    assert names == used | {"vmlinux.h"}


@pytest.mark.parametrize("name", ["hello", "minimal", "bootstrap"])
def test_first_lessons_show_all(name: str) -> None:
    """They use no helper of lib/, but that ebpf-bootstrap can look at some processes only."""
    for dialect in ("bpf", "bcc"):
        allowed = {"bootstrap": {f"lib/processes.{dialect}.h"}}.get(name, set())
        assert included(f"{name}.{dialect}.c") <= {f"{name}.h"} | allowed


def test_lessons() -> None:
    """The course has an order."""
    lessons = [tool.lesson for tool in TOOLS]
    assert lessons == sorted(set(lessons))


@each
def test_examples_parse(tool: Tool) -> None:
    for example in tool.examples:
        command, *options = shlex.split(example.command)
        assert command == tool.command
        parser_of(tool).parse_args(options)  # SystemExit fails the test


@each
def test_columns(tool: Tool) -> None:
    keys = [column.key for column in tool.columns]
    headers = [column.header for column in tool.columns if column.header]
    assert len(set(keys)) == len(keys)
    assert len(set(headers)) == len(headers)
    for key in keys:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key)
    for header in headers:
        # Units are lower-case, in parentheses.
        assert re.sub(r"\([^)]*\)", "", header).isupper()


@pytest.mark.parametrize("tool", [t for t in TOOLS if t.via], ids=lambda tool: tool.command)
def test_table_fits_80_columns(tool: Tool) -> None:
    """The last column is free text, and its header fits, too.

    So does each option's column beside the ones that are always there.
    """
    *fixed, last = (column for column in tool.columns if column.header)
    for column in fixed:
        assert column.width >= len(column.header), column
    for option in {column.option for column in fixed}:
        shown = [column for column in fixed if column.option in ("", option)]
        assert sum(column.width + 1 for column in shown) + len(last.header) <= 80


@each
def test_texts(tool: Tool) -> None:
    """Summaries and table cells are phrases, descriptions are sentences."""
    assert tool.summary[0].islower()
    assert not tool.summary.endswith(".")
    for text in (tool.description, tool.requirements):
        assert text.endswith(".")
    for doc in [c.doc for c in tool.columns] + [e.doc for e in tool.examples]:
        assert doc
        assert not doc.endswith(".")


@pytest.mark.parametrize("tool", [t for t in TOOLS if t.via], ids=lambda tool: tool.command)
def test_picture(tool: Tool) -> None:
    """It has each hook of the first way, each program that is attached there, and each map."""
    programs = {hook: name for flow in tool.picture for hook, name in flow.programs.items()}
    assert set(programs) == set(next(iter(tool.via.values())))
    text = c_source.read(str(ROOT / f"bpf/{tool.name}.bpf.c"), (str(ROOT / "bpf"),)).text
    for hook, name in programs.items():
        section = re.escape(f'SEC("{hook.section}")')
        assert re.search(rf"{section}\n(int|void|__u32) (BPF_\w+\()?{name}\b", text)
    used = {name for flow in tool.picture for name in (*flow.reads, *flow.writes)}
    left_out = OF_A_FILTER | NOT_OF_THE_FIRST_WAY.get(tool.name, set())
    assert {item.name for item in tool.maps} <= used | left_out
    assert used <= {item.name for item in tool.maps} | NO_MAPS
    for line in drawing(tool).splitlines():
        assert line.isascii()
        assert len(line) <= WIDTH


# Where else a program can write.
NO_MAPS = {"the trace buffer", "the file descriptor"}
# Maps that take an option.
NOT_OF_THE_FIRST_WAY = {"bootstrap": {"pb"}}
# Maps of bpf/lib/processes.bpf.h, which say whose events they are, not what becomes of them.
OF_A_FILTER = {"processes", "wanted_cgroup"}


# Its program cannot be loaded before the one whose function it replaces.
NOT_ALONE = {"replace"}


@pytest.mark.kernel
@pytest.mark.parametrize(
    "tool",
    [t for t in TOOLS if t.via and t.name not in NOT_ALONE],
    ids=lambda tool: tool.command,
)
def test_picture_is_what_the_kernel_loads(tool: Tool) -> None:
    """The kernel knows which maps a program uses."""
    hooks = next(iter(tool.via.values()))
    need(*hooks)
    left_out = OF_A_FILTER | NOT_OF_THE_FIRST_WAY.get(tool.name, set())
    with open_program(tool.name, hooks, engine="libbpf") as program:
        program.load()
        maps = {info.id: info.name for info in map(syscall.map_info, program.map_fds())}
        used = {
            hook: {f".{name.partition('.')[2]}" if "." in name else name for name in names}
            for hook, fd in program._hooks_and_fds()
            for names in [{maps[number] for number in maps_of_program(fd)}]
        }
    drawn = {hook: {*f.reads, *f.writes} - NO_MAPS for f in tool.picture for hook in f.programs}
    for hook, names in used.items():
        # Global variables are drawn where they are what the tool teaches.
        shown = {name[:15] for name in drawn[hook]}  # the kernel keeps no more
        assert {n for n in names if n[0] != "." or n in shown} - left_out == shown


def maps_of_program(fd: int) -> list[int]:
    """Return the ids of the maps that a loaded program uses, from its struct bpf_prog_info."""
    ids = (ctypes.c_uint32 * 64)()
    info = ctypes.create_string_buffer(216)
    struct.pack_into("=IQ", info, 52, len(ids), ctypes.addressof(ids))  # nr_map_ids, map_ids
    request = struct.pack("=IIQ", fd, len(info), ctypes.addressof(info))
    syscall.bpf(syscall._OBJ_GET_INFO_BY_FD, request)
    return ids[: struct.unpack_from("=I", info, 52)[0]]


@each
def test_maps_and_hooks_stand_in_the_source(tool: Tool) -> None:
    if not tool.via:
        return
    text = c_source.read(str(ROOT / f"bpf/{tool.name}.bpf.c"), (str(ROOT / "bpf"),)).text
    for hook in tool.hooks:
        assert f'SEC("{hook.section}")' in text or "libbpf" not in hook.engines
    for item in tool.maps:
        if item.name.startswith("__bpf_usdt_"):
            assert "#include <bpf/usdt.bpf.h>" in text  # has it
        else:
            assert item.name[0] == "." or re.search(rf'\b{item.name} SEC\("\.maps"\)', text)
