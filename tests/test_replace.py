"""ebpf-replace, where the kernel takes freplace: in virtual machines."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import pytest
from support import BIN, Result, Running, assert_error, run

from ebpf_tour.commands.replace import TOOL, open_target
from ebpf_tour.loader import syscall
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

REPLACE = BIN / "ebpf-replace"

kernel = pytest.mark.kernel(TOOL)


def rows(result: Result) -> Iterator[tuple[str, str, int]]:
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    for row in result.records:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        yield row["function"], row["answer"], row["calls"]


@kernel
@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_before_while_and_after() -> None:
    """The program calls its own function, the new one, and its own one again."""
    with Running(REPLACE, "--json", "--interval", "0.1") as tool:
        tool.wait_attached()
        assert tool.process.stdout
        shown = b"".join(tool.process.stdout.readline() for _ in range(4)).decode()
        result = tool.finish(signal.SIGINT)
    first, *between, last = rows(result._replace(stdout=shown + result.stdout))
    assert first == ("verdict", "pass", 0)
    assert between == [("new_verdict", "drop", number + 1) for number in range(len(between))]
    assert len(between) >= 3
    assert last == ("verdict", "pass", len(between))


@kernel
@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo() -> None:
    for words, answer in (((), "drop"), (("--answer", "tx"), "tx")):
        result = run(REPLACE, "--demo", "--json", *words)
        assert list(rows(result)) == [
            ("verdict", "pass", 0),
            ("new_verdict", answer, 1),
            ("verdict", "pass", 1),
        ]
        assert result.stderr.endswith("Demo: saw all that it caused (3), and nothing else.\n")


@kernel
@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_killed() -> None:
    with Running(REPLACE) as tool:
        tool.wait_attached()
        assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL


@kernel
def test_table() -> None:
    result = run(REPLACE, "--limit", "2")
    assert result.status == 0, result.stderr
    header, *found = (line.split()[1:] for line in result.stdout.splitlines())
    assert header == ["FUNCTION", "ANSWER", "CALLS"]
    assert found == [["verdict", "pass", "0"], ["new_verdict", "drop", "1"]]


@pytest.mark.kernel
@pytest.mark.usefixtures("leaves_nothing")
def test_the_target_alone() -> None:
    """It runs, and passes every packet, also where the kernel refuses freplace."""
    with open_target() as target:
        target.load()
        (fd,) = target.program_fds()
        assert [syscall.run_program(fd, bytes(size)).result for size in (14, 64, 1500)] == [2, 2, 2]
        with pytest.raises(OSError, match="Invalid argument"):
            syscall.run_program(fd, bytes(13))


@pytest.mark.native
def test_a_kernel_that_refuses() -> None:
    missing = what_is_missing(TOOL.via["freplace"])
    if not missing:
        pytest.skip("unsupported here: this kernel refuses nothing")
    cause, hint = assert_error(run(REPLACE, "--demo"), missing.status, "ebpf-replace")
    assert cause == str(missing)
    assert hint


@pytest.mark.native
def test_bcc_has_none() -> None:
    cause, hint = assert_error(run(REPLACE, "--engine", "bcc"), 69, "ebpf-replace")
    assert cause == "the bcc engine cannot attach to freplace verdict"
    assert hint == "use the engine that can: --engine libbpf"


@pytest.mark.native
@pytest.mark.parametrize("words", [("--answer", "pass"), ("--interval", "0")])
def test_usage(words: tuple[str, ...]) -> None:
    assert_error(run(REPLACE, *words), 2, "ebpf-replace")
