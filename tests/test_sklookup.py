"""ebpf-sklookup, on each engine, in network namespaces where only the test asks for sockets."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from packets import TCP, UDP
from support import BIN, Network, Result, Running, assert_error, assert_rest_is_lost, run, scaled

from ebpf_tour.commands.sklookup import TOOL

if TYPE_CHECKING:
    from collections.abc import Iterator

SKLOOKUP = BIN / "ebpf-sklookup"

kernel = pytest.mark.kernel(TOOL)
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


# Sends a datagram to each address and port, or as many as there are to the last one.
SEND = """
import socket, sys
for word in sys.argv[2:]:
    address, _, port = word.rpartition(":")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        for _ in range(int(sys.argv[1])):
            sender.sendto(b"x", (address, int(port)))
"""

# Servers of their own on the ports that the words name: what arrives there, and from whom.
SERVE = """
import socket, sys
opened = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in sys.argv[1:]]
for server, port in zip(opened, sys.argv[1:]):
    server.bind(("127.0.0.1", int(port)))
    server.settimeout(0)
print("r", flush=True)
sys.stdin.read(1)
for server in opened:
    count = 0
    try:
        while server.recv(1):
            count += 1
    except BlockingIOError:
        print(count)
"""

# Connects to a server of its own, which answers by the same port: one lookup, that of the SYN.
CONNECT = """
import socket
with socket.create_server(("127.0.0.1", 7001)) as server:
    with socket.create_connection(("127.0.0.1", 7001)) as client:
        accepted, _ = server.accept()
        client.sendall(b"x")
        assert accepted.recv(1) == b"x"
        accepted.close()
"""


def send(network: Network, *words: str, times: int = 1) -> None:
    command = [*network.inside, sys.executable, "-BIc", SEND, str(times), *words]
    subprocess.run(command, check=True)


def rows_of(result: Result) -> list[dict[str, Any]]:
    """Return its rows. Demands an orderly end without losses."""
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return result.records


def seen(row: dict[str, Any]) -> tuple[int, str, str, int, str]:
    keys = ("protocol", "source", "destination", "destination_port", "result")
    protocol, source, destination, port, result = (row[key] for key in keys)
    return protocol, source, destination, port, result


def without_errors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows but those of errors. Demands one for each datagram to a closed port.

    For the ICMP message that tells the sender, the kernel looks for the sender's socket: the
    same lookup the other way round.
    """
    kept = []
    while rows:
        row, *rows = rows
        kept.append(row)
        if row["protocol"] == UDP and row["result"] == "as usual":
            error, *rows = rows
            assert error["result"] == "as usual"
            for one, other in (("source", "destination"), ("destination", "source")):
                assert error[one] == row[other]
                assert error[f"{one}_port"] == row[f"{other}_port"]
    return kept


def received(result: Result) -> tuple[int, int]:
    """Return how many datagrams were assigned, and how many the socket got."""
    found = re.search(
        r"(?m)^ebpf-sklookup: datagrams assigned to the socket: (\d+), received: (\d+)$",
        result.stderr,
    )
    assert found, result.stderr
    return int(found[1]), int(found[2])


@pytest.mark.core
@kernel
@leaves_nothing
def test_many_ports_one_socket(engine: str, network: Network) -> None:
    """What is beside the range, of another address or protocol is left alone."""
    words = ("--engine", engine, "--json", "--ports", "7000-7099")
    with Running(SKLOOKUP, "--netns", f"/proc/{network.pid}/ns/net", *words) as tool:
        tool.wait_attached()
        send(network, *(f"127.0.0.1:{port}" for port in (7000, 7050, 7099)))
        send(network, *(f"127.0.0.1:{port}" for port in (6999, 7100)))
        send(network, "127.0.0.2:7000", "::1:7000")
        subprocess.run([*network.inside, sys.executable, "-BIc", CONNECT], check=True)
        result = tool.finish(signal.SIGINT)
    one, usual = "127.0.0.1", "as usual"
    rows = rows_of(result)
    assert [seen(row) for row in without_errors(rows)] == [
        *((UDP, one, one, port, "assigned") for port in (7000, 7050, 7099)),
        *((UDP, one, one, port, usual) for port in (6999, 7100)),
        # The sender has the address that it sends to.
        (UDP, "127.0.0.1", "127.0.0.2", 7000, usual),
        (UDP, "::1", "::1", 7000, usual),
        (TCP, one, one, 7001, usual),
    ]
    assert received(result) == (3, 3)
    for row in rows:
        assert list(row) == [column.key for column in TOOL.columns]
        assert re.fullmatch(r"\d\d:\d\d:\d\d", row["time"])
        assert 0 < row["source_port"] < 65536


@pytest.mark.core
@kernel
@leaves_nothing
def test_without_ports_all_is_as_usual(engine: str, network: Network) -> None:
    """And a server still gets what is for it; of the network of the tool."""
    server = [*network.inside, sys.executable, "-BIc", SERVE, "7000"]
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(server, stdin=pipe, stdout=pipe, text=True) as serving,
        Running(*network.inside, SKLOOKUP, "--engine", engine, "--json") as tool,
    ):
        assert serving.stdout
        assert serving.stdout.readline() == "r\n"
        tool.wait_attached()
        send(network, "127.0.0.1:7000", times=3)
        result = tool.finish(signal.SIGINT)
        assert serving.communicate("x")[0] == "3\n"
    rows = [seen(row) for row in rows_of(result)]
    assert rows == 3 * [(UDP, "127.0.0.1", "127.0.0.1", 7000, "as usual")]
    assert "received" not in result.stderr


@kernel
@leaves_nothing
def test_it_comes_before_a_server(engine: str, network: Network) -> None:
    """Of the ports in the range, as long as the tool runs; killed, it takes none any more."""
    server = [*network.inside, sys.executable, "-BIc", SERVE, "7000", "7001"]
    words = ("--netns", f"/proc/{network.pid}/ns/net", "--ports", "7000")
    pipe = subprocess.PIPE
    with (
        subprocess.Popen(server, stdin=pipe, stdout=pipe, text=True) as serving,
        Running(SKLOOKUP, "--engine", engine, *words) as tool,
    ):
        assert serving.stdout
        assert serving.stdout.readline() == "r\n"
        tool.wait_attached()
        send(network, "127.0.0.1:7000", "127.0.0.1:7001", times=scaled(10))
        assert tool.finish(signal.SIGKILL).status == -signal.SIGKILL
        send(network, "127.0.0.1:7000")
        assert serving.communicate("x")[0].split() == ["1", str(scaled(10))]


@kernel
def test_address(engine: str, network: Network) -> None:
    """--address is the one that has the ports."""
    words = ("--engine", engine, "--json", "--ports", "7000", "--address", "127.0.0.2")
    with Running(SKLOOKUP, "--netns", f"/proc/{network.pid}/ns/net", *words) as tool:
        tool.wait_attached()
        send(network, "127.0.0.1:7000", "127.0.0.2:7000")
        result = tool.finish(signal.SIGINT)
    results = [(row["destination"], row["result"]) for row in without_errors(rows_of(result))]
    assert results == [("127.0.0.1", "as usual"), ("127.0.0.2", "assigned")]
    assert received(result) == (1, 1)


@kernel
def test_table(engine: str, network: Network) -> None:
    words = ("--netns", f"/proc/{network.pid}/ns/net", "--ports", "7000")
    with Running(SKLOOKUP, "--engine", engine, *words) as tool:
        tool.wait_attached()
        send(network, "127.0.0.1:7000", "::1:53")
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    header, *rows = result.stdout.splitlines()
    assert header.split() == [column.header for column in TOOL.columns if column.header]
    wanted = (
        r"\d\d:\d\d:\d\d UDP    127\.0\.0\.1:\d+ +127\.0\.0\.1:7000        assigned",
        r"\d\d:\d\d:\d\d UDP    \[::1\]:\d+ +\[::1\]:53              as usual",
        r"\d\d:\d\d:\d\d UDP    \[::1\]:53 +\[::1\]:\d+ +as usual",
    )
    for pattern, row in zip(wanted, rows, strict=True):
        assert re.fullmatch(pattern, row)


@kernel
def test_nothing_is_lost_in_silence(engine: str, network: Network) -> None:
    """While the tool is stopped its buffer and its socket fill up; both are counted."""
    words = ("--json", "--ports", "7000", "--buffer", "4")
    inside = ("--netns", f"/proc/{network.pid}/ns/net")
    with Running(SKLOOKUP, "--engine", engine, *inside, *words) as tool:
        tool.wait_attached()
        with tool.stopped():
            send(network, "127.0.0.1:7000", times=5000)
        result = tool.finish(signal.SIGINT)
    assert_rest_is_lost(result, 5000)


@pytest.mark.core
@kernel
@leaves_nothing
def test_demo(engine: str) -> None:
    """3 lookups, 3 assigned, 3 received."""
    result = run(SKLOOKUP, "--engine", engine, "--demo", "--json")
    assert result.status == 0, result.stderr
    assert result.stderr.endswith("Demo: saw every row that it caused (3), and nothing else.\n")
    rows = [(row["destination_port"], row["result"]) for row in rows_of(result)]
    assert rows == [(port, "assigned") for port in (7000, 7050, 7099)]
    assert received(result) == (3, 3)


@kernel
@leaves_nothing
def test_a_demo_whose_datagrams_do_not_arrive(engine: str) -> None:
    """Rows alone are not enough."""
    script = (
        "import sys; from ebpf_tour.commands import sklookup as tool; "
        "tool.receive = lambda *_: 0; sys.exit(tool.main())"
    )
    result = run(sys.executable, "-BIc", script, "--engine", engine, "--demo")
    cause, _ = assert_error(result, 1, "ebpf-sklookup")
    assert cause == "the demo failed: the socket did not get each datagram"


@pytest.mark.native
def test_ports_of_no_namespace() -> None:
    """They are taken from nobody who was not named."""
    cause, hint = assert_error(run(SKLOOKUP, "--ports", "7000"), 2, "ebpf-sklookup")
    assert cause == "--ports takes datagrams in one network namespace: which one?"
    assert hint.endswith("this one is /proc/self/ns/net")
    cause, _ = assert_error(run(SKLOOKUP, "--demo", "--netns", "/x"), 2, "ebpf-sklookup")
    assert cause == "--demo makes its own network namespace"


@kernel
@pytest.mark.native
def test_no_such_namespace_or_address(network: Network) -> None:
    for path, why in (("/nowhere\x1b", "No such file"), ("/proc/self/ns/uts", "something else")):
        cause, _ = assert_error(run(SKLOOKUP, "--netns", path), 2, "ebpf-sklookup")
        assert cause.startswith("cannot use ")
        assert why in cause
    words = ("--netns", f"/proc/{network.pid}/ns/net", "--ports", "7000")
    result = run(SKLOOKUP, *words, "--address", "192.0.2.1")
    cause, hint = assert_error(result, 2, "ebpf-sklookup")
    assert cause.startswith("no socket can have the address 192.0.2.1 there: ")
    assert hint == "name an address of an interface: ip address"


@pytest.mark.native
@pytest.mark.parametrize(
    "options",
    [
        *(("--ports", ports) for ports in ("0", "7", "8-7", "1-65536", "x", "1-2-3", "\u0661")),
        *(("--address", address) for address in ("::1", "127.1", "x", "")),
        ("--buffer", "0"),
    ],
)
def test_usage(options: tuple[str, ...]) -> None:
    assert_error(run(SKLOOKUP, *options), 2, "ebpf-sklookup")
