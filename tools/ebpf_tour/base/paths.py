"""Paths: absolute ones, even if the working directory was removed, and that of the course."""

from __future__ import annotations

import os
import sys

# Where the wheel puts README.md and examples/, below the prefix.
_DOCUMENTS = "share/doc/ebpf-tour"


def absolute(path: str) -> str:
    """Return a path that means the same everywhere.

    As it is, if our working directory was removed: there is none that would.
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        return path


def course() -> str:
    """Return the first page of the course: in the checkout, or where it is installed.

    "" if it is not there: a distribution may have left it out.
    """
    import site

    checkout = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../..")
    installed = (os.path.join(place, _DOCUMENTS) for place in (sys.prefix, site.getuserbase()))
    for place in (os.path.normpath(checkout), *installed):
        page = os.path.join(place, "examples/README.md")
        if os.path.exists(page):
            return page
    return ""
