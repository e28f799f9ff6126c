"""A new tool from one that there is, in the package and outside of it."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import ENGINES, ROOT, checked_in
from test_records import test_columns, test_table_fits_80_columns, test_texts

from ebpf_tour.frame import cli
from ebpf_tour.new import examples_to_copy, tools_to_copy

if TYPE_CHECKING:
    from pathlib import Path

NEW = (sys.executable, "-m", "ebpf_tour.new")


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.kernel
@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("like", ["hello", "minimal", "bootstrap"])
def test_a_tool_of_ones_own(installed: Path, tmp_path: Path, like: str) -> None:
    """From an installed wheel, by nothing but the commands that it says."""
    python = installed / "bin/python"
    made = run(python, "-m", "ebpf_tour.new", "my-tool", "--like", like, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    files, steps = made.stdout.split("Then:\n")
    assert set(files.split()) == {path.name for path in tmp_path.iterdir()}
    change, build, demo, reference = (line.strip() for line in steps.splitlines())
    assert change.endswith("in my_tool.py, and the C")
    assert reference.startswith("What a tool can use: examples/reference.md")
    assert run(*shlex.split(build), cwd=tmp_path).returncode == 0
    for engine in ENGINES:
        command = [*shlex.split(demo)[1:], "--engine", engine]
        done = run(*command, cwd=tmp_path)
        assert (done.returncode, "Demo: saw every row that it caused" in done.stderr) == (
            0,
            True,
        ), done


@pytest.mark.kernel
@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("like", ["kills", "sockets"])
def test_a_tool_like_an_example(tmp_path: Path, like: str) -> None:
    """By nothing but the commands that it says; in a checkout's root it is refused."""
    assert like in examples_to_copy()
    made = run(*NEW, "my-tool", "--like", like, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    files, steps = made.stdout.split("Then:\n")
    names = {f"my_tool{suffix}" for suffix in (".bcc.c", ".bpf.c", ".h", ".py")}
    assert set(files.split()) == {path.name for path in tmp_path.iterdir()} == names
    change, build, demo, _ = (line.strip() for line in steps.splitlines())
    assert change.endswith("in my_tool.py, and the C")
    assert run(*shlex.split(build), cwd=tmp_path).returncode == 0
    for engine in ENGINES:
        done = run(*shlex.split(demo)[1:], "--engine", engine, cwd=tmp_path)
        assert (done.returncode, "Demo: saw " in done.stderr) == (0, True), done
    refused = run(*NEW, "my-tool", "--like", like, cwd=ROOT)
    assert refused.returncode == 2
    assert f"{like} is an example" in refused.stderr


@pytest.mark.parametrize("like", tools_to_copy())
def test_the_record_of_a_tool_of_ones_own(tmp_path: Path, like: str) -> None:
    assert run(*NEW, "my-tool", "--like", like, cwd=tmp_path).returncode == 0
    text = (tmp_path / "my_tool.py").read_text(encoding="utf-8")
    (tmp_path / "module.py").write_text(text.replace("\nsys.exit(main())\n", "\n"))
    module = runpy.run_path(str(tmp_path / "module.py"))
    for test in (test_columns, test_table_fits_80_columns, test_texts):
        test(module["TOOL"])
    parser = cli.make_parser(module["TOOL"], module.get("options"))
    for example in module["TOOL"].examples:
        command, *words = shlex.split(example.command)
        assert command == "my_tool"
        parser.parse_args(words)  # SystemExit fails the test


@pytest.mark.native
@pytest.mark.parametrize("like", ["minimal", "mkdir"])
def test_a_tool_of_the_package(tmp_path: Path, like: str) -> None:
    """It passes the tests of all records as it is; nothing else has to know of it."""
    for name in checked_in():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name, follow_symlinks=False)

    def python(*words: str) -> str:
        done = run(sys.executable, *words, cwd=tmp_path, PYTHONPATH=f"{tmp_path}/tools")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    made = python("-m", "ebpf_tour.new", "run-queue", "--like", like)
    assert "bpf/run_queue.bpf.c\n" in made
    python("-m", "ebpf_tour.build", "bpf")
    written = set(re.findall(r"(?m)^(\S+\.md): written$", python("man/generate.py")))
    assert written <= {"README.md", "examples/README.md", "examples/run_queue.md"}
    tests = [f"tests/test_{name}.py" for name in ("records", "generated", "readme", "glossary")]
    words = ("-p", "no:cacheprovider", "-q", "-m", "not kernel", *tests)
    assert "failed" not in python("-m", "pytest", *words)
    assert "ebpf-run-queue" in (tmp_path / "man/ebpf-run-queue.8").read_text().replace("\\", "")


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["2many"], "'2many' cannot be the name of a tool"),
        (["class"], "'class' cannot be the name of a tool"),
        (["../up"], "'../up' cannot be the name of a tool"),
        (["mine", "--like", "gone"], "there is no tool 'gone' to begin with"),
        (["there"], "there.py exists already"),
    ],
)
def test_what_cannot_be(tmp_path: Path, words: list[str], cause: str) -> None:
    (tmp_path / "there.py").touch()
    done = run(*NEW, *words, cwd=tmp_path)
    error, hint = done.stderr.splitlines()
    assert (done.returncode, error) == (2, f"python3 -m ebpf_tour.new: error: {cause}")
    assert hint.startswith("hint: ")
    assert [path.name for path in tmp_path.iterdir()] == ["there.py"]
