"""One run of a tool while the workload is done, as a user would run it: its command, its JSON."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple, Self

from ebpf_tour.base.errors import NOT_PERMITTED, UNSUPPORTED, Error, told
from ebpf_tour.base.paths import absolute

if TYPE_CHECKING:
    from typing import Any

    from ebpf_tour.frame.record import Tool
    from ebpf_tour.frame.session import Session

# It ends by itself should this process be killed.
_LONGEST_S = 600


class Cannot(Exception):  # noqa: N818 - no failure: this way is not there
    """The machine lacks what the tool needs to see the event in this way."""


class Seen(NamedTuple):
    """What a tool has shown: its records, and how many events it lost."""

    records: list[dict[str, Any]]
    lost: int


class Traced:
    """A tool that is attached while the `with` statement lasts.

    Its rows go to memory, where nobody has to read them for it to go on.
    """

    def __init__(self, tool: Tool, options: list[str], session: Session) -> None:
        self._tool = tool
        self._session = session
        self._said = b""
        self._rows = os.memfd_create("rows", os.MFD_CLOEXEC)
        self._process = subprocess.Popen(
            [command_of(tool), "--json", "--time-limit", str(_LONGEST_S), *options],
            stdin=subprocess.DEVNULL,
            stdout=self._rows,
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0,  # a Ctrl-C is for this process, which ends it
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.communicate()
        os.close(self._rows)

    def wait_attached(self) -> bool:
        """Wait until it says so. Returns False if the run is to end before.

        Raises Cannot, Error.
        """
        while not self._said.endswith(b"Ctrl-C to end.\n"):
            if (text := self._read()) is None:
                return False
            if not text:
                raise self._failed()
            self._said += text
        return True

    def end(self) -> Seen | None:
        """Let it end, and return what it has shown, None if the run is to end. Raises Error."""
        if self._process.poll() is not None:
            raise Error(
                f"{self._tool.command} ended before the workload was done",
                f"let it end within {_LONGEST_S} seconds: --events",
            )
        self._process.send_signal(signal.SIGINT)
        while text := self._read():
            self._said += text
        if text is None:
            return None
        if self._process.wait():
            raise self._failed()
        os.lseek(self._rows, 0, os.SEEK_SET)
        with open(self._rows, encoding="ascii", closefd=False) as file:
            *records, summary = map(json.loads, file)
        return Seen(records, summary["lost"])

    def _read(self) -> bytes | None:
        """Return what it says, b"" at its end, None if the run is to end."""
        assert self._process.stderr
        stderr = self._process.stderr.fileno()
        self._session.wait_readable(stderr)
        return os.read(stderr, 65536) if self._session.running else None

    def _failed(self) -> Exception:
        status = self._process.wait()
        error = told(self._said.decode("utf-8", "replace"), status)
        if status in (UNSUPPORTED, NOT_PERMITTED):
            return Cannot(str(error))
        cause = str(error) or f"it ended with status {status}"
        return Error(f"{self._tool.command}: {cause}", error.hint)


def command_of(tool: Tool) -> str:
    """Return the path of a tool's command: beside our own, or where a shell finds it.

    Raises Error.
    """
    own = absolute(sys.argv[0])
    for path in (own, os.path.realpath(own)):
        beside = os.path.join(os.path.dirname(path), tool.command)
        if os.access(beside, os.X_OK):
            return beside
    found = shutil.which(tool.command)
    if not found:
        raise Error(f"there is no command {tool.command}", "install the suite: make install")
    return found
