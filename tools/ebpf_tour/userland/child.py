"""A child process without privileges, which reads what hostile processes may have written.

Root opens files and passes them on; the child, as nobody, with limits of memory and
time, reads them. What it answers is data, checked before it is used. A request that
takes too long is given up, and costs the others nothing. If the child dies, or gives up
too often, there are no more answers, and `died` says why.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import errno
import json
import os
import resource
import select
import signal
import socket
import struct
import time
from typing import TYPE_CHECKING

from ebpf_tour.base import capabilities
from ebpf_tour.base.descriptors import Closing, is_readable
from ebpf_tour.base.errors import Error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    # By name, what the child does with the arguments and files of a request.
    Work = Mapping[str, Callable[..., Any]]

_NOBODY = 65534

_MEMORY_BYTES = 256 << 20  # beside what Python itself takes
_FILES = 65536  # as many as a process can have mapped
_CPU_SECONDS = 5.0  # for a request
_SECONDS = 10.0

# How long an answer is waited for: until the child's own limits must have ended the
# request. After a signal to the tool the child is told to give up sooner: a small
# computer takes a second for the symbols of a large library.
_PATIENCE_SECONDS = 11.0
_PATIENCE_AFTER_SIGNAL = 2.0
_PATIENCE_TO_GIVE_UP = 0.4

_MOST_GIVEN_UP = 3  # requests

_MOST_ANSWER_BYTES = 64 << 20
_LENGTH = struct.Struct("=I")

# include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38

# The request that the child makes itself, again and again, while it has nothing else to
# do, until the answer is False.
PREPARE = "prepare"

_TOO_LONG = "a file took too long to read"
_ENDED_BY_ITSELF = 75  # the exit status for that


class ChildError(Error):
    """There is no answer: the child has ended, or was ended."""


class GivenUp(ChildError):  # noqa: N818 - nothing is wrong with the child
    """There is no answer, since the request took too long. The child goes on."""


class Child(Closing):
    """The process, forked at once. `make` returns what it can do; it is called there.

    `wake` is a file descriptor that is readable once the tool is to end: from then on
    an answer has to come soon.
    """

    died = ""
    _given_up = 0

    def __init__(self, make: Callable[[], Work], wake: int = -1) -> None:
        self._wake = wake
        self._socket, other = socket.socketpair()
        parent = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            _live(other, make, parent)
        other.close()
        self._socket.setblocking(False)

    def tell(self, request: str, *arguments: object, fd: int = -1) -> None:
        """Have something done that needs no answer. Does nothing once the child has died."""
        with contextlib.suppress(ChildError):
            self._send(False, request, arguments, fd)

    def ask(self, request: str, *arguments: object) -> Any:
        """Return the answer to a request: what JSON can hold.

        Raises GivenUp if it took too long, ChildError, Error.
        """
        self._send(True, request, arguments, -1)
        size = _LENGTH.unpack(self._receive(_LENGTH.size))[0]
        if size > _MOST_ANSWER_BYTES:
            self._end("the child's answer is too long")
        try:
            kind, value = json.loads(self._receive(size))
        except (ValueError, TypeError, RecursionError):
            self._end("the child's answer makes no sense")
        if kind == "given up":
            self._given_up += 1
            if self._given_up == _MOST_GIVEN_UP:
                self._end(f"{_MOST_GIVEN_UP} files took too long to read")
            raise GivenUp(_TOO_LONG)
        if kind == "error":
            raise Error(str(value), "see what the file is: file, readelf -a")
        return value

    def broken(self) -> NoReturn:
        """Give up a child whose answer is not what was asked for. Raises ChildError."""
        self._end("the child's answer makes no sense")

    def _send(self, answer: bool, request: str, arguments: tuple[object, ...], fd: int) -> None:
        if self.died:
            raise ChildError(self.died)
        data = json.dumps([answer, request, *arguments]).encode()
        message = memoryview(_LENGTH.pack(len(data)) + data)
        deadline = _Deadline()
        try:
            while message:
                self._wait(select.POLLOUT, deadline)
                fds = [fd] if fd >= 0 else []
                try:
                    sent = socket.send_fds(self._socket, [message], fds)
                except OSError as error:
                    if error.errno != errno.ETOOMANYREFS:
                        raise
                    time.sleep(0.001)  # until it has taken some of the files
                    continue
                message = message[sent:]
                fd = -1  # once
        except OSError:
            self._end()

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        deadline = _Deadline()
        while len(data) < size:
            self._wait(select.POLLIN, deadline)
            try:
                part = self._socket.recv(size - len(data))
            except OSError:
                part = b""
            if not part:
                self._end()
            data += part
        return bytes(data)

    def _wait(self, event: int, deadline: _Deadline) -> None:
        """Wait for the child; have it give up at the deadline. Raises ChildError."""
        poll = select.poll()
        poll.register(self._socket, event)
        if self._wake >= 0:
            poll.register(self._wake, select.POLLIN)
        while True:
            ready = dict(poll.poll(deadline.seconds_left() * 1000))
            if self._wake in ready:
                poll.unregister(self._wake)
                deadline.shorten(_PATIENCE_AFTER_SIGNAL)
            if self._socket.fileno() in ready:
                return
            if not deadline.seconds_left():
                if deadline.told:
                    self._end("the child that reads files does not answer")
                deadline.told = True
                deadline.until = time.monotonic() + _PATIENCE_TO_GIVE_UP
                os.kill(self._pid, signal.SIGALRM)

    def _end(self, why: str = "") -> NoReturn:
        """End the child and say so. Raises ChildError."""
        status = self._reap(kill=bool(why))
        if not why and os.WIFSIGNALED(status):
            number = signal.Signals(os.WTERMSIG(status))
            why = f"the child that reads files was ended by {number.name}"
        elif not why and os.WEXITSTATUS(status) == _ENDED_BY_ITSELF:
            why = _TOO_LONG
        self.died = why or f"the child that reads files ended with {os.WEXITSTATUS(status)}"
        raise ChildError(self.died)

    def _reap(self, *, kill: bool) -> int:
        if not self._pid:
            return 0
        self._socket.close()  # which it ends by, too
        if kill:
            os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return status

    def close(self) -> None:
        """End the child. May be called twice."""
        self._reap(kill=True)


class _Deadline:
    """Until when the child is waited for, and whether it was told to give up."""

    def __init__(self) -> None:
        self.until = time.monotonic() + _PATIENCE_SECONDS
        self.told = False

    def seconds_left(self) -> float:
        return max(0.0, self.until - time.monotonic())

    def shorten(self, seconds: float) -> None:
        """Wait so long at most, if it was not told yet."""
        if not self.told:
            self.until = min(self.until, time.monotonic() + seconds)


def _live(connection: socket.socket, make: Callable[[], Work], parent: int) -> NoReturn:
    """Be the child: give up all privileges, then answer. Never returns."""
    try:
        # The first things that are not to be a traceback of the tool.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a terminal's are for the tool, which ends us
        _keep_only(connection.fileno())
        _raise_limit_of_files()
        work = make()  # it imports what only root may read where root has installed it
        _give_up_privileges()
        _limit_itself()
        if os.getppid() == parent:
            _serve(connection, work)
    except BaseException:  # noqa: BLE001 - whatever it is, it ends here
        os._exit(1)
    os._exit(0)


def _keep_only(fd: int) -> None:
    """Close all other files, and let standard streams lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    most = os.sysconf("SC_OPEN_MAX")
    os.closerange(3, fd)
    os.closerange(fd + 1, most)
    os.chdir("/")


def _raise_limit_of_files() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in (_FILES, min(most, _FILES)):  # the first one takes CAP_SYS_RESOURCE
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, max(number, most)))
            return


def _give_up_privileges() -> None:
    """Become nobody, without groups and capabilities, for good. Raises OSError."""
    libc = ct.CDLL(None, use_errno=True)
    # Not permitted to who is not root, and of no use where nobody is not mapped (in
    # some containers): then the capabilities go alone.
    with contextlib.suppress(OSError):
        os.setgroups([])
    with contextlib.suppress(OSError):
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    capabilities.keep()
    for option, value in (
        (_PR_SET_NO_NEW_PRIVS, 1),
        # After the user has changed, which forgets it.
        (_PR_SET_PDEATHSIG, int(signal.SIGKILL)),
    ):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ct.get_errno(), "cannot give up privileges")


def _limit_itself() -> None:
    """Limit memory, files and processes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        pages = int(file.read().split()[0])
    memory = pages * resource.getpagesize() + _MEMORY_BYTES
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, _Limited.give_up)


def _serve(connection: socket.socket, work: Work) -> None:
    """Answer until the tool closes its end."""
    more = True
    while True:
        if more and not is_readable(connection.fileno()):
            with contextlib.suppress(_TooLong), _Limited():
                more = work[PREPARE]()
            continue
        message = _next(connection)
        if not message:
            return
        request, files = message
        more = True
        answer, name, *arguments = json.loads(request)
        result: tuple[str, Any]
        try:
            with _Limited():
                result = "value", work[name](*arguments, *files)
        except _TooLong:
            if not answer:
                os._exit(_ENDED_BY_ITSELF)  # nobody would hear of it
            result = "given up", None
        except Exception as error:  # noqa: BLE001 - whatever a file has led to
            result = "error", str(error) or "there is not enough memory"
        if answer:
            data = json.dumps(result).encode()
            connection.sendall(_LENGTH.pack(len(data)) + data)


class _TooLong(BaseException):  # which nothing that reads a file takes for an error of that
    """What is being done takes too long."""


class _Limited:
    """Limits the time of what is done in it. Raises _TooLong.

    What no exception ends, as a call of C that does not return, is for the tool to end.
    """

    _inside = False

    def __enter__(self) -> None:
        _Limited._inside = True
        signal.setitimer(signal.ITIMER_PROF, _CPU_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, _SECONDS)

    def __exit__(self, *_: object) -> None:
        _Limited._inside = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)

    @staticmethod
    def give_up(_number: int, _frame: object) -> None:
        """Handle a signal. It may come just after the work was done, and is ignored then."""
        if _Limited._inside:
            _Limited._inside = False
            raise _TooLong


def _next(connection: socket.socket) -> tuple[bytes, list[int]] | None:
    """Return the next request and its files, None at the end."""
    head, files, _, _ = socket.recv_fds(connection, _LENGTH.size, 1)
    if not head:
        return None
    size = _LENGTH.unpack(head)[0]
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data), list(files)
