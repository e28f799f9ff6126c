"""Who called sudo: files that root makes for that user are to belong to that user."""

from __future__ import annotations

import contextlib
import os
import pwd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def caller() -> pwd.struct_passwd | None:
    """Return the user that called sudo, None if nobody did."""
    if os.geteuid():
        return None
    with contextlib.suppress(KeyError, ValueError, OverflowError):
        user = pwd.getpwuid(int(os.environ.get("SUDO_UID", "0")))
        return user if user.pw_uid else None
    return None


@contextlib.contextmanager
def as_caller() -> Iterator[None]:
    """Use files with the rights of the user that called sudo, and make them as that user.

    So a link in that user's directories leads root nowhere. Programs that are started
    meanwhile run as that user, too.
    """
    user = caller()
    if not user:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def state_directory() -> str:
    """Return where that user's programs keep their state: $XDG_STATE_HOME or ~/.local/state.

    See the XDG Base Directory Specification. A path that is not absolute does not count.
    """
    user = caller()
    home = user.pw_dir if user else os.path.expanduser("~")
    named = os.environ.get("XDG_STATE_HOME", "")
    return named if os.path.isabs(named) else os.path.join(home, ".local/state")
