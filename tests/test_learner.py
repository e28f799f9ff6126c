"""What people get wrong in a tool of their own: it is said, with what to do about it.

The tool is the one of README.md, changed at one place. test_build.py has what goes wrong
when it is compiled, test_verifier.py what the verifier refuses.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import ARCHITECTURE, BIN, ROOT, Result, assert_error, in_mount_namespace, run

from ebpf_tour.build import compile_all

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kernel(), pytest.mark.usefixtures("leaves_nothing")]
native = pytest.mark.native

DEMO = ("--engine", "libbpf", "--demo", "--json")
RB = "__uint(type, BPF_MAP_TYPE_RINGBUF);\n\t__uint(max_entries, 65536);"
PERF = """\
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
"""
EVENT = "struct event *layout __attribute__((unused));	/* for Python to read */\n"
LICENCE = 'char LICENSE[] SEC("license") = "GPL";\n'


@pytest.fixture
def own(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("*.o", "__pycache__")
    return shutil.copytree(ROOT / "examples/own", tmp_path / "own", ignore=ignored)


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def kills(own: Path, *options: str) -> Result:
    return run(sys.executable, own / "kills.py", *options)


def of_python(own: Path, before: str, after: str) -> tuple[str, str]:
    """Return cause and hint of the tool with one line of its Python changed."""
    compile_all(own, own)
    change(own / "kills.py", before, after)
    return assert_error(kills(own, *DEMO), 1, "kills")


def of_c(own: Path, before: str, after: str, status: int = 1) -> tuple[str, str]:
    """Return cause and hint of the tool with one piece of its C changed. It shows no row."""
    change(own / "kills.bpf.c", before, after)
    compile_all(own, own)
    result = kills(own, *DEMO)
    assert "Ctrl-C to end." not in result.stderr
    assert result.stdout == ""
    return assert_error(result, status, "kills")


# An object that was not compiled from what is there.


@native
@pytest.mark.parametrize("name", ["kills.bpf.c", "kills.h", "more/limits.h", "../common.h"])
def test_object_is_older(own: Path, name: str) -> None:
    """Than the C file, or than a header in any directory. The hint makes it right."""
    if not (header := own / name).exists():
        header.parent.mkdir(exist_ok=True)
        header.write_text("/* nothing yet */\n")
        change(own / "kills.bpf.c", '#include "kills.h"', f'#include "kills.h"\n#include "{name}"')
    compile_all(own, own)
    assert kills(own, *DEMO).status == 0
    (own / name).write_text(f"{(own / name).read_text()}\n")
    os.utime(own / name, (0, 0))  # its time is no help
    for options in (DEMO, ("--demo",), ("--show", "asm"), ("--show", "source")):
        result = kills(own, *options)
        cause, hint = assert_error(result, 1, "kills")
        assert cause == f"{name} has changed since {own}/{ARCHITECTURE}/kills.bpf.o was compiled"
        assert hint == f"compile it: {sys.executable} -m ebpf_tour.build {own}"
        assert result.stdout == ""
        assert len(result.stderr.splitlines()) == 2  # it was not left to BCC
    command = hint.removeprefix("compile it: ")
    assert run("sh", "-c", command).status == 0
    assert kills(own, *DEMO).status == 0


@native
def test_object_of_the_package_is_older(sources: Path) -> None:
    """It is compiled by make; of an installed package, by the command."""
    compile_all(sources, sources)
    for name in ("minimal.bpf.c", "vmlinux.h"):
        (sources / name).write_text(f"{(sources / name).read_text()}\n")
    minimal = BIN / "ebpf-minimal"
    place = f"mount --bind '{sources}' '{ROOT}/bpf'"
    cause, hint = assert_error(run(*in_mount_namespace(place, minimal, *DEMO)), 1)
    assert re.match(
        rf"minimal\.bpf\.c and vmlinux\.h have changed since /.*/{ARCHITECTURE}/min", cause
    )
    assert hint == "in a checkout, compile it: make bpf"


@native
def test_object_of_a_copy_is_older(tmp_path: Path) -> None:
    package = shutil.copytree(ROOT / "tools/ebpf_tour", tmp_path / "ebpf_tour")
    change(package / "bpf/hello.bpf.c", "a greeting", "a welcome")
    script = "import sys; from ebpf_tour.commands.hello import main; sys.exit(main())"
    result = run(sys.executable, "-c", script, *DEMO, env={"PYTHONPATH": str(tmp_path)})
    _, hint = assert_error(result, 1, "ebpf-hello")
    assert hint == f"compile it: {sys.executable} -m ebpf_tour.build {package}/bpf"


@native
def test_times_do_not_matter(own: Path) -> None:
    """Neither what pip and git make of them, nor headers that are not there any more."""
    compile_all(own, own)
    for path in own.rglob("*.[cho]"):
        newer = path.suffix != ".o"
        os.utime(path, (newer * 2**31, newer * 2**31))
    assert kills(own, *DEMO).status == 0
    (own / "kills.h").unlink()
    assert kills(own, *DEMO).status == 0


@native
def test_object_of_another_build(own: Path) -> None:
    """It does not say what it was made from, so nothing is said of it."""
    compile_all(own, own)
    path = own / ARCHITECTURE / "kills.bpf.o"
    subprocess.run(["llvm-objcopy", "--remove-section=.ebpf_tour.sources", path], check=True)
    (own / "kills.h").write_text(f"{(own / 'kills.h').read_text()}\n")
    assert kills(own, *DEMO).status == 0


@native
def test_no_object_at_all(own: Path) -> None:
    """A file of that name which is none: libbpf's words, in two lines."""
    (own / ARCHITECTURE).mkdir(exist_ok=True)
    (own / ARCHITECTURE / "kills.bpf.o").write_text("no object\n")
    cause, _ = assert_error(kills(own, *DEMO), 1, "kills")
    assert cause.startswith(f"libbpf cannot open {own}/{ARCHITECTURE}/kills.bpf.o: ")


# Names that are not there.


@native
@pytest.mark.parametrize(
    "call",
    [
        'next(program.events("bufer", session))',
        'program.map("bufer")',
        'program.map_fd("bufer")',
        'program.omit_map("bufer")',
        'program.max_entries["bufer"] = 4096',
    ],
)
def test_no_such_map(own: Path, call: str) -> None:
    load = "        program.load()\n"
    before_load = "omit" in call or "max_entries" in call
    both = (f"        {call}\n", load) if before_load else (load, f"        {call}\n")
    cause, hint = of_python(own, load, "".join(both))
    assert cause == "there is no map bufer in kills.bpf.c"
    assert hint == "it has rb: take one of them, or declare bufer there"


@native
@pytest.mark.parametrize("call", ['program.counter("loss")', 'program.globals["loss"] = 1'])
def test_no_such_global(own: Path, call: str) -> None:
    cause, hint = of_python(own, "        program.load()\n", f"        {call}\n")
    assert cause == "there is no global variable loss in kills.bpf.c"
    assert "lost" in hint
    assert hint.endswith(": take one of them, or declare loss there")


@native
def test_no_map_at_all(tmp_path: Path) -> None:
    own = shutil.copytree(ROOT / "examples/own", tmp_path / "own")
    (own / "kills.bpf.c").write_text(
        f'#include "vmlinux.h"\n#include <bpf/bpf_helpers.h>\n{LICENCE}'
        'SEC("tp/syscalls/sys_enter_kill")\nint handle_kill(void *ctx)\n{\n\treturn 0;\n}\n'
    )
    compile_all(own, own)
    cause, hint = assert_error(kills(own, *DEMO), 1, "kills")
    assert cause == "there is no map rb in kills.bpf.c"
    assert hint == "it has none: declare rb there"


@native
@pytest.mark.parametrize("value", [2**64, -1])
def test_value_that_does_not_fit(own: Path, value: int) -> None:
    load = "        program.load()\n"
    cause, hint = of_python(own, load, f'        program.globals["lost"] = {value}\n{load}')
    assert cause == f"lost of kills.bpf.c has 8 bytes, unsigned: {value} does not fit"
    assert "type" in hint


CALLS = """\
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__uint(key_size, 4);
	__uint(value_size, 8);
} calls SEC(".maps");
"""


@native
@pytest.mark.parametrize("name", ["rb", "calls"])
def test_map_without_types(own: Path, name: str) -> None:
    change(own / "kills.bpf.c", "__u64 lost;\n", f"__u64 lost;\n{CALLS}")
    load = "        program.load()\n"
    cause, hint = of_python(own, load, f'{load}        program.map("{name}")\n')
    assert cause == f"the map {name} of kills.bpf.c does not declare the types of its key and value"
    assert "__type(key, ...) and __type(value, ...)" in hint


@native
def test_map_without_records(own: Path) -> None:
    change(own / "kills.bpf.c", "__u64 lost;\n", f"__u64 lost;\n{CALLS}")
    cause, hint = of_python(own, 'events("rb"', 'events("calls"')
    assert cause.startswith(
        "the map calls of kills.bpf.c is neither a ring buffer nor a perf event array"
    )
    assert hint == 'read its keys and values: program.map("calls").items()'


@native
def test_no_such_c_file(own: Path) -> None:
    """Compiling is no help, so the hint is another one."""
    (own / "kills.bpf.c").rename(own / "kill.bpf.c")
    cause, hint = assert_error(kills(own, *DEMO), 69, "kills")
    assert cause == f"there is no kills.bpf.c in {own}"
    assert hint.startswith("check the name and the directory in the tool's record")


# What is missing in the C.


@native
@pytest.mark.parametrize("perf", [False, True], ids=["ring buffer", "perf event array"])
def test_no_struct_event(own: Path, perf: bool) -> None:
    """The compiler leaves out a structure that only functions use."""
    if perf:
        change(own / "kills.bpf.c", RB, PERF)
        change(own / "kills.bpf.c", "bpf_ringbuf_output(&rb, &e, sizeof(e), 0)", "e.pid == 0")
    cause, hint = of_c(own, EVENT, "")
    assert cause == "there is no struct event in kills.bpf.c, which says what a record looks like"
    line = hint.partition(": ")[2]
    change(own / "kills.bpf.c", LICENCE, f"{LICENCE}{line}\n")
    compile_all(own, own)
    assert kills(own, "--engine", "libbpf", "--show", "asm").status == 0


@pytest.mark.parametrize("licence", ["", LICENCE.replace("GPL", "Apache-2.0")])
def test_no_licence(own: Path, licence: str) -> None:
    change(own / "kills.bpf.c", "\treturn 0;\n", '\tbpf_printk("kill");\n\treturn 0;\n')
    cause, hint = of_c(own, LICENCE, licence)
    says = "is under 'Apache-2.0'" if licence else "has no licence"
    assert cause.startswith(f"kills.bpf.c {says}: the kernel's verifier refuses handle_kill")
    line = hint.partition(": ")[2]
    change(own / "kills.bpf.c", "__u64 lost;\n", f"__u64 lost;\n{line}\n")
    if licence:
        change(own / "kills.bpf.c", licence, "")
    compile_all(own, own)
    assert kills(own, *DEMO).status == 0


@native
def test_no_licence_needed(own: Path) -> None:
    """By a program that calls nothing which asks for one."""
    change(own / "kills.bpf.c", LICENCE, "")
    compile_all(own, own)
    assert kills(own, *DEMO).status == 0


MAP = 'struct {{\n\t{}\n}} more SEC(".maps");\n'
ENTRIES = "__uint(max_entries, 1);"
HASH = "__uint(type, BPF_MAP_TYPE_HASH);"
TYPES = "__type(key, __u32);\n\t__type(value, __u64);"


@pytest.mark.parametrize(
    ("body", "status", "cause", "hint"),
    [
        (
            f"__uint(type, 200);\n\t{ENTRIES}\n\t{TYPES}",
            69,
            "this kernel has no maps of the type 200, which more in kills.bpf.c has",
            "see which types it has: bpftool feature probe | grep map_type",
        ),
        (
            f"{HASH}\n\t{TYPES}",
            1,
            "the kernel does not create the map more: Invalid argument",
            "set its number of entries in kills.bpf.c: __uint(max_entries, 1024);",
        ),
        (
            f"{HASH}\n\t{ENTRIES}\n\t__type(value, __u64);",
            1,
            "the kernel does not create the map more: Invalid argument",
            (
                "check its key, value and max_entries in kills.bpf.c: each type of map has its own "
                "rules"
            ),
        ),
    ],
    ids=["type", "entries", "key"],
)
def test_map_that_cannot_be(own: Path, body: str, status: int, cause: str, hint: str) -> None:
    said = of_c(own, "__u64 lost;\n", f"__u64 lost;\n{MAP.format(body)}", status)
    assert said == (cause, hint)


def test_helper_that_no_kernel_has(own: Path) -> None:
    call = "\t((long (*)(void *))4000)(ctx);\n\treturn 0;\n"
    cause, hint = of_c(own, "\treturn 0;\n", call)
    assert re.match(
        r"the kernel's verifier refuses handle_kill.*: invalid func unknown#4000", cause
    )
    assert "this kernel does not have it: see bpf-helpers(7)" in hint


@native
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_wrong_column(own: Path, form: str) -> None:
    """A row has another key than the record says."""
    compile_all(own, own)
    change(own / "kills.py", 'Column("target", "TARGET"', 'Column("victim", "TARGET"')
    cause, hint = assert_error(kills(own, *DEMO[:3], f"--format={form}"), 1, "kills")
    assert cause == "a row has no victim, which is a column of the record"
    assert hint == "it has pid, signal, target, comm"
