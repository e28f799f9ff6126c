"""What every test needs: the rules for tests that load into the real kernel."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import ROOT, KernelLog, bpf_objects, held_objects, wait_until
from workloads import SPAWN, STEP, TARGET, compiled

from ebpf_tour.errors import Error
from ebpf_tour.loader import features
from ebpf_tour.tour import why_not

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here, with the reason. On CI a privilege may not be missing.

    A test names the tools that it runs: `pytest.mark.kernel(TOOL)`.
    """
    marker = item.get_closest_marker("kernel")
    if not marker:
        return
    try:
        features.require_privileges()
        features.tracefs()
    except Error as error:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"{error}; hint: {error.hint or 'run make test'}")
    for tool in marker.args:
        reason = why_not(tool)
        if reason:
            pytest.skip(str(reason))


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the developer's shell sets away from the tools."""
    for name in ("EBPF_TOUR_ENGINE", "PYTHONPATH", "BCC_KERNEL_SOURCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def leaves_nothing() -> Iterator[None]:
    """Demand that the test leaves no program, map, link, trace instance or probe event."""
    before = bpf_objects()
    yield

    def left() -> set[tuple[str, int | str]]:
        new = bpf_objects() - before
        # Other tracers may have come meanwhile; ours have ended and hold nothing.
        return new and new - held_objects()

    # The kernel frees some of them only after a grace period, but not so late
    # that a tool beside us could have cleaned up.
    wait_until(lambda: not left(), lambda: f"left: {left()}", 5)


@pytest.fixture
def quiet_kernel() -> Iterator[None]:
    """Demand that the kernel logs nothing on account of the test."""
    log = KernelLog()
    yield
    complaints = log.complaints()
    log.close()
    assert not complaints


@pytest.fixture(scope="session")
def helpers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory with the programs of workloads.py that several tests use."""
    directory = tmp_path_factory.mktemp("helpers")
    compiled(SPAWN, directory / "spawn")
    compiled(STEP, directory / "step", "-static")
    compiled(TARGET, directory / "target")
    compiled((ROOT / "tests/programs/hold.c").read_text(encoding="utf-8"), directory / "hold")
    return directory


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Return a directory that every user can enter, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="ebpf-tour-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Return a copy of bpf/ without objects, for a test to change."""
    ignored = shutil.ignore_patterns("*.o", "__pycache__")
    return Path(shutil.copytree(ROOT / "bpf", tmp_path / "bpf", ignore=ignored))
