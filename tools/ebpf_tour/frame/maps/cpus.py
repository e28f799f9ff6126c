"""On which CPU a program runs: on a certain one, or on two at the same time."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")


def usable() -> list[int]:
    """Return the numbers of the CPUs that this process may use."""
    return sorted(os.sched_getaffinity(0))


def on_cpu(cpu: int, do: Callable[[], Result]) -> Result:
    """Call `do` on a CPU; return its result. Raises what `do` raises."""
    before = os.sched_getaffinity(0)  # of this thread
    os.sched_setaffinity(0, {cpu})
    try:
        return do()
    finally:
        os.sched_setaffinity(0, before)


def on_two_cpus(do: Callable[[], Result]) -> list[Result]:
    """Call `do` in two threads, each on a CPU of its own; return both results.

    The list is empty if this process may use only one CPU. Raises what `do` raises.
    """
    cpus = usable()[:2]
    if len(cpus) < 2:
        return []
    both_ready = threading.Barrier(2)
    results: list[Result] = []
    errors: list[BaseException] = []

    def on(cpu: int) -> None:
        try:
            os.sched_setaffinity(0, {cpu})  # of this thread
            both_ready.wait()
            results.append(do())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            errors.append(error)
            both_ready.abort()

    threads = [threading.Thread(target=on, args=(cpu,)) for cpu in cpus]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
