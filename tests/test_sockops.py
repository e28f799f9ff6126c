"""ebpf-sockops: what goes past TCP arrives as it was sent, and TCP sends less."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import BIN, Network, Result, Running, Workload, assert_error, cgroup, run

from ebpf_tour.commands.sockops import TOOL
from ebpf_tour.userland.cgroup import top

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = "ebpf-sockops"
SOCKOPS = BIN / COMMAND

kernel = pytest.mark.kernel(TOOL)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")

# Connects two sockets of its own, in cgroups that it is told ("": where it is), from one port
# to another (0: any). Then, for each byte that it reads: sends words there and back.
# It ends with the number of segments that TCP has sent in its network namespace meanwhile.
TALK = """
import os, socket, sys

def enter(group):
    if group:
        open(group + "/cgroup.procs", "w").write("0")

def segments():
    names, values = (line.split() for line in open("/proc/net/snmp") if line.startswith("Tcp:"))
    return int(values[names.index("OutSegs")])

client_group, server_group, address, client_port, server_port, count, word = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
before = segments()
for group in sorted({client_group, server_group}):
    enter(group)
    if group == server_group:
        server = socket.create_server((address, int(server_port)), family=family)
    if group == client_group:
        near = socket.socket(family)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        near.bind((address, int(client_port)))
near.connect(server.getsockname())
far, _ = server.accept()
near.settimeout(5)
far.settimeout(5)
word = word.encode()
os.write(1, b"r")
while os.read(0, 1):
    for number in range(int(count)):
        for sender, receiver in ((near, far), (far, near)):
            sender.sendall(word)
            assert receiver.recv(len(word), socket.MSG_WAITALL) == word
    os.write(1, b"t")
near.close()
assert far.recv(1) == b""
far.close()
os.write(1, str(segments() - before).encode())
"""


class Talk(Workload):
    """Two connected sockets, and what goes there and back."""

    def __init__(
        self,
        client: Path | str,
        server: Path | str,
        *inside: str,
        address: str = "127.0.0.1",
        ports: tuple[int, int] = (0, 0),
        count: int = 50,
        word: str = "0123456789",
    ) -> None:
        words = (str(client), str(server), address, *map(str, ports), str(count), word)
        super().__init__(*inside, sys.executable, "-BIc", TALK, *words)

    def _wait_ready(self) -> None:
        assert self.process.stdout
        assert self.process.stdout.read(1) == b"r"

    def talk(self) -> None:
        self.begin()
        assert self.process.stdout
        assert self.process.stdout.read(1) == b"t"

    def end(self) -> int:
        """Close both sockets, and return how many segments TCP has sent."""
        assert self.process.stdin
        self.process.stdin.close()
        assert self.process.stdout
        with self.process.stdout as answer:
            segments = answer.read()
        assert self.finish() == 0
        return int(segments)


def talked(*arguments: Any, **words: Any) -> int:
    talk = Talk(*arguments, **words)
    talk.talk()
    return talk.end()


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Path]:
    with cgroup(tmp_path) as made:
        yield made


def started(engine: str, group: Path, *words: str) -> Running:
    tool = Running(SOCKOPS, "--engine", engine, "--json", group, *words)
    return tool.wait_attached()


def ended(tool: Running, lost: int = 0) -> list[tuple[int, int, bool]]:
    """Return messages and bytes of each row, and whether TCP was used for more than the ends."""
    result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": lost}
    return rows_of(result)


def rows_of(result: Result) -> list[tuple[int, int, bool]]:
    for row in result.records:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
    return [(row["messages"], row["bytes"], row["segments"] >= 10) for row in result.records]


@pytest.mark.core
@kernel
@leaves_nothing
def test_past_tcp(engine: str, group: Path) -> None:
    """TCP sends the beginning and the end of a connection; without the tool, all of it."""
    with Network() as network:
        without = talked(group, group, *network.inside)
        with started(engine, group) as tool:
            within = talked(group, group, *network.inside)
            below = talked(group / "inner", group, *network.inside)
            assert ended(tool) == [(50, 500, False)] * 4
        after = talked(group, group, *network.inside)
    assert without >= 100
    assert after >= 100
    assert within < 12
    assert below < 12


@kernel
@leaves_nothing
def test_one_end_is_elsewhere(engine: str, group: Path) -> None:
    """Then TCP takes all, and it arrives; of a connection outside there is no row."""
    with started(engine, group) as tool:
        talked(group, "")
        talked("", group)
        talked("", "")
        assert ended(tool) == [(0, 0, True)] * 2


@kernel
@leaves_nothing
def test_ipv6_stays_with_tcp(engine: str, group: Path) -> None:
    with started(engine, group) as tool:
        talked(group, group, address="::1")
        assert ended(tool) == []


@kernel
@leaves_nothing
def test_which_end_is_which(engine: str, group: Path) -> None:
    with Network() as network, started(engine, group) as tool:
        talked(group, group, *network.inside, address="127.1.2.3", ports=(4000, 5000))
        result = tool.finish(signal.SIGINT)
    keys = ("local", "local_port", "remote", "remote_port")
    assert sorted(tuple(row[key] for key in keys) for row in result.records) == [
        ("127.1.2.3", 4000, "127.1.2.3", 5000),
        ("127.1.2.3", 5000, "127.1.2.3", 4000),
    ]


@pytest.mark.core
@kernel
@leaves_nothing
def test_two_networks(engine: str, group: Path) -> None:
    """The same addresses and ports in another network namespace are other sockets."""
    with Network() as one, Network() as other, started(engine, group) as tool:
        talks = [
            Talk(group, group, *network.inside, ports=(4000, 5000), word=word)
            for network, word in ((one, "a" * 1000), (other, "b" * 500))
        ]
        for talk in (*talks, *talks):
            talk.talk()
        for talk in talks:
            assert talk.end() < 12
        assert ended(tool) == [(100, 100_000, False)] * 2 + [(100, 50_000, False)] * 2


@kernel
@leaves_nothing
def test_large_messages(engine: str, group: Path) -> None:
    """More than a socket's buffer, in time and in order."""
    with started(engine, group) as tool:
        talked(group, group, count=20, word="0123456789abcdef" * 1000)
        assert [row[1] for row in ended(tool)] == [20 * 16_000] * 2


@kernel
@leaves_nothing
def test_a_connection_that_is_there_already(engine: str, group: Path) -> None:
    """It stays with TCP."""
    talk = Talk(group, group)
    with started(engine, group) as tool:
        talk.talk()
        talk.end()
        assert ended(tool) == []


@pytest.mark.core
@kernel
@leaves_nothing
def test_killed(engine: str, group: Path) -> None:
    """An open connection goes on; the program and the map stay until it is closed."""
    with started(engine, group) as tool:
        talk = Talk(group, group)
        talk.talk()
        tool.process.kill()
        assert tool.finish().status == -signal.SIGKILL
    talk.talk()
    assert talk.end() >= 0
    assert talked(group, group) >= 100


@kernel
@leaves_nothing
def test_a_connection_that_is_still_open(engine: str, group: Path) -> None:
    """Its two sockets have no rows: they count as lost. It works on."""
    with started(engine, group) as tool:
        talk = Talk(group, group)
        talk.talk()
        assert ended(tool, lost=2) == []
    talk.talk()
    talk.end()


@kernel
@leaves_nothing
def test_full(engine: str, group: Path) -> None:
    """It is said, and such connections stay with TCP."""
    with started(engine, group, "--entries", "2") as tool:
        talks = [Talk(group, group) for _ in range(3)]
        for talk in talks:
            talk.talk()
            talk.end()
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert rows_of(result) == [(50, 500, False)] * 2
    assert "4 sockets found the map full: raise --entries" in result.stderr


@kernel
@leaves_nothing
def test_table(engine: str, group: Path) -> None:
    with Network() as network, Running(SOCKOPS, "--engine", engine, group) as tool:
        tool.wait_attached()
        talked(group, group, *network.inside, ports=(4000, 5000))
        result = tool.finish(signal.SIGINT)
    header, *rows = (line.split()[1:] for line in result.stdout.splitlines())
    assert header == ["LOCAL", "REMOTE", "MESSAGES", "BYTES", "SEGMENTS"]
    assert {tuple(row[:4]) for row in rows} == {
        ("127.0.0.1:4000", "127.0.0.1:5000", "50", "500"),
        ("127.0.0.1:5000", "127.0.0.1:4000", "50", "500"),
    }
    assert result.stderr == f"Taking new connections within {group} past TCP... Ctrl-C to end.\n"


@pytest.mark.core
@kernel
@leaves_nothing
def test_demo(engine: str) -> None:
    result = run(SOCKOPS, "--engine", engine, "--json", "--demo")
    assert result.status == 0, result.stderr
    wanted = "Demo: saw every row that it caused (3), and nothing else.\n"
    assert result.stderr.endswith(wanted)
    assert rows_of(result) == [(0, 0, True), (100, 1000, False), (100, 1000, False)]
    assert not list(Path(top()).glob("ebpf-tour-[0-9]*"))


@pytest.mark.core
@kernel
def test_never_the_whole_machine(group: Path, tmp_path: Path) -> None:
    cause, hint = assert_error(run(SOCKOPS, group.parent), 2, COMMAND)
    assert cause == f"{group.parent} is the root cgroup, which is the whole machine"
    assert hint == "name one below it"
    cause, _ = assert_error(run(SOCKOPS, tmp_path), 2, COMMAND)
    assert cause == f"{tmp_path} is not a cgroup of version 2"


@pytest.mark.native
@pytest.mark.parametrize("words", [(), ("--demo", "/"), ("--demo", "--entries", "0")])
def test_usage(words: tuple[str, ...]) -> None:
    assert_error(run(SOCKOPS, *words), 2, COMMAND)
