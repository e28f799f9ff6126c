"""The check of an exercise: build it, run it, cause its events, and compare."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple, Self

from ebpf_tour.base.caller import as_caller
from ebpf_tour.base.errors import (
    NOT_PERMITTED,
    UNSUPPORTED,
    Error,
    NotPermitted,
    Unsupported,
    told,
)
from ebpf_tour.frame.exercises import files
from ebpf_tour.frame.exercises.record import Seen
from ebpf_tour.frame.exercises.state import why_not

if TYPE_CHECKING:
    from pathlib import Path

    from ebpf_tour.frame.exercises.record import Exercise


class Verdict(NamedTuple):
    """What a check says: nothing if the exercise is solved, otherwise a sentence.

    `detail` is what the program or the compiler said.
    """

    said: str
    detail: str = ""


def engines(exercise: Exercise, directory: Path) -> list[str]:
    """Return the engines to check with: those of the C files that were changed, or libbpf."""
    originals = files.originals(exercise.name)
    with as_caller():
        differ = files.changed(originals, directory)
    kinds = {f"{exercise.name}.bpf.c": "libbpf", f"{exercise.name}.bcc.c": "bcc"}
    return [engine for file, engine in kinds.items() if file in differ] or ["libbpf"]


def check(
    exercise: Exercise, directory: Path, engine: str, seconds: float, *, verbose: bool = False
) -> Verdict:
    """Check one dialect of an exercise. Raises Unsupported, NotPermitted.

    A tool that is not attached after so many seconds, or then does not end, is broken.
    """
    from ebpf_tour.loader import features

    features.require_privileges()
    if missing := why_not(exercise):  # a kernel that refuses it cannot do it either
        raise Unsupported(str(missing), missing.hint)
    if engine == "libbpf" and (broken := _build(directory)):
        return broken
    with _Running(exercise, directory, engine, seconds, *(["-v"] if verbose else [])) as tool:
        if failed := tool.wait_attached():
            return failed
        maps = tool.map_types()
        caused = exercise.workload()
        tool.process.send_signal(signal.SIGINT)
        return tool.verdict(caused, maps)


def _build(directory: Path) -> Verdict | None:
    from ebpf_tour.build import PACKAGE, compile_all

    with as_caller():
        readable = os.access(PACKAGE / "vmlinux.h", os.R_OK, effective_ids=True)
    if not readable:
        raise NotPermitted(
            f"the user who called sudo may not read {PACKAGE}",
            "become root by su in place of sudo, or move it to a directory that the user may read",
        )
    try:
        with as_caller():
            compile_all(directory, directory)
    except Unsupported:
        raise
    except Error as error:
        return Verdict(str(error), error.detail)
    return None


class _Running:
    """The learner's tool, as it runs."""

    def __init__(
        self, exercise: Exercise, directory: Path, engine: str, seconds: float, *options: str
    ) -> None:
        self._exercise = exercise
        self._seconds = seconds
        script = str(directory / f"{exercise.name}.py")
        limit = str(seconds)  # it ends also if we are killed
        self._said = b""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-B", script, "--json", "--engine", engine),
                *("--time-limit", limit, *options, *exercise.arguments),
            ],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_attached(self) -> Verdict | None:
        """Wait until it says that everything is attached. Returns why it did not. Raises Error."""
        assert self.process.stderr
        stderr = self.process.stderr.fileno()
        poll = select.poll()
        poll.register(stderr)
        until = time.monotonic() + self._seconds
        while b"Ctrl-C to end.\n" not in self._said:
            ready = poll.poll(max(0.0, until - time.monotonic()) * 1000)
            text = os.read(stderr, 65536) if ready else b""
            if not text:
                return self._not_attached()
            self._said += text
        return None

    def _not_attached(self) -> Verdict:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)
        said = self._said.decode("utf-8", "replace")
        status = self.process.poll()
        if status in (UNSUPPORTED, NOT_PERMITTED):
            raise told(said, status)
        if status is None:
            return Verdict(f"it was not attached after {self._seconds:g} seconds", said)
        if status == 0:
            return Verdict("it ended before it was attached", said)
        return Verdict("the program does not start", said)

    def map_types(self) -> set[int]:
        """Return the types of the maps that it has open, as numbers."""
        found = set()
        directory = f"/proc/{self.process.pid}/fdinfo"
        for fd in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError), open(f"{directory}/{fd}", "rb") as file:
                for line in file:
                    name, _, value = line.partition(b":")
                    if name == b"map_type":
                        found.add(int(value))
        return found

    def verdict(self, caused: object, maps: set[int]) -> Verdict:
        """Return what is to be said of its rows."""
        try:
            output, said = self.process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            return Verdict(f"it does not end after Ctrl-C, within {self._seconds:g} seconds")
        detail = (self._said + said).decode("utf-8", "replace")
        if self.process.returncode:
            return Verdict("the program ends with an error", detail)
        try:
            records = [json.loads(line) for line in output.splitlines()]
            rows = [row for row in records if row.get("type") != "summary"]
        except (ValueError, AttributeError):
            return Verdict("its output is not JSON: does the Python print something of its own?")
        return Verdict(self._exercise.judge(Seen(rows, caused, maps)))
