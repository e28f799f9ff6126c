"""A process that is looked at: whether it is there, and when it ends."""

from __future__ import annotations

import contextlib
import os

from ebpf_tour.base.descriptors import Closing, is_readable
from ebpf_tour.base.errors import Error, NotPermitted
from ebpf_tour.base.text import from_kernel


class Process(Closing):
    """A process, by its PID. Raises Error if there is none, or it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.comm = "?"
        self._pidfd = -1
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self.pid)
            self._identify()
        except PermissionError:
            raise NotPermitted(f"may not look into the process {self.pid}") from None
        except (OSError, OverflowError):
            # ESRCH; for a thread ENOENT or, on older kernels, EINVAL.
            raise self._no_process() from None
        if not self.alive:
            raise self.ended()

    def _identify(self) -> None:
        """Find out its name. Raises OSError."""
        self.comm = self._read_comm()

    def _read_comm(self) -> str:
        return from_kernel(self._proc("comm").removesuffix(b"\n"))

    @property
    def pidfd(self) -> int:
        """A file descriptor that becomes readable when the process ends."""
        return self._pidfd

    @property
    def alive(self) -> bool:
        """Whether the process goes on."""
        return not is_readable(self._pidfd)

    def ended(self) -> Error:
        """Return the error for a process that is not there any more."""
        return Error(
            f"the process {self.pid} ({self.comm}) has ended",
            "list the processes and their states: ps -e",
        )

    def _no_process(self) -> Error:
        try:
            group = self._status()["Tgid"]
        except (OSError, KeyError):
            return Error(f"there is no process {self.pid}", "list the processes: ps -e")
        if group == str(self.pid):
            return self.ended()
        return Error(f"{self.pid} is a thread of the process {group}", f"name the process: {group}")

    def _status(self) -> dict[str, str]:
        text = self._proc("status").decode("utf-8", "replace")
        pairs = (line.partition(":") for line in text.splitlines())
        return {key: value.strip() for key, _, value in pairs}

    def has_environment(self, variables: set[bytes]) -> bool:
        """Say whether it was started with one of some NAME=VALUE; no if that cannot be read."""
        with contextlib.suppress(OSError):
            return not variables.isdisjoint(self._proc("environ").split(b"\0"))
        return False

    def _proc(self, name: str) -> bytes:
        with open(f"/proc/{self.pid}/{name}", "rb") as file:
            return file.read()

    def close(self) -> None:
        """Close the file descriptor. May be called twice."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
