"""ebpf-cgroup: what one cgroup does is counted, shown and refused, and nothing else."""

from __future__ import annotations

import errno
import os
import re
import signal
import struct
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import BIN, Result, Running, Workload, assert_error, cgroup, run, scaled

from ebpf_tour.commands.cgroup import TOOL
from ebpf_tour.loader import syscall
from ebpf_tour.userland.cgroup import own_cgroups, top

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = "ebpf-cgroup"
CGROUP = BIN / COMMAND

kernel = pytest.mark.kernel(TOOL)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")

# A socket belongs to the cgroup that its process is in when it makes the socket.
MAKE_SOCKET = """
import os, socket, sys

def make_socket(group, family, kind):
    if group:
        open(group + "/cgroup.procs", "w").write("0")
    return socket.socket(family, kind)

def wait():
    os.write(1, b"r")
    os.read(0, 1)
"""

# Sends datagrams from a socket in one cgroup to a socket in another; "" is neither.
SEND = f"""{MAKE_SOCKET}
groups, address, count, size = sys.argv[1:3], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
made = {{number: make_socket(groups[number], family, socket.SOCK_DGRAM)
        for number in sorted((0, 1), key=groups.__getitem__)}}
receiver = made[1]
receiver.bind((address, 0))
wait()
for _ in range(count):
    made[0].sendto(bytes(size), receiver.getsockname())
    receiver.recv(size)
"""

# Connects sockets, and says with which errors.
CONNECT = f"""{MAKE_SOCKET}
made = []
for what in sys.argv[2:]:
    kind, address, port = what.split(",")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    made.append((make_socket(sys.argv[1], family, kind), (address, int(port))))
wait()
errors = [one.connect_ex(address) for one, address in made]
os.write(1, (repr(errors) + "\\n").encode())
"""


class Sender(Workload):
    """Sends `count` datagrams of `size` bytes."""

    def __init__(
        self, sender: Path | str, receiver: Path | str, address: str, count: int, size: int = 1
    ) -> None:
        words = (str(sender), str(receiver), address, str(count), str(size))
        super().__init__(sys.executable, "-BIc", SEND, *words)

    def send(self) -> None:
        self.begin()
        assert self.finish() == 0


class Connector(Workload):
    """Connects to what "tcp,127.0.0.1,80" says, each with a socket of its own."""

    def __init__(self, group: Path | str, *ends: str) -> None:
        super().__init__(sys.executable, "-BIc", CONNECT, str(group), *ends)

    def _wait_ready(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.read(1) == b"r"

    def connect(self) -> list[int]:
        """Return the errno of each."""
        self.begin()
        assert self.process.stdout
        with self.process.stdout as answer:
            errors = answer.read()
        assert self.finish() == 0
        return [int(number) for number in re.findall(rb"\d+", errors)]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    with cgroup(tmp_path) as made:
        yield made


def started(engine: str, group: Path, *words: str) -> Running:
    return Running(CGROUP, "--engine", engine, "--json", group, *words)


def ended(tool: Running) -> Result:
    result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return result


def totals(result: Result) -> dict[str, tuple[int, int]]:
    """Return packets and bytes of each direction in all reports."""
    found = {"ingress": (0, 0), "egress": (0, 0)}
    for row in result.records:
        assert list(row) == ["time", "direction", "packets", "bytes", "interval_s"]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        packets, size = found[row["direction"]]
        found[row["direction"]] = packets + row["packets"], size + row["bytes"]
    return found


@pytest.mark.core
@kernel
@leaves_nothing
def test_each_direction(engine: str, group: Path) -> None:
    """Of the cgroup and of the one below it; what others send to each other does not count."""
    with started(engine, group) as tool:
        tool.wait_attached()
        Sender(group, "", "127.0.0.1", 20, 100).send()
        Sender("", group, "::1", 10, 1000).send()
        Sender(group / "inner", "", "127.0.0.1", 3).send()
        Sender(group.parent, "", "127.0.0.1", 7).send()
        found = totals(ended(tool))
    assert found == {
        "ingress": (10, 10 * 1048),
        "egress": (23, 20 * 128 + 3 * 29),
    }


@kernel
@leaves_nothing
def test_reports(engine: str, group: Path) -> None:
    """Each has what came since the one before."""
    with started(engine, group, "--interval", "0.02") as tool:
        tool.wait_attached()
        for count in (1, 2, 3):
            Sender(group, group, "127.0.0.1", count).send()
        result = ended(tool)
    assert totals(result) == {"ingress": (6, 6 * 29), "egress": (6, 6 * 29)}
    assert [row["direction"] for row in result.records[:4]] == ["ingress", "egress"] * 2
    assert len(result.records) > 2
    assert all(row["interval_s"] > 0 for row in result.records)


@kernel
def test_the_whole_machine(engine: str) -> None:
    """The root cgroup, where it is named."""
    with started(engine, Path(top())) as tool:
        tool.wait_attached()
        Sender("", "", "127.0.0.1", 5, 100).send()
        found = totals(ended(tool))
    for packets, size in found.values():
        assert packets >= 5
        assert size >= 5 * 128


def rows_of(result: Result, pid: int) -> list[tuple[str, int, str, int]]:
    """Return what connected to where."""
    for row in result.records:
        keys = ["time", "comm", "pid", "action", "protocol", "address", "port"]
        assert list(row) == keys
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert row["comm"].startswith("python")
    return [
        (row["action"], row["protocol"], row["address"], row["port"])
        for row in result.records
        if row["pid"] == pid
    ]


TCP, UDP = 6, 17


@pytest.mark.core
@kernel
@leaves_nothing
def test_each_connect_is_a_row(engine: str, group: Path) -> None:
    """Also if nobody listens; of others there is none."""
    with started(engine, group, "--connect") as tool:
        tool.wait_attached()
        ends = ("udp,127.0.0.1,5000", "tcp,127.0.0.2,1", "udp,::1,65535", "tcp,::1,1")
        inside = Connector(group, *ends, "udp,::ffff:127.0.0.1,7")
        assert inside.connect() == [0, errno.ECONNREFUSED, 0, errno.ECONNREFUSED, 0]
        below = Connector(group / "inner", "udp,127.0.0.1,1")
        assert below.connect() == [0]
        assert Connector("", "udp,127.0.0.1,1").connect() == [0]
        result = ended(tool)
    assert rows_of(result, inside.pid) == [
        ("allowed", UDP, "127.0.0.1", 5000),
        ("allowed", TCP, "127.0.0.2", 1),
        ("allowed", UDP, "::1", 65535),
        ("allowed", TCP, "::1", 1),
        ("allowed", UDP, "::ffff:127.0.0.1", 7),
    ]
    assert rows_of(result, below.pid) == [("allowed", UDP, "127.0.0.1", 1)]
    assert len(result.records) == 6


@pytest.mark.core
@kernel
@leaves_nothing
def test_a_port_that_is_denied(engine: str, group: Path) -> None:
    """To the cgroup and those below it, nobody else; and no longer than the tool runs."""
    ends = ("udp,127.0.0.1,6666", "tcp,::1,6666", "udp,127.0.0.1,6667")
    allowed = [0, errno.ECONNREFUSED, 0]
    with started(engine, group, "--deny-port", "6666") as tool:
        tool.wait_attached()
        inside = Connector(group, *ends)
        assert inside.connect() == [errno.EPERM, errno.EPERM, 0]
        assert Connector(group / "inner", *ends).connect() == [errno.EPERM, errno.EPERM, 0]
        assert Connector("", *ends).connect() == allowed
        result = ended(tool)
    assert Connector(group, *ends).connect() == allowed
    assert rows_of(result, inside.pid) == [
        ("refused", UDP, "127.0.0.1", 6666),
        ("refused", TCP, "::1", 6666),
        ("allowed", UDP, "127.0.0.1", 6667),
    ]
    assert len(result.records) == 6
    first, attached = result.stderr.splitlines()
    assert first == (
        f"{COMMAND}: while this runs, no process in {group}, or in cgroups below it, can connect "
        "to port 6666"
    )
    assert attached == f"Tracing connect in {group}... Ctrl-C to end."


@pytest.mark.core
@kernel
@leaves_nothing
def test_killed(engine: str, group: Path) -> None:
    """What refuses ends with the tool."""
    with started(engine, group, "--deny-port", "6666") as tool:
        tool.wait_attached()
        assert Connector(group, "udp,127.0.0.1,6666").connect() == [errno.EPERM]
        tool.process.kill()
        assert tool.finish().status == -signal.SIGKILL
    assert Connector(group, "udp,127.0.0.1,6666").connect() == [0]


@kernel
@leaves_nothing
def test_two_tools(engine: str, group: Path) -> None:
    """Both see everything, and each refuses its port."""
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(started(engine, group, "--deny-port", port))
            for port in ("6666", "7777")
        )
        one.wait_attached()
        other.wait_attached()
        inside = Connector(group, *(f"udp,127.0.0.1,{port}" for port in (6666, 7777, 5000)))
        assert inside.connect() == [errno.EPERM, errno.EPERM, 0]
        actions = [[row[0] for row in rows_of(ended(tool), inside.pid)] for tool in (one, other)]
    assert actions == [["refused", "allowed", "allowed"], ["allowed", "refused", "allowed"]]


@kernel
@leaves_nothing
def test_what_is_lost_is_counted(engine: str, group: Path) -> None:
    with started(engine, group, "--connect", "--buffer", "4") as tool:
        tool.wait_attached()
        with tool.stopped():
            assert Connector(group, *["udp,127.0.0.1,1"] * 200).connect() == [0] * 200
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    lost = result.summary["lost"]
    assert lost > 0
    assert len(result.records) + lost == 200


@kernel
@leaves_nothing
def test_table(engine: str, group: Path) -> None:
    with Running(CGROUP, "--engine", engine, group, "--connect") as tool:
        tool.wait_attached()
        inside = Connector(group, "tcp,::1,1", "udp,127.0.0.1,53")
        inside.connect()
        result = tool.finish(signal.SIGINT)
    header, *rows = (line.split()[1:] for line in result.stdout.splitlines())
    assert header == ["COMM", "PID", "ACTION", "PROTO", "TO"]
    comm = rows[0][0]
    assert rows == [
        [comm, str(inside.pid), "allowed", "TCP", "[::1]:1"],
        [comm, str(inside.pid), "allowed", "UDP", "127.0.0.1:53"],
    ]


@pytest.mark.native
@pytest.mark.kernel(TOOL)
def test_in_a_container() -> None:
    """What is called like a process that is not to be seen there may be in use outside."""
    theirs = Path(top()) / f"ebpf-tour-{os.getpid()}"
    theirs.mkdir()
    try:
        result = run("unshare", "--pid", "--fork", "--mount-proc", CGROUP, "--demo")
        assert result.status == 0, result.stderr
        assert theirs.exists()
    finally:
        theirs.rmdir()


@pytest.mark.core
@kernel
@leaves_nothing
def test_demo_of_packets(engine: str) -> None:
    result = run(CGROUP, "--engine", engine, "--json", "--demo")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw all that it caused (20), and nothing else.\n")
    size = 5 * 29 + 5 * 49
    assert totals(result) == {"ingress": (10, size), "egress": (10, size)}
    assert len(result.records) == 2
    # That of a test beside this one is of a living process.
    assert all(Path(f"/proc/{pid}").exists() for pid, _ in own_cgroups())


@pytest.mark.core
@kernel
@leaves_nothing
@pytest.mark.parametrize("words", [("--connect",), ("--deny-port", "6666")], ids=["see", "deny"])
def test_demo_of_connect(engine: str, words: tuple[str, ...]) -> None:
    result = run(CGROUP, "--engine", engine, "--json", "--demo", *words)
    assert result.status == 0, result.stderr
    wanted = "Demo: saw every row that it caused (6), and nothing else.\n"
    assert result.stderr.endswith(wanted)
    found = [(row["address"], row["port"], row["action"]) for row in result.records]
    assert found == [
        (address, port, "refused" if (port, len(words)) == (6666, 2) else "allowed")
        for address in ("127.0.0.1", "::1")
        for port in (5000, 6666, 7777)
    ]


@kernel
@leaves_nothing
def test_a_program_that_is_there_alone(engine: str, group: Path) -> None:
    """Without BPF_F_ALLOW_MULTI, there is room for one, also in the cgroups below."""
    attach, detach, egress = 8, 9, 1  # BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_CGROUP_INET_EGRESS
    let_pass = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0)  # r0 = 1; exit
    program = syscall.load_program(8, let_pass, egress)
    directory = os.open(group, os.O_RDONLY)
    try:
        syscall.bpf(attach, struct.pack("=IIII", directory, program, egress, 0))
        try:
            for path in (group, group / "inner"):
                cause, hint = assert_error(run(CGROUP, "--engine", engine, path), 1, COMMAND)
                assert cause == (
                    f"the kernel attaches nothing to {path}: a program is there, or at a cgroup "
                    "above it, that was attached as the only one"
                )
                assert hint == "find it, and end what attached it: bpftool cgroup tree"
        finally:
            syscall.bpf(detach, struct.pack("=IIII", directory, 0, egress, 0))
    finally:
        os.close(directory)
        os.close(program)


@pytest.mark.core
@kernel
def test_what_is_no_cgroup(group: Path, tmp_path: Path) -> None:
    cause, _ = assert_error(run(CGROUP, tmp_path), 2, COMMAND)
    assert cause == f"{tmp_path} is not a cgroup of version 2"
    cause, hint = assert_error(run(CGROUP, group.parent, "--deny-port", "25"), 2, COMMAND)
    assert cause == f"{group.parent} is the root cgroup, which is the whole machine"
    assert hint == "name one below it"


@pytest.mark.native
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ((), "which cgroup?"),
        (("--deny-port", "25"), "which cgroup?"),
        (("--demo", "/"), "--demo makes its own cgroup"),
        *(
            (("--demo", "--deny-port", port), f"'{port}' is not a port: 1 to 65535")
            for port in ("0", "65536", "-1", "http", "99999999999999")
        ),
    ],
)
def test_usage(words: tuple[Any, ...], wanted: str) -> None:
    cause, _ = assert_error(run(CGROUP, *words), 2, COMMAND)
    assert wanted in cause


@kernel
def test_bytes_of_many(engine: str, group: Path) -> None:
    """No packet is lost to the other CPU."""
    count = scaled(5000)
    with started(engine, group) as tool:
        tool.wait_attached()
        with ExitStack() as stack:
            senders = [
                stack.enter_context(Sender(group, group, "127.0.0.1", count)) for _ in range(2)
            ]
            for sender in senders:
                sender.begin()
            assert [sender.finish() for sender in senders] == [0, 0]
        found = totals(ended(tool))
    assert found == {"ingress": (2 * count, 58 * count), "egress": (2 * count, 58 * count)}
