"""`ebpf-tour hooks` and `maps`: the table, held against kernels, libbpf, BCC and the records."""

from __future__ import annotations

import ctypes  # noqa: TID251 - to ask libbpf what a SEC() means
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import BIN, NO_BTF, in_mount_namespace, run

from ebpf_tour.commands.tour import HOOKS as HOOKS_WORD
from ebpf_tour.commands.tour import MAPS as MAPS_WORD
from ebpf_tour.frame.catalogue import tools
from ebpf_tour.frame.maps import map_lessons
from ebpf_tour.loader.btf import load_libbpf
from ebpf_tour.survey.bpf_types import HOOKS, MAPS
from ebpf_tour.survey.territory import (
    UNKNOWN,
    attach_types,
    hook_lines,
    hook_rows,
    is_of,
    map_lines,
    map_rows,
    types_of_kernel,
)

if TYPE_CHECKING:
    from support import Result

TOUR = BIN / "ebpf-tour"
TOOLS = [tool for tool in tools() if tool.name != "tour"]
COMMANDS = {tool.command for tool in TOOLS}

# Of section_defs, what a libbpf that is in use may not have yet.
NEWER_LIBBPF = {
    *("uprobe.multi", "uretprobe.multi", "kprobe.session", "uprobe.session", "tcx/ingress"),
    *("tcx/egress", "netkit/primary", "netkit/peer", "netfilter", "sk_skb/verdict"),
    *("cgroup/connect_unix", "cgroup/sendmsg_unix", "cgroup/recvmsg_unix", "fsession"),
    *("cgroup/getpeername_unix", "cgroup/getsockname_unix"),
    *("fentry.multi", "fexit.multi", "fsession.multi"),
}


def version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def listed(word: str, *command: str | Path) -> Result:
    result = run(*command, TOUR, word, "--json")
    assert result.status == 0, result.stderr
    assert result.summary["events"] == len(result.records)
    columns = HOOKS_WORD.columns if word == "hooks" else MAPS_WORD.columns
    assert all(list(row) == [column.key for column in columns] for row in result.records)
    return result


@pytest.mark.core
@pytest.mark.parametrize("word", ["hooks", "maps"])
def test_this_kernel(word: str) -> None:
    """It has no type without a line, and has each type since the version that the line says."""
    result = listed(word)
    assert result.stderr == ""
    assert not [row for row in result.records if row["why_not"] == UNKNOWN["why_not"]]
    running = version(os.uname().release)
    for row in result.records:
        assert row["here"] == (version(row["since"]) <= running), row


def test_rows() -> None:
    rows = {tuple(row["sections"]): row for row in listed("hooks").records}
    assert rows["kprobe", "kretprobe"] == {
        "program_type": "BPF_PROG_TYPE_KPROBE",
        "attach_types": [],
        "sections": ["kprobe", "kretprobe"],
        "bcc": "kprobe__, kretprobe__",
        "since": "4.1",
        "here": True,
        "taught_by": "ebpf-kprobe",
        "tools": ["ebpf-kprobe", "ebpf-mkdir"],
        "what": "entry to a function of the kernel, and its return",
        "why_not": None,
    }
    maps = {row["name"]: row for row in listed("maps").records}
    assert maps["queue"] == {
        "map_type": "BPF_MAP_TYPE_QUEUE",
        "name": "queue",
        "bcc": "BPF_QUEUE",
        "since": "4.20",
        "here": True,
        "taught_by": "ebpf-maps queue",
        "tools": [],
        "what": "values without keys: first in, first out",
        "why_not": None,
    }
    assert maps["sockmap"]["taught_by"] == "ebpf-sklookup"
    assert maps["struct_ops"]["taught_by"] == "ebpf-congestion"


@pytest.mark.parametrize("word", ["hooks", "maps"])
def test_table(word: str) -> None:
    """80 columns, and a line that begins with each name."""
    lines = run(TOUR, word).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for row in listed(word).records:
        for name in [row.get("program_type") or row["map_type"], *row.get("attach_types", [])]:
            assert name in text
        assert row["what"][1:] in text
        assert not row["why_not"] or f"No tool: {row['why_not']}." in text


def test_a_new_type() -> None:
    """Which the kernel has and nobody has written a line for; and of a renamed one, no second."""
    types = {name: dict(values) for name, values in types_of_kernel().items()}
    types["bpf_prog_type"]["BPF_PROG_TYPE_NEW"] = 1000
    types["bpf_attach_type"] |= {"BPF_NEW_PLACE": 1000, "BPF_OLD_LSM_MAC": 27}
    types["bpf_map_type"] |= {"BPF_MAP_TYPE_NEW_DEPRECATED": 1000, "BPF_MAP_TYPE_NEW": 1000}
    hooks, maps = list(hook_rows(TOOLS, types)), list(map_rows(TOOLS, types))
    assert [row["program_type"] for row in hooks[len(HOOKS) :]] == ["BPF_PROG_TYPE_NEW", None]
    assert hooks[-1]["attach_types"] == ["BPF_NEW_PLACE"]
    assert [row["map_type"] for row in maps[len(MAPS) :]] == ["BPF_MAP_TYPE_NEW"]
    assert list(hook_lines(hooks[-2:]))[2:-3] == [
        *("", "BPF_PROG_TYPE_NEW", f"{'-':25}{'-':22}{'-':6}-", "    no line in ebpf-tour yet", ""),
        *("Attach types, of whatever program type:", f"{'-':25}{'-':22}{'-':6}-"),
        *("    BPF_NEW_PLACE: no line in ebpf-tour yet", ""),
    ]
    assert list(map_lines(maps[-1:]))[-1] == "    BPF_MAP_TYPE_NEW: no line in ebpf-tour yet"


@pytest.mark.native
@pytest.mark.kernel
def test_without_btf() -> None:
    """Then nobody knows what is here, and that is said."""
    for word, lines in (("hooks", HOOKS), ("maps", MAPS)):
        result = listed(word, *in_mount_namespace(NO_BTF))
        assert len(result.records) == len(lines)
        assert {row["here"] for row in result.records} == {None}
        said = "ebpf-tour: which of these types are here is unknown: this kernel has no BTF"
        assert result.stderr.startswith(said)
        table = run(*in_mount_namespace(NO_BTF), TOUR, word).stdout
        assert " ".join(table.split()).count("Unknown here.") == len(lines)


def test_who_teaches_it() -> None:
    """Somebody that exists, or there is a reason why nobody does."""
    types = types_of_kernel()
    for row in (*hook_rows(TOOLS, types), *map_rows(TOOLS, types)):
        assert (row["taught_by"] is None) == bool(row["why_not"]), row
        for command in [row["taught_by"]] if row["taught_by"] else []:
            assert str(command).split()[0] in COMMANDS
    for line, row in zip(HOOKS, hook_rows(TOOLS, types), strict=True):
        assert not line.teacher or line.teacher in row["tools"], row  # type: ignore[operator]
    for table in ([line.sec for line in HOOKS if not line.attach], [line.name for line in MAPS]):
        assert len(set(table)) == len(table)


@pytest.mark.native
def test_each_hook_has_its_line() -> None:
    """With the types that it loads and attaches its program by, and its SEC()."""
    types = types_of_kernel()
    for tool in TOOLS:
        for hook in tool.hooks:
            lines = [line for line in HOOKS if is_of(line, hook)]
            assert lines, hook
            programs = {types["bpf_prog_type"][f"BPF_PROG_TYPE_{line.program}"] for line in lines}
            assert programs == {hook.program_type}, hook
            attach = [types["bpf_attach_type"].get(n) for line in lines for n in attach_types(line)]
            assert hook.attach_type in (-1, *attach), hook


def test_each_map_has_its_line() -> None:
    names = {line.name for line in MAPS}
    for tool in TOOLS:
        assert {item.base_type for item in tool.maps} <= names, tool.command


@pytest.mark.native
def test_sections() -> None:
    """libbpf gives a program with such a SEC() these types, if it is new enough to know it."""
    libbpf, types = load_libbpf(), types_of_kernel()
    program, attach = ctypes.c_int(), ctypes.c_int()
    unknown = set()
    for line in HOOKS:
        for section in line.sec.split():
            found = (section.encode(), ctypes.byref(program), ctypes.byref(attach))
            if libbpf.libbpf_prog_type_by_name(*found):
                unknown.add(section)
                continue
            assert program.value == types["bpf_prog_type"][f"BPF_PROG_TYPE_{line.program}"], line
            wanted = {types["bpf_attach_type"].get(name) for name in attach_types(line)}
            assert not wanted or attach.value in {0, *wanted}, line
    assert unknown <= NEWER_LIBBPF


@pytest.mark.native
def test_names_in_bcc() -> None:
    """Macros of its header, which is inside libbcc; constants of its Python; else the number."""
    from bcc import BPF  # noqa: TID251 - to compare

    loaded = re.search(r"\S*/libbcc\.so\S*", Path("/proc/self/maps").read_text())
    assert loaded
    macros = set(re.findall(rb"#define (\w+)\(", Path(loaded[0]).read_bytes()))
    types = types_of_kernel()
    for line in (*HOOKS, *MAPS):
        for name in re.findall(r"[\w.]*[A-Z][\w.]*", line.bcc):
            if name.startswith("BPF."):
                number = types["bpf_prog_type"][f"BPF_PROG_TYPE_{line[0]}"]
                assert getattr(BPF, name.removeprefix("BPF.")) == number
            else:
                assert name.encode() in macros, line
        if number_in := re.fullmatch(r"type (\d+)", line.bcc):
            assert int(number_in[1]) == types["bpf_prog_type"][f"BPF_PROG_TYPE_{line[0]}"]


def test_lessons_on_maps() -> None:
    """Each is named at its type, and at no other."""
    named = {(line.lesson, line.type) for line in MAPS if line.lesson}
    assert named == {(lesson.name, lesson.type) for lesson in map_lessons()}
