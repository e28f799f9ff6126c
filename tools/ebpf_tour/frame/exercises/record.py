"""The record that each exercise declares, and the list of them."""

from __future__ import annotations

import importlib
import itertools
import os
import pkgutil
from typing import TYPE_CHECKING, Any, NamedTuple

import ebpf_tour
from ebpf_tour.base.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpf_tour.loader.hooks import Hook


class Seen(NamedTuple):
    """What a check saw of the learner's program: its rows, and the types of its maps.

    `caused` is what the workload returned. `maps` are the numbers of `enum bpf_map_type`
    of include/uapi/linux/bpf.h.
    """

    rows: list[dict[str, Any]]
    caused: Any
    maps: set[int]


class Exercise(NamedTuple):
    """An exercise: what to learn, and how a check finds out whether it is solved.

    `name` is also its directory in examples/exercises and the stem of its files. `page` is
    the page of the course that leads to it. `hooks` are those of the solved program: where
    the kernel lacks one, the exercise cannot be done. A check runs NAME.py with
    `arguments`. Once it is attached, `workload()` causes events as root, and returns what
    `judge()` has to know. `judge(seen)` returns a sentence with what was seen and what was
    expected, or "" if they agree. `unsolved` is a part of what a check says while nothing
    is changed. `hints` help more and more. With `cpus`, the machine needs as many. `place`
    is its place among the exercises of its page.
    """

    name: str
    page: str
    summary: str
    hooks: tuple[Hook, ...]
    workload: Callable[[], Any]
    judge: Callable[[Seen], str]
    unsolved: str
    hints: tuple[str, str, str]
    arguments: tuple[str, ...] = ()
    cpus: int = 1
    place: int = 0


def exercises() -> list[Exercise]:
    """Return the exercises in the order of the course."""
    from ebpf_tour.frame.catalogue import course

    places = [page.name for page in course()]
    names = [info.name for info in pkgutil.iter_modules([f"{ebpf_tour.__path__[0]}/exercises"])]
    found: list[Exercise] = [
        importlib.import_module(f"ebpf_tour.exercises.{name}").EXERCISE for name in names
    ]
    return sorted(found, key=lambda one: (places.index(one.page), one.place, one.name))


def in_child(function: Callable[[], object], uid: int = 0) -> str:
    """Run a function in a child process, as a user, and return the name that the child had.

    No other process has this name. (A PID would tell, too, but not in a container.)
    Raises Error if the function fails.
    """
    name = f"ex{os.getpid()}.{next(_numbers)}"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with open("/proc/self/comm", "w", encoding="ascii") as file:
                file.write(name)
            if uid:
                os.setgroups([])
                os.setgid(_GROUP)
                os.setuid(uid)
            function()
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1]:
        raise Error(
            "what the exercise does to cause events failed",
            "see what this machine lacks: ebpf-tour check",
        )
    return name


_numbers = itertools.count()
_GROUP = 60001  # no user has this number: a program that takes the group for the user fails
