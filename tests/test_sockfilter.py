"""ebpf-sockfilter, on each engine, in network namespaces where only the test sends packets."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Any

import packets
import pytest
from packets import ICMP, TCP, UDP, ethernet, ipv4, ipv6, udp
from support import (
    BIN,
    Held,
    Network,
    Result,
    Running,
    assert_error,
    assert_rest_is_lost,
    run,
    scaled,
    wait_until,
)

from ebpf_tour.commands.sockfilter import TOOL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Compiled

SOCKFILTER = BIN / "ebpf-sockfilter"

pytestmark = pytest.mark.kernel(TOOL)


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def shown(network: Network, *frames: bytes, words: tuple[str, ...], at: str = "lo") -> Result:
    """Return what the tool says of frames that an interface sends."""
    with Running(*network.inside, SOCKFILTER, "--json", *words) as tool:
        tool.wait_attached()
        network.send(at, *frames)
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return result


def ends(row: dict[str, Any]) -> tuple[int, str, int | None, int | None, int]:
    keys = ("protocol", "source", "source_port", "destination_port", "bytes")
    protocol, source, source_port, destination_port, length = (row[key] for key in keys)
    return protocol, source, source_port, destination_port, length


# Frames, and what there is to see of each.
SEEN = [
    (ethernet(packets.IPV4, ipv4(UDP, udp(1000, 2000))), (UDP, "127.0.0.1", 1000, 2000, 43)),
    (ethernet(packets.IPV6, ipv6(UDP, udp(1001, 2001))), (UDP, "::1", 1001, 2001, 63)),
    (ethernet(packets.IPV4, ipv4(TCP, udp(1, 65535))), (TCP, "127.0.0.1", 1, 65535, 43)),
    # Port 0 is a port, too.
    (ethernet(packets.IPV4, ipv4(UDP, udp(0, 53))), (UDP, "127.0.0.1", 0, 53, 43)),
    # Behind options, the ports come later.
    (
        ethernet(packets.IPV4, ipv4(UDP, udp(3, 4), options=b"\1" * 8)),
        (UDP, "127.0.0.1", 3, 4, 51),
    ),
    # The kernel takes one VLAN tag off before a socket gets the packet.
    (
        packets.vlan(ethernet(packets.IPV4, ipv4(UDP, udp(5, 6)))),
        (UDP, "127.0.0.1", 5, 6, 43),
    ),
    # The first fragment has the ports, the second has not.
    (ethernet(packets.IPV4, ipv4(UDP, udp(7, 8), fragment=0x2000)), (UDP, "127.0.0.1", 7, 8, 43)),
    (
        ethernet(packets.IPV4, ipv4(UDP, udp(7, 8), fragment=0x0005)),
        (UDP, "127.0.0.1", None, None, 43),
    ),
    (
        ethernet(packets.IPV6, ipv6(packets.FRAGMENT, bytes([UDP]) + bytes(7) + udp(7, 8))),
        (packets.FRAGMENT, "::1", None, None, 71),
    ),
    (ethernet(packets.IPV4, ipv4(ICMP, b"\x08\0\0\0")), (ICMP, "127.0.0.1", None, None, 38)),
    # It ends before the second port.
    (ethernet(packets.IPV4, ipv4(UDP, b"\0\1\0")), (UDP, "127.0.0.1", None, None, 37)),
]
NOT_SEEN = [
    ethernet(packets.ARP, bytes(28)),
    packets.vlan(packets.vlan(ethernet(packets.IPV4, ipv4(UDP, udp(1, 2))))),
    ethernet(packets.IPV4, ipv4(UDP, udp(1, 2)), to=packets.OTHER_MAC),
    ethernet(packets.IPV4, ipv4(UDP, udp(1, 2))[:19]),
    ethernet(packets.IPV6, ipv6(UDP, udp(1, 2))[:39]),
    ethernet(packets.IPV4, b""),
    # Other versions than Ethernet says, and a header that is too short to be one.
    ethernet(packets.IPV4, ipv4(UDP, udp(1, 2), first=0x60)),
    ethernet(packets.IPV6, ipv4(UDP, bytes(40))),
    ethernet(packets.IPV4, b"\x44" + ipv4(UDP, udp(1, 2))[1:]),
]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_each_packet_is_a_row(engine: str, network: Network) -> None:
    """Only those that are IP and for this machine, and no field is a guess."""
    frames = [frame for pair in zip(NOT_SEEN, NOT_SEEN, strict=True) for frame in pair]
    frames[1:1] = [frame for frame, _ in SEEN]
    result = shown(network, *frames, words=("--engine", engine))
    assert [ends(row) for row in result.records] == [wanted for _, wanted in SEEN]
    for row in result.records:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert row["interface"] == "lo"


# A cable with two ends, and nothing of IPv6's own on it.
CABLE = (
    "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
    "ip link add near type veth peer name far",
    "ip link set near address 02:00:00:00:00:01 up",
    "ip link set far up",
)


@pytest.mark.usefixtures("leaves_nothing")
def test_interface(engine: str) -> None:
    """What one end of a cable sends arrives at the other; -i lets nothing else through."""
    frame = ethernet(packets.IPV4, ipv4(UDP, udp(1, 2), "192.0.2.1"), to=packets.OTHER_MAC)
    with Network(*CABLE) as network:
        for interface, count in (("near", 3), ("far", 0), ("lo", 0)):
            words = ("--engine", engine, "-i", interface)
            result = shown(network, *[frame] * 3, words=words, at="far")
            assert [row["interface"] for row in result.records] == ["near"] * count
            assert [row["source"] for row in result.records] == ["192.0.2.1"] * count


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_interface_that_goes_away(engine: str) -> None:
    """Then no tool waits for packets that cannot come; another one that goes ends none."""
    command = ("--json", "--engine", engine, "-i", "near")
    with Network(*CABLE, "ip link add other type veth peer name another") as network:
        tools = [
            Running(*network.inside, BIN / name, *command)
            for name in ("ebpf-sockfilter", "ebpf-tc", "ebpf-xdp")
        ]
        for tool in tools:
            tool.wait_attached()
        assert run(*network.inside, "ip", "link", "del", "other").status == 0
        assert run(*network.inside, "ip", "link", "set", "near", "down").status == 0
        assert [tool.process.poll() for tool in tools] == [None] * 3
        assert run(*network.inside, "ip", "link", "del", "near").status == 0
        for tool in tools:
            result = tool.finish()
            assert result.status == 0, result.stderr
            assert result.summary == {"type": "summary", "events": 0, "lost": 0}
            assert result.stderr.endswith(": the interface near is gone\n")


# Receives a packet at an interface without Ethernet: what is written to its device.
TUNNEL = """
import fcntl, os, struct, sys
device = os.open("/dev/net/tun", os.O_RDWR)
# TUNSETIFF: the name; IFF_TUN and IFF_NO_PI
fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001))
for packet in sys.argv[1:]:
    os.write(device, bytes.fromhex(packet))
"""


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_without_ethernet(engine: str) -> None:
    """The kernel knows where the IP header begins; ebpf-tc asks it, too."""
    setup = (
        "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
        "ip tuntap add dev tun0 mode tun",
        "ip link set tun0 up",
    )
    written = [ipv4(UDP, udp(1, 2)).hex(), ipv6(UDP, udp(3, 4)).hex()]
    words = ("-i", "tun0", "--json", "--engine", engine)
    with Network(*setup) as network:
        tools = [
            Running(*network.inside, BIN / name, *words) for name in ("ebpf-sockfilter", "ebpf-tc")
        ]
        for tool in tools:
            tool.wait_attached()
        command = (*network.inside, sys.executable, "-BIc", TUNNEL, *written)
        assert run(*command).status == 0
        ours, of_tc = (tool.finish(signal.SIGINT) for tool in tools)
    rows = [(UDP, "127.0.0.1", 1, 2, 29), (UDP, "::1", 3, 4, 49)]
    assert [ends(row) for row in ours.records] == rows
    assert [row["length"] for row in of_tc.records] == [29, 49]


def test_table(engine: str, network: Network) -> None:
    """There protocols have names, and ports are behind addresses."""
    with Running(*network.inside, SOCKFILTER, "--engine", engine) as tool:
        tool.wait_attached()
        network.send("lo", *(frame for frame, _ in SEEN))
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    header, *rows = (line.split()[2:] for line in result.stdout.splitlines())
    assert header == ["PROTO", "SRC", "DST", "BYTES"]
    assert rows[0] == ["UDP", "127.0.0.1:1000", "127.0.0.1:2000", "43"]
    assert rows[1] == ["UDP", "[::1]:1001", "[::1]:2001", "63"]
    assert rows[7:10] == [
        ["UDP", "127.0.0.1", "127.0.0.1", "43"],
        ["FRAG", "::1", "::1", "71"],
        ["ICMP", "127.0.0.1", "127.0.0.1", "38"],
    ]


def test_nothing_is_lost_in_silence(engine: str, network: Network) -> None:
    """While the tool is stopped its buffer fills up; what finds no room is counted."""
    frame = ethernet(packets.IPV4, ipv4(UDP, udp(1, 2)))
    command = (SOCKFILTER, "--json", "--engine", engine, "--buffer", "4")
    with Running(*network.inside, *command) as tool:
        tool.wait_attached()
        with tool.stopped():
            network.send("lo", *[frame] * 1000)
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 1000)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(engine: str) -> None:
    result = run(SOCKFILTER, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (10), and nothing else.\n")
    sources = [row["source"] for row in result.records]
    assert sources == 5 * ["127.0.0.1"] + 5 * ["::1"]
    assert result.summary["lost"] == 0


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_killed(engine: str, network: Network) -> None:
    """The socket goes with the process, and with it what was attached."""
    with Running(*network.inside, SOCKFILTER, "--engine", engine) as tool:
        tool.wait_attached()
        network.send("lo", *[SEEN[0][0]] * scaled(100))
        assert sockets(network) == 1
        assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL
    assert sockets(network) == 0


def sockets(network: Network) -> int:
    """Return how many packet sockets there are."""
    result = run(*network.inside, "cat", "/proc/net/packet")
    return result.stdout.count("\n") - 1


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_killed_demo(engine: str, compiled: Compiled) -> None:
    """Its network namespace does not stay behind either."""
    command = (SOCKFILTER, "--engine", engine, "--demo")
    with Held(compiled("hold"), "attach", *command) as tool:
        tool.wait_held()
        own = str(os.stat(f"/proc/{tool.pid}/ns/net").st_ino)
        assert own in namespaces()
        tool.finish(signal.SIGKILL)
    wait_until(lambda: own not in namespaces(), lambda: f"left: {own}")


def namespaces() -> list[str]:
    """Return the network namespaces that a process is in."""
    return run("lsns", "--noheadings", "--type", "net", "--output", "NS").stdout.split()


@pytest.mark.native
def test_no_such_interface() -> None:
    cause, hint = assert_error(run(SOCKFILTER, "-i", "nope\x1b[1A"), 2, "ebpf-sockfilter")
    assert cause == r"there is no network interface nope\x1b[1A"
    assert re.fullmatch(r"name one of these: (.+, )?lo(, .+)?", hint)
    cause, hint = assert_error(run(SOCKFILTER, "--demo", "-i", "eth0"), 2, "ebpf-sockfilter")
    assert (cause, hint) == ("there is no network interface eth0", "name one of these: lo")
