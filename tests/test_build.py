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
import together
from support import ROOT, run

from ebpf_tour.build import ARCHITECTURES, compile_all
from ebpf_tour.catalogue import parser_of, tools
from ebpf_tour.minimal import TOOL

SOURCES = sorted(path.name for path in (ROOT / "bpf").glob("*.bpf.c"))


def checked_in() -> list[str]:
    """Return the files that a fresh checkout would have."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip(f"this is no git checkout: {listed.stderr.strip()}")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def dist(common: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the sdist and the wheel that was built from it."""

    def build(target: Path) -> None:
        checkout = tmp_path_factory.mktemp("checkout")
        for name in checked_in():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name, follow_symlinks=False)
        command = [sys.executable, "-m", "build", "--outdir", target, checkout]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return together.once(common / "dist", build)


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, common: Path) -> Path:
    """Return a virtual environment of its own with the wheel in it."""

    def install(home: Path) -> None:
        venv = ["/usr/bin/python3", "-m", "venv", "--system-site-packages", home]
        subprocess.run(venv, check=True)
        pip = [home / "bin/pip", "install", "--quiet", "--disable-pip-version-check", wheel]
        subprocess.run(pip, check=True)

    return together.once(common / "venv", install)


def test_wheel_has_everything(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in SOURCES:
        for architecture in ARCHITECTURES:
            assert f"ebpf_tour/bpf/{architecture}/{source.replace('.c', '.o')}" in names
    for path in (ROOT / "bpf").rglob("*.[ch]"):
        assert f"ebpf_tour/bpf/{path.relative_to(ROOT / 'bpf')}" in names
    for path in (ROOT / "tools/ebpf_tour").rglob("*.py"):
        assert str(path.relative_to(ROOT / "tools")) in names
    assert "ebpf_tour/py.typed" in names
    pages = {name.rpartition("/")[2] for name in names if "/share/man/man8/" in name}
    assert pages == {f"{tool.command}.{tool.section}" for tool in tools()}


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


def test_compile_again_only_what_has_changed(sources: Path) -> None:
    first = compile_all(sources, sources)
    future = 2**61  # nanoseconds: the year 2043
    for path in first:
        os.utime(path, ns=(future, future))
    assert compile_all(sources, sources) == first
    assert all(path.stat().st_mtime_ns == future for path in first)
    os.utime(sources / "vmlinux.h", ns=(2 * future, 2 * future))
    compile_all(sources, sources)
    assert all(path.stat().st_mtime_ns < future for path in first)


def test_compiler_missing(sources: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ebpf_tour.build", sources]
    result = run(*command, env={"PATH": str(tmp_path)})
    assert result.status == 69
    assert result.stderr == (
        "clang is not installed\nhint: apt install clang llvm libbpf-dev (Debian, Ubuntu)\n"
    )


def test_compiler_refuses(sources: Path) -> None:
    (sources / "minimal.bpf.c").write_text("frobnicate;\n")
    result = run(sys.executable, "-m", "ebpf_tour.build", sources)
    assert result.status == 1
    assert "minimal.bpf.c:1:1: error: " in result.stderr
    assert "Traceback" not in result.stderr


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
