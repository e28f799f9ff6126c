"""The process that does a workload, always the same one, and takes the time itself."""

from __future__ import annotations

import os
import select
import shutil
import signal
import statistics
import tempfile
import time
from typing import TYPE_CHECKING, Self

from ebpf_tour.base.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpf_tour.frame.compare.workloads import Workload
    from ebpf_tour.frame.session import Session

# A round is done in parts, each with its own time: as a rule of a millisecond or two. Where
# something else takes the CPU for a while, a few parts are slow, and the median of all is not.
_PARTS = 50
_LARGEST_PART = 10_000


class Worker:
    """A child process that does the workload as often as it is told to.

    It has one CPU for itself; this process, and the tools that it starts, have the others,
    if there are others. When this process closes its pipe, or ends in whatever way, the child
    ends, and removes its directory.
    """

    def __init__(self, workload: Workload, session: Session) -> None:
        self._workload = workload
        self._session = session
        self._cpus = os.sched_getaffinity(0)
        last = max(self._cpus)
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._orders)
            os.close(self._answers)
            try:
                _serve(workload.work, last, orders, answers)
            finally:
                os._exit(0)
        os.close(orders)
        os.close(answers)
        if len(self._cpus) > 1:
            os.sched_setaffinity(0, self._cpus - {last})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._orders)
        os.close(self._answers)
        os.waitpid(self.pid, 0)
        os.sched_setaffinity(0, self._cpus)

    def run(self, events: int) -> float | None:
        """Do the workload once and return the nanoseconds of an event.

        Returns None if the run is to end. Raises Error if the workload cannot be done.
        """
        os.write(self._orders, b"%d\n" % events)
        answer = b""
        while not answer.endswith(b"\n"):
            self._session.wait_readable(self._answers)
            if not self._session.running:
                return None
            part = os.read(self._answers, 4096)
            if not part:
                raise Error("the process with the workload was killed", "try it again")
            answer += part
        try:
            return float(answer)
        except ValueError:
            raise Error(
                f"the workload failed ({self._workload.event}): {answer.decode().strip()}",
                "see what this machine lacks: ebpf-tour check",
            ) from None


def _serve(work: Callable[[int], None], cpu: int, orders: int, answers: int) -> None:
    """Do what comes in `orders`, until nobody can write there any more."""
    # These are for the parent. When it ends, so does this.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # whoever reads what the parent writes is to see its end
        os.dup2(nowhere, stream)
    directory = ""
    try:
        os.sched_setaffinity(0, {cpu})
        directory = tempfile.mkdtemp(prefix="ebpf-compare-", dir=_in_memory())
        os.chdir(directory)
        while order := os.read(orders, 32):
            os.write(answers, b"%.3f\n" % _time_of_event(work, int(order), orders))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent says it
        text = " ".join(str(error).split())
        os.write(answers, f"{text}\n".encode("utf-8", "backslashreplace"))
    finally:
        if directory:
            shutil.rmtree(directory, ignore_errors=True)


def _time_of_event(work: Callable[[int], None], events: int, orders: int) -> float:
    """Cause so many events in parts, and return the nanoseconds of one, the median of the parts."""
    parent = select.poll()
    parent.register(orders, select.POLLIN)
    part = min(max(1, events // _PARTS), _LARGEST_PART)
    found = []
    for done in range(0, events, part):
        if parent.poll(0):  # it gives no order now, so it is gone
            break
        count = min(part, events - done)
        began = time.monotonic_ns()
        work(count)
        found.append((time.monotonic_ns() - began) / count)
    return statistics.median(found) if found else 0


def _in_memory() -> str | None:
    """Return a directory where nothing waits for a disk, None if there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
