"""What can go wrong, each with its exit status and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

FAILED = 1
USAGE = 2
UNSUPPORTED = 69  # EX_UNAVAILABLE of sysexits.h
NOT_PERMITTED = 77  # EX_NOPERM of sysexits.h


class Error(Exception):
    """A failure that the user is told about in two lines.

    `str(error)` is the cause, `error.hint` the next step (may be empty),
    `error.detail` lines that help only with a cause in the C program, such as
    the compiler's or the verifier's, and `status` the exit status. `more` names
    what a command would show besides with -v.
    """

    status = FAILED

    def __init__(self, cause: str, hint: str = "", detail: str = "") -> None:
        super().__init__(cause)
        self.hint = hint
        self.detail = detail
        self.more = ""


class UsageError(Error):
    """The command line asks for something that makes no sense."""

    status = USAGE


class Unsupported(Error):  # noqa: N818 - reads better where it is raised
    """The kernel or the machine lacks what the tool needs."""

    status = UNSUPPORTED


class EngineUnavailable(Unsupported):
    """One engine cannot be used here; the other one might."""


class NotPermitted(Error):  # noqa: N818 - reads better where it is raised
    """The kernel has it, but not for this user or in this container."""

    status = NOT_PERMITTED


def did_you_mean(word: str, names: Iterable[str], otherwise: str) -> str:
    """Return the hint for a wrong name: the one that is most like it, or another hint."""
    import difflib

    near = difflib.get_close_matches(word, list(names), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def told(said: str, status: int) -> Error:
    """Return the error that a tool printed in two lines on stderr, as our own."""
    cause = hint = ""
    for line in said.splitlines():
        _, found, text = line.partition(": error: ")
        cause = text if found else cause
        hint = line.removeprefix("hint: ") if line.startswith("hint: ") else hint
    error = Error(cause, hint)
    error.status = status
    return error
