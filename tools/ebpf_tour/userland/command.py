"""A command that is started, stopped before its execve(2), and let go when all is attached."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import struct
from typing import TYPE_CHECKING

from ebpf_tour.base.caller import caller
from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error, UsageError
from ebpf_tour.base.text import printable

if TYPE_CHECKING:
    import pwd
    from collections.abc import Callable

_NUMBER = struct.Struct("=i")


class StoppedCommand(Closing):
    """A child process that waits, and then executes a command by one execve(2).

    `text` is split as a shell would, without a shell. Root runs it as the user that called
    sudo, or as root with `as_root`. With `stdout_to_stderr`, what it prints goes there. Raises
    UsageError where the text is no command. `kernel_pid` is its PID as the kernel's programs
    see it: `ask()`, called by the child, returns it. `path` is the program, `user` who runs it
    if that is not root, with `groups` and an `environment`.
    """

    def __init__(
        self, text: str, ask: Callable[[], int], *, as_root: bool, stdout_to_stderr: bool
    ) -> None:
        self._words = _split(text)
        self.user = user = None if as_root else caller()
        self.groups = os.getgrouplist(user.pw_name, user.pw_gid) if user else None
        self.environment = _environment_of(user)
        self.path = _found(self._words[0])
        # The child waits at one pipe, and says at the other one why it cannot execute.
        until, self._go = os.pipe()
        self._said, say = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(until, say, ask, stdout_to_stderr=stdout_to_stderr)
        os.close(until)
        os.close(say)
        (self.kernel_pid,) = _NUMBER.unpack(os.read(self._said, _NUMBER.size))
        self.status: int | None = None  # once it has ended

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

    def wait(self) -> None:
        """Wait until it has ended; `status` is its exit status then, -9 for SIGKILL."""
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def verdict(self) -> str:
        """Return what to say of it at the end."""
        if self.status is None:
            return f"the command goes on, as process {self.pid}"
        if self.status < 0:
            return f"the command was ended by signal {-self.status}"
        return f"the command ended with status {self.status}"

    def _become(
        self, until: int, say: int, ask: Callable[[], int], *, stdout_to_stderr: bool
    ) -> None:
        """Be the command, in the child. Does not return."""
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
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGPIPE:
                signal.signal(number, signal.SIG_DFL)
        os.close(self._go)  # or it would wait for itself
        if self.user and self.groups is not None:
            os.setgroups(self.groups)
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)
        if stdout_to_stderr:
            os.dup2(2, 1)

    def close(self) -> None:
        """Let go of it. If it does not run yet, it never does; otherwise it goes on."""
        for fd in (self._go, self._said):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._go = self._said = -1


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
