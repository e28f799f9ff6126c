"""ebpf-congestion, with connections in network namespaces of the tests' own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    BIN,
    UNSUPPORTED,
    Network,
    Result,
    Running,
    Workload,
    assert_error,
    assert_rest_is_lost,
    run,
    wait_until,
)

from ebpf_tour.commands.congestion import TOOL
from ebpf_tour.commands.netfilter import TOOL as NETFILTER
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

CONGESTION = BIN / "ebpf-congestion"

pytestmark = pytest.mark.kernel(TOOL)

# Connects to itself, says so, and after a word sends 1000 bytes, and waits for an answer. So it
# goes on until its input is closed. A reset ends it: a FIN would be acknowledged, too.
CONNECTION = """
import os, socket, struct, sys
listening = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
if sys.argv[1]:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, sys.argv[1].encode())
client.connect(listening.getsockname())
server, _ = listening.accept()
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
os.write(1, b"r")
while os.read(0, 1):
    client.sendall(bytes(1000))
    server.recv(1000, socket.MSG_WAITALL)
    server.sendall(b"x")
    client.recv(1)
client.close()
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


def connection(network: Network, name: str) -> Workload:
    """Return a connection that asks for a congestion control, if it has a name."""
    return Workload(*network.inside, sys.executable, "-BIc", CONNECTION, name)


def started(*words: str) -> Running:
    return Running(CONGESTION, "--json", *words)


def ended(tool: Running) -> Result:
    result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    for row in result.records:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
    return result


def available() -> list[str]:
    """Return the congestion controls of the kernel."""
    path = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    return path.read_text(encoding="ascii").split()


def default() -> str:
    return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text(encoding="ascii")


def calls(rows: list[dict[str, Any]]) -> list[tuple[str, int, int | None]]:
    return [(row["call"], row["window"], row["acked"]) for row in rows]


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_only_who_asks(network: Network) -> None:
    """A row for each call, of the one connection; and nobody else has another default."""
    before = default()
    with started("--window", "7") as tool:
        tool.wait_attached()
        name = f"tour_{tool.pid}"
        assert name in available()
        assert default() == before
        with connection(network, name) as served, connection(network, "") as other:
            for _ in range(5):
                served.begin()
                other.begin()
            assert (served.finish(), other.finish()) == (0, 0)
        result = ended(tool)
    assert calls(result.records) == [("init", 7, None), *5 * [("cong_avoid", 7, 1)]]
    assert len({(row["port"], row["peer_port"]) for row in result.records}) == 1
    assert name not in available()
    assert default() == before
    said = f"Serving TCP sockets that ask for {name}... Ctrl-C to end.\n"
    assert result.stderr == said


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_a_packet_that_is_lost(network: Network) -> None:
    """The kernel asks for ssthresh, and goes on with what it says."""
    if missing := what_is_missing(NETFILTER.via["netfilter"]):
        pytest.skip(f"{UNSUPPORTED}{missing}")
    drop = ("--hook", "input", "--drop", "tcp", "--json")
    with started() as tool:
        tool.wait_attached()
        with connection(network, f"tour_{tool.pid}") as served:
            command = (*network.inside, BIN / "ebpf-netfilter", "--netns", "/proc/self/ns/net")
            with Running(*command, *drop) as dropping:
                dropping.wait_attached()
                served.begin()
                time.sleep(1)  # what the kernel waits for before it sends again is less
                assert dropping.finish(signal.SIGINT).records
            served.begin()
            assert served.finish() == 0
        found = [call for call, _, _ in calls(ended(tool).records)]
    assert found[0] == "init"
    assert "ssthresh" in found
    assert found[-1] == "cong_avoid"


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_who_may_ask(network: Network) -> None:
    """It takes CAP_NET_ADMIN."""
    with started() as tool:
        tool.wait_attached()
        without = ("setpriv", "--bounding-set=-net_admin")
        command = (*network.inside, *without, sys.executable, "-BIc", CONNECTION)
        result = run(*command, f"tour_{tool.pid}")
        assert "PermissionError" in result.stderr
        assert ended(tool).records == []


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_demo() -> None:
    for words, window in (((), 10), (("--window", "2"), 2)):
        result = run(CONGESTION, "--demo", "--json", *words)
        assert result.status == 0, result.stderr
        assert result.stderr.endswith("saw every row that it caused (21), and nothing else.\n")
        assert calls(result.records) == [("init", window, None), *20 * [("cong_avoid", window, 1)]]
        assert result.summary["lost"] == 0


def test_table(network: Network) -> None:
    with Running(CONGESTION) as tool:
        tool.wait_attached()
        with connection(network, f"tour_{tool.pid}") as served:
            served.begin()
            assert served.finish() == 0
        result = tool.finish(signal.SIGINT)
    header, *rows = (line.split()[1:] for line in result.stdout.splitlines())
    assert header == ["CALL", "PORT", "PEER", "WINDOW", "ACKED"]
    assert [(row[0], *row[3:]) for row in rows] == [("init", "10"), ("cong_avoid", "10", "1")]


@pytest.mark.usefixtures("leaves_nothing")
def test_nothing_is_lost_in_silence(network: Network) -> None:
    """While the tool is stopped its buffer fills up; what finds no room is counted."""
    with started("--buffer", "4") as tool:
        tool.wait_attached()
        with tool.stopped(), connection(network, f"tour_{tool.pid}") as served:
            served.begin(bytes(300))
            assert served.finish() == 0
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 301)


@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
def test_killed(network: Network) -> None:
    """It goes with the process; before Linux 6.4, with the next start. Connections go on."""
    with started() as tool:
        tool.wait_attached()
        name = f"tour_{tool.pid}"
        with connection(network, name) as served:
            served.begin()
            assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL
            served.begin()
            assert served.finish() == 0
    with started() as following:
        following.wait_attached()
        wait_until(lambda: name not in available(), lambda: f"left: {name}")
        ended(following)


# As on a kernel without links, and not in a container.
WITHOUT_LINKS = """
import sys
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import struct_ops
struct_ops._has_links = lambda: False
features.pid_in_first_namespace = lambda: 1
from ebpf_tour.commands.congestion import main
sys.exit(main())
"""


@pytest.mark.usefixtures("leaves_nothing")
def test_what_a_killed_one_has_left(network: Network) -> None:
    """The next start removes it, but nothing of one that lives."""
    command = (sys.executable, "-c", WITHOUT_LINKS, "--json")
    with Running(*command) as killed, Running(*command) as alive:
        killed.wait_attached()
        alive.wait_attached()
        killed.finish(signal.SIGKILL)
        left = f"tour_{killed.pid}"
        assert left in available()
        with Running(*command) as following:
            following.wait_attached()
            assert left not in available()
            assert f"tour_{alive.pid}" in available()
            ended(following)
        with connection(network, f"tour_{alive.pid}") as served:
            served.begin()
            assert served.finish() == 0
        assert [call for call, _, _ in calls(ended(alive).records)] == ["init", "cong_avoid"]
    wait_until(lambda: f"tour_{alive.pid}" not in available(), lambda: "it is still there")


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
def test_a_name_that_is_there() -> None:
    """In containers, two may have the same PID."""
    command = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", CONGESTION, "--json")
    with Running(*command) as first:
        first.wait_attached()
        cause, hint = assert_error(run(*command), 1, "ebpf-congestion")
        assert cause == "there is a tcp_congestion_ops with the name tour_1 already"
        assert hint == "end the process that has registered it"
        (child,) = Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()
        subprocess.run(["kill", "-INT", child], check=True)
        assert first.finish().status == 0


@pytest.mark.native
def test_bcc_has_none() -> None:
    cause, hint = assert_error(run(CONGESTION, "--engine", "bcc"), 69, "ebpf-congestion")
    assert cause == "the bcc engine cannot attach to struct_ops tcp_congestion_ops.init"
    assert hint == "use the engine that can: --engine libbpf"


@pytest.mark.native
@pytest.mark.parametrize("words", [("--window", "0"), ("--window", "x"), ("--buffer", "0")])
def test_usage(words: tuple[str, ...]) -> None:
    assert_error(run(CONGESTION, *words), 2, "ebpf-congestion")
