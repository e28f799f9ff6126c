"""ebpf-bootstrap: processes as they begin and end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    BIN,
    ENGINES,
    Result,
    Running,
    Workload,
    assert_error,
    changed_package,
    run,
    wait_until,
)

from ebpf_tour.commands.bootstrap import TOOL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support import Compiled

BOOTSTRAP = BIN / "ebpf-bootstrap"
ATTACHED = "Tracing exec and exit... Ctrl-C to end.\n"

pytestmark = pytest.mark.kernel(TOOL)
both_transports = pytest.mark.parametrize("transport", ["ringbuf", "perf"])


def traced(work: Callable[[], None], *options: str) -> Result:
    """Run the tool around some work. Demands an orderly end without losses."""
    with Running(BOOTSTRAP, "--json", *options) as tool:
        tool.wait_attached()
        work()
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.summary["lost"] == 0, result.stderr
    return result


def ours(result: Result) -> list[dict[str, Any]]:
    """Return the rows of our children."""
    return [row for row in result.records if row["ppid"] == os.getpid()]


def run_known() -> None:
    """Run /bin/true 23 times and a shell that ends with 7."""
    for _ in range(23):
        subprocess.run(["/bin/true"], check=True)
    subprocess.run(["/bin/sh", "-c", "exit 7"], check=False)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
@both_transports
def test_exact_rows(engine: str, transport: str) -> None:
    result = traced(run_known, "--engine", engine, "--transport", transport)
    assert result.stderr == ATTACHED
    rows = ours(result)
    assert len(rows) == 2 * 24
    for began, ended in zip(rows[::2], rows[1::2], strict=True):
        assert (began["event"], ended["event"]) == ("EXEC", "EXIT")
        assert began["pid"] == ended["pid"]
        assert began["exit_code"] is began["signal"] is began["duration_ns"] is None
        assert ended["filename"] is ended["signal"] is None
        assert 0 < ended["duration_ns"] < 60e9
        for row in (began, ended):
            assert list(row) == [column.key for column in TOOL.columns]
            assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
    assert [row["filename"] for row in rows[::2]] == ["/bin/true"] * 23 + ["/bin/sh"]
    assert [row["comm"] for row in rows[1::2]] == ["true"] * 23 + ["sh"]
    assert [row["exit_code"] for row in rows[1::2]] == [0] * 23 + [7]
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}


def test_engines_agree() -> None:
    """The same rows, but for times and PIDs."""
    seen = []
    for engine in ENGINES:
        rows = ours(traced(run_known, "--engine", engine))
        seen.append(
            [
                {
                    key: row[key]
                    for key in row
                    if key not in {"time", "pid", "duration_ns", "since_exec_ns"}
                }
                for row in rows
            ]
        )
    assert seen[0] == seen[1]
    assert len(seen[0]) == 48


def test_signal_is_named(engine: str) -> None:
    def work() -> None:
        for number in (signal.SIGKILL, signal.SIGTERM):
            with subprocess.Popen(["/bin/sleep", "60"]) as sleep:
                sleep.send_signal(number)

    rows = [row for row in ours(traced(work, "--engine", engine)) if row["event"] == "EXIT"]
    assert [(row["signal"], row["exit_code"]) for row in rows] == [("SIGKILL", 0), ("SIGTERM", 0)]


def test_threads_give_no_rows(engine: str, compiled: Compiled) -> None:
    program = compiled("threads")
    rows = ours(traced(lambda: subprocess.run([program], check=True) and None, "--engine", engine))
    assert [row["event"] for row in rows] == ["EXEC", "EXIT"]


def test_process_ends_with_its_last_thread(engine: str, compiled: Compiled) -> None:
    """Not with its first one, which is gone long before."""
    program = compiled("leaderless")
    rows = ours(traced(lambda: subprocess.run([program], check=False) and None, "--engine", engine))
    assert [row["event"] for row in rows] == ["EXEC", "EXIT"]
    assert rows[1]["exit_code"] == 5
    assert rows[1]["duration_ns"] >= 100_000_000


@pytest.mark.native
@pytest.mark.alone  # such processes of other tests count as lost, too
@pytest.mark.usefixtures("leaves_nothing")
def test_more_such_processes_than_there_is_room_for(
    engine: str, compiled: Compiled, tmp_path: Path
) -> None:
    """Of each there is a row, or it counts as lost. Here there is room for none."""
    changes = {
        "if (bpf_map_update_elem(&leaderless, &pid, &one, BPF_ANY))": "if (one)",
        "if (leaderless.update(&pid, &one))": "if (one)",
    }
    never = changed_package("bootstrap", tmp_path, changes)
    with Running(*never, "--engine", engine, "--json") as tool:
        tool.wait_attached()
        for _ in range(5):
            subprocess.run([compiled("leaderless")], check=False)
        result = tool.finish(signal.SIGINT)
    rows = [row for row in result.records if row["ppid"] == os.getpid()]
    rows = [row for row in rows if row["comm"] == "leaderless"]
    assert [row["event"] for row in rows] == ["EXEC"] * 5
    assert result.summary["lost"] == 5


def test_duration_shows_only_the_long_lived(engine: str) -> None:
    def work() -> None:
        for seconds in ("0", "0.3", "0"):
            subprocess.run(["/bin/sleep", seconds], check=True)

    rows = ours(traced(work, "--engine", engine, "-d", "200"))
    assert [row["event"] for row in rows] == ["EXIT"]
    assert rows[0]["duration_ns"] >= 300_000_000


@pytest.mark.core
@pytest.mark.parametrize("options", [(), ("-d", "300")], ids=" ".join)
def test_a_process_lives_from_its_fork(engine: str, options: tuple[str, ...]) -> None:
    """Also one that executes nothing, one that executes late, and one that is older."""
    older = Workload("/bin/sh", "-c", "printf r; read -r _; exit 3")

    def work() -> None:
        if not (child := os.fork()):
            time.sleep(0.4)
            os._exit(9)
        os.waitpid(child, 0)
        subprocess.run(["/bin/sh", "-c", "sleep 0.4; exec /bin/true"], check=True)
        assert older.finish() == 3

    time.sleep(0.4)  # the time that it is older
    rows = ours(traced(work, "--engine", engine, *options))
    lived = [row for row in rows if row["event"] == "EXIT"]
    assert [row["exit_code"] for row in lived] == [9, 0, 3]
    assert all(400_000_000 <= row["duration_ns"] < 60e9 for row in lived)
    forked, late, early = (row["since_exec_ns"] for row in lived)
    assert forked is early is None
    assert 0 < late < lived[1]["duration_ns"] - 400_000_000
    assert {row["event"] for row in rows} == ({"EXIT"} if options else {"EXEC", "EXIT"})


@pytest.mark.native
def test_a_name_that_is_cut_says_so(engine: str, tmp_path: Path) -> None:
    """The record has room for 127 bytes of it."""
    names = [f"{tmp_path}/".ljust(length, "x") for length in (127, 128)]
    for name in names:
        shutil.copy("/bin/true", name)
    rows = ours(
        traced(
            lambda: [subprocess.run([name], check=True) for name in names] and None,
            "--engine",
            engine,
        )
    )
    seen = [(row["filename"], row["truncated"]) for row in rows if row["event"] == "EXEC"]
    assert seen == [(names[0], False), (names[1][:127], True)]


@pytest.mark.native
def test_table(engine: str) -> None:
    with Running(BOOTSTRAP, "--engine", engine) as tool:
        tool.wait_attached()
        subprocess.run(["/bin/sh", "-c", "exit 7"], check=False)
        result = tool.finish(signal.SIGINT)
    header, *rows = result.stdout.splitlines()
    assert header == "TIME     EVENT COMM                 PID    PPID FILENAME/EXIT CODE"
    began, ended = (row for row in rows if f" {os.getpid()} " in row)
    assert began.endswith(" /bin/sh")
    assert re.search(r" \[7\] \(\d+ms\)$", ended)


@pytest.mark.core
def test_demo(engine: str) -> None:
    result = run(BOOTSTRAP, "--engine", engine, "--demo")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (6).\n")


def state(pid: int) -> str:
    """Return the letter that ps shows: T is stopped, S waits."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.native
def test_stopped_and_continued(engine: str) -> None:
    """Ctrl-Z and fg do not end it."""
    with Running(BOOTSTRAP, "--json", "--engine", engine) as tool:
        tool.wait_attached()
        os.kill(tool.pid, signal.SIGTSTP)
        wait_until(lambda: state(tool.pid) == "T", lambda: "it does not stop")
        os.kill(tool.pid, signal.SIGCONT)
        wait_until(lambda: state(tool.pid) == "S", lambda: "it does not wait again")
        subprocess.run(["/bin/true"], check=True)
        result = tool.finish(signal.SIGINT)
    assert result.status == 0
    assert len(ours(result)) == 2


@pytest.mark.native
@pytest.mark.parametrize("option", ["-d=0", "-d=-1", "-d=abc", "--transport=x", "--buffer=0"])
def test_bad_input(option: str) -> None:
    assert_error(run(BOOTSTRAP, *option.split("=")), 2, "ebpf-bootstrap")
