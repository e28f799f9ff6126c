"""ebpf-xdp, on each engine, in network namespaces where only the test sends packets."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import packets
import pytest
from packets import UDP, ethernet, ipv4, ipv6, udp
from support import BIN, Network, Result, Running, assert_error, run, scaled

from ebpf_tour.commands.xdp import TOOL

if TYPE_CHECKING:
    from collections.abc import Iterator

XDP = BIN / "ebpf-xdp"

pytestmark = pytest.mark.kernel(TOOL)


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def frame(source: str, payload: bytes = b"x") -> bytes:
    if ":" in source:
        return ethernet(packets.IPV6, ipv6(UDP, udp(1, 2, payload), source))
    return ethernet(packets.IPV4, ipv4(UDP, udp(1, 2, payload), source))


def started(network: Network, engine: str, *words: str) -> Running:
    return Running(*network.inside, XDP, "--engine", engine, "--json", *words)


def ended(tool: Running) -> Result:
    result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.summary["events"] == len(result.records)
    return result


def counted(result: Result) -> list[tuple[str | None, int, int, int]]:
    """Return the rows of a run with one report, which has lost nothing."""
    assert result.summary["lost"] == 0
    for row in result.records:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
    keys = ("source", "packets", "bytes", "dropped")
    return [tuple(row[key] for key in keys) for row in result.records]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_each_source_is_a_row(engine: str, network: Network) -> None:
    """What is no IP, or too short for it, is in a row of its own."""
    v4, v6 = frame("192.0.2.1"), frame("2001:db8::1")
    others = [
        ethernet(packets.ARP, bytes(28)),
        packets.vlan(packets.vlan(v4)),
        v4[:33],
        v6[:53],
        ethernet(packets.IPV4, v6[14:]),
        ethernet(packets.IPV6, v4[14:] + bytes(20)),
        ethernet(packets.IPV4, b""),
    ]
    with started(network, engine) as tool:
        tool.wait_attached()
        network.send("lo", *[v4] * 20, *[v6] * 10, *others, frame("192.0.2.2", bytes(1000)))
        rows = counted(ended(tool))
    assert rows == [
        ("192.0.2.1", 20, 20 * 43, 0),
        ("2001:db8::1", 10, 10 * 63, 0),
        (None, 7, sum(map(len, others)), 0),
        ("192.0.2.2", 1, 1042, 0),
    ]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_drop(engine: str, network: Network) -> None:
    """Only what is in the networks that were named, of each family; it says so first."""
    sources = {
        "10.1.0.1": 2,
        "10.1.255.255": 2,
        "10.2.0.1": 0,
        "192.0.2.7": 2,
        "192.0.2.8": 0,
        "2001:db8::1": 2,
        "2001:db9::1": 0,
        "a01::1": 0,
    }
    words = ("--drop", "10.1.0.0/16", "--drop", "192.0.2.7", "--drop=2001:db8::/32")
    with started(network, engine, *words) as tool:
        tool.wait_attached()
        for source in sources:
            network.send("lo", *[frame(source)] * 2)
        result = ended(tool)
    found = {source: dropped for source, packets, _, dropped in counted(result) if packets == 2}
    assert found == sources
    *warnings, attached = result.stderr.splitlines()
    assert warnings == [
        f"ebpf-xdp: while this runs, lo drops what it receives from {cidr}"
        for cidr in ("10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32")
    ]
    assert attached.endswith("Ctrl-C to end.")


# Sends datagrams to itself, and says how many of them come.
DATAGRAMS = """
import socket
with (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
      socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender):
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(0.2)
    came = 0
    for source in ("127.0.0.1", "127.0.0.2"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            for _ in range(3):
                sender.sendto(b"x", receiver.getsockname())
    try:
        while True:
            receiver.recv(1)
            came += 1
    except TimeoutError:
        print(came)
"""


def arriving(network: Network) -> int:
    command = [*network.inside, sys.executable, "-BIc", DATAGRAMS]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_what_is_dropped_does_not_arrive(engine: str, network: Network) -> None:
    """Without --drop all does, and when the tool has ended all does again."""
    for words, came in (((), 6), (("--drop", "127.0.0.2/31"), 3)):
        with started(network, engine, *words) as tool:
            tool.wait_attached()
            assert arriving(network) == came
            ended(tool)
        assert arriving(network) == 6


@pytest.mark.usefixtures("leaves_nothing")
def test_sources_that_have_to_leave(engine: str, network: Network) -> None:
    """The map forgets them; how many packets were theirs is said."""
    frames = [frame(f"10.0.{number >> 8}.{number & 255}") for number in range(1, 1001)]
    with started(network, engine, "--entries", "16", "--top", "0") as tool:
        tool.wait_attached()
        network.send("lo", *frames)
        result = ended(tool)
    lost = result.summary["lost"]
    assert lost > 0
    assert sum(row["packets"] for row in result.records) + lost == 1000
    assert f"{lost} packets are in no row, since the map was full: raise --entries" in result.stderr


@pytest.mark.usefixtures("leaves_nothing")
def test_reports(engine: str, network: Network) -> None:
    """One at each interval, with the totals until then, and a last one."""
    with started(network, engine, "--interval", "0.2", "--top", "1") as tool:
        tool.wait_attached()
        for number in range(1, 4):
            network.send("lo", *[frame("192.0.2.1")] * number, frame("192.0.2.2"))
        result = ended(tool)
    found = [(row["source"], row["packets"]) for row in result.records]
    assert found == sorted(found)
    assert found[-1] == ("192.0.2.1", 6)
    assert result.summary["lost"] == 0


def test_table(engine: str, network: Network) -> None:
    with Running(*network.inside, XDP, "--engine", engine) as tool:
        tool.wait_attached()
        network.send("lo", frame("2001:db8::1"), frame("2001:db8::1"), bytes(14))
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    header, *rows = (line.split()[1:] for line in result.stdout.splitlines())
    assert header == ["SOURCE", "PACKETS", "BYTES", "DROPPED"]
    assert rows == [["2001:db8::1", "2", "126", "0"], ["[not", "IP]", "1", "14", "0"]]
    assert "by generic XDP... Ctrl-C to end." in result.stderr


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(engine: str) -> None:
    for words in ((), ("--drop", "127.0.0.0/8")):
        result = run(XDP, "--engine", engine, "--json", "--demo", *words)
        assert result.status == 0, result.stderr
        assert result.stderr.endswith("Demo: saw all that it caused (10), and nothing else.\n")
        assert counted(result) == [
            ("127.0.0.1", 5, 5 * 43, 5 if words else 0),
            ("127.0.0.2", 3, 3 * 43, 3 if words else 0),
            ("::1", 2, 2 * 63, 0),
        ]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_killed(engine: str, network: Network) -> None:
    """The link goes with the process, and packets pass again."""
    with started(network, engine, "--drop", "127.0.0.2") as tool:
        tool.wait_attached()
        network.send("lo", *[frame("192.0.2.1")] * scaled(50))
        assert "xdp" in run(*network.inside, "ip", "link", "show", "lo").stdout
        assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL
    assert "xdp" not in run(*network.inside, "ip", "link", "show", "lo").stdout
    assert arriving(network) == 6


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_another_program(engine: str, network: Network) -> None:
    """An interface has room for one. The error names it, and it stays."""
    with started(network, engine) as tool:
        tool.wait_attached()
        command = (*network.inside, XDP, "--engine", engine)
        cause, hint = assert_error(run(*command), 1, "ebpf-xdp")
        assert re.fullmatch(
            r"lo has another XDP program, handle_packet \(id \d+\), and there can be only one",
            cause,
        )
        assert hint.endswith("ip link set dev lo xdp off")
        network.send("lo", frame("192.0.2.1"))
        assert counted(ended(tool)) == [("192.0.2.1", 1, 43, 0)]


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_native(engine: str) -> None:
    """In a driver that has XDP; what comes in at one end of a cable is counted there only."""
    cable = (
        "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
        "ip link add near type veth peer name far",
        "ip link set near up",
        "ip link set far up",
    )
    with Network(*cable) as network, started(network, engine, "-i", "near") as tool:
        tool.wait_attached()
        network.send("far", *[frame("192.0.2.1")] * 3)
        network.send("near", *[frame("192.0.2.2")] * 3)
        result = ended(tool)
    assert counted(result) == [("192.0.2.1", 3, 3 * 43, 0)]
    assert "by native XDP..." in result.stderr


@pytest.mark.native
def test_no_ethernet() -> None:
    with Network("ip tuntap add dev tun0 mode tun") as network:
        cause, hint = assert_error(run(*network.inside, XDP, "-i", "tun0"), 1, "ebpf-xdp")
    assert cause == "packets at tun0 have no Ethernet header, which this program reads first"
    assert hint == "use ebpf-tc or ebpf-sockfilter, which read packets of any interface"


@pytest.mark.native
@pytest.mark.parametrize(
    "options",
    [
        *(("-i", "nope"), ("--drop", "nobody"), ("--drop", "10.0.0.1/8"), ("--drop", "::1/129")),
        *(("--entries", "0"), ("--interval", "0")),
    ],
)
def test_usage(options: tuple[str, ...]) -> None:
    assert_error(run(XDP, *options), 2, "ebpf-xdp")
