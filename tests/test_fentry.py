"""ebpf-fentry beside ebpf-kprobe. What holds for each of them alone is in test_kprobe.py."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from cases import Case
from support import ENGINES, Running
from test_kprobe import UNLINK, calls_of, python, rows_of, work

from ebpf_tour.commands.fentry import TOOL
from ebpf_tour.commands.kprobe import TOOL as KPROBE
from ebpf_tour.loader.btf import has_kernel_function

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kernel(KPROBE, TOOL), pytest.mark.core]


@pytest.mark.usefixtures("leaves_nothing")
def test_the_rows_of_kprobe(tmp_path: Path) -> None:
    """Both at once, each on an engine of its own, at the one function that the kernel has."""
    remover = python(tmp_path, UNLINK)
    cases = [Case(tool, engine) for tool, engine in zip((KPROBE, TOOL), ENGINES, strict=True)]
    with (
        Running(*cases[0].command("--json")) as kprobe,
        Running(*cases[1].command("--json")) as fentry,
    ):
        kprobe.wait_attached()
        fentry.wait_attached()
        work(remover)
        results = [tool.finish(signal.SIGINT) for tool in (kprobe, fentry)]
    by_kprobe, by_fentry = (rows_of(result, remover.pid) for result in results)
    assert len(by_fentry) == 2 * len(calls_of(tmp_path))
    assert [row | {"time": ""} for row in by_kprobe] == [row | {"time": ""} for row in by_fentry]
    name = "do_unlinkat" if has_kernel_function("do_unlinkat") else "filename_unlinkat"
    for case, result in zip(cases, results, strict=True):
        assert result.stderr.startswith(f"Tracing {name} via {case.tool.name}... ")
