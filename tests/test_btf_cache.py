"""The cache of kernel BTF: what is loaded with it is what is loaded without it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from cases import TOOLS, Case, in_all_ways, need_hooks, parameters
from support import BIN, Result, run

from ebpf_tour.loader.hooks.fentry import Fentry

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel()

HELLO = Case(next(tool for tool in TOOLS if tool.name == "hello"), "libbpf")
BOOTSTRAP = Case(next(tool for tool in TOOLS if tool.name == "bootstrap"), "libbpf")

# One way for each program: how records come to user space makes no other.
CASES = [case for case in in_all_ways(TOOLS) if case.engine == "libbpf"]


def bytecode(case: Case, cache: Path | str) -> Result:
    """Return what is loaded, with the offsets that CO-RE has put into it."""
    result = run(*case.command("--show", "asm"), env={"EBPF_TOUR_CACHE": str(cache)})
    assert result.status == 0, result.stderr
    return result


def uses_fentry(case: Case) -> bool:
    return any(isinstance(h, Fentry) for h in case.tool.via.get("".join(case.options[1:2]), ()))


@pytest.mark.usefixtures("leaves_nothing")
@parameters(CASES)
def test_the_same_is_loaded(case: Case, tmp_path: Path) -> None:
    need_hooks(case)
    without = bytecode(case, "")
    first, second = bytecode(case, tmp_path), bytecode(case, tmp_path)
    assert without == first == second
    assert len(without.stdout.splitlines()) > 3
    files = list(tmp_path.iterdir())
    assert len(files) == (not uses_fentry(case))
    for file in files:
        assert file.name.startswith(f"{case.tool.name}-")
        assert file.stat().st_size < 16384
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.native
def test_it_is_read(tmp_path: Path) -> None:
    """And not only written: what is wrong there goes wrong, and with -v libbpf says where."""
    bytecode(BOOTSTRAP, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"no BTF")
    command = BOOTSTRAP.command("--demo")
    result = run(*command, env={"EBPF_TOUR_CACHE": str(tmp_path)})
    assert result.status == 1
    assert str(file) in result.stderr
    # It is gone, so that the next run works.
    assert not file.exists()
    assert run(*command, env={"EBPF_TOUR_CACHE": str(tmp_path)}).status == 0


@pytest.mark.native
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_of_others_is_not_read(tmp_path: Path, mode: int) -> None:
    bytecode(BOOTSTRAP, tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"no BTF")
    file.chmod(mode)
    bytecode(BOOTSTRAP, tmp_path)


@pytest.mark.native
def test_a_link_is_not_followed(tmp_path: Path) -> None:
    bytecode(BOOTSTRAP, tmp_path / "real")
    (file,) = (tmp_path / "real").iterdir()
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / file.name
    link.symlink_to(file)
    file.write_bytes(b"no BTF")
    bytecode(BOOTSTRAP, tmp_path / "links")
    assert not link.is_symlink()  # ours has taken its place


@pytest.mark.native
@pytest.mark.parametrize("where", ["/proc/nowhere", "/dev/null/cache"])
def test_no_place_for_it(where: str) -> None:
    """It is only for speed: nothing is said."""
    result = run(*HELLO.command("--demo", "--json"), env={"EBPF_TOUR_CACHE": where})
    assert result.status == 0
    assert "cache" not in result.stderr


@pytest.mark.native
def test_where_it_is_by_default() -> None:
    """In /run, where only root may write, and which the next boot empties."""
    result = run(BIN / "ebpf-hello", "--engine", "libbpf", "--demo")
    assert result.status == 0, result.stderr
    directory = os.stat("/run/ebpf-tour")
    assert directory.st_uid == 0
    assert stat.S_IMODE(directory.st_mode) == 0o700
