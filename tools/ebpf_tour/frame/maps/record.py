"""The record that the lesson of each map type declares, and the list of them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, NamedTuple

import ebpf_tour

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ebpf_tour.frame.maps.steps import Steps
    from ebpf_tour.loader import Program
    from ebpf_tour.loader.hooks import Hook


class MapLesson(NamedTuple):
    """A map type: when to take it, and a lesson that shows what it does.

    `name` is what `ebpf-maps` calls it ("lru-hash"); with underscores, it is the stem of its C
    files in bpf/maps. `type` is its name in `enum bpf_map_type` without the prefix.
    `about` says in a phrase what it is. `when` says when to take it, and `full`, `gone` and
    `shared` what happens when it is full, who removes what is in it, and what two CPUs do to
    each other in it, and `rather` what to take in other cases: short sentences. `programs` are
    the functions of its C, `run(steps)` is the lesson. `measured` maps a column of --measure
    (lookup, update, update_delete) to a function and its numbers; `prepare(program)` puts into
    the map before what they need. `place` is its place in the list.
    """

    name: str
    type: str
    place: int
    about: str
    when: str
    full: str
    gone: str
    shared: str
    rather: str
    programs: tuple[Hook, ...]
    run: Callable[[Steps], None]
    measured: Mapping[str, tuple[str, tuple[int, ...]]] = {}
    prepare: Callable[[Program], object] = lambda program: None  # noqa: ARG005

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines whose C has a word for the type."""
        each = [program.engines for program in self.programs]
        return tuple(engine for engine in each[0] if all(engine in names for names in each))

    @property
    def stem(self) -> str:
        """The name of its C files, up to the first dot."""
        return self.name.replace("-", "_")


def map_lessons() -> list[MapLesson]:
    """Return the lessons in the order of the list."""
    names = [info.name for info in pkgutil.iter_modules([f"{ebpf_tour.__path__[0]}/maps"])]
    found = [importlib.import_module(f"ebpf_tour.maps.{name}").LESSON for name in names]
    return sorted(found, key=lambda lesson: lesson.place)
