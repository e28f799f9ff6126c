"""What is shipped: complete, and running without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support import ROOT, Result, assert_error, checked_in, run

from ebpf_tour.build import ARCHITECTURES, PACKAGE, compile_all, compile_object
from ebpf_tour.commands.minimal import TOOL
from ebpf_tour.frame.catalogue import parser_of, tools

SOURCES = sorted(path.name for path in (ROOT / "bpf").glob("*.bpf.c"))


def test_wheel_has_everything(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in SOURCES:
        for architecture in ARCHITECTURES:
            assert f"ebpf_tour/bpf/{architecture}/{source.replace('.c', '.o')}" in names
            for path in (ROOT / "bpf/maps").glob("*.bpf.c"):
                assert f"ebpf_tour/bpf/maps/{architecture}/{path.stem}.o" in names
    for path in (ROOT / "bpf").rglob("*.[ch]"):
        assert f"ebpf_tour/bpf/{path.relative_to(ROOT / 'bpf')}" in names
    for path in (ROOT / "tools/ebpf_tour").rglob("*.py"):
        assert str(path.relative_to(ROOT / "tools")) in names
    place = "examples/exercises/"
    exercises = [name.removeprefix(place) for name in checked_in() if name.startswith(place)]
    assert exercises
    assert [name for name in exercises if f"ebpf_tour/exercises/files/{name}" not in names] == []
    assert "ebpf_tour/py.typed" in names
    pages = {name.rpartition("/")[2] for name in names if "/share/man/man8/" in name}
    assert pages == {f"{tool.command}.{tool.section}" for tool in tools()}


def test_wheel_has_the_course(wheel: Path) -> None:
    """With the tools of one's own, and README.md, whose links lead there."""
    place = ".data/data/share/doc/ebpf-tour/"
    names = {name.partition(place)[2] for name in zipfile.ZipFile(wheel).namelist()}
    wanted = [name for name in checked_in() if name.startswith(("examples/", "README.md"))]
    assert [name for name in wanted if name not in names] == []
    assert not [name for name in names if name.endswith(".o")]


def test_no_compiler(sources: Path, tmp_path: Path) -> None:
    """Who builds the sdist without clang gets the cause and what to do, not a traceback."""
    shutil.copy(ROOT / "setup.py", tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("bpf"))
    shutil.copytree(sources, tmp_path / "tools/ebpf_tour/bpf")
    # It is the same step; an old setuptools does not understand our pyproject.toml.
    command = [sys.executable, "setup.py", "-q", "build_py"]
    environment = {"PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "python3 -m ebpf_tour.build: error: clang is not installed",
        "hint: install what Debian calls clang llvm libbpf-dev",
    ]
    assert "Traceback" not in done.stderr


def test_wheel_has_nothing_else(wheel: Path) -> None:
    """No top-level `tools`, `bpf` or `tests`."""
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert {name for name in packages if not name.endswith(".data")} == {"ebpf_tour"}
    assert not [name for name in names if "__pycache__" in name]


def test_wheel_has_completions(wheel: Path, tmp_path: Path) -> None:
    """For three shells; what bash makes of its file is tried."""
    with zipfile.ZipFile(wheel) as archive:
        (data,) = {name.partition("/")[0] for name in archive.namelist() if ".data/" in name}
        archive.extractall(tmp_path)
    share = tmp_path / data / "data/share"
    for tool in tools():
        for place in (
            f"bash-completion/completions/{tool.command}",
            f"zsh/site-functions/_{tool.command}",
            f"fish/vendor_completions.d/{tool.command}.fish",
        ):
            text = (share / place).read_text()
            for option in parser_of(tool)._option_string_actions:
                assert option.lstrip("-") in text

    def completed(*words: str) -> set[str]:
        script = (
            'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
            '_shtab_ebpf_bootstrap; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        path = share / "bash-completion/completions/ebpf-bootstrap"
        return set(run("bash", "-c", script, "bash", path, *words).stdout.split())

    assert completed("ebpf-bootstrap", "--tr") == {"--transport"}
    assert completed("ebpf-bootstrap", "--transport", "") == {"ringbuf", "perf"}
    assert completed("ebpf-bootstrap", "-d", "5", "--format", "c") == {"csv"}


def test_sdist_has_what_a_checkout_has(dist: Path) -> None:
    """The wheel was built from it; people who pack it want the rest, too."""
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    parts = ("bpf/", "examples/", "man/", "tests/", "tools/", "Makefile", "CHANGELOG.md")
    wanted = [name for name in checked_in() if name.startswith(parts) and (ROOT / name).is_file()]
    assert [name for name in wanted if name not in names] == []


def test_compiling_twice_gives_the_same_bytes(sources: Path, tmp_path: Path) -> None:
    """In two different directories, too."""
    another = shutil.copytree(sources, tmp_path / "another")
    built = [
        [path.read_bytes() for path in compile_all(directory, directory / "out")]
        for directory in (sources, another)
    ]
    assert built[0] == built[1]
    assert len(built[0]) == 2 * len(ARCHITECTURES)


def test_object_does_not_say_where_it_was_compiled(tmp_path: Path) -> None:
    """Nor where the package's headers are, whose lines it names."""
    path = tmp_path / "opensnoop.bpf.o"
    compile_object(PACKAGE / "opensnoop.bpf.c", path, "x86")
    content = path.read_bytes()
    assert b"/task.bpf.h\0" in content
    assert bytes(PACKAGE.parent) not in content


def objects(directory: Path, *names: str) -> list[Path]:
    return [directory / kind / f"{name}.bpf.o" for name in names for kind in ARCHITECTURES]


def test_compile_again_only_what_has_changed(sources: Path) -> None:
    """By the text, whatever the times of the files say."""
    assert compile_all(sources, sources) == objects(sources, "bootstrap", "minimal")
    assert compile_all(sources, sources) == []
    for path in sources.rglob("*.[ch]"):
        os.utime(path, ns=(2**61, 2**61))  # the year 2043
    assert compile_all(sources, sources) == []
    path = sources / "minimal.bpf.c"
    path.write_text(f"{path.read_text()}\n")
    os.utime(path, (0, 0))
    assert compile_all(sources, sources) == objects(sources, "minimal")


def test_compile_again_what_includes_a_header(sources: Path, tmp_path: Path) -> None:
    """Wherever that is: beside the C file, in a directory there, elsewhere, from a header."""
    compile_all(sources, sources)
    path = sources / "bootstrap.h"
    path.write_text(f"{path.read_text()}/* another line */\n")
    assert compile_all(sources, sources) == objects(sources, "bootstrap")
    path = sources / "include/uapi/linux/ptrace.h"  # vmlinux.h includes it
    path.write_text(f"{path.read_text()}/* another line */\n")
    assert compile_all(sources, sources) == objects(sources, "bootstrap", "minimal")
    source = sources / "minimal.bpf.c"
    helper = "#include <bpf/bpf_helpers.h>\n"
    source.write_text(source.read_text().replace(helper, f'{helper}#include "lib/filter.bpf.h"\n'))
    assert compile_all(sources, sources) == objects(sources, "minimal")
    path = sources / "lib/filter.bpf.h"
    path.write_text(f"{path.read_text()}/* another line */\n")
    assert compile_all(sources, sources) == objects(sources, "minimal")
    assert compile_all(sources, sources) == []
    (tmp_path / "a #1 $").mkdir()
    elsewhere = tmp_path / "a #1 $/else where.h"
    elsewhere.write_text("")
    source.write_text(f'#include "../a #1 $/else where.h"\n{source.read_text()}')
    assert compile_all(sources, sources) == objects(sources, "minimal")
    assert compile_all(sources, sources) == []
    elsewhere.write_text("/* now it says something */\n")
    assert compile_all(sources, sources) == objects(sources, "minimal")
    # Now found first, where the package's own was before.
    own = shutil.copytree(ROOT / "examples/own", tmp_path / "own")
    compile_all(own, own)
    (own / "vmlinux.h").write_text(f"{(sources / 'vmlinux.h').read_text()}\n")
    shutil.copytree(sources / "include", own / "include")
    assert compile_all(own, own) == objects(own, "kills", "sockets")


def test_compile_again_what_another_build_has_made(sources: Path) -> None:
    """Nobody knows from what."""
    compile_all(sources, sources)
    path = sources / "x86/minimal.bpf.o"
    whole = path.read_bytes()
    subprocess.run(["llvm-objcopy", "--remove-section=.ebpf_tour.sources", path], check=True)
    assert path.read_bytes() != whole
    assert compile_all(sources, sources) == [path]
    assert path.read_bytes() == whole
    path.write_bytes(whole[:100])
    assert compile_all(sources, sources) == [path]
    assert path.read_bytes() == whole


def build(*arguments: str | Path, path: str | Path = os.environ["PATH"]) -> Result:
    command = (sys.executable, "-m", "ebpf_tour.build", *arguments)
    return run(*command, env={"PATH": str(path), "COLUMNS": "80"})


BUILD = "python3 -m ebpf_tour.build"
AGAIN = f"{sys.executable} -m ebpf_tour.build"


def test_command_says_what_it_compiles(sources: Path) -> None:
    first, again = build(sources), build(sources)
    paths = objects(sources, "bootstrap", "minimal")
    assert first == (0, "".join(f"compiled {path}\n" for path in paths), "")
    assert again == (0, f"{sources}: all objects are up to date\n", "")
    elsewhere = build(sources, sources / "out")
    paths = objects(sources / "out", "bootstrap", "minimal")
    assert elsewhere == (0, "".join(f"compiled {path}\n" for path in paths), "")


def test_command_without_a_directory() -> None:
    result = build()
    assert (result.status, result.stdout) == (2, "")
    assert result.stderr == (
        f"usage: {BUILD} [-h] DIRECTORY [TARGET]\n"
        f"{BUILD}: error: the following arguments are required: DIRECTORY\n"
    )


def test_command_help() -> None:
    result = build("--help")
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: {BUILD} [-h] DIRECTORY [TARGET]\n\nCompile each")


def test_command_with_another_directory(tmp_path: Path) -> None:
    """One that is not there, one that has nothing to compile, and a file."""
    nowhere = tmp_path / "nowhere"
    cause, hint = assert_error(build(nowhere), 2, BUILD)
    assert cause == f"there is no directory {nowhere}"
    assert hint == f"name the one with your NAME.bpf.c: {AGAIN} ."
    (tmp_path / "tool.bcc.c").touch()
    cause, _ = assert_error(build(tmp_path), 2, BUILD)
    assert cause == f"{tmp_path} has no NAME.bpf.c"
    path = tmp_path / "tool.bpf.c"
    path.write_text("")
    cause, hint = assert_error(build(path), 2, BUILD)
    assert cause == f"{path} is a file, not a directory"
    assert hint == f"compile the files beside it: {AGAIN} {tmp_path}"


@pytest.mark.parametrize("missing", ["clang", "llvm-objcopy"])
def test_compiler_missing(sources: Path, tmp_path: Path, missing: str) -> None:
    """No half of an object is left."""
    for name in {"clang", "llvm-objcopy"} - {missing}:
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    cause, hint = assert_error(build(sources, path=tmp_path), 69, BUILD)
    assert cause == f"{missing} is not installed"
    assert hint == "install what Debian calls clang llvm libbpf-dev"  # no apt in this PATH
    assert [path for path in (sources / "x86").rglob("*") if path.suffix != ".o"] == []
    assert list(sources.rglob("*.o")) == []


def test_compiler_refuses(sources: Path) -> None:
    """Its own words, and below them the two lines. The older object stays."""
    compile_all(sources, sources)
    path = sources / "x86/minimal.bpf.o"
    before = path.read_bytes()
    (sources / "minimal.bpf.c").write_text("frobnicate;\n")
    result = build(sources)
    cause, hint = assert_error(result, 1, BUILD)
    assert result.stderr.startswith("minimal.bpf.c:1:1: error: ")
    assert cause == f"clang cannot compile {sources}/minimal.bpf.c"
    assert "the first of these errors" in hint
    assert path.read_bytes() == before


def test_macro_missing(sources: Path) -> None:
    """BTF has no macros. The same words for a name in small letters mean a slip of the pen."""
    path = sources / "minimal.bpf.c"
    text = path.read_text()
    for name, known in (("AT_REMOVEDIR", True), ("removedir", False)):
        path.write_text(f"{text}int flag(void)\n{{\n\treturn {name};\n}}\n")
        result = build(sources)
        _, hint = assert_error(result, 1, BUILD)
        assert f"use of undeclared identifier '{name}'" in result.stderr
        assert hint.startswith(f"vmlinux.h has no macros: define {name} in your own") == known


def test_header_of_libbpf_missing(sources: Path) -> None:
    (sources / "minimal.bpf.c").write_text("#include <bpf/bpf_nowhere.h>\n")
    cause, hint = assert_error(build(sources), 69, BUILD)
    assert cause == "clang cannot find bpf/bpf_nowhere.h"
    assert "apt install libbpf-dev" in hint


def test_no_place_for_the_objects(sources: Path) -> None:
    cause, hint = assert_error(build(sources, "/proc/nowhere"), 1, BUILD)
    assert cause.startswith("cannot write /proc/nowhere/x86/")
    assert hint.startswith("name another directory for the objects: ")


@pytest.mark.native
@pytest.mark.kernel(TOOL)
@pytest.mark.usefixtures("leaves_nothing")
def test_installed(installed: Path, tmp_path: Path, engine: str) -> None:
    """From an empty directory, with an empty environment."""
    clean = ["env", "-i", "-C", tmp_path]
    where = run(
        *clean, installed / "bin/python", "-c", "import ebpf_tour; print(ebpf_tour.__file__)"
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)
    command = installed / "bin/ebpf-minimal"
    result = run(*clean, command, "--engine", engine, "--json", "--limit", "1")
    assert result.status == 0, result.stderr
    assert len(result.records) == 1
    assert list(tmp_path.iterdir()) == []
