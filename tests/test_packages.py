"""What is missing, and what to type for it, on distributions that are not Debian.

The clients are stand-ins: nobody has run this on those distributions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import ROOT

from ebpf_tour.base import packages

if TYPE_CHECKING:
    from pathlib import Path

# What the setup itself calls.
USED = ("sh", "dirname", "id", "find", "touch", "env", "mkdir", "ln")

# By the client: how it is called for two missing commands, and how a person is told to call it
# for the three things that compiling takes.
CALLS = {
    "apt-get": (
        "update -qq\ninstall -y -qq --no-install-recommends clang llvm\n",
        "apt install clang llvm libbpf-dev",
    ),
    "dnf": ("install -y --quiet clang llvm\n", "dnf install clang llvm libbpf-devel"),
    "zypper": (
        "--non-interactive --quiet install clang llvm\n",
        "zypper install clang llvm libbpf-devel",
    ),
    "pacman": (
        "-S --needed --noconfirm --quiet clang llvm\n",
        "pacman -S clang llvm libbpf",
    ),
    "apk": ("add --quiet clang llvm\n", "apk add clang llvm libbpf-dev"),
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set PATH to a directory that has what the setup calls, but no client, clang and llvm."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in USED:
        found = shutil.which(name)
        assert found
        (directory / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(directory))
    return directory


def stand_in(path: Path, client: str) -> Path:
    """Make a client that notes how it is called, and return where."""
    notes = path / "called"
    notes.touch()
    (path / client).write_text(f'#!/bin/sh\necho "$*" >>{notes}\n')
    (path / client).chmod(0o755)
    return notes


def checkout(where: Path) -> None:
    """Copy what the setup is, beside a virtual environment in which nothing is installed."""
    (where / "tools/ebpf_tour/base").mkdir(parents=True)
    for name in (
        "setup.py",
        "pyproject.toml",
        "tools/setup.sh",
        "tools/ebpf_tour/base/packages.py",
    ):
        shutil.copy(ROOT / name, where / name)
        os.utime(where / name, (0, 0))
    (where / ".venv/bin").mkdir(parents=True)
    (where / ".venv/bin/python").symlink_to(sys.executable)


def set_up(where: Path, what: str) -> subprocess.CompletedProcess[str]:
    """Call a copy of the setup, which finds a virtual environment with everything in it."""
    checkout(where)
    for extra in ("", "[dev]", "[test]"):
        (where / f".venv/installed{extra}").touch()
    return subprocess.run([where / "tools/setup.sh", what], capture_output=True, text=True)


@pytest.mark.parametrize("client", CALLS)
def test_what_is_missing_is_installed(client: str, path: Path, tmp_path: Path) -> None:
    notes = stand_in(path, client)
    done = set_up(tmp_path / "checkout", "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert notes.read_text() == CALLS[client][0]


def test_nothing_is_missing(path: Path, tmp_path: Path) -> None:
    """Then no client is called, and none is needed."""
    for name in ("clang", "llvm-objcopy"):
        (path / name).symlink_to("/bin/true")
    notes = stand_in(path, "dnf")
    assert set_up(tmp_path / "with", "demo").returncode == 0
    assert notes.read_text() == ""
    (path / "dnf").unlink()
    assert set_up(tmp_path / "without", "demo").returncode == 0


def test_what_an_extra_brings_is_not_installed_again(path: Path, tmp_path: Path) -> None:
    """A second time would take the commands away for a moment, while other tests run them."""
    for name in ("clang", "llvm-objcopy"):
        (path / name).symlink_to("/bin/true")
    checkout(tmp_path)
    notes = stand_in(tmp_path / ".venv/bin", "pip")
    for what in ("check", "demo", "check"):
        subprocess.run([tmp_path / "tools/setup.sh", what], check=True)
    assert notes.read_text() == "install --quiet --disable-pip-version-check --editable .[dev]\n"


@pytest.mark.usefixtures("path")
def test_no_client(tmp_path: Path) -> None:
    assert packages.client() == ""
    assert packages.install("clang", "bcc") == "install what Debian calls clang python3-bpfcc"
    done = set_up(tmp_path, "demo")
    assert done.returncode == 69
    assert done.stderr.endswith("\n  clang llvm\n")


def test_a_name_that_is_not_known(path: Path, tmp_path: Path) -> None:
    """Debian's name says what is meant. Nothing is installed in part."""
    notes = stand_in(path, "pacman")
    done = set_up(tmp_path, "test")
    assert done.returncode == 69
    assert "clang llvm (man-db)" in done.stderr
    assert notes.read_text() == ""


@pytest.mark.parametrize("client", CALLS)
def test_hints(client: str, path: Path) -> None:
    stand_in(path, client)
    assert packages.install("clang", "llvm", "headers") == CALLS[client][1]
    assert "6.18.0" in packages.kernel_headers("6.18.0") or client in ("zypper", "pacman", "apk")


def test_each_has_a_name_everywhere() -> None:
    for needed in packages.NEEDED.values():
        assert len(needed.packages) == len(packages.CLIENTS)
        assert all(needed.packages)
