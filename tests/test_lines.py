"""The lines of C that instructions are from, held against the compiler; see test_show.py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import ROOT

from ebpf_tour.build import compile_object
from ebpf_tour.explain import lines
from ebpf_tour.loader import c_source
from ebpf_tour.loader.btf import Btf, load_libbpf

if TYPE_CHECKING:
    from pathlib import Path

    from ebpf_tour.explain.lines import Lines


def of_object(path: Path) -> dict[str, Lines]:
    btf, ext = Btf.of_object(load_libbpf(), str(path))
    found = lines.of_object(btf, ext)
    btf.close()
    return found


def of_objdump(path: Path) -> dict[str, dict[int, tuple[str, int]]]:
    """Return the file and the line of each instruction, by llvm-objdump and the DWARF."""
    done = subprocess.run(
        ["llvm-objdump", "-d", "-l", path], capture_output=True, text=True, check=True
    )
    found: dict[str, dict[int, tuple[str, int]]] = {}
    start = 0
    name = ""
    place = ("", 0)
    for line in done.stdout.splitlines():
        if match := re.match(r"([0-9a-f]{16}) <(\w+)>:$", line):
            if not match[2].startswith("LBB"):  # those are labels
                start, name = int(match[1], 16) // 8, match[2]
                found[name] = {}
        elif match := re.match(r"; (\S+):(\d+)$", line):
            place = os.path.basename(match[1]), int(match[2])
        elif match := re.match(r" +(\d+):\t", line):
            found[name][int(match[1]) - start] = place
    return found


@pytest.mark.parametrize("source", sorted((ROOT / "bpf").glob("*.bpf.c")), ids=lambda p: p.name)
def test_as_llvm_objdump(source: Path, tmp_path: Path) -> None:
    """The same compiler writes BTF, for the kernel, and DWARF, for everyone else."""
    if not shutil.which("llvm-objdump"):
        pytest.skip("llvm-objdump is not installed")
    stripped, whole = tmp_path / "stripped.o", tmp_path / "whole.o"
    compile_object(source, stripped, "x86")
    clang = (
        "clang",
        "-target",
        "bpf",
        "-g",
        "-O2",
        "-I.",
        "-D__TARGET_ARCH_x86",
        "-c",
        source.name,
    )
    subprocess.run([*clang, "-o", whole], cwd=source.parent, check=True)
    theirs = of_objdump(whole)
    files = c_source.read(str(source), (str(source.parent),)).files
    texts = {os.path.basename(name): text.splitlines() for name, text in files.items()}
    compared = set()
    for function, ours in of_object(stripped).items():
        for number, line in ours.items():
            if line.file in texts:  # it is none of the system's headers
                assert line.text == texts[line.file][line.number - 1].strip()
            # An entry counts for the first instruction of its line. DWARF's first
            # is the brace, BTF's the head of the function.
            if number:
                compared.add(line.file)
                assert theirs[function][number] == (line.file, line.number)
    assert source.name in compared
    if source.name.startswith(("mkdir", "execsnoop", "opensnoop")):
        assert {"filter.bpf.h", "task.bpf.h"} <= compared


def test_each_function_of_an_object(tmp_path: Path) -> None:
    """Two programs in one section, and a function that both call."""
    source = tmp_path / "two.bpf.c"
    source.write_text(
        """\
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
static __attribute__((noinline)) int helper(int n)
{
	return n + bpf_get_prandom_u32();
}
SEC("uprobe")
int first(void *ctx)
{
	return helper(1);
}
SEC("uprobe")
int second(void *ctx)
{
	return helper(2);
}
"""
    )
    path = tmp_path / "two.bpf.o"
    compile_object(source, path, "x86")
    found = of_object(path)
    assert {name: {line.number for line in of.values()} for name, of in found.items()} == {
        "helper": {3, 5},
        "first": {10},
        "second": {15},
    }
    assert min(found["second"]) <= 1


def test_numbered() -> None:
    """After every statement, but not in a comment, in a macro, or in an expression."""
    text = """\
#include <a.h>
/* Not here;
 * nor here;
 */
#define TWICE \\
	x; \\
	y
TRACEPOINT_PROBE(a, b)
{
	call(1,
		2);
	return 0;
}
"""
    places = lines.in_one_file(text, "f.c")
    assert lines.numbered(text, places).splitlines() == [
        *('#line 1 "f.c"', "#include <a.h>", '#line 2 "f.c"'),
        *("/* Not here;", " * nor here;", " */"),
        *("#define TWICE \\", "\tx; \\", "\ty"),
        *("TRACEPOINT_PROBE(a, b)", '#line 8 "f.c"', "{", '#line 10 "f.c"'),
        *("\tcall(1,", "\t\t2);", '#line 12 "f.c"', "\treturn 0;", '#line 13 "f.c"', "}"),
    ]


def test_of_bcc() -> None:
    said = """\
Disassembly of function probe
; whatever BCC thinks is there // Line   2
   0:\tb7 00 00 00 00 00 00 00\tr0 = 0
   1:\t18 11 00 00 ff ff ff ff 00 00 00 00 00 00 00 00\tld_pseudo\tr1, 1, 4294967295
; not in the file // Line  99
   3:\t95 00 00 00 00 00 00 00\texit

Disassembly of function other
   0:\t95 00 00 00 00 00 00 00\texit
"""
    text = "{\n\treturn 0;\n}\n"
    second = lines.SourceLine("f.bcc.c", 2, "return 0;")
    assert lines.of_bcc(said, text, lines.in_one_file(text, "f.bcc.c")) == {
        "probe": {0: second, 1: second},
        "other": {},
    }
    # A header is in the place of its #include.
    places = [("f.bcc.c", 1), ("lib/f.bcc.h", 7), ("f.bcc.c", 3), ("f.bcc.c", 4)]
    (line, _) = lines.of_bcc(said, text, places)["probe"].values()
    assert str(line) == "return 0; @ f.bcc.h:7"
    assert lines.of_bcc("", "", lines.in_one_file("", "f.bcc.c")) == {}
    assert str(second) == "return 0; @ f.bcc.c:2"
