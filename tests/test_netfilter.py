"""ebpf-netfilter, on each engine, in network namespaces where only the test sends packets."""

from __future__ import annotations

import re
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import packets
import pytest
from packets import UDP, ethernet, ipv4, udp
from support import BIN, Network, Result, Running, assert_error, assert_rest_is_lost, run, scaled

from ebpf_tour.commands.netfilter import TOOL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NETFILTER = BIN / "ebpf-netfilter"

pytestmark = pytest.mark.kernel(TOOL)

# What a packet of lo passes.
WAY = ["output", "postrouting", "prerouting", "input"]

# Sends datagrams to itself. Says how many of them it may send, and how many come.
DATAGRAMS = """
import socket, sys
address, count = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
receiver, sender = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
receiver.bind((address, 0))
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
receiver.settimeout(0.2)
sent = came = 0
for _ in range(count):
    try:
        sender.sendto(b"x", receiver.getsockname())
        sent += 1
    except PermissionError:
        pass
try:
    while came < count:
        receiver.recv(1)
        came += 1
except TimeoutError:
    pass
print(sent, came)
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def send(network: Network, count: int, address: str = "127.0.0.1") -> tuple[int, int]:
    """Return how many datagrams could be sent, and how many of them came."""
    command = [*network.inside, sys.executable, "-BIc", DATAGRAMS, address, str(count)]
    sent, came = subprocess.run(command, check=True, capture_output=True).stdout.split()
    return int(sent), int(came)


def started(network: Network, engine: str, *words: str) -> Running:
    """Start the tool, which enters the namespace by itself."""
    namespace = f"/proc/{network.pid}/ns/net"
    return Running(NETFILTER, "--json", "--engine", engine, "--netns", namespace, *words)


def ended(tool: Running) -> Result:
    result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    for row in result.records:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
    return result


def steps(result: Result) -> list[tuple[str, str]]:
    return [(row["hook"], row["verdict"]) for row in result.records]


def rest(row: dict[str, Any]) -> tuple[int, int, str, str]:
    protocol, length = row["protocol"], row["bytes"]
    return protocol, length, row["source"], row["destination"]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_the_way_of_a_packet(engine: str, network: Network) -> None:
    """On lo it passes four hooks, in this order, of both versions of IP."""
    with started(network, engine) as tool:
        tool.wait_attached()
        assert send(network, 3) == (3, 3)
        assert send(network, 2, "::1") == (2, 2)
        result = ended(tool)
    assert steps(result) == 5 * [(hook, "accept") for hook in WAY]
    assert [rest(row) for row in result.records] == [
        *12 * [(UDP, 29, "127.0.0.1", "127.0.0.1")],
        *8 * [(UDP, 49, "::1", "::1")],
    ]


@pytest.mark.usefixtures("leaves_nothing")
def test_hook(engine: str, network: Network) -> None:
    """Only those that are named, each of them once."""
    words = ("--hook", "input", "--hook", "output", "--hook", "input")
    with started(network, engine, *words) as tool:
        tool.wait_attached()
        assert send(network, 3) == (3, 3)
        assert steps(ended(tool)) == 3 * [("output", "accept"), ("input", "accept")]


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("hook", "sent"),
    [
        *(("output", 0), ("postrouting", 0), ("prerouting", 4)),
        pytest.param("input", 4, marks=pytest.mark.core),
    ],
)
def test_drop(engine: str, network: Network, hook: str, sent: int) -> None:
    """What is dropped does not arrive; when the tool has ended all does again."""
    with started(network, engine, "--hook", hook, "--drop", "udp") as tool:
        tool.wait_attached()
        assert send(network, 4) == (sent, 0)
        result = ended(tool)
    assert steps(result) == 4 * [(hook, "drop")]
    said, attached = result.stderr.splitlines()
    where = f"/proc/{network.pid}/ns/net"
    assert said == f"ebpf-netfilter: while this runs, {where} drops packets of udp"
    assert attached == "Showing packets at netfilter... Ctrl-C to end."
    assert send(network, 4) == (4, 4)


# Sends an echo request, which is dropped at output.
PING = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sender:
    try:
        sender.sendto(bytes([8, 0, 0xF7, 0xFF, 0, 0, 0, 0]), ("127.0.0.1", 0))
    except PermissionError:
        print("refused")
"""


@pytest.mark.usefixtures("leaves_nothing")
def test_drop_of_another_protocol(engine: str, network: Network) -> None:
    with started(network, engine, "--drop", "icmp") as tool:
        tool.wait_attached()
        assert send(network, 4) == (4, 4)
        assert run(*network.inside, sys.executable, "-BIc", PING).stdout == "refused\n"
        result = ended(tool)
    assert steps(result) == [*4 * [(hook, "accept") for hook in WAY], ("output", "drop")]


def checksummed(packet: bytes) -> bytes:
    """Return an IPv4 packet without options, with the checksum of its header."""
    total = sum(struct.unpack("!10H", packet[:20]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return packet[:10] + struct.pack("!H", ~total & 0xFFFF) + packet[12:]


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_forward(engine: str) -> None:
    """What is for another machine passes three hooks."""
    setup = (
        "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
        "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
        "echo 1 > /proc/sys/net/ipv4/ip_forward",
        "ip link add near type veth peer name far",
        "ip link set near address 02:00:00:00:00:01 up",
        "ip link set far up",
        "ip addr add 192.0.2.254/24 dev near",
        "ip link add out type veth peer name end",
        "ip link set out up",
        "ip link set end up",
        "ip addr add 198.51.100.254/24 dev out",
        "ip neigh add 198.51.100.1 lladdr 02:00:00:00:00:02 dev out",
    )
    packet = ipv4(UDP, udp(1, 2), "192.0.2.1")
    packet = packet[:16] + socket.inet_aton("198.51.100.1") + packet[20:]
    frame = ethernet(packets.IPV4, checksummed(packet), to=packets.OTHER_MAC)
    with Network(*setup) as network, started(network, engine) as tool:
        tool.wait_attached()
        network.send("far", frame)
        result = ended(tool)
    assert steps(result) == [(h, "accept") for h in ("prerouting", "forward", "postrouting")]
    assert {rest(row) for row in result.records} == {(UDP, 29, "192.0.2.1", "198.51.100.1")}


@pytest.mark.usefixtures("leaves_nothing")
def test_two_at_once(engine: str, network: Network) -> None:
    """The second takes the next priority, so it comes later, and sees what the first lets pass."""
    with started(network, engine, "--drop", "udp", "--hook", "input") as first:
        first.wait_attached()
        with started(network, engine) as second:
            second.wait_attached()
            assert send(network, 2) == (2, 0)
            seen = ended(second)
        dropped = ended(first)
    assert steps(seen) == 2 * [(hook, "accept") for hook in WAY[:3]]
    assert steps(dropped) == 2 * [("input", "drop")]


def test_table(engine: str, network: Network) -> None:
    with Running(*network.inside, NETFILTER, "--engine", engine, "--hook", "input") as tool:
        tool.wait_attached()
        assert send(network, 1, "::1") == (1, 1)
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    header, row = (line.split()[1:] for line in result.stdout.splitlines())
    assert header == ["HOOK", "VERDICT", "PROTO", "BYTES", "SRC", "DST"]
    assert row == ["input", "accept", "UDP", "49", "::1", "::1"]


@pytest.mark.usefixtures("leaves_nothing")
def test_nothing_is_lost_in_silence(engine: str, network: Network) -> None:
    """While the tool is stopped its buffer fills up; what finds no room is counted."""
    with started(network, engine, "--buffer", "4") as tool:
        tool.wait_attached()
        with tool.stopped():
            assert send(network, 200) == (200, 200)
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 800)


@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize(
    ("words", "rows"),
    [
        pytest.param((), 4 * [(hook, "accept") for hook in WAY], marks=pytest.mark.core),
        (("--drop", "udp"), 4 * [("output", "drop")]),
        (("--drop", "udp", "--hook", "forward", "--hook", "input"), 4 * [("input", "drop")]),
        (("--drop", "tcp", "--hook", "input"), 4 * [("input", "accept")]),
    ],
)
def test_demo(engine: str, words: tuple[str, ...], rows: list[tuple[str, str]]) -> None:
    result = run(NETFILTER, "--engine", engine, "--json", "--demo", *words)
    assert result.status == 0, result.stderr
    said = f"Demo: saw every row that it caused ({len(rows)}), and nothing else.\n"
    assert result.stderr.endswith(said)
    assert steps(result) == rows
    assert result.summary["lost"] == 0


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_killed(engine: str, network: Network) -> None:
    """The links go with the process, and packets pass again."""
    with started(network, engine, "--drop", "udp", "--hook", "input") as tool:
        tool.wait_attached()
        assert send(network, scaled(50)) == (scaled(50), 0)
        assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL
    assert send(network, scaled(50)) == (scaled(50), scaled(50))


@pytest.mark.native
def test_drop_wants_a_name() -> None:
    """Nobody drops the packets of a namespace that was not named."""
    cause, hint = assert_error(run(NETFILTER, "--drop", "udp"), 2, "ebpf-netfilter")
    assert cause == "--drop drops packets in one network namespace: which one?"
    assert hint.startswith("name it, such as --netns /run/netns/NAME")
    words = ("--demo", "--netns", "/proc/self/ns/net")
    cause, _ = assert_error(run(NETFILTER, *words), 2, "ebpf-netfilter")
    assert cause == "--demo makes its own network namespace"


@pytest.mark.native
def test_no_such_namespace(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    no_namespace = "it is something else"
    wanted = {
        str(tmp_path / "nothing"): "No such file or directory",
        str(tmp_path / "file"): no_namespace,
        "/proc/self/ns/mnt": no_namespace,
    }
    for path, why in wanted.items():
        cause, hint = assert_error(run(NETFILTER, "--netns", path), 2, "ebpf-netfilter")
        assert cause == f"cannot use {path} as a network namespace: {why}"
        assert hint == "name one as /run/netns/NAME or /proc/PID/ns/net"


@pytest.mark.native
@pytest.mark.parametrize("words", [("--hook", "nowhere"), ("--drop", "99"), ("--buffer", "0")])
def test_usage(words: tuple[str, ...]) -> None:
    assert_error(run(NETFILTER, *words), 2, "ebpf-netfilter")
