"""Regular expressions for names and command lines, matched against the kernel's bytes."""

from __future__ import annotations

import argparse
import os
import re

from ebpf_tour.base.text import printable

# TASK_COMM_LEN less the NUL: what the kernel keeps of a thread's name.
COMM_BYTES = 15


def pattern(text: str) -> re.Pattern[bytes]:
    """Convert an option's value; for argparse. Raises ArgumentTypeError."""
    import warnings

    try:
        with warnings.catch_warnings():
            # Python tells programmers of notations that may mean something else one day.
            warnings.simplefilter("ignore")
            return re.compile(os.fsencode(text))
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise argparse.ArgumentTypeError(
            f"{printable(text)!r} is not a regular expression: {error}"
        ) from None


def least_bytes(wanted: re.Pattern[bytes]) -> int:
    """Return the length of the shortest bytes in which a pattern can be found."""
    # Python has no public name for its parser; since 3.11 this is where it is.
    shortest, _ = re._parser.parse(wanted.pattern, wanted.flags).getwidth()  # type: ignore[attr-defined]  # noqa: SLF001
    return int(shortest)


def is_named(wanted: re.Pattern[bytes] | None, *names: bytes) -> bool:
    """Say whether -n lets a record through: by its thread's name, or its process's."""
    return wanted is None or any(wanted.search(name.partition(b"\0")[0]) for name in names)
