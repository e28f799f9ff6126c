"""Many events: none is lost unless it is counted, and one Ctrl-C is enough.

What the load causes is told from what the rest of the machine does by the names
of its processes.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import Case, fault, need_hooks, option, prints, to_count_all, watched
from support import PATIENCE_S, Running, Workload, run_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from support import Compiled


pytestmark = [
    pytest.mark.alone,
    pytest.mark.native,
    pytest.mark.usefixtures("leaves_nothing", "quiet_kernel"),
]


# What the trace buffer shows for a thread whose name it does not know (any more).
UNNAMED = "<...>"


class Load:
    """Processes that run `step` again and again, under names of their own."""

    def __init__(self, compiled: Compiled, directory: Path, name: str) -> None:
        self.names = (f"{name}-{os.getpid()}", f"{name}s-{os.getpid()}")
        self._directory = directory
        for link, program in zip(self.names, ("spawn", "step"), strict=True):
            (directory / link).symlink_to(compiled(program))

    def start(self, times: int) -> Workload:
        """Start a worker, which waits for its `begin()`."""
        command = [f"./{self.names[0]}", str(times), f"./{self.names[1]}"]
        return Workload(*command, cwd=self._directory)

    def run(self, times: int, workers: int = 1, cpus: Iterable[int] = ()) -> None:
        """Run `step` so many times in each of the workers, all at once."""
        started = [self.start(times) for _ in range(workers)]
        for worker in started:
            if cpus:
                os.sched_setaffinity(worker.pid, cpus)
        run_all(*started)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory in memory, where a disk does not slow the load down."""
    with tempfile.TemporaryDirectory(prefix="ebpf-tour-test-", dir="/dev/shm") as name:
        yield Path(name)


def seen(records: Iterable[dict[str, Any]]) -> collections.Counter[str]:
    """Return how many events there are of each name."""
    found: collections.Counter[str] = collections.Counter()
    for row in records:
        found[row["comm"]] += row.get("count", 1)
    return found


@fault
def test_none_is_lost(case: Case, compiled: Compiled, directory: Path) -> None:
    """20,000 processes from two workers.

    How many events there are for each, and for a worker itself, is found out
    with one and with eleven processes.
    """
    need_hooks(case)
    one, eleven, many = (Load(compiled, directory, name) for name in ("one", "eleven", "many"))
    with (directory / "rows").open("wb") as file:
        command = case.command("--json", *to_count_all(case.tool))
        with Running(*command, stdout=file.fileno()) as tool:
            tool.wait_attached()
            one.run(1)
            eleven.run(11)
            many.run(10_000, workers=2)
            result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    *rows, summary = map(json.loads, (directory / "rows").read_text().splitlines())
    assert summary == {"type": "summary", "events": len(rows), "lost": 0}
    found = seen(rows)
    if prints(case.tool):
        named = sum(found[name] for name in many.names)
        assert named <= 2 + 20_000 <= named + found[UNNAMED]
        return
    total = 0
    for kind in (0, 1):
        of_one, of_eleven, of_many = (found[load.names[kind]] for load in (one, eleven, many))
        each_time, rest = divmod(of_eleven - of_one, 10)
        assert rest == 0
        of_worker = of_one - each_time
        assert of_many == 2 * of_worker + 20_000 * each_time
        total += of_many
    assert total >= 20_000


@fault
def test_what_is_lost_is_counted(case: Case, compiled: Compiled, directory: Path) -> None:
    """Nobody reads the output until all is over: shown + lost = caused.

    The tool counts the whole machine. What other processes cause meanwhile, a
    second one sees, which is read; on a quiet machine that is nothing.
    """
    need_hooks(case)
    load = Load(compiled, directory, "load")
    small, large = ("--buffer=4", "--buffer=16384") if option(case.tool, "--buffer") else ("", "")
    observer_case = Case(case.tool, case.tool.engines[0], case.options)
    with (
        (directory / "rows").open("wb") as file,
        Running(
            *observer_case.command("--json", *filter(None, [large])), stdout=file.fileno()
        ) as observer,
    ):
        observer.wait_attached()
        with Running(*case.command("--json", *filter(None, [small]))) as tool:
            tool.wait_attached()
            # On one CPU, so that all goes into one of the buffers that perf has.
            load.run(3_000, cpus=[0])
            result = tool.finish(signal.SIGINT)
        observed = observer.finish(signal.SIGINT)
    assert result.status == observed.status == 0, (result.stderr, observed.stderr)
    *rows, summary = map(json.loads, (directory / "rows").read_text().splitlines())
    assert summary["lost"] == 0
    everything = seen(rows)
    of_load = sum(everything[name] for name in load.names)
    assert of_load >= 3_000
    lost = result.summary["lost"]
    assert result.summary["events"] == len(result.records)
    # The tool's own beginning and end are seen by the observer only.
    most = everything.total() - sum(row["pid"] == tool.pid for row in rows)
    assert of_load <= len(result.records) + lost <= most
    assert lost > 0
    assert f"{lost} events were lost" in result.stderr


@fault
def test_one_interrupt_is_enough(case: Case, compiled: Compiled, directory: Path) -> None:
    """While events come all the time. Each of five gets one, and ends."""
    load = Load(compiled, directory, "load")
    with (
        watched(case.tool, compiled, "all the time") as words,
        contextlib.ExitStack() as stack,
    ):
        tools = [
            stack.enter_context(Running(*case.command(*words), stdout=subprocess.DEVNULL))
            for _ in range(5)
        ]
        for tool in tools:
            tool.wait_attached()
        with load.start(-1) as worker, load.start(-1) as other:
            worker.begin()
            other.begin()
            for tool in tools:
                os.kill(tool.pid, signal.SIGINT)
            for tool in tools:
                assert tool.process.wait(PATIENCE_S) == 0
        for tool in tools:
            assert "Traceback" not in tool.finish().stderr
