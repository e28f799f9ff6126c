"""Tests side by side, in the workers of pytest-xdist: whose turn it is, and who else ran.

Without it, or with one worker, there is nobody beside a test, and all of this is idle.
"""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


def directory(config: pytest.Config) -> Path | None:
    """Return the directory that the workers of a run have in common, None if there are none."""
    # Each has one of its own for temporary files, all of them in that of the run.
    return Path(config.option.basetemp).parent if hasattr(config, "workerinput") else None


@contextlib.contextmanager
def turn(item: pytest.Item) -> Iterator[None]:
    """Let a test that is `alone` wait for all others, and all others for it."""
    common = directory(item.config)
    if not common:
        yield
        return
    alone = item.get_closest_marker("alone") is not None
    with (common / "turn").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        with _journal(common, item.config).open("a") as journal:
            journal.write(f"{item.nodeid}\n")
        yield


def _journal(common: Path, config: pytest.Config) -> Path:
    """Return the file where a worker writes down which tests it has begun."""
    return common / f"began-{config.workerinput['workerid']}"  # type: ignore[attr-defined]


class Neighbours:
    """The tests that other workers run from now on, and those that are under way."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._before = {path: len(lines) for path, lines in self._journals().items()}

    def _journals(self) -> dict[Path, list[str]]:
        common = directory(self._config)
        if not common:
            return {}
        own = _journal(common, self._config)
        return {p: p.read_text().splitlines() for p in common.glob("began-*") if p != own}

    def names(self) -> list[str]:
        # The last one that had begun before may go on for a while.
        return [
            name
            for path, lines in self._journals().items()
            for name in lines[max(self._before.get(path, 0) - 1, 0) :]
        ]


def once(target: Path, make: Callable[[Path], object]) -> Path:
    """Make a file or directory that all workers use, unless another one has made it."""
    done = target.with_name(f"{target.name}.done")
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(target)
            done.touch()
    return target
