"""ebpf-tc, in each of its ways that the running kernel has, where only the test sends packets."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import packets
import pytest
from cases import via
from packets import UDP, ethernet, ipv4, ipv6, udp
from support import ARCHITECTURE, BIN, ROOT, Network, Result, Running, assert_error, run

from ebpf_tour.commands.tc import TOOL
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

TC = BIN / "ebpf-tc"

pytestmark = pytest.mark.kernel(TOOL)

way = via(TOOL)


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def started(network: Network, *words: str) -> Running:
    return Running(*network.inside, TC, *words)


def ended(tool: Running) -> Result:
    """Return how an orderly end without losses looks."""
    result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return result


def tc(network: Network, *words: str) -> str:
    """Return what iproute2's tc says."""
    result = run(*network.inside, "tc", *words)
    assert result.status == 0, result.stderr
    return result.stdout


def left(network: Network) -> list[str]:
    """Return what is at lo: qdiscs for filters, and filters."""
    lines = tc(network, "qdisc", "show", "dev", "lo").splitlines()
    qdiscs = [line for line in lines if "parent ffff:fff1" in line]
    both = (tc(network, "filter", "show", "dev", "lo", which) for which in ("ingress", "egress"))
    return [*qdiscs, *(line for text in both for line in text.splitlines() if " handle " in line)]


def add_other(network: Network) -> list[str]:
    """Add somebody else's filter, with a program; return what is at lo then."""
    tc(network, "qdisc", "add", "dev", "lo", "clsact")
    tc(network, *("filter", "add", "dev", "lo", "ingress", "prio", "7"), *OTHER)
    (_, other) = found = left(network)
    assert "pref 7" in other
    return found


# Any program will do, and any name of it.
OTHER = (
    "bpf",
    "direct-action",
    "object-file",
    str(ROOT / f"bpf/{ARCHITECTURE}/tc.bpf.o"),
    "section",
    "tc",
)

FRAME = ethernet(packets.IPV4, ipv4(UDP, udp(1, 2)))


def of(row: dict[str, Any]) -> tuple[int, int | None, int]:
    return row["protocol"], row["length"], row["ttl"]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_each_packet_is_a_row(way: tuple[str, ...], network: Network) -> None:
    """Only those that are IP, and no field is a guess."""
    too_long = bytearray(FRAME)
    too_long[16:18] = bytes(2)  # what the kernel joins may be longer than the header can say
    frames = [
        ethernet(packets.ARP, bytes(28)),
        FRAME,
        ethernet(packets.IPV4, ipv4(UDP, udp(1, 2), ttl=1, options=b"\1" * 4)),
        ethernet(packets.IPV6, ipv6(UDP, udp(1, 2), ttl=255)),
        bytes(too_long),
        packets.vlan(FRAME),
        ethernet(packets.IPV4, FRAME[14:33]),
        ethernet(packets.IPV6, FRAME[14:] + bytes(20)),
    ]
    with started(network, *way) as tool:
        tool.wait_attached()
        network.send("lo", *frames)
        result = ended(tool)
    rows = [(UDP, 29, 64), (UDP, 33, 1), (UDP, 49, 255), (UDP, None, 64), (UDP, 29, 64)]
    assert [of(row) for row in result.records] == rows
    for row in result.records:
        assert list(row) == ["time", "interface", "protocol", "length", "ttl"]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
    assert left(network) == []


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_direction(way: tuple[str, ...]) -> None:
    """What one end of a cable sends the other receives; nothing else comes through."""
    cable = (
        "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
        "ip link add near type veth peer name far",
        "ip link set near up",
        "ip link set far up",
    )
    seen = {("far", "--egress"): 3, ("near",): 3, ("far",): 0, ("near", "--egress"): 0, ("lo",): 0}
    with Network(*cable) as network:
        tools = {words: started(network, *way, "-i", *words) for words in seen}
        for tool in tools.values():
            tool.wait_attached()
        network.send("far", *[FRAME] * 3)
        for words, tool in tools.items():
            with tool:
                rows = ended(tool).records
            assert [(row["interface"], *of(row)) for row in rows] == [
                (words[0], UDP, 29, 64)
            ] * seen[words]


@pytest.mark.usefixtures("leaves_nothing")
def test_count(way: tuple[str, ...], network: Network) -> None:
    """In the reports together, each packet once."""
    with started(network, *way, "--count", "--interval", "0.1") as tool:
        tool.wait_attached()
        for _ in range(4):
            network.send("lo", *[FRAME] * 25)
        result = ended(tool)
    assert sum(row["packets"] for row in result.records) == 100
    assert sum(row["bytes"] for row in result.records) == 100 * len(FRAME)
    assert list(result.records[0]) == ["time", "interface", "packets", "bytes", "interval_s"]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo(way: tuple[str, ...]) -> None:
    for words, said in {
        (): "Demo: saw every row that it caused (10), and nothing else.\n",
        ("--egress",): "Demo: saw every row that it caused (10), and nothing else.\n",
        ("--count",): "Demo: saw all that it caused (10), and nothing else.\n",
    }.items():
        result = run(TC, *way, "--demo", *words)
        assert result.status == 0, result.stderr
        assert result.stderr.endswith(said)
        assert result.summary["lost"] == 0


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_beside_another_program(way: tuple[str, ...], network: Network) -> None:
    """Its filter stays as it is and goes on; so does its qdisc, whichever of us made it."""
    before = add_other(network)
    with started(network, *way) as tool:
        tool.wait_attached()
        assert set(before) < set(left(network)) or "clsact" not in way
        network.send("lo", *[FRAME] * 3)
        assert len(ended(tool).records) == 3
    assert left(network) == before
    tc(network, "qdisc", "del", "dev", "lo", "clsact")
    with started(network, *way) as tool:
        tool.wait_attached()
        if "clsact" in way:
            tc(network, *("filter", "add", "dev", "lo", "egress", "prio", "7"), *OTHER)
            ended(tool)
            assert "pref 7" in left(network)[1]
            return
        before = add_other(network)
        ended(tool)
    assert left(network) == before


@pytest.mark.usefixtures("leaves_nothing")
def test_two_at_once(way: tuple[str, ...], network: Network) -> None:
    """None ends the chain for the other, and the last one takes away what they made."""
    with started(network, *way) as one, started(network, *way) as other:
        one.wait_attached()
        other.wait_attached()
        network.send("lo", FRAME, FRAME)
        assert len(ended(one).records) == 2
        network.send("lo", FRAME)
        assert len(ended(other).records) == 3
    assert left(network) == []


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_killed(way: tuple[str, ...], network: Network) -> None:
    """A link goes with the process. A filter stays, and the next run removes it."""
    with started(network, *way) as tool:
        tool.wait_attached()
        tool.finish(signal.SIGKILL)
    if "tcx" in way:
        assert left(network) == []
        return
    qdisc, abandoned = left(network)
    assert re.search(r"ebpf-tour-[0-9a-f]{8}\+clsact direct-action", abandoned)
    with started(network, *way) as tool:
        tool.wait_attached()
        same, own = left(network)
        assert same == qdisc
        assert own != abandoned
        network.send("lo", FRAME)
        assert len(ended(tool).records) == 1
    assert left(network) == []


@pytest.mark.usefixtures("leaves_nothing")
def test_killed_beside_others(engine: str, network: Network) -> None:
    """The next run removes what the killed one left, and nothing of those that live."""
    way = ("--engine", engine, "--via", "clsact", "--json")
    with started(network, *way) as killed, started(network, *way) as living:
        killed.wait_attached()
        living.wait_attached()
        killed.finish(signal.SIGKILL)
        with started(network, *way) as following:
            following.wait_attached()
            assert len(left(network)) == 3  # the qdisc, and a filter for each of the two
            network.send("lo", FRAME)
            assert len(ended(following).records) == 1
        network.send("lo", FRAME)
        assert len(ended(living).records) == 2
    assert left(network) == []


def test_older_qdisc(engine: str, network: Network) -> None:
    """Where `ingress` is instead of `clsact`, only half of it is possible by a filter."""
    way = ("--engine", engine, "--via", "clsact", "--json")
    tc(network, "qdisc", "add", "dev", "lo", "ingress")
    before = left(network)
    with started(network, *way) as tool:
        tool.wait_attached()
        network.send("lo", FRAME)
        assert len(ended(tool).records) == 1
    assert left(network) == before
    result = run(*network.inside, TC, *way, "--egress")
    cause, hint = assert_error(result, 1, "ebpf-tc")
    assert cause == "lo has the older qdisc ingress, which sees no packets that the interface sends"
    assert hint == "see what uses it: tc filter show dev lo ingress"
    assert left(network) == before


@pytest.mark.native
def test_a_way_that_is_not_there() -> None:
    for name, hooks in TOOL.via.items():
        if missing := what_is_missing(hooks):
            found = assert_error(run(TC, "--via", name), missing.status, "ebpf-tc")
            assert found == (str(missing), missing.hint)


@pytest.mark.native
@pytest.mark.parametrize("options", [("-i", "nope"), ("--via", "xdp"), ("--interval", "0")])
def test_usage(options: tuple[str, ...]) -> None:
    assert_error(run(TC, *options), 2, "ebpf-tc")
