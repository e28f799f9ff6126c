"""A command that is started, stopped before its execve(2), and let go when all is attached.

A second process of ours is its parent. It gets what the command leaves behind, too, as a
"child subreaper" (prctl(2)), so it knows when the last process that came from it has ended.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import os
import select
import shlex
import shutil
import signal
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn

from ebpf_tour.base.caller import caller
from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error, UsageError
from ebpf_tour.base.text import printable

if TYPE_CHECKING:
    import pwd
    from collections.abc import Callable

_NUMBER = struct.Struct("=i")

_PR_SET_CHILD_SUBREAPER = 36
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedCommand(Closing):
    """A process that waits, and then executes a command by one execve(2).

    `text` is split as a shell would, without a shell. Root runs it as the user that called
    sudo, or as root with `as_root`. With `stdout_to_stderr`, what it prints goes there. Raises
    UsageError where the text is no command. `pid` is its PID, `kernel_pid` the same as the
    kernel's programs see it: `ask()`, called by the process, returns it. `path` is the program,
    `user` who runs it if that is not root, with `groups` and an `environment`. `ended` is a
    file descriptor that is readable once it and all that came from it have ended.
    """

    def __init__(
        self, text: str, ask: Callable[[], int], *, as_root: bool, stdout_to_stderr: bool
    ) -> None:
        self._words = _split(text)
        self.user = user = None if as_root else caller()
        self.groups = os.getgrouplist(user.pw_name, user.pw_gid) if user else None
        self.environment = _environment_of(user)
        self.path = _found(self._words[0])
        # The process waits at one pipe, and says at the next why it cannot execute. Its
        # parent says at the third one which process it is, then how it has ended, and closes
        # the last one at its own end.
        until, self._go = os.pipe()
        self._said, say = os.pipe()
        self._told, tell = os.pipe()
        self.ended, alive = os.pipe()
        theirs = (until, say, tell, alive)
        if os.fork() == 0:
            _be_parent(
                lambda: self._become(until, say, ask, stdout_to_stderr=stdout_to_stderr),
                *(tell, alive),
            )
        for fd in theirs:
            os.close(fd)
        self.pid = self._number(self._told)
        self.kernel_pid = self._number(self._said)
        self._status: int | None = None

    def _number(self, fd: int) -> int:
        """Return the next number from a pipe. Raises Error."""
        if data := os.read(fd, _NUMBER.size):
            return int(_NUMBER.unpack(data)[0])
        raise Error(
            "the process that starts the command has ended",
            "see whether the machine was out of memory or processes: dmesg, ulimit -u",
        )

    def begin(self) -> None:
        """Let it execute; returns once it has. Raises Error if it cannot."""
        with contextlib.suppress(BrokenPipeError):  # a Ctrl-C has ended it already
            os.write(self._go, b".")
        said = os.read(self._said, _NUMBER.size)
        if said:
            why = os.strerror(*_NUMBER.unpack(said))
            raise Error(
                f"cannot execute {printable(self.path)}: {why}",
                f"try it alone: {printable(shlex.join(self._words))}",
            )

    def verdict(self, seconds: float = 0) -> str:
        """Return what to say of it at the end; wait so long if it goes on."""
        if self._status is None and select.select([self._told], [], [], seconds)[0]:
            self._status = os.waitstatus_to_exitcode(self._number(self._told))
        if self._status is None:
            return f"the command goes on, as process {self.pid}"
        if self._status < 0:
            return f"the command was ended by signal {-self._status}"
        return f"the command ended with status {self._status}"

    def _become(
        self, until: int, say: int, ask: Callable[[], int], *, stdout_to_stderr: bool
    ) -> None:
        """Be the command. Does not return."""
        try:
            kernel_pid = ask()  # which an ordinary user may not
            try:
                self._prepare(stdout_to_stderr=stdout_to_stderr)
            finally:
                # What we did until here is not the command's. The tool attaches after it.
                os.write(say, _NUMBER.pack(kernel_pid))
            if os.read(until, 1):  # nothing comes if the tool has ended
                os.execve(self.path, self._words, self.environment)
        except OSError as error:
            os.write(say, _NUMBER.pack(error.errno or 0))
        finally:
            os._exit(127)

    def _prepare(self, *, stdout_to_stderr: bool) -> None:
        """Take on the command's user, signals and output."""
        for number in (*_SIGNALS, signal.SIGPIPE):
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGPIPE:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(self._go)  # or it would wait for itself
        if self.user and self.groups is not None:
            os.setgroups(self.groups)
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
        if stdout_to_stderr:
            os.dup2(2, 1)

    def close(self) -> None:
        """Let go of it. If it does not run yet, it never does; otherwise it goes on."""
        for fd in (self._go, self._said, self._told, self.ended):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._go = self._said = self._told = self.ended = -1


def _be_parent(become: Callable[[], None], tell: int, alive: int) -> NoReturn:
    """Start the command, and tell how it ends. End with the last process that came from it."""
    try:
        signal.set_wakeup_fd(-1)
        # Ctrl-C is for the command, which lets them through again.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        ct.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        pid = os.fork()
        if pid == 0:
            become()
        os.write(tell, _NUMBER.pack(pid))
        # Nobody is to wait for us to close what the tool has open.
        for start, end in pairwise((-1, *sorted((tell, alive)), os.sysconf("SC_OPEN_MAX"))):
            os.closerange(start + 1, end)
        with contextlib.suppress(ChildProcessError):  # there is none any more
            while True:
                ended, status = os.waitpid(-1, 0)
                if ended == pid:
                    with contextlib.suppress(BrokenPipeError):  # the tool has ended
                        os.write(tell, _NUMBER.pack(status))
    finally:
        os._exit(0)


def _split(text: str) -> list[str]:
    """Return the words of a command line. Raises UsageError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"-c {printable(text)!r}: {error}", "close each quotation mark") from None
    if not words or not words[0]:
        raise UsageError("-c: there is no command", "name one: -c 'make -j2'")
    if "\0" in text:
        raise UsageError("-c: a command has no NUL byte", "leave it out")
    return words


def _found(name: str) -> str:
    """Return the path of a program. Raises UsageError."""
    path = shutil.which(name)
    if path is None:
        raise UsageError(
            f"-c: there is no program {printable(name)!r} that could be executed",
            "name its path, or see what is found: command -v NAME",
        )
    return path


def _environment_of(user: pwd.struct_passwd | None) -> dict[str, str]:
    """Return the environment as a login of the user would have it, otherwise ours."""
    environment = dict(os.environ)
    if user:
        environment |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    return environment
