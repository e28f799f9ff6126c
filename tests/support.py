"""Start the real commands, and ask the kernel what they have left in it."""

from __future__ import annotations

import contextlib
import ctypes  # noqa: TID251 - the address of a path, for bpf(2)
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from signal import SIGCONT
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytest

from ebpf_tour.build import compile_all
from ebpf_tour.loader import features, syscall
from ebpf_tour.loader.hooks import what_is_missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from ebpf_tour.loader.hooks import Hook

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
# What `make setup-test` has unpacked.
PROMETHEUS = ROOT / "build/prometheus/usr"
ENGINES = ("libbpf", "bcc")

# How our directories and clang's macros call this machine.
ARCHITECTURE = {"x86_64": "x86", "aarch64": "arm64"}[os.uname().machine]

# Shell lines for in_mount_namespace(). Covered instead of unmounted, since they
# can be mounted more than once.
NO_BTF = "mount -t tmpfs none /sys/kernel/btf"
NO_TRACEFS = """
mount -t tmpfs none /sys/kernel/tracing
[ ! -d /sys/kernel/debug ] || mount -t tmpfs none /sys/kernel/debug
"""

# The longest that anything here may take; only a hang comes near it. An emulated
# machine is given more.
PATIENCE_S = float(os.environ.get("TEST_PATIENCE_S", "60"))

# So much of a workload is enough, where only its size takes the time: an emulated
# machine takes 50 ms to execute a program.
_SCALE = float(os.environ.get("TEST_SCALE", "1"))

# How the reason of a skip begins that is legal on CI, too.
UNSUPPORTED = "unsupported here: "

# enum bpf_cmd, from include/uapi/linux/bpf.h.
_NEXT_ID = {"program": 11, "map": 12, "link": 31}


Compiled = Callable[[str], Path]
Become = Callable[..., list[Path]]
"""What the fixture `compiled` is: it returns a program of tests/programs by its name."""


class Result(NamedTuple):
    """What a command that has ended leaves: its exit status and its output."""

    status: int
    stdout: str
    stderr: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON lines, without the summary."""
        return self._parsed()[:-1]

    @property
    def summary(self) -> dict[str, Any]:
        """The last JSON line."""
        return self._parsed()[-1]

    def _parsed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]


def bytes_of(record: dict[str, Any], key: str) -> Any:
    """Return the bytes of a value of a JSON record: of a list, a list of them."""
    value, more = record[key], record.get(f"{key}_hex")
    if isinstance(value, list):
        return [
            text.encode() if digits is None else bytes.fromhex(digits)
            for text, digits in zip(value, more or [None] * len(value), strict=True)
        ]
    return value.encode() if more is None else bytes.fromhex(more)


class Running:
    """A command that runs beside the test. Killed, if need be, when the `with` ends.

    `started` has the PIDs of all of them.
    """

    started: ClassVar[set[int]] = set()

    def __init__(
        self,
        *command: str | Path,
        env: Mapping[str, str] | None = None,
        stdout: int = -1,
        cwd: Path | None = None,
    ) -> None:
        self._said = b""
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            cwd=cwd,
            stderr=subprocess.PIPE,
            bufsize=0,  # so that finish() gets all that wait_attached() has not read
            process_group=0,  # its own, as in a shell with job control: SIGTSTP stops it
            env={**os.environ, **(env or {})},
        )
        self.pid = self.process.pid
        self.started.add(self.pid)

    def wait_attached(self) -> Self:
        """Wait for the line on stderr by which a tool says that it is attached."""
        assert self.process.stderr
        while not self._said.endswith(b"Ctrl-C to end.\n"):
            line = self.process.stderr.readline()
            assert line, f"it ended before it was attached: {self._said.decode()}"
            self._said += line
        return self

    def wait_for(self, text: str) -> Self:
        """Wait for a line on stderr with that text."""
        assert self.process.stderr
        while not (line := self.process.stderr.readline()).count(text.encode()):
            self._said += line
            assert line, f"it ended before it said {text}: {self._said.decode()}"
        self._said += line
        return self

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Have the tool stopped: it reads nothing meanwhile, so its buffer fills up."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
        yield
        self.process.send_signal(signal.SIGCONT)

    def finish(self, signal: int | None = None) -> Result:
        """Send a signal, if one is given, and wait for the end."""
        if signal is not None:
            self.process.send_signal(signal)
        stdout, stderr = self.process.communicate(timeout=PATIENCE_S)
        text = (self._said + stderr).decode()
        return Result(self.process.returncode, (stdout or b"").decode(), text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Workload:
    """A process that says when it is there, and begins when it is told to.

    Killed, if need be, when the `with` ends, if there is one.
    """

    def __init__(self, *command: str | Path, cwd: Path | None = None) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=cwd, stdin=pipe, stdout=pipe, bufsize=0)
        self.pid = self.process.pid
        self._wait_ready()

    def _wait_ready(self) -> None:
        """Wait for its word, the only one."""
        assert self.process.stdout
        assert self.process.stdout.read(1) == b"r"
        self.process.stdout.close()

    def begin(self, what: bytes = b"x") -> None:
        """Let it begin."""
        assert self.process.stdin
        self.process.stdin.write(what)

    def finish(self) -> int:
        """Close its input, wait for its end, and return its exit status."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream
            stream.close()


class Network(Workload):
    """A network namespace where only the test sends packets. It has `lo`, without IPv6's noise.

    `inside` is what a command begins with to be run there.
    """

    def __init__(self, *setup: str) -> None:
        lines = ("ip link set lo up", *setup, "printf r", "read line")
        super().__init__("unshare", "--net", "sh", "-ec", "\n".join(lines))
        self.inside = ("nsenter", f"--net=/proc/{self.pid}/ns/net")

    def send(self, interface: str, *frames: bytes) -> None:
        """Send frames out of an interface, as they are. What lo sends, it receives."""
        words = (interface, *(frame.hex() for frame in frames))
        subprocess.run([*self.inside, sys.executable, "-BIc", _SEND, *words], check=True)


_SEND = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
    sender.bind((sys.argv[1], 0))
    for frame in sys.argv[2:]:
        sender.send(bytes.fromhex(frame))
"""


def watch_all_and_one(
    command: Sequence[str | Path], everywhere: Sequence[str], wanted: Workload, other: Workload
) -> tuple[Result, Result]:
    """Watch two workloads with a tool that watches all, and with one that watches the first."""
    with (
        Running(*command, *everywhere) as both,
        Running(*command, "-p", str(wanted.pid)) as one,
    ):
        both.wait_attached()
        one.wait_attached()
        run_all(wanted, other)
        return both.finish(signal.SIGINT), one.finish(signal.SIGINT)


def run_all(*workloads: Workload) -> None:
    """Let workloads run to their end, all at once."""
    for workload in workloads:
        workload.begin()
    for workload in workloads:
        assert workload.finish() == 0


class Held(Running):
    """A command that is held where it is about to "load" or to "attach", until `finish()`.

    `hold` is the compiled hold.c. `pid` is hold's, until the command is held; then its own.
    """

    def __init__(self, hold: Path, where: str, *command: str | Path) -> None:
        super().__init__(hold, where, *command)

    def wait_held(self) -> Self:
        """Wait until it has come there."""
        state = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert state
        if state.si_code != os.CLD_STOPPED:
            raise AssertionError(f"it never came there: {super().finish()}")
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pid = int(path.read_text(encoding="ascii"))
        return self

    def finish(self, signal: int | None = None) -> Result:
        """Send the command a signal, if one is given, let it go on, and wait for its end."""
        if signal is not None:
            os.kill(self.pid, signal)
        self.process.send_signal(SIGCONT)
        return super().finish()


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> Result:
    """Run a command to its end."""
    with Running(*command, env=env) as running:
        return running.finish()


# What gcc is told besides, by the name of a program.
_FLAGS = {
    "allocate": ("-rdynamic",),
    "deep": ("-rdynamic",),
    "functions": ("-rdynamic",),
    "late": ("-shared", "-fPIC"),
    "nothing": ("-static",),
    "plug": ("-shared", "-fPIC"),
    "replace": ("-shared", "-fPIC"),
    "step": ("-static",),
    "wrap": ("-shared", "-fPIC"),
    "thirty_two": ("-m32", "-nostdlib", "-static", "-fno-pie", "-no-pie"),
}
# Stacks are followed by frame pointers.
_ALL_FLAGS = ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-pthread")


def compile_program(source: Path, target: Path, *flags: str, compiler: str = "gcc") -> Path:
    """Compile a C program, and return where it is."""
    flags = (*_ALL_FLAGS, *_FLAGS.get(source.stem, ()), *flags)
    subprocess.run([compiler, *flags, source, "-o", target], check=True)
    return target


def scaled(number: int) -> int:
    """Return how many of so many are enough on this machine."""
    return round(number * _SCALE)


def checked_in() -> list[str]:
    """Return the files that a fresh checkout would have."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip(f"this is no git checkout: {listed.stderr.strip()}")
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


def as_nobody(capabilities: str) -> list[str]:
    """Return the wrapper for an ordinary user with some capabilities."""
    sets = [f"--{kind}=-all,{capabilities}" for kind in ("inh-caps", "ambient-caps")]
    who = ["--reuid=65534", "--regid=65534", "--clear-groups"]
    return ["setpriv", *who, *sets, f"--bounding-set=-all,{capabilities}"]


def in_guest() -> bool:
    """Say whether this is a virtual machine of tests/machines/kernels.sh, gone after the tests."""
    return "virtme" in Path("/proc/cmdline").read_text(encoding="ascii")


def need(*hooks: Hook) -> None:
    """Skip the test if this kernel lacks one of the hooks, with what the hook says of it."""
    missing = what_is_missing(hooks)
    if missing:
        pytest.skip(f"{UNSUPPORTED}{missing}")


def may_be_skipped(*hooks: Hook) -> bool:
    """Say whether the kernel may skip the programs at these hooks when many calls come at once.

    It starts none where the same one runs already, and Linux 7.2 may take the
    CPU away from one at a system call's tracepoint or at a raw one. `Program.missed()` counts
    it, so there a test with many calls at once demands shown + lost = caused;
    on other kernels nothing may be lost.
    """
    at_calls = features.in_kallsyms("trace_call_bpf_faultable")
    # Not at perf's tracepoints, which turn preemption off by themselves.
    at_all = features.in_kallsyms("tracepoint_srcu")

    def may_skip(hook: Hook) -> bool:
        raw = hook.kind in ("raw tracepoint", "tp_btf")
        is_call = (raw or hook.kind == "tracepoint") and "sys_e" in hook.name
        return (at_calls and is_call) or (at_all and raw)

    return any(map(may_skip, hooks))


def is_preemptible() -> bool:
    """Say whether the kernel may take the CPU from a program of a uprobe."""
    try:
        modes = Path("/sys/kernel/debug/sched/preempt").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return "(full)" in modes or "(lazy)" in modes


def bcc_package() -> Path:
    """Return the directory of BCC's Python package."""
    spec = find_spec("bcc")
    assert spec
    assert spec.origin
    return Path(spec.origin).parent


def in_mount_namespace(setup: str, *command: str | Path) -> list[str | Path]:
    """Return a command that runs `command` after shell lines that only it is to see."""
    return ["unshare", "--mount", "sh", "-ec", f'{setup}\nexec "$@"', "sh", *command]


def everyones(tool: str, directory: Path) -> Path:
    """Return a tool's command that every user may start: a copy, the checkout may be private."""
    shutil.copytree(ROOT / "tools/ebpf_tour", directory / "ebpf_tour")
    command = directory / f"ebpf-{tool.replace('_', '-')}"
    command.write_text(
        f"#!/usr/bin/python3 -B\nimport sys\nfrom ebpf_tour.commands.{tool} import main\n"
        "sys.exit(main())\n"
    )
    command.chmod(0o755)
    return command


def assert_rest_is_lost(result: Result, caused: int) -> None:
    """Demand an orderly end with some of the rows, and that the tool says how many are lost."""
    assert result.status == 0, result.stderr
    summary = result.summary
    assert 0 < summary["events"] == len(result.records) < caused
    assert summary["events"] + summary["lost"] == caused
    assert f"{summary['lost']} events were lost" in result.stderr


def assert_error(result: Result, status: int, command: str = "ebpf-minimal") -> tuple[str, str]:
    """Demand an exit status and the two lines of an error; return cause and hint."""
    assert "Traceback" not in result.stderr
    assert result.status == status, result.stderr
    *_, error, hint = result.stderr.splitlines()
    assert error.startswith(f"{command}: error: "), result.stderr
    assert hint.startswith("hint: "), result.stderr
    return error.removeprefix(f"{command}: error: "), hint.removeprefix("hint: ")


def bpf_objects() -> set[tuple[str, int | str]]:
    """Return what is in the kernel of what tracers put there.

    The ids of all loaded programs, maps and links, the trace instances, and the
    probe events of tracefs.
    """
    found: set[tuple[str, int | str]] = set()
    for kind, command in _NEXT_ID.items():
        number = 0
        while number := _next_id(command, number):
            found.add((kind, number))
    found |= {("instance", name) for name in os.listdir(f"{features.tracefs()}/instances")}
    for name in ("dynamic_events", "kprobe_events", "uprobe_events"):
        path = Path(features.tracefs()) / name
        if path.exists():
            found |= {("event", line) for line in path.read_text(encoding="utf-8").splitlines()}
    return found


def instances(pid: int) -> list[str]:
    """Return the trace instances that a process has made."""
    names = os.listdir(f"{features.tracefs()}/instances")
    return [name for name in names if name.startswith(f"ebpf-tour-{pid}-")]


def abandoned(pids: Iterable[int]) -> list[str]:
    """Return the trace instances and kretprobes of those processes that have ended."""
    ended = [pid for pid in pids if not os.path.exists(f"/proc/{pid}")]
    return [left for pid in ended for left in (*instances(pid), *kretprobe_events(pid))]


def _descriptors() -> Iterator[str]:
    """Yield what the kernel says of each open file; processes may end meanwhile."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fdinfo"):
                with contextlib.suppress(OSError):
                    path = Path(f"/proc/{pid}/fdinfo/{fd}")
                    yield path.read_text(encoding="ascii", errors="replace")


def held_objects() -> set[tuple[str, int | str]]:
    """Return those that a living process holds: it uses them, nobody has left them."""
    kinds = {"prog_id": "program", "map_id": "map", "link_id": "link"}
    found: set[tuple[str, int | str]] = set()
    for text in _descriptors():
        for line in text.splitlines():
            key, _, value = line.partition(":")
            if key in kinds:
                found.add((kinds[key], int(value)))
    for name in os.listdir(f"{features.tracefs()}/instances"):
        maker = re.fullmatch(r"ebpf-tour-(\d+)-.*", name)
        if not maker or os.path.exists(f"/proc/{maker[1]}"):
            found.add(("instance", name))
    for line in kretprobe_events():
        maker = re.search(r":ebpf_tour_(\d+)_", line)
        if maker and os.path.exists(f"/proc/{maker[1]}"):
            found.add(("event", line))
    return found


# What a kernel says when the machine below it is slow, as an emulated one is.
_SLOW = re.compile(
    "hrtimer: |clocksource|TSC found unstable|sched: |workqueue: |watchdog: |rcu: |RCU"
    "|perf: interrupt took too long"
)

# BCC looks for tracefs below debugfs first.
_OF_BCC = "Automounting of tracing to debugfs is deprecated"

# What tests make it say on purpose: whoever runs beside them is not to blame.
_PROVOKED = re.compile("with NULL argv: empty string added|fork rejected by pids controller")


class KernelLog:
    """What the kernel says from now on; see Documentation/ABI/testing/dev-kmsg."""

    def __init__(self) -> None:
        self._fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._fd, 0, os.SEEK_END)

    def complaints(self) -> list[str]:
        """Return the new warnings, and the new lines about BPF, tracing and probes."""
        found = []
        for level, text in self._records():
            if _SLOW.search(text) or _OF_BCC in text or _PROVOKED.search(text):
                continue
            if level <= 4 or re.search("(?i)bpf|trac|probe", text):
                found.append(text)
        return found

    def _records(self) -> Iterator[tuple[int, str]]:
        while True:
            try:
                record = os.read(self._fd, 8192).decode("utf-8", "backslashreplace")
            except BlockingIOError:
                return
            # "LEVEL AND FACILITY,NUMBER,TIME,FLAGS;TEXT"
            head, _, text = record.partition(";")
            yield int(head.partition(",")[0]) & 7, text.rstrip("\n")

    def close(self) -> None:
        os.close(self._fd)


def _next_id(command: int, number: int) -> int:
    # union bpf_attr: start_id, next_id, open_flags
    try:
        _, answer = syscall.bpf(command, struct.pack("=III", number, 0, 0))
    except FileNotFoundError:
        return 0
    return int(struct.unpack("=III", answer)[1])


def wait_until(
    condition: Callable[[], bool], complaint: Callable[[], str], patience_s: float = PATIENCE_S
) -> None:
    """Wait for what the kernel or another process does in its own time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.01)


def kretprobe_events(pid: int | None = None) -> list[str]:
    """Return the kretprobes that tools, or one, have made in tracefs: "r4096:ebpf_tour_..."."""
    path = Path(f"{features.tracefs()}/kprobe_events")
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [line for line in lines if f":ebpf_tour_{f'{pid}_' if pid else ''}" in line]


class WholeTrace:
    """The trace buffer of the whole machine, from now on.

    Before that it may hold anything: lines of a tool that had the same PID, for one.
    """

    def __init__(self) -> None:
        self._mark = f"ebpf-tour-test {os.urandom(8).hex()}"
        Path(f"{features.tracefs()}/trace_marker").write_text(self._mark, encoding="ascii")

    def since(self, text: str) -> str:
        """Return what is in a text from the buffer since then."""
        _, mark, rest = text.rpartition(self._mark)
        assert mark, "the trace buffer has been overwritten meanwhile"
        return rest

    def read(self) -> str:
        """Return the lines, without taking any of them from others."""
        path = Path(f"{features.tracefs()}/trace")
        return self.since(path.read_text(encoding="utf-8", errors="replace"))


@contextlib.contextmanager
def mounted(kind: str, directory: Path) -> Iterator[Path]:
    """Mount a file system of the kernel's while the `with` statement lasts."""
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", kind, "none", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


class PinnedHash(NamedTuple):
    """A BPF hash that is pinned to a path; its keys are a set of numbers."""

    path: Path
    fd: int
    key_bytes: int
    value_bytes: int

    def add(self, number: int) -> None:
        key = number.to_bytes(self.key_bytes, sys.byteorder)
        syscall.update(self.fd, key, bytes(self.value_bytes))


@contextlib.contextmanager
def pinned_hash(where: Path, key_bytes: int, value_bytes: int) -> Iterator[PinnedHash]:
    """Make a hash and pin it in a bpffs of its own."""
    create, pin, hash_map = 0, 6, 1  # BPF_MAP_CREATE, BPF_OBJ_PIN, BPF_MAP_TYPE_HASH
    with mounted("bpf", where / "bpffs") as bpffs:
        path = bpffs / "set"
        fd, _ = syscall.bpf(create, struct.pack("=5I", hash_map, key_bytes, value_bytes, 64, 0))
        try:
            name = ctypes.create_string_buffer(os.fsencode(path))
            syscall.bpf(pin, struct.pack("=QII", ctypes.addressof(name), fd, 0))
            yield PinnedHash(path, fd, key_bytes, value_bytes)
        finally:
            os.close(fd)


@contextlib.contextmanager
def cgroup(where: Path) -> Iterator[Path]:
    """Make a cgroup with one inside, `inner`; their inode numbers are their ids."""
    with mounted("cgroup2", where / "cgroup2") as top:
        group = top / f"ebpf-tour-test-{os.getpid()}"
        (group / "inner").mkdir(parents=True)
        try:
            yield group
        finally:
            (group / "inner").rmdir()
            group.rmdir()


def changed_package(tool: str, directory: Path, changes: Mapping[str, str]) -> list[str | Path]:
    """Return the command of a tool whose C was changed, in a copy of the package.

    A way to make what is rare in a program happen each time. Each file has to have one
    of the texts that are replaced.
    """
    package = shutil.copytree(ROOT / "tools/ebpf_tour", directory / "ebpf_tour", symlinks=False)
    for path in (package / "bpf").glob(f"{tool}.*.c"):
        text = path.read_text()
        for before, after in changes.items():
            text = text.replace(before, after)
        assert text != path.read_text(), path.name
        path.write_text(text)
    for path in (package / "bpf").glob(f"*/{tool}.bpf.o"):
        path.unlink()
    compile_all(package / "bpf", package / "bpf")
    script = (
        f"import sys; sys.path.insert(0, {str(directory)!r})\n"
        f"from ebpf_tour.commands import {tool}\n"
        f"assert {tool}.__file__.startswith(sys.path[0])\n"
        f"sys.exit({tool}.main())"
    )
    return [sys.executable, "-c", script]
