"""The workloads: what to do often, for each tool that can see it in several ways."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from typing import Any

    Record = dict[str, Any]


class Workload(NamedTuple):
    """What is done often, and how the tool is told to show nothing else.

    `work(count)` causes so many events. `events` is how many a round has, unless --events says
    so. `options(pid)` are the tool's options for a workload with this PID. `seen(record)` is how
    many events a record of the tool stands for. `varies` are the keys that differ from round to
    round. With `packets`, it needs a network of its own.
    """

    tool: str
    event: str
    events: int
    work: Callable[[int], None]
    options: Callable[[int], list[str]]
    varies: tuple[str, ...] = ("time",)
    seen: Callable[[Record], int] = lambda _: 1
    packets: bool = False


def make_directories(count: int) -> None:
    """Make directories, and remove each at once."""
    for number in range(count):
        name = str(number)
        os.mkdir(name)
        os.rmdir(name)


def execute(count: int) -> None:
    """Run a program that does nothing, and wait for its end."""
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {"LC_ALL": "C"}), 0)


def send_packets(count: int) -> None:
    """Send datagrams over lo, and receive each at once."""
    sender, receiver = _sockets()
    for _ in range(count):
        sender.send(b"x")
        receiver.recv(1)


@functools.cache
def _sockets() -> tuple[socket, socket]:
    """Return two sockets of which the first sends to the second. They are opened once."""
    from socket import AF_INET, SOCK_DGRAM, socket

    sender, receiver = socket(AF_INET, SOCK_DGRAM), socket(AF_INET, SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    sender.connect(receiver.getsockname())
    return sender, receiver


def call_getppid(count: int) -> None:
    """Make a system call that does next to nothing."""
    for _ in range(count):
        os.getppid()


_ALL = (
    Workload(
        *("mkdir", "a directory is made and removed", 5_000, make_directories),
        options=lambda pid: ["-p", str(pid), "--buffer", "8192"],
    ),
    Workload(
        *("execsnoop", "/bin/true is executed, and ends", 500, execute),
        options=lambda pid: ["-P", str(pid)],
        varies=("time", "time_s", "pid"),
    ),
    Workload(
        *("tc", "a datagram is sent over lo and received", 10_000, send_packets),
        options=lambda _: ["-i", "lo", "--buffer", "8192"],
        packets=True,
    ),
    Workload(
        *("syscount", "getppid is called", 200_000, call_getppid),
        options=lambda pid: ["-p", str(pid), "--syscall", "getppid"],
        varies=("time", "rate_per_s", "interval_s"),
        seen=lambda record: int(record["count"]),
    ),
)

# By the name of the tool.
WORKLOADS = {workload.tool: workload for workload in _ALL}
