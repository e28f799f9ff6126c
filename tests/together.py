"""Tests side by side, in the workers of pytest-xdist: what they have in common."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def directory(config: pytest.Config) -> Path | None:
    """Return the directory that the workers of a run have in common, None if there are none."""
    # Each has one of its own for temporary files, all of them in that of the run.
    return Path(config.option.basetemp).parent if hasattr(config, "workerinput") else None


def once(target: Path, make: Callable[[Path], object]) -> Path:
    """Make a file or directory that all workers use, unless another one has made it."""
    done = target.with_name(f"{target.name}.done")
    with target.with_name(f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(target)
            done.touch()
    return target
