"""Measure the suite beside what its users would pick instead: `make bench`.

Each figure is the median of several runs, in which ours and its peers take turns, so
that what the machine does besides meets them alike; read the ratios first. The report,
in Markdown, goes to stdout and to build/bench/report.md. Nothing is installed and
nothing is asserted: a peer that is not there is a row that says so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.build import compile_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Self

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build/bench"
BIN = Path(sys.executable).parent
ARCHITECTURE = {"x86_64": "x86", "aarch64": "arm64"}[os.uname().machine]
MALLOCSTACKS = Path("/usr/share/doc/bpfcc-tools/examples/tracing/mallocstacks.py")

SPAWNS, WORKERS = 20_000, 2
CALLS = 2_000_000
ROWS = 8_000
MALLOCS = 2_000_000
OPENS = 300_000
INTERRUPTS = 45

# What to trace, and the load that calls it.
TRACED_CALLS = {"syscount": ("call", CALLS), "opensnoop": ("open", OPENS)}

ATTACHED = b"Ctrl-C to end."
JSON = ", JSON"  # at the end of a name: the same peer with other output

Figures = dict[str, dict[str, list[float]]]


class Peer(NamedTuple):
    """A command to measure, or why it cannot be. `attached` is in what it says when it is."""

    name: str
    command: list[str | Path]
    env: Mapping[str, str] = {}
    missing: str = ""
    attached: bytes = ATTACHED
    on_stdout: bool = False


class Traced:
    """A tracer that runs while the `with` statement lasts."""

    def __init__(self, peer: Peer, stdout: int | None = None) -> None:
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            peer.command,
            env={**os.environ, **peer.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if peer.on_stdout and stdout is None else stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            process_group=0,  # its own, as in a shell with job control: SIGTSTP stops it
        )
        self.said = b""
        self.cpu_s = 0.0
        self._peer = peer

    def wait_attached(self) -> float:
        """Return the seconds from start to attached."""
        stream = self.process.stdout if self._peer.on_stdout else self.process.stderr
        assert stream
        while self._peer.attached not in self.said:
            line = stream.readline()
            if not line:
                raise self.failed()
            self.said += line
        return time.perf_counter() - self.began

    def failed(self) -> RuntimeError:
        """Return what to raise where it has ended: the last that it said."""
        if self.process.stderr:
            self.said += self.process.stderr.read()
        return RuntimeError(" ".join(self.said.decode(errors="replace").split())[-160:])

    def memory_mb(self) -> float:
        """Return its peak of memory until now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def end(self) -> float:
        """Interrupt it until it ends; return the CPU seconds that it has used.

        Raises RuntimeError if it does not end.
        """
        for _ in range(12):
            self.process.send_signal(signal.SIGINT)
            for _ in range(1000):
                pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
                if pid:
                    self.process.returncode = status
                    self.cpu_s = usage.ru_utime + usage.ru_stime
                    for stream in (self.process.stderr, self.process.stdout):
                        if stream:
                            self.said += stream.read()
                            stream.close()
                    return self.cpu_s
                time.sleep(0.005)
        raise RuntimeError("it does not end at SIGINT")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()


class Load:
    """Processes that wait for `run()` to let them cause their events."""

    def __init__(self, *arguments: object, workers: int = 1) -> None:
        command = [str(BUILD / "load"), *map(str, arguments)]
        self.processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
            for _ in range(workers)
        ]
        self.pid = self.processes[0].pid

    def start(self) -> None:
        for process in self.processes:
            assert process.stdin
            process.stdin.write(b"x")

    def wait(self) -> float:
        """Return the seconds that the slowest took."""
        lines = [process.stdout.readline() for process in self.processes if process.stdout]
        return max(int(line) for line in lines) / 1e9

    def run(self) -> float:
        self.start()
        return self.wait()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def load(*arguments: object, workers: int = 1) -> Iterator[Load]:
    processes = Load(*arguments, workers=workers)
    try:
        yield processes
    finally:
        processes.close()


def headers() -> tuple[str, str]:
    """Return a directory of kernel headers for plain BCC scripts, and what to say of it."""
    own = Path(f"/lib/modules/{os.uname().release}/build")
    if own.is_dir():
        return str(own), "the running kernel's own headers"
    packaged = sorted(Path("/usr/src").glob("linux-headers-*-common"))
    if packaged:
        name = packaged[-1].name
        return str(BUILD / "headers"), f"the headers of {name}, for want of this kernel's own"
    return "", "no kernel headers: apt install linux-headers-amd64"


def merge_headers() -> None:
    """Put Debian's headers, which are in two directories, into one: BCC looks into one."""
    target = BUILD / "headers"
    for common in sorted(Path("/usr/src").glob("linux-headers-*-common"))[-1:]:
        if not target.exists():
            target.mkdir()
            machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
            own = common.with_name(common.name.replace("-common", f"-{machine}"))
            for directory in (own, common):
                parts = [directory / "arch", directory / "include"]
                subprocess.run(["cp", "-rs", "--update", *parts, target], check=True)


def prepare() -> None:
    """Compile what is measured with into build/bench."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for source in HERE.iterdir():
        if source.suffix in {".c", ".h", ".py", ".bt"}:
            shutil.copy(source, BUILD)
    merge_headers()
    compile_all(BUILD, BUILD)
    for name, arguments in (("peer", ["-lbpf"]), ("load", []), ("step", ["-static"])):
        command = ["clang", "-O2", "-Wall", f"-I{ROOT / 'bpf'}", "-o", name, f"{name}.c"]
        subprocess.run([*command, *arguments], cwd=BUILD, check=True)


def exec_tracers() -> list[Peer]:
    where, why = headers()
    obj = ROOT / "bpf" / ARCHITECTURE / "bootstrap.bpf.o"
    tour = BIN / "ebpf-bootstrap"
    have_bpftrace = shutil.which("bpftrace")
    return [
        Peer("libbpf", [tour, "--engine", "libbpf"]),
        Peer("bcc engine", [tour, "--engine", "bcc"]),
        Peer("C", [BUILD / "peer", "bootstrap", obj]),
        Peer(
            "plain bcc",
            ["/usr/bin/python3", BUILD / "bcc_bootstrap.py"],
            {"BCC_KERNEL_SOURCE": where},
            "" if where else why,
        ),
        Peer(
            "bpftrace",
            ["bpftrace", "-B", "line", BUILD / "bootstrap.bt"],
            missing="" if have_bpftrace else "apt install bpftrace",
            on_stdout=True,
        ),
    ]


def row_writers() -> list[Peer]:
    """Ours write JSON, the others what they print, into buffers with room for all rows."""
    room = ["--json", "--buffer", "16384"]
    peers = [peer for peer in exec_tracers() if not peer.on_stdout]
    ours = {BIN / "ebpf-bootstrap"}
    plain = next(peer for peer in peers if peer.name == "plain bcc")
    return [
        *(p._replace(command=[*p.command, *room]) if p.command[0] in ours else p for p in peers),
        plain._replace(name=f"plain bcc{JSON}", command=[*plain.command, "--json"]),
    ]


def call_tracers() -> list[Peer]:
    """Return what sees each call: a program that does nothing, ours, bcc's and bpftrace's."""
    own = [peer for peer in originals() if peer.name.partition(":")[0] in TRACED_CALLS]
    missing = "" if shutil.which("bpftrace") else "apt install bpftrace"
    peers = []
    for name in TRACED_CALLS:
        peers += [
            Peer(f"{name}: empty", [BUILD / "peer", "empty", BUILD / f"x86/empty_{name}.bpf.o"]),
            *(peer for peer in own if peer.name.startswith(name)),
            Peer(
                f"{name}: bpftrace",
                ["bpftrace", "-B", "line", BUILD / f"{name}.bt"],
                missing=missing,
                on_stdout=True,
            ),
        ]
    return peers


def lessons() -> list[Peer]:
    names = ("hello", "minimal", "kprobe", "fentry", "ksyscall", "execcount", "mkdir")
    return [Peer(f"ebpf-{name}", [BIN / f"ebpf-{name}"]) for name in names]


def flooded() -> list[Peer]:
    where, why = headers()
    flood: list[str | Path] = [sys.executable, BUILD / "flood.py"]
    return [
        Peer("libbpf", [*flood, "--engine", "libbpf"]),
        Peer("bcc engine", [*flood, "--engine", "bcc"]),
        Peer("C", [BUILD / "peer", "flood", BUILD / ARCHITECTURE / "flood.bpf.o"]),
        Peer(
            "plain bcc",
            ["/usr/bin/python3", BUILD / "bcc_flood.py"],
            {"BCC_KERNEL_SOURCE": where},
            "" if where else why,
        ),
    ]


def malloc_tracers() -> list[Peer]:
    where, why = headers()
    if not MALLOCSTACKS.exists():
        why, where = "apt install bpfcc-tools", ""
    return [
        Peer("libbpf", [BIN / "ebpf-mallocstacks", "--engine", "libbpf"]),
        Peer("bcc engine", [BIN / "ebpf-mallocstacks", "--engine", "bcc"]),
        Peer(
            "plain bcc",
            ["/usr/bin/python3", "-u", MALLOCSTACKS],
            {"BCC_KERNEL_SOURCE": where},
            "" if where else why,
            b"Ctrl+C to quit.",
            on_stdout=True,
        ),
    ]


def originals() -> list[Peer]:
    """Return bcc's tools beside ours of the same name."""
    where, why = headers()
    peers = []
    for name, attached in (("execsnoop", b"PCOMM"), ("opensnoop", b"PID"), ("syscount", b"quit.")):
        path = shutil.which(f"{name}-bpfcc", path="/usr/sbin:/usr/bin:/sbin:/bin")
        missing = why if not where else "" if path else "apt install bpfcc-tools"
        env = {"BCC_KERNEL_SOURCE": where, "PYTHONUNBUFFERED": "1"}
        peers += [
            Peer(f"{name}: libbpf", [BIN / f"ebpf-{name}", "--engine", "libbpf"]),
            Peer(f"{name}: bcc engine", [BIN / f"ebpf-{name}", "--engine", "bcc"]),
            Peer(f"{name}: bcc's own", [path or name], env, missing, attached, on_stdout=True),
        ]
    return peers


def help_texts() -> list[Peer]:
    return [
        Peer("python3 -c pass", [sys.executable, "-c", "pass"]),
        *(
            Peer(f"{name} --help", [BIN / name, "--help"])
            for name in ("ebpf-bootstrap", "ebpf-hello")
        ),
    ]


class Bench:
    """The figures, and the reasons for those that are missing."""

    def __init__(self, rounds: int, scratch: Path) -> None:
        self.rounds = rounds
        self.scratch = scratch
        self.figures: Figures = defaultdict(lambda: defaultdict(list))
        self.missing: dict[str, str] = {}

    def take_turns(
        self,
        peers: list[Peer],
        measure: Callable[[Peer], dict[str, float]],
        rounds: int = 0,
    ) -> None:
        """Measure each peer once, and again, until there are enough rounds."""
        for peer in peers:
            if peer.missing:
                self.missing[peer.name] = peer.missing
        for _ in range(rounds or self.rounds):
            for peer in peers:
                if peer.name in self.missing:
                    continue
                try:
                    for what, value in measure(peer).items():
                        self.figures[what][peer.name].append(value)
                except RuntimeError as error:
                    self.missing[peer.name] = str(error) or "it ended at once"

    def parts(self) -> dict[str, Callable[[], None]]:
        """Return the parts of the benchmark, in their order: first what later ones subtract."""
        tracers = exec_tracers()
        writers = row_writers()
        return {
            "start": lambda: self.take_turns(tracers, self.start),
            "first": lambda: self.take_turns(tracers, self.first_event),
            "spawns": lambda: self.take_turns(tracers, self.spawns),
            "flood": lambda: self.take_turns(flooded(), self.flood),
            "rows": lambda: self.take_turns(writers, self.rows),
            "live": lambda: self.take_turns(
                [peer for peer in writers if peer.name not in {"bcc engine", "C"}], self.live_rows
            ),
            "calls": lambda: self.take_turns(call_tracers(), self.calls),
            "malloc": lambda: self.take_turns(malloc_tracers(), self.mallocs),
            "interrupt": lambda: self.take_turns(
                [peer for peer in tracers if not peer.on_stdout], self.interrupt, INTERRUPTS
            ),
            "stop": lambda: self.take_turns(tracers[:3], self.stop_and_go),
            "originals": lambda: self.take_turns(originals(), self.start),
            "lessons": lambda: self.take_turns(lessons(), self.start),
            "help": lambda: self.take_turns(help_texts(), self.helps),
        }

    def median(self, what: str, name: str) -> float | None:
        values = self.figures[what].get(name)
        return statistics.median(values) if values else None

    def start(self, peer: Peer) -> dict[str, float]:
        with Traced(peer, None if peer.on_stdout else subprocess.DEVNULL) as tool:
            seconds = tool.wait_attached()
            memory = tool.memory_mb()
            return {
                "start to attached, ms": seconds * 1e3,
                "peak memory, MB": memory,
                "idle CPU, s": tool.end(),
            }

    def first_event(self, peer: Peer) -> dict[str, float]:
        """Until the first row is on the terminal, while processes come all the time."""
        leader, follower = pty.openpty()
        with (
            load("spawn", 10_000_000, BUILD / "step") as work,
            Traced(peer._replace(on_stdout=False), stdout=follower) as tool,
        ):
            os.close(follower)
            work.start()
            said = b""
            while b"step" not in said:
                try:
                    said += os.read(leader, 65536)
                except OSError:
                    raise RuntimeError("it ended before it showed anything") from None
            seconds = time.perf_counter() - tool.began
            os.set_blocking(leader, False)
            work.close()
            drain(leader, tool)
        os.close(leader)
        return {"start to first event, ms": seconds * 1e3}

    def spawns(self, peer: Peer) -> dict[str, float]:
        """20,000 processes: what it costs, what is lost, what it does to the load."""
        cpu, events, slowdown = self.trace_spawns(peer)
        return {
            "spawns: CPU an event, µs": cpu / (2 * SPAWNS) * 1e6,
            "spawns: lost": 2 * SPAWNS - events,
            "spawns: load's time, traced / untraced": slowdown,
        }

    def live_rows(self, peer: Peer) -> dict[str, float]:
        cpu, events, _ = self.trace_spawns(peer)
        return {"rows as they come, per CPU second": events / cpu}

    def trace_spawns(self, peer: Peer) -> tuple[float, int, float]:
        """Return CPU seconds, rows, and how much longer the load has taken."""
        path = self.scratch / "rows"
        with (
            load("spawn", SPAWNS // WORKERS, BUILD / "step", workers=WORKERS) as work,
            load("spawn", SPAWNS // WORKERS, BUILD / "step", workers=WORKERS) as alone,
        ):
            untraced = alone.run()
            with traced_to(path, peer) as tool:
                traced = work.run()
                time.sleep(0.5)
                idle = self.median("idle CPU, s", peer.name.removesuffix(JSON))
                cpu = tool.end() - (idle or 0)
        rows = path.read_bytes()
        events = sum(b" step " in line or b'"step"' in line for line in rows.splitlines())
        return cpu, events, traced / untraced

    def flood(self, peer: Peer) -> dict[str, float]:
        with load("call", CALLS) as work, Traced(peer, stdout=subprocess.DEVNULL) as tool:
            tool.wait_attached()
            before = cpu_s(tool.process.pid)
            work.run()
            time.sleep(0.5)
            cpu = tool.end() - before
        events = int(tool.said.split()[-2])
        return {
            "flood: CPU an event, ns": cpu / max(1, events) * 1e9,
            "flood: lost of 2,000,000": CALLS - events,
        }

    def rows(self, peer: Peer) -> dict[str, float]:
        """It is stopped while processes come, then let go: what a row costs from buffer to file."""
        path = self.scratch / "rows"
        with (
            load("spawn", ROWS // 2, BUILD / "step") as work,
            path.open("wb") as file,
            Traced(peer, stdout=file.fileno()) as tool,
        ):
            tool.wait_attached()
            time.sleep(0.1)
            tool.process.send_signal(signal.SIGSTOP)
            work.run()
            before = cpu_s(tool.process.pid)
            tool.process.send_signal(signal.SIGCONT)
            seen, lines = -1, 0
            while seen != lines:  # a busy machine takes longer
                time.sleep(1)
                seen, lines = lines, sum(b"step" in line for line in path.open("rb"))
            cpu = cpu_s(tool.process.pid) - before
            tool.end()
        return {"rows from a full buffer, per CPU second": lines / cpu}

    def calls(self, peer: Peer) -> dict[str, float]:
        """Return what it adds to the CPU time of who calls: its own is not in there."""
        name = peer.name.partition(":")[0]
        kind, count = TRACED_CALLS[name]
        with load(kind, count) as alone, load(kind, count) as work:
            untraced = alone.run()
            with traced_to(self.scratch / "rows", peer) as tool:
                traced = work.run()
                tool.end()
        return {f"{name}: ns that it adds to a call": (traced - untraced) / count * 1e9}

    def mallocs(self, peer: Peer) -> dict[str, float]:
        """Each tracer watches a process of its own, whose PID its command gets."""
        with load("malloc", MALLOCS) as alone, load("malloc", MALLOCS) as work:
            untraced = alone.run()
            peer = peer._replace(command=[*peer.command, str(work.pid)])
            with Traced(peer, None if peer.on_stdout else subprocess.DEVNULL) as tool:
                tool.wait_attached()
                time.sleep(0.1)  # BCC's script says so before it is
                traced = work.run()
                tool.end()
        return {"mallocstacks: ns a call that it adds": (traced - untraced) / MALLOCS * 1e9}

    def interrupt(self, peer: Peer) -> dict[str, float]:
        """One Ctrl-C while processes come all the time: is it gone half a second later?"""
        with (
            load("spawn", 10_000_000, BUILD / "step", workers=WORKERS) as work,
            Traced(peer, stdout=subprocess.DEVNULL) as tool,
        ):
            tool.wait_attached()
            work.start()
            time.sleep(0.05)
            tool.process.send_signal(signal.SIGINT)
            began = time.perf_counter()
            with contextlib.suppress(subprocess.TimeoutExpired):
                tool.process.wait(0.5)
            return {
                "Ctrl-C ignored": float(tool.process.returncode is None),
                "Ctrl-C to end, ms": (time.perf_counter() - began) * 1e3,
            }

    def stop_and_go(self, peer: Peer) -> dict[str, float]:
        """Ctrl-Z, fg, and a process then: 1 if it shows that, and ends in order."""
        path = self.scratch / "rows"
        with (
            load("spawn", 1, BUILD / "step") as work,
            path.open("wb") as file,
            Traced(peer, stdout=file.fileno()) as tool,
        ):
            tool.wait_attached()
            tool.process.send_signal(signal.SIGTSTP)
            time.sleep(0.05)
            tool.process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
            work.run()
            time.sleep(0.1)
            tool.end()
        alive = tool.process.returncode == 0 and b" step " in path.read_bytes()
        return {"Ctrl-Z and fg survived": float(alive)}

    def helps(self, peer: Peer) -> dict[str, float]:
        began = time.perf_counter()
        subprocess.run(peer.command, stdout=subprocess.DEVNULL, check=True)
        return {"--help, ms": (time.perf_counter() - began) * 1e3}


@contextlib.contextmanager
def traced_to(path: Path, peer: Peer) -> Iterator[Traced]:
    """Run a tracer that is attached and writes to a file."""
    with (
        path.open("wb") as file,
        Traced(peer._replace(on_stdout=False), stdout=file.fileno()) as tool,
    ):
        if peer.on_stdout:
            wait_for(path, peer.attached, tool)
        else:
            tool.wait_attached()
        yield tool


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process until now."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def wait_for(path: Path, text: bytes, tool: Traced) -> None:
    """Wait until a tracer's file has a text. Raises RuntimeError if that does not come."""
    for _ in range(2000):
        if text in path.read_bytes():
            return
        if tool.process.poll() is not None:
            raise tool.failed()
        time.sleep(0.01)
    raise RuntimeError("it never said that it was attached")


def drain(leader: int, tool: Traced) -> None:
    """End a tool whose terminal nobody reads any more."""
    tool.process.send_signal(signal.SIGINT)
    while tool.process.poll() is None:
        with contextlib.suppress(OSError):
            os.read(leader, 1 << 20)
        time.sleep(0.001)
        tool.process.send_signal(signal.SIGINT)


class Goal(NamedTuple):
    """A row of the report: a figure of ours as a multiple of a peer's, or as it is.

    `limit` is the most that it should be, or with `least` the least.
    """

    text: str
    what: str
    ours: str
    peer: str
    limit: float
    least: bool = False


MEMORY, START = "peak memory, MB", "start to attached, ms"
GOALS = [
    Goal("exec tracer, start to attached: libbpf engine", START, "libbpf", "C", 3),
    Goal("the same, bcc engine", START, "bcc engine", "plain bcc", 0.45),
    Goal("start to first event: libbpf engine", "start to first event, ms", "libbpf", "C", 3),
    Goal("peak memory: libbpf engine", MEMORY, "libbpf", "", 25),
    Goal("peak memory: bcc engine", MEMORY, "bcc engine", "", 125),
    Goal("20,000 spawns: lost", "spawns: lost", "libbpf", "", 0),
    Goal("20,000 spawns: CPU an event", "spawns: CPU an event, µs", "libbpf", "C", 0.5),
    Goal(
        "20,000 spawns: the load's time, to untraced",
        "spawns: load's time, traced / untraced",
        "libbpf",
        "",
        1.1,
    ),
    Goal("2,000,000 events: lost", "flood: lost of 2,000,000", "libbpf", "", 0),
    Goal("2,000,000 events: CPU an event", "flood: CPU an event, ns", "libbpf", "plain bcc", 0.3),
    Goal(
        "JSON rows to a file as they come, per CPU second",
        "rows as they come, per CPU second",
        "libbpf",
        "plain bcc",
        4,
        least=True,
    ),
    Goal(
        "JSON rows to a file from a full buffer, per CPU second",
        "rows from a full buffer, per CPU second",
        "libbpf",
        "plain bcc",
        4,
        least=True,
    ),
    *(
        Goal(
            f"the same, beside the same JSON: {what}",
            f"rows {what}, per CPU second",
            "libbpf",
            f"plain bcc{JSON}",
            2,
            least=True,
        )
        for what in ("as they come", "from a full buffer")
    ),
    *(
        Goal(
            f"{name}, what it adds to a call: libbpf engine",
            f"{name}: ns that it adds to a call",
            f"{name}: libbpf",
            f"{name}: empty",
            1.5,
        )
        for name in TRACED_CALLS
    ),
    *(
        Goal(
            f"mallocstacks, slowdown: {engine}",
            "mallocstacks: ns a call that it adds",
            engine,
            "plain bcc",
            1,
        )
        for engine in ("libbpf", "bcc engine")
    ),
    Goal("ebpf-bootstrap --help", "--help, ms", "ebpf-bootstrap --help", "python3 -c pass", 3),
]


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def goals(bench: Bench) -> Iterator[str]:
    yield "| | ratio | goal | ours | peer | |"
    yield "|---|---:|---:|---:|---:|---|"
    for goal in GOALS:
        ours = bench.median(goal.what, goal.ours)
        peer = bench.median(goal.what, goal.peer) if goal.peer else None
        value = ours
        if goal.peer:
            value = ours / peer if ours is not None and peer else None
        if value is None:
            verdict = bench.missing.get(goal.peer) or bench.missing.get(goal.ours, "not measured")
        else:
            verdict = "" if (value >= goal.limit if goal.least else value <= goal.limit) else "no"
        sign = "≥" if goal.least else "≤"
        ratio = f"{value:.2f}" if goal.peer and value is not None else ""
        name = f"{number(peer)} {goal.peer}" if goal.peer else ""
        limit = f"{sign} {goal.limit:g}"
        yield f"| {goal.text} | {ratio} | {limit} | {number(ours)} | {name} | {verdict} |"


def details(bench: Bench) -> Iterator[str]:
    yield "| | median | least | most | runs |"
    yield "|---|---:|---:|---:|---:|"
    for what, by_peer in bench.figures.items():
        for name, values in by_peer.items():
            middle = statistics.median(values)
            if what == "Ctrl-C ignored":
                yield f"| {what}: {name} | {sum(values):.0f} of {len(values)} | | | |"
                continue
            cells = " | ".join(map(number, (middle, min(values), max(values))))
            yield f"| {what}: {name} | {cells} | {len(values)} |"
    for name, why in bench.missing.items():
        yield f"| {name} | not measured: {why} | | | |"


def report(bench: Bench) -> str:
    uname = os.uname()
    lines = [
        "# Benchmark",
        "",
        f"Linux {uname.release} {uname.machine}, {os.cpu_count()} CPUs,",
        f"Python {sys.version.split()[0]}; medians of {bench.rounds} alternating runs.",
        f"Plain bcc compiles with {headers()[1]}.",
        "",
        *goals(bench),
        "",
        "## All figures",
        "",
        *details(bench),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--only", default="", metavar="PARTS", help="start,first,spawns,flood,...")
    args = parser.parse_args()
    # A shell that starts us in the background has us ignore it, and so would the tools.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("PYTHONUNBUFFERED", None)  # peers would write each row on its own
    prepare()
    parts = set(filter(None, args.only.split(",")))
    with tempfile.TemporaryDirectory(prefix="ebpf-bench-", dir="/dev/shm") as scratch:
        bench = Bench(args.rounds, Path(scratch))
        for part, measure in bench.parts().items():
            if not parts or part in parts:
                print(f"{part} ...", file=sys.stderr)
                measure()
    text = report(bench)
    (BUILD / "report.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
