"""make test-kernels: what it makes of the results that guests leave, or do not."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import TYPE_CHECKING

import pytest
from support import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

RESULTS = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest">
{}
</testsuite></testsuites>
"""

CASE = """<testcase classname="tests.test_{tool}" name="test_it">
<properties>
<property name="tool" value="ebpf-{tool}"/><property name="engine" value="{engine}"/>
</properties>{outcome}</testcase>
"""

SKIPPED = '<skipped message="{}">where</skipped>'


@pytest.fixture
def kernels() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kernels", ROOT / "tests/machines/kernels.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["kernels"] = module
    spec.loader.exec_module(module)
    return module


def case(tool: str, engine: str, outcome: str = "") -> str:
    return CASE.format(tool=tool, engine=engine, outcome=outcome)


def results(path: Path, *cases: str) -> Path:
    path.write_text(RESULTS.format("".join(cases)))
    return path


def pretend(
    kernels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """Have a script stand in for the one that boots guests."""
    monkeypatch.setattr(kernels, "ROOT", tmp_path)
    monkeypatch.setattr(kernels, "RESULTS", tmp_path / "build")
    (tmp_path / "build").mkdir()
    (tmp_path / "tests/machines").mkdir(parents=True)
    guest = tmp_path / "tests/machines/kernels.sh"
    guest.write_text(f"#!/bin/sh\n{script}\n")
    guest.chmod(0o755)


def test_table(kernels: ModuleType, tmp_path: Path) -> None:
    tests = [
        *kernels.read_results(
            results(
                tmp_path / "a.xml",
                case("mkdir", "bcc"),
                case("mkdir", "bcc", SKIPPED.format("unsupported here: no kprobes")),
                case("mkdir", "libbpf"),
            ),
            "6.1",
        ),
        *kernels.read_results(results(tmp_path / "b.xml", case("mkdir", "bcc")), "7.2"),
    ]
    assert kernels.table(tests, ["6.1", "7.2"]).splitlines() == [
        "TOOL        ENGINE    6.1                7.2",
        "ebpf-mkdir  bcc       1 (1 unsupported)  1",
        "ebpf-mkdir  libbpf    1                  0",
    ]
    assert kernels.reasons(tests) == ["6.1 ebpf-mkdir: no kprobes (1)"]
    assert kernels.wrong(tests, {"ebpf-mkdir"}, ["6.1", "7.2"]) == []


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ('<failure message="assert 1 == 2&#10;long">trace</failure>', "assert 1 == 2"),
        ('<error message="failed on setup">trace</error>', "failed on setup"),
        # A skip that no hook object stands behind.
        (SKIPPED.format("not today"), "not today"),
    ],
)
def test_what_fails(kernels: ModuleType, tmp_path: Path, outcome: str, said: str) -> None:
    path = results(tmp_path / "a.xml", case("mkdir", "bcc"), case("mkdir", "bcc", outcome))
    tests = list(kernels.read_results(path, "6.1"))
    wanted = [f"FAILED 6.1 test_mkdir::test_it: {said}"]
    assert kernels.wrong(tests, {"ebpf-mkdir"}, ["6.1"]) == wanted
    assert "1 FAILED" in kernels.table(tests, ["6.1"])
    tests = [test._replace(kernel="6.1+lockdown=integrity") for test in tests]
    (line,) = kernels.tables(tests, ["6.1+lockdown=integrity"]).splitlines()
    assert line.startswith("6.1+lockdown=integrity: ")
    assert line.endswith(" 1 FAILED")


def test_a_tool_that_no_kernel_can_run(kernels: ModuleType, tmp_path: Path) -> None:
    skipped = SKIPPED.format("unsupported here: no such thing")
    path = results(tmp_path / "a.xml", case("mkdir", "bcc", skipped), case("minimal", "bcc"))
    tests = list(kernels.read_results(path, "6.1"))
    commands = {"ebpf-mkdir", "ebpf-minimal", "ebpf-new"}
    assert kernels.wrong(tests, commands, ["6.1", "7.2"]) == [
        "FAILED ebpf-mkdir: no kernel could run it",
        "FAILED ebpf-new: no kernel could run it",
    ]


def test_a_tool_that_older_kernels_cannot_run(kernels: ModuleType, tmp_path: Path) -> None:
    """It is what its hook says of them. But that there is no test of a tool, nothing says."""
    skipped = SKIPPED.format("unsupported here: no such thing")
    tests = list(
        kernels.read_results(results(tmp_path / "a.xml", case("mkdir", "bcc", skipped)), "6.1")
    )
    assert kernels.wrong(tests, {"ebpf-mkdir", "ebpf-new"}, ["6.1"]) == [
        "FAILED ebpf-new: no kernel could run it",
    ]


@pytest.mark.parametrize(
    ("kernel", "wanted"),
    [
        ("6.12-arm64", "-m kernel and not native -k  "),
        ("6.12-arm64-16k", "-m kernel and core -k demo "),
        ("6.1+lockdown=integrity", "-m hardened -k  "),
    ],
)
def test_what_is_run(
    kernels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str, wanted: str
) -> None:
    """With larger pages, the demos only; with a parameter, the tests for that."""
    pretend(kernels, tmp_path, monkeypatch, 'echo "$@"')
    monkeypatch.setenv("TESTS", "all")
    with pytest.raises(RuntimeError, match=re.escape(wanted)):
        kernels.run_guest(kernel, 1, [])


@pytest.mark.parametrize("written", [None, "", RESULTS.format("")], ids=["none", "empty", "zero"])
def test_a_guest_without_results(
    kernels: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str | None
) -> None:
    """Whatever exit status it had."""
    if written is not None:
        (tmp_path / "empty.xml").write_text(written)
    leaves = "" if written is None else "\ncp empty.xml build/6.1-1.xml"
    pretend(kernels, tmp_path, monkeypatch, f"echo it said this{leaves}")
    with pytest.raises(RuntimeError, match=r"(?s)6\.1 gave no results:.*it said this"):
        kernels.run_guest("6.1", 1, [])
