"""Cgroups of version 2: one that the user names, and one that the tool makes."""

from __future__ import annotations

import contextlib
import os
import re
import time

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error, Unsupported, UsageError
from ebpf_tour.base.namespaces import in_first_pid_namespace
from ebpf_tour.base.text import printable

_PREFIX = "ebpf-tour-"
# The kernel needs a moment after the last process has ended.
_PATIENCE_SECONDS = 5.0


def cgroup_id(path: str) -> int:
    """Return the id of a cgroup, as bpf_get_current_cgroup_id() has it. Raises UsageError.

    The first cgroup, which is the whole machine, is refused.
    """
    require_cgroup(path)
    require_a_part(path)
    return os.stat(path).st_ino


def require_cgroup(path: str) -> None:
    """Raise UsageError if a path is not a cgroup."""
    if not os.path.exists(f"{path}/cgroup.controllers"):
        raise UsageError(
            f"{path} is not a cgroup of version 2", "name a directory below the cgroup2 mount"
        )


def require_a_part(path: str) -> None:
    """Raise UsageError if a cgroup is the first one, which is the whole machine."""
    if not os.path.exists(f"{path}/cgroup.events"):  # which only the first one lacks
        raise UsageError(
            f"{path} is the root cgroup, which is the whole machine", "name one below it"
        )


def top() -> str:
    """Return where cgroup2 is mounted. Raises Unsupported."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, path, kind, *_ = line.split(" ")
            if kind == "cgroup2":
                return path
    raise Unsupported("cgroup2 is not mounted", "mount it: mount -t cgroup2 none /sys/fs/cgroup")


def of_container(name: str) -> str:
    """Return the cgroup of a container, by the beginning of its ID, or of a systemd unit.

    Docker, Podman, containerd and CRI-O have the ID in the cgroup's name. Raises UsageError,
    Unsupported.
    """
    is_unit = re.fullmatch(r".+\.(service|slice|scope)", name)
    if not is_unit and not re.fullmatch(r"[0-9a-f]{4,64}", name):
        raise UsageError(
            f"{printable(name)!r} is no container ID of at least 4 digits, and no systemd unit",
            f"ask for the ID: docker inspect -f '{{{{.Id}}}}' {printable(name)} (or podman)",
        )
    form = re.compile(re.escape(name) if is_unit else rf"(.*[-:])?{name}[0-9a-f]*(\.scope)?")
    found = sorted(
        os.path.join(where, child)
        for where, children, _ in os.walk(top())
        for child in children
        if form.fullmatch(child)
    )
    # What a container makes for itself is below its own cgroup.
    outer = [path for path in found if not any(path.startswith(f"{other}/") for other in found)]
    if len(outer) == 1:
        return outer[0]
    if outer:
        raise UsageError(
            f"{len(outer)} cgroups are called {printable(name)}: {', '.join(outer[:3])}",
            "give more digits of the ID, or name one by --cgroup PATH",
        )
    raise UsageError(
        f"there is no cgroup of {printable(name)}",
        "list what runs: systemd-cgls, docker ps, podman ps",
    )


def enter(path: str) -> None:
    """Move this process to a cgroup. Raises OSError."""
    with open(f"{path}/cgroup.procs", "w", encoding="ascii") as file:
        file.write("0")


class OwnCgroup(Closing):
    """A cgroup that is removed at the end. Of one that was killed, the next one removes it."""

    def __init__(self) -> None:
        where = top()
        self.path = f"{where}/{_PREFIX}{os.getpid()}"
        _remove_abandoned(where)
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise Error(
                f"cannot make the cgroup {self.path}: {error.strerror}",
                "run it outside the container",
            ) from None

    def enter(self) -> None:
        """Move this process there. Raises OSError."""
        enter(self.path)

    def close(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while os.path.isdir(self.path):
            try:
                os.rmdir(self.path)
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise Error(
                        f"cannot remove the cgroup {self.path}: {error.strerror}",
                        f"remove it later: rmdir {self.path}",
                    ) from None
                time.sleep(0.01)


def own_cgroups() -> list[tuple[int, str]]:
    """Return the path of each OwnCgroup that there is, with the PID of who made it.

    Raises Unsupported.
    """
    return _own_cgroups(top())


def _own_cgroups(where: str) -> list[tuple[int, str]]:
    found = (re.fullmatch(rf"{_PREFIX}(\d+)", name) for name in os.listdir(where))
    return [(int(name[1]), f"{where}/{name[0]}") for name in found if name]


def _remove_abandoned(where: str) -> None:
    # In a container, a PID that is not there may be one that lives outside of it.
    if not in_first_pid_namespace():
        return
    for maker, path in _own_cgroups(where):
        if not os.path.exists(f"/proc/{maker}"):
            with contextlib.suppress(OSError):
                os.rmdir(path)
