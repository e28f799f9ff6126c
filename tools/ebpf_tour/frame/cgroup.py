"""What the tools for cgroups have in common: PATH, and a cgroup of the demo's own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ebpf_tour.frame.session import Session


def add_path(parser: argparse.ArgumentParser) -> None:
    """Add PATH."""
    parser.add_argument(
        "cgroup",
        nargs="?",
        metavar="PATH",
        help="the cgroup: a directory below the mount point of cgroup2",
    )


def check(args: argparse.Namespace, *, a_part: bool = False) -> None:
    """Raise UsageError unless there is --demo, or PATH is a cgroup.

    With `a_part`, the root cgroup, which is the whole machine, will not do.
    """
    from ebpf_tour.userland.cgroup import require_a_part, require_cgroup

    if args.cgroup:
        if args.demo:
            raise UsageError("--demo makes its own cgroup", "leave out PATH")
        require_cgroup(args.cgroup)
        if a_part:
            require_a_part(args.cgroup)
    elif not (args.demo or args.show):
        raise UsageError(
            "which cgroup?", "name its directory below the cgroup2 mount, or try --demo"
        )


@contextlib.contextmanager
def place(session: Session) -> Iterator[str]:
    """Yield the path of the cgroup. With --demo, the cgroup is the demo's own.

    The process moves into a network namespace of the demo's own, too, and so do its children.
    Call it once the program is loaded: until then, a signal ends the tool at once. Raises
    NotPermitted, Unsupported, Error.
    """
    if not session.args.demo:
        yield session.args.cgroup
        return
    from ebpf_tour.loader import interfaces
    from ebpf_tour.userland.cgroup import OwnCgroup

    interfaces.enter_own_network()
    with OwnCgroup() as own:
        yield own.path
