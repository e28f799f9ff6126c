"""What all hooks at a cgroup have in common: a link attaches the program, the target is a path."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.trial import Trial


class AtCgroup(ByDescriptor):
    """A hook at a cgroup of version 2; the target is its path.

    The program is for the cgroup's processes, and for those in cgroups below it.
    """

    takes = "str"
    capability = "CAP_NET_ADMIN"

    def unsupported(self) -> Error | None:
        if missing := features.without_capability(self.capability):
            return missing
        return _missing(self.kind, self.attach_type)

    def attach(self, program: int, target: str) -> Detach:
        link = _link(program, target, self.attach_type)
        return lambda: os.close(link)

    def trial(self, cause: Callable[[], object]) -> Trial:
        """Return the trial, in a cgroup of its own: a program there that says no stops nobody.

        `cause` is called in a child process there, with a network namespace of its own.
        """
        from ebpf_tour.loader import trial
        from ebpf_tour.userland.cgroup import OwnCgroup

        group = OwnCgroup()

        def cause_inside() -> None:
            group.enter()
            cause()

        return trial.Trial(
            *(self.kind, self.program_type),
            attach=lambda program: _link(program, group.path, self.attach_type),
            cause=lambda: trial.in_own_network(cause_inside),
            attach_type=self.attach_type,
            close=group.close,
        )


def _missing(kind: str, attach_type: int) -> Error | None:
    """Return why no program can be attached to any cgroup here, or None."""
    from ebpf_tour.loader import syscall
    from ebpf_tour.userland.cgroup import top

    try:
        directory = os.open(top(), os.O_RDONLY | os.O_DIRECTORY)
    except Error as error:
        return error
    except OSError:
        return None  # who opens the cgroup says so
    try:
        if syscall.has_attach_type(directory, attach_type):
            return None
    except OSError:
        return None  # who loads the program says what it may not
    finally:
        os.close(directory)
    return Unsupported(
        f"this kernel has no {kind} programs{features.without('CGROUP_BPF')}",
        "boot your distribution's stock kernel, which has them",
    )


def _link(program: int, path: str, attach_type: int) -> int:
    """Attach a program to a cgroup; closing what this returns detaches it. Raises OSError, Error.

    Others may be attached there. All of them run, and one that says no is enough.
    """
    from ebpf_tour.loader import syscall

    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return syscall.create_link(program, directory, attach_type)
    except OSError as error:
        if error.errno == errno.EPERM and not features.without_capability("CAP_NET_ADMIN"):
            # kernel/bpf/cgroup.c: hierarchy_allows_attach()
            raise Error(
                f"the kernel attaches nothing to {path}: a program is there, or at a cgroup above "
                "it, that was attached as the only one",
                "find it, and end what attached it: bpftool cgroup tree",
            ) from None
        raise
    finally:
        os.close(directory)
