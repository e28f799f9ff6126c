"""What a learner did: where the exercises are, what was solved, which hints were shown."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ebpf_tour.base.caller import as_caller, state_directory
from ebpf_tour.base.errors import Error, NotPermitted, Unsupported
from ebpf_tour.frame.exercises import files

if TYPE_CHECKING:
    from ebpf_tour.frame.exercises.record import Exercise

NEW, STARTED, SOLVED, CANNOT = "new", "started", "solved", "not here"


class State:
    """A learner's state, in $XDG_STATE_HOME/ebpf-tour/exercises.json.

    What the files are now decides: an exercise is solved while they are those that a
    check has passed.
    """

    def __init__(self) -> None:
        self._path = Path(state_directory(), "ebpf-tour/exercises.json")
        self._known: dict[str, dict[str, Any]] = {}
        with as_caller(), contextlib.suppress(OSError, ValueError):
            known = json.loads(self._path.read_text(encoding="utf-8"))
            self._known = {name: dict(value) for name, value in dict(known).items()}

    def directory(self, name: str) -> Path | None:
        """Return where the exercise was started, None if it was not, or is gone."""
        known = self._known.get(name, {}).get("directory")
        with as_caller(), contextlib.suppress(OSError):
            if known and Path(known).is_dir():
                return Path(known)
        return None

    def of(self, exercise: Exercise) -> str:
        """Return NEW, STARTED, SOLVED, or CANNOT: it is not solved, and cannot be done here."""
        directory = self.directory(exercise.name)
        now = files.digest(exercise.name, directory) if directory else ""
        if now and now == self._known[exercise.name].get("solved"):
            return SOLVED
        if why_not(exercise):
            return CANNOT
        return STARTED if directory else NEW

    def started(self, name: str, directory: Path) -> None:
        """Remember where an exercise is."""
        self._update(name, directory=str(directory))

    def solved(self, name: str, directory: Path) -> None:
        """Remember that the files as they are now have passed a check."""
        self._update(name, solved=files.digest(name, directory))

    def hint(self, exercise: Exercise) -> int:
        """Return the number of the hint to show, from 0 on: one more each time."""
        shown = self._known.get(exercise.name, {}).get("hints", 0)
        number = min(int(shown), len(exercise.hints) - 1)
        self._update(exercise.name, hints=number + 1)
        return number

    def forget(self, name: str) -> None:
        """Forget that it was solved, and the hints."""
        self._update(name, solved="", hints=0)

    def _update(self, name: str, **values: object) -> None:
        self._known.setdefault(name, {}).update(values)
        text = json.dumps(self._known, indent=2)
        try:
            with as_caller():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                new = self._path.with_suffix(f".{os.getpid()}")
                new.write_text(f"{text}\n", encoding="utf-8")
                new.replace(self._path)
        except OSError as error:
            raise Error(
                f"cannot write {self._path}: {error.strerror}",
                "name another place for it: XDG_STATE_HOME=DIRECTORY",
            ) from None


def why_not(exercise: Exercise) -> Error | None:
    """Return why an exercise cannot be done on this machine, None if it can.

    Without privileges, what only root may find out is no reason.
    """
    from ebpf_tour.loader import features
    from ebpf_tour.loader.hooks import what_is_missing

    cpus = len(os.sched_getaffinity(0))
    if cpus < exercise.cpus:
        return Unsupported(
            f"the exercise {exercise.name} needs {exercise.cpus} CPUs, and here it may use {cpus}",
            "use a machine with more CPUs",
        )
    missing = what_is_missing(exercise.hooks)
    if isinstance(missing, NotPermitted):
        try:
            features.require_privileges()
        except NotPermitted:
            return None
    return missing
