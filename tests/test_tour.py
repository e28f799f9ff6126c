"""ebpf-tour: the catalogue."""

from __future__ import annotations

import pytest
from support import BIN, in_mount_namespace, run

from ebpf_tour.catalogue import tools
from ebpf_tour.tour import TOOL

TOUR = BIN / "ebpf-tour"
TOOLS = [tool for tool in tools() if tool.via]


def test_json() -> None:
    result = run(TOUR, "--json")
    assert result.status == 0, result.stderr
    assert [record["tool"] for record in result.records] == [tool.command for tool in TOOLS]
    for record in result.records:
        assert list(record) == [column.key for column in TOOL.columns]
    assert result.summary == {"type": "summary", "events": len(TOOLS), "lost": 0}


def test_table() -> None:
    header, *rows = run(TOUR).stdout.splitlines()
    assert header.split() == [column.header for column in TOOL.columns]
    assert [row.split()[0] for row in rows] == [tool.command for tool in TOOLS]


@pytest.mark.kernel(*TOOLS)
def test_what_runs() -> None:
    for record, tool in zip(run(TOUR, "--json").records, TOOLS, strict=True):
        assert (record["runs"], record["shows"]) == ("yes", tool.summary)


@pytest.mark.kernel
def test_what_does_not_run() -> None:
    """The same answer that the tool itself gives as its error."""
    setup = """
    mount -t tmpfs none /sys/kernel/tracing
    [ ! -d /sys/kernel/debug ] || mount -t tmpfs none /sys/kernel/debug
    """
    result = run(*in_mount_namespace(setup, TOUR, "--json"))
    assert result.status == 0, result.stderr
    minimal = next(record for record in result.records if record["tool"] == "ebpf-minimal")
    assert minimal["runs"] == "no"
    tool = run(*in_mount_namespace(setup, BIN / "ebpf-minimal"))
    assert tool.stderr.splitlines()[0] == f"ebpf-minimal: error: {minimal['shows']}"


def test_nothing_to_do_with_the_engines() -> None:
    """It loads nothing, so options of programs are none of its own."""
    assert run(TOUR, "--engine", "bcc").status == 2
    assert run(TOUR, env={"EBPF_TOUR_ENGINE": "nonsense"}).status == 0
