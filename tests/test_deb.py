"""The Debian package: what make test-deb, which installs it, does not look at."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import ROOT, run

from ebpf_tour import __version__
from ebpf_tour.frame.catalogue import tools

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="there is no dpkg-deb")


def package(wheel: Path, directory: Path, umask: int) -> Path:
    directory.mkdir(parents=True)
    command = [sys.executable, ROOT / "tools/deb.py", wheel, directory]
    path = subprocess.check_output(command, text=True, umask=umask).strip()
    assert path == f"{directory}/ebpf-tour_{__version__}-1_all.deb"
    return directory / os.path.basename(path)


def test_same_wheel_same_bytes(wheel: Path, tmp_path: Path) -> None:
    one = package(wheel, tmp_path / "one", 0o022)
    another = package(wheel, tmp_path / "another/place", 0o077)
    assert one.read_bytes() == another.read_bytes()


def test_package_has_what_the_wheel_has(wheel: Path, tmp_path: Path) -> None:
    path = package(wheel, tmp_path / "made", 0o022)
    subprocess.run(["dpkg-deb", "-R", path, tmp_path / "tree"], check=True)
    usr = tmp_path / "tree/usr"
    for tool in tools():
        environment = {**os.environ, "PYTHONPATH": str(usr / "lib/python3/dist-packages")}
        result = run(usr / "bin" / tool.command, "--version", env=environment)
        assert result == (0, f"{tool.command} {__version__}\n", "")
        page = usr / f"share/man/man{tool.section}/{tool.command}.{tool.section}.gz"
        assert run("gzip", "-dc", page).stdout == (ROOT / f"man/{page.stem}").read_text()
        for place in (
            f"bash-completion/completions/{tool.command}",
            f"zsh/vendor-completions/_{tool.command}",
            f"fish/vendor_completions.d/{tool.command}.fish",
        ):
            assert (usr / "share" / place).exists()
    # ... what there is no other place for.
    objects = {path.name for path in (ROOT / "bpf").glob("*/*.bpf.o")}
    assert {path.name for path in usr.rglob("bpf/x86/*.o")} <= objects
    assert (usr / "share/doc/ebpf-tour/examples/README.md").exists()
    # dpkg compares all files with these.
    sums = tmp_path / "tree/DEBIAN/md5sums"
    checked = subprocess.run(["md5sum", "-c", "--quiet", sums], cwd=tmp_path / "tree")
    assert checked.returncode == 0
    files = [path for path in usr.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(sums.read_text().splitlines()) == len(files)
