"""Paths, even if the working directory was removed."""

from __future__ import annotations

import os


def absolute(path: str) -> str:
    """Return a path that means the same everywhere.

    As it is, if our working directory was removed: there is none that would.
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        return path
