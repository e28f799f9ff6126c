"""--metrics and --metrics-file: exact counters, read by clients and by the real Prometheus."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from cases import fault, option
from prometheus_client.parser import text_string_to_metric_families
from support import (
    BIN,
    PROMETHEUS,
    Network,
    Running,
    Workload,
    assert_error,
    may_be_skipped,
    run,
    run_all,
    scaled,
    wait_until,
)

from ebpf_tour.commands.opensnoop import TOOL as OPENSNOOP_TOOL
from ebpf_tour.commands.syscount import TOOL as SYSCOUNT_TOOL
from ebpf_tour.frame.metrics import Largest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cases import Case
    from support import Compiled

SYSCOUNT, EXECCOUNT = BIN / "ebpf-syscount", BIN / "ebpf-execcount"
OPENSNOOP = BIN / "ebpf-opensnoop"

# The oldest client that the tools work with, from the release that Prometheus is from.
OLD_CLIENT = {"PYTHONPATH": str(PROMETHEUS / "lib/python3/dist-packages")}

Samples = dict[tuple[str, ...], float]


def samples(text: str) -> Samples:
    """Return the samples of a text: by the name, and the labels' values in the order of theirs."""
    return {
        (sample.name.removeprefix("ebpf_tour_"), *dict(sorted(sample.labels.items())).values()): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def served_at(tool: Running) -> str:
    """Return the address that an attached tool says."""
    (url,) = re.findall(r"metrics at (http://\S+)", tool._said.decode())
    return str(url)


def scrape(url: str) -> Samples:
    with urllib.request.urlopen(url) as answer:
        return samples(answer.read().decode())


def ask(url: str) -> socket.socket:
    """Send a request, and do not wait for the answer."""
    asking = socket.create_connection(("127.0.0.1", int(re.findall(r":(\d+)/", url)[0])))
    asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    return asking


def answer_of(asking: socket.socket) -> Samples:
    with asking:
        return samples(asking.makefile("rb").read().decode().partition("\r\n\r\n")[2])


def check(promtool: Path, text: str) -> None:
    """Let promtool look at a text: at its form and at its names."""
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_series_goes_backwards() -> None:
    """Neither when a name becomes one of the largest, nor when it is one no longer."""
    largest = Largest(2)
    assert largest.of({"a": 5, "b": 3, "c": 3}) == {"a": 5, "b": 3, "other": 3}
    assert largest.of({"a": 5, "b": 3, "c": 4}) == {"a": 5, "c": 1, "other": 3}
    # Of equals, the one stays that was there.
    assert largest.of({"a": 5, "b": 4, "c": 4}) == {"a": 5, "c": 1, "other": 4}
    # It goes on where it was.
    assert largest.of({"a": 5, "b": 9, "c": 4}) == {"a": 5, "b": 8, "other": 4}


def test_what_is_called_other() -> None:
    """Its series is that of the rest, and it takes the place of no other name."""
    assert Largest(1).of({"other": 9, "a": 2, "b": 1}) == {"a": 2, "other": 10}


def test_each_call_is_in_one_series() -> None:
    """A hundred names that grow at different speeds, with room for ten."""
    largest, counts, before = Largest(10), dict.fromkeys(map(str, range(100)), 0), {}
    increases = 0
    for turn in range(1, 200):
        counts = {name: count + (turn * int(name)) % 7 for name, count in counts.items()}
        shown = largest.of(counts)
        assert len(shown) == 11
        rises = {name: shown[name] - before.get(name, 0) for name in shown}
        assert min(rises.values()) >= 0
        increases += sum(rises.values())
        before |= shown
    assert increases == sum(before.values()) == sum(counts.values())


@pytest.mark.native
@fault
@pytest.mark.usefixtures("leaves_nothing")
def test_what_each_tool_serves(case: Case, promtool: Path, tmp_path: Path) -> None:
    """It has the names, the server's threads may do nothing, and nothing is left."""
    path = tmp_path / "x.prom"
    words = ("--connect",) if option(case.tool, "--connect") else ()
    with Running(*case.command("--metrics", "0", "--metrics-file", str(path), *words)) as tool:
        tool.wait_attached()
        text = path.read_text()
        tasks = list(Path(f"/proc/{tool.pid}/task").iterdir())
        sets = {
            line
            for task in tasks
            if task.name != str(tool.pid)
            for line in (task / "status").read_text().splitlines()
            if line.startswith(("CapPrm", "CapEff"))
        }
        result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    assert result.stdout == ""
    assert os.listdir(tmp_path) == []
    assert sets == {f"CapPrm:\t{0:016x}", f"CapEff:\t{0:016x}"}
    check(promtool, text)
    found = samples(text)
    assert ("lost_events_total", "full", case.tool.name) in found
    (info,) = (key for key in found if key[0] == "build_info")
    assert case.engine in info
    if case.tool.shows_events:
        assert ("events_total", case.tool.name) in found


@pytest.mark.core
@pytest.mark.kernel(SYSCOUNT_TOOL)
@pytest.mark.usefixtures("leaves_nothing")
def test_a_map_when_it_is_scraped(engine: str, compiled: Compiled) -> None:
    """Each scrape has all calls until then, and takes none away."""
    calls = scaled(20_000)
    with Workload(compiled("getppid"), "2", str(calls)) as workload:
        command = (SYSCOUNT, "--engine", engine, "--metrics", "0", "-p", str(workload.pid))
        with Running(*command) as tool:
            url = served_at(tool.wait_attached())
            assert ("syscalls_total", "getppid") not in scrape(url)
            workload.begin()
            assert workload.finish() == 0
            found = scrape(url)
            assert scrape(url) == found
            result = tool.finish(signal.SIGINT)
    assert result.status == 0, result.stderr
    total = sum(value for key, value in found.items() if key[0] == "syscalls_total")
    assert f"{total:.0f} calls" in result.stderr
    lost = found["lost_events_total", "skipped", "syscount"]
    assert lost == 0 or may_be_skipped(*SYSCOUNT_TOOL.hooks)
    assert found["syscalls_total", "getppid"] == 2 * calls or lost


@pytest.mark.core
@pytest.mark.kernel(OPENSNOOP_TOOL)
def test_events_before_the_scrape(engine: str, compiled: Compiled, tmp_path: Path) -> None:
    """A scrape has all of them, though the tool reads them in batches, of 2 MiB at most."""
    opens, name = scaled(1000), "long" * 50
    words = (str(opens), str(tmp_path / name), str(tmp_path / "no" / name))
    with Workload(compiled("opens"), *words) as workload:
        command = (OPENSNOOP, "--engine", engine, "--metrics", "0", "-p", str(workload.pid))
        with Running(*command, "--path", f"{tmp_path}*", "--buffer", "16384") as tool:
            url = served_at(tool.wait_attached())
            with tool.stopped():
                run_all(workload)
                asking = ask(url)
            found = answer_of(asking)
            # When there is nothing to read, too.
            assert scrape(url) == scrape(url) == found
            result = tool.finish(signal.SIGINT)
    assert (result.status, result.stdout) == (0, "")
    lost = found["lost_events_total", "skipped", "opensnoop"]
    assert lost == 0 or may_be_skipped(*OPENSNOOP_TOOL.hooks)
    # Three calls, for each of two files, in each of two threads.
    assert found["events_total", "opensnoop"] == 12 * opens or lost


@pytest.mark.kernel
def test_names_that_are_no_text(engine: str, promtool: Path, tmp_path: Path) -> None:
    """Each byte of a name is in its label, or an escape for it."""
    names = [b"caf\xc3\xa9 \xff", b'"quoted"', b"two\nlines", b"a\\xff", b"other"]
    script = (
        "import os, sys\n"
        "for name in sys.argv[1:]:\n"
        "    if os.fork() == 0:\n"
        "        with open('/proc/self/comm', 'wb') as file:\n"
        "            file.write(os.fsencode(name))\n"
        "        os.execv('/bin/true', ['true'])\n"
        "    os.wait()\n"
    )
    path = tmp_path / "x.prom"
    words = ("--by-comm", "--metrics", "[::1]:0", "--metrics-file", path, "--interval", "0.1")
    with Running(EXECCOUNT, "--engine", engine, *words) as tool:
        url = re.findall(r"http://\[::1\]:\d+/metrics", tool.wait_attached()._said.decode())[0]
        subprocess.run(["/usr/bin/python3", "-c", script, *names, *names], check=True)
        found = scrape(url)
        check(promtool, path.read_text())
        tool.finish(signal.SIGINT)
    for text in ("café \\xff", '"quoted"', "two\\nlines", "a\\\\xff"):
        assert found["execs_by_comm_total", text] == 2
    assert found["execs_by_comm_total", "other"] >= 2
    by_comm = sum(value for key, value in found.items() if key[0] == "execs_by_comm_total")
    assert by_comm == found["execs_total",]


@pytest.mark.kernel
@pytest.mark.usefixtures("leaves_nothing")
def test_a_file_while_it_runs(compiled: Compiled, tmp_path: Path) -> None:
    """It is whole whenever somebody reads it, follows the counts, and is gone at the end."""
    path = tmp_path / "x.prom"

    def calls() -> float:
        found = samples(path.read_text())
        assert ("lost_events_total", "full", "syscount") in found
        return found.get(("syscalls_total", "getppid"), 0)

    with Workload(compiled("getppid"), "1", "5000") as workload:
        words = ("--metrics-file", path, "--interval", "0.01", "-p", str(workload.pid))
        with Running(SYSCOUNT, *words) as tool:
            tool.wait_attached()
            assert calls() == 0
            workload.begin()
            assert workload.finish() == 0
            wait_until(lambda: calls() == 5000, path.read_text)
            assert tool.finish(signal.SIGTERM).status == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.kernel
def test_who_connects_and_says_nothing() -> None:
    """Others are served meanwhile, and it does not delay the end."""
    with Running(EXECCOUNT, "--metrics", "0") as tool:
        url = served_at(tool.wait_attached())
        with socket.create_connection(("127.0.0.1", int(re.findall(r":(\d+)/", url)[0]))):
            with tool.stopped():
                asking = ask(url)
            assert ("execs_total",) in scrape(url)
            assert ("execs_total",) in answer_of(asking)
            assert tool.finish(signal.SIGINT).status == 0


@pytest.mark.kernel
def test_what_cannot_be(tmp_path: Path) -> None:
    """Two lines, and a cure, before anything is attached."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cause, hint = assert_error(run(OPENSNOOP, "--metrics", str(port)), 1, "ebpf-opensnoop")
    assert cause == f"cannot listen at 127.0.0.1:{port}: Address already in use"
    assert hint == "take another port, or 0 for one that is free"
    cause, _ = assert_error(run(OPENSNOOP, "--metrics", "192.0.2.1:0"), 2, "ebpf-opensnoop")
    assert cause == "cannot listen at 192.0.2.1:0: Cannot assign requested address"
    path = tmp_path / "no/such.prom"
    cause, _ = assert_error(run(OPENSNOOP, "--metrics-file", path), 1, "ebpf-opensnoop")
    assert cause == f"cannot write {path}: No such file or directory"
    (tmp_path / "prometheus_client.py").write_text("raise ImportError('it is not there')\n")
    result = run(OPENSNOOP, "--metrics", "0", env={"PYTHONPATH": str(tmp_path)})
    cause, hint = assert_error(result, 69, "ebpf-opensnoop")
    assert cause == "--metrics needs prometheus_client: it is not there"
    assert "pip install 'ebpf-tour[metrics]'" in hint


@pytest.mark.native
@pytest.mark.parametrize(
    "words",
    [
        *("x", "70000", ":9", "::1:9", "[::1]", "[]:9", "0 --demo", "0 --json", "0 --fields pid"),
        *("0 --show maps", "0 --metrics-file x.txt"),
    ],
)
def test_bad_input(words: str) -> None:
    assert_error(run(OPENSNOOP, "--metrics", *words.split()), 2, "ebpf-opensnoop")


@pytest.mark.native
@pytest.mark.parametrize("words", ["--by pid", "-L", "--live", "--sort count", "--limit 3"])
def test_what_has_no_counters(words: str) -> None:
    assert_error(run(SYSCOUNT, "--metrics", "0", *words.split()), 2, "ebpf-syscount")


class Prometheus:
    """The server, in a network of its own, and two networks that it reaches."""

    def __init__(self, hub: Network, promtool: Path, directory: Path) -> None:
        self.hub = hub
        self._query = (*hub.inside, promtool, "query", "instant", "-o", "json")
        config = directory / "prometheus.yml"
        targets = [f"10.77.{number}.2:{port}" for number in (1, 2) for port in (9435, 9436)]
        job = {"job_name": "tour", "static_configs": [{"targets": targets}]}
        times = {"scrape_interval": "300ms", "scrape_timeout": "300ms"}
        config.write_text(json.dumps({"global": times, "scrape_configs": [job]}))  # YAML, too
        self.log = directory / "log"
        self.log.touch()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(*hub.inside, promtool.parent / "prometheus", f"--config.file={config}"),
                    *(f"--storage.tsdb.path={directory}", "--web.listen-address=127.0.0.1:9090"),
                ],
                stderr=log,
            )

    def ask(self, expression: str) -> list[Any]:
        command = [*self._query, "http://127.0.0.1:9090", expression]
        done = subprocess.run(command, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else []

    def value(self, expression: str) -> float | None:
        found = self.ask(expression)
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def wait_for(self, expression: str, value: float) -> None:
        """Wait until the server has scraped so much. More would be an error, too."""
        wait_until(
            lambda: self.value(expression) == value,
            lambda: f"{expression} is {self.ask(expression)}, not {value}: {self.log.read_text()}",
        )

    def counted(self, series: str) -> float:
        """Return by how much a counter rose in all, with its resets."""
        (found,) = self.ask(f"{series}[1h]")
        values = [0.0, *(float(value) for _, value in found["values"])]
        return sum(b - a if b >= a else b for a, b in itertools.pairwise(values))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def joined(hub: Network, spoke: Network, number: int) -> None:
    """Lay a cable between two networks."""
    inner, outer = f"10.77.{number}.2/24", f"10.77.{number}.1/24"
    cable = f"ip link add v{number} type veth peer name v0 netns {spoke.pid}"
    for network, line in (
        (hub, cable),
        (hub, f"ip addr add {outer} dev v{number}"),
        (hub, f"ip link set v{number} up"),
        (spoke, f"ip addr add {inner} dev v0"),
        (spoke, "ip link set v0 up"),
    ):
        subprocess.run([*network.inside, *line.split()], check=True)


def counts(
    network: Network, number: int, engine: str, workload: Workload, env: Mapping[str, str]
) -> Running:
    """Start a tool that counts what a workload calls."""
    words = ("--engine", engine, "-p", str(workload.pid), "-s", "getppid")
    address = ("--metrics", f"10.77.{number}.2:9435")
    return Running(*network.inside, SYSCOUNT, *words, *address, env=env).wait_attached()


GETPPID = 'ebpf_tour_syscalls_total{syscall="getppid"}'


@pytest.mark.native
@pytest.mark.kernel
@pytest.mark.usefixtures("leaves_nothing")
def test_two_instances_and_one_server(promtool: Path, compiled: Compiled, tmp_path: Path) -> None:
    """Sums over both, a restart, and losses are what the server says they are."""
    program, opens = compiled("getppid"), compiled("opens")
    new: dict[str, str] = {}
    with (
        Network() as hub,
        Network() as one,
        Network() as two,
        Workload(program, "2", "20000") as first,
        Workload(program, "1", "3000") as second,
        Workload(program, "1", "500") as third,
        Workload(opens, "2000", tmp_path / "there", tmp_path / "no/there") as fourth,
    ):
        joined(hub, one, 1)
        joined(hub, two, 2)
        with (
            Prometheus(hub, promtool, tmp_path) as server,
            counts(two, 2, "bcc", second, OLD_CLIENT) as stays,
        ):
            with counts(one, 1, "libbpf", first, new) as ends:
                run_all(first, second)
                server.wait_for(f"sum({GETPPID})", 43_000)
                server.wait_for("sum by (engine) (ebpf_tour_build_info{engine='bcc'})", 1)
                assert "40000 calls" in ends.finish(signal.SIGTERM).stderr
            server.wait_for("up{instance='10.77.1.2:9435'}", 0)

            # The same address counts from 0 again.
            with counts(one, 1, "libbpf", third, new):
                run_all(third)
                server.wait_for(f"sum({GETPPID})", 3_500)
                for number, resets, counted in ((1, 1, 40_500), (2, 0, 3000)):
                    series = f"{GETPPID[:-1]},instance='10.77.{number}.2:9435'}}"
                    server.wait_for(f"resets({series}[1h])", resets)
                    assert server.counted(series) == counted

            # While it is stopped, its buffer of one page fills up.
            words = ("--buffer", "4", "-p", str(fourth.pid), "--path", f"{tmp_path}*")
            address = ("--metrics", "10.77.2.2:9436")
            with Running(*two.inside, OPENSNOOP, *words, *address, env=OLD_CLIENT) as snoop:
                snoop.wait_attached()
                with snoop.stopped():
                    run_all(fourth)
                both = "sum({__name__=~'ebpf_tour_(lost_)?events_total',tool='opensnoop'})"
                server.wait_for(both, 24_000)
                lost = server.value("ebpf_tour_lost_events_total{tool='opensnoop',reason='full'}")
                assert lost is not None
                assert 0 < lost < 24_000
            assert f"{3000} calls" in stays.finish(signal.SIGTERM).stderr
