"""Times of events in a time namespace, whose monotonic clock is not the machine's."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from cases import fault
from support import ROOT, run

if TYPE_CHECKING:
    from cases import Case

# A day and a bit, so that no time of day is right by chance. See unshare(1).
SHIFT_S = 100_000
SHIFTED = ("unshare", "--time", "--monotonic", str(SHIFT_S))


def ago_s(time_of_day: str) -> float:
    """Return how long ago it was that time of day."""
    now = datetime.now()  # noqa: DTZ005 - local time, as in the rows
    then = datetime.strptime(time_of_day, "%H:%M:%S")  # noqa: DTZ007
    return (now - then).seconds


@fault
@pytest.mark.native
def test_time_of_day(case: Case) -> None:
    begun = time.monotonic()
    result = run(*SHIFTED, *case.command("--demo", "--json"))
    assert result.status == 0, result.stderr
    took_s = time.monotonic() - begun
    assert result.records
    for row in result.records:
        assert ago_s(row["time"]) <= took_s + 1


@fault
@pytest.mark.native
def test_seconds_since_it_was_attached(case: Case) -> None:
    begun = time.monotonic()
    result = run(*SHIFTED, *case.command("--demo", "--json"))
    assert result.status == 0, result.stderr
    took_s = time.monotonic() - begun
    assert result.records
    for row in result.records:
        assert 0 <= row["time_s"] < took_s  # what came before the tool said so has 0
    assert any(row["time_s"] > 0 for row in result.records)


# What a process sees that is in one time namespace, and whose children will be in another.
BETWEEN = """
import ctypes, sys, time
from ebpf_tour.base import clock

CLONE_NEWTIME = 0x80
assert ctypes.CDLL(None).unshare(CLONE_NEWTIME) == 0
with open("/proc/self/timens_offsets", "w") as file:
    file.write("monotonic 7 0")
print(time.monotonic_ns() - clock.kernel_ns())
"""


@pytest.mark.native
@pytest.mark.parametrize(
    ("prefix", "offset_s"),
    [
        ((), 0),
        # The shell stays the parent of what it runs, and has the offsets of both.
        ((*SHIFTED, "sh", "-c", '"$@"; exit $?', "sh"), SHIFT_S),
    ],
    ids=["from the first one", "from another one"],
)
def test_children_elsewhere(prefix: tuple[str, ...], offset_s: int) -> None:
    """/proc/self/timens_offsets is about them, and not about the process itself."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", BETWEEN],
        env={"PYTHONPATH": str(ROOT / "tools"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert abs(int(done.stdout) / 1e9 - offset_s) < 1
