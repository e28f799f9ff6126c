"""make install and make uninstall."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support import BIN, ROOT, run

from ebpf_tour.frame.catalogue import tools

if TYPE_CHECKING:
    from pathlib import Path


def make(*arguments: str) -> None:
    done = subprocess.run(["make", "-s", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_help_names_every_target() -> None:
    text = run("make", "-s", "-C", ROOT, "help").stdout
    phony = re.search(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())
    assert phony
    for target in phony[1].split():
        assert target.startswith("setup-") or f"\n{target} " in f"\n{text}"


def apropos(pages: Path, home: Path) -> set[str]:
    """Return the names that `apropos ebpf` finds, with a database of its own."""
    config = home / "man.conf"
    config.write_text(f"MANDATORY_MANPATH {pages}\nMANDB_MAP {pages} {home}/mandb\n")
    subprocess.run(["mandb", "-C", config, "-q", pages], check=True)
    listed = run("apropos", "-C", config, "-M", pages, "ebpf").stdout
    shutil.rmtree(home / "mandb")
    config.unlink()
    return {line.split()[0] for line in listed.splitlines()}


@pytest.mark.skipif(BIN.parent != ROOT / ".venv", reason="make works with .venv, this is another")
def test_install_and_uninstall(tmp_path: Path) -> None:
    """What was there before stays, what was installed goes; other tests' commands stay, too."""
    command = (BIN / "ebpf-minimal").stat()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ebpf-other").write_text("somebody else's\n")
    (tmp_path / "share/man").mkdir(parents=True)
    before = below(tmp_path)
    make("install", f"PREFIX={tmp_path}")
    for tool in tools():
        version = run(tmp_path / "bin" / tool.command, "--version")
        assert (version.status, version.stderr) == (0, "")
        page = tmp_path / f"share/man/man{tool.section}/{tool.command}.{tool.section}"
        assert page.read_text() == (ROOT / f"man/{page.name}").read_text()
    found = apropos(tmp_path / "share/man", tmp_path)
    assert {tool.command for tool in tools()} <= found
    assert (
        "ebpf-tour(7)" in run("man", "-M", tmp_path / "share/man", "7", "ebpf-tour").stdout.lower()
    )
    # Again, as for an update.
    wheels = (ROOT / "build/wheel").glob("*.whl")
    assert run(ROOT / "tools/install.sh", "install", tmp_path, *wheels).status == 0
    make("uninstall", f"PREFIX={tmp_path}")
    assert below(tmp_path) == before
    assert os.path.samestat((BIN / "ebpf-minimal").stat(), command)
