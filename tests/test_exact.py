"""What the kernel had comes out of JSON and CSV, byte by byte; a table shows it safely.

Names of every byte, and random ones, as a thread's name, an argument and a path.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cases import TOOLS, Case, on_each_engine, option, parameters
from support import Running, bytes_of

from ebpf_tour.base.text import as_utf8, from_kernel, is_utf8, to_bytes
from ebpf_tour.frame.output.exact import escaped, with_hex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support import Compiled

    from ebpf_tour.frame.record import Row

# Reading back what was written: as the manual pages describe it, without our own code.


def unescaped(cell: str) -> bytes:
    """Return the bytes of a CSV cell."""

    def undo(found: re.Match[bytes]) -> bytes:
        if found[1].startswith(b"x"):
            return bytes([int(found[1][1:], 16)])
        return {b"n": b"\n"}.get(found[1], found[1])

    return re.sub(rb"\\(x[0-9a-f]{2}|.)", undo, cell.encode())


def items_of(cell: str) -> list[bytes]:
    """Return the bytes of the items of a list in a CSV cell."""
    return [unescaped(item) for item in re.findall(r"(?:^|;)((?:\\.|[^;\\])*)", cell)]


# Names

EVERY_BYTE = [bytes([byte]) for byte in range(1, 256)]


def random_names(count: int, longest: int) -> list[bytes]:
    """Return as many different names of up to `longest` bytes, the same each time."""
    chosen = random.Random(13)
    # Half of them with what is special somewhere, so that it comes beside each other.
    alphabets = (bytes(range(1, 256)), b'\\\n\r\t;",=x0n\xff\xe9\xc3\xa9\x1b ')
    names = {
        bytes(chosen.choices(alphabets[number % 2], k=chosen.randint(1, longest)))
        for number in range(count)
    }
    assert len(names) > 0.9 * count
    return sorted(names)


KNOWN = [b"caf\xe9", rb"caf\xe9", b"one\ntwo", "名 🐝".encode(), "e\u0301\u202e".encode()]
NAMES = sorted({*EVERY_BYTE, *random_names(100, 15), *KNOWN})


def test_round_trip_without_a_kernel() -> None:
    for raw in (b"".join(EVERY_BYTE), *NAMES):
        text = from_kernel(raw)
        assert to_bytes(text) == raw
        record = json.loads(json.dumps(with_hex({"comm": text, "args": [text, "plain"]})))
        assert bytes_of(record, "comm") == raw
        assert bytes_of(record, "args") == [raw, b"plain"]
        assert ("comm_hex" in record) == ("args_hex" in record) == (not is_utf8(text))
        assert unescaped(escaped(text)) == raw
        assert not re.search("[\0-\x1f\x7f-\x9f]", escaped(text))


def test_different_bytes_are_different_values() -> None:
    latin_1, backslash = from_kernel(b"caf\xe9"), from_kernel(rb"caf\xe9")
    assert with_hex({"path": latin_1}) == {"path": "caf\ufffd", "path_hex": "636166e9"}
    assert with_hex({"path": backslash}) == {"path": r"caf\xe9"}
    assert (escaped(latin_1), escaped(backslash)) == (r"caf\xe9", r"caf\\xe9")


def test_the_key_stands_beside_its_value() -> None:
    row: Row = {"args": ["a", "\udcff"], "pid": 1, "comm": "\udcff", "none": None}
    assert list(with_hex(row)) == ["args", "args_hex", "pid", "comm", "comm_hex", "none"]
    assert with_hex(row)["args_hex"] == [None, "ff"]


def test_cut_in_a_character() -> None:
    """One U+FFFD for what is left of it, as Unicode recommends."""
    assert as_utf8(from_kernel(b"\xe2\x82")) == "\ufffd"


# A process for each name. It calls itself so, sends itself signal 0, tries to remove and to
# open a file that is called so, makes such a directory, and executes a program of that name
# with it as an argument.
WORKLOAD = """
import json, os, sys
names = [bytes.fromhex(name) for name in json.load(sys.stdin)]
for name in names:
    if os.fork() == 0:
        with open("/proc/self/comm", "wb", buffering=0) as comm:
            comm.write(name)
        os.kill(os.getpid(), 0)
        for look_up in (os.unlink, lambda path: os.open(path, os.O_RDONLY)):
            try:
                look_up(b"f/" + name)
            except OSError:
                pass
        program = sys.argv[1]
        if b"/" not in name and name not in (b".", b".."):
            os.mkdir(b"d/" + name)
            os.symlink(program, b"p/" + name)
            program = b"p/" + name
        os.execv(program, [b"nothing", name, b"", name])
    if os.wait()[1]:
        sys.exit(1)
"""


def run_named(names: list[bytes], nothing: Path, directory: Path) -> None:
    """Do WORKLOAD for each name in a directory."""
    for name in "dp":
        (directory / name).mkdir()
    command = [sys.executable, "-BIc", WORKLOAD, nothing]
    text = json.dumps([name.hex() for name in names])
    subprocess.run(command, cwd=directory, input=text, text=True, check=True)


def can_be_a_file(name: bytes) -> bool:
    return b"/" not in name and name not in (b".", b"..")


# Where the rows of a tool have a name, and what is before it there.
SEEN = {
    "bootstrap": {"comm": b"", "filename": b"p/"},
    "opensnoop": {"comm": b"", "process_comm": b"", "path": b"f/"},
    "mkdir": {"comm": b"", "process_comm": b"", "name": b""},
    "execsnoop": {"comm": b"", "filename": b"p/", "args": b""},
    "procinfo": {"comm": b"", "process_comm": b""},
    "ksyscall": {"comm": b""},
    "kprobe": {"comm": b"", "path": b"f/"},
    "fentry": {"comm": b"", "path": b"f/"},
    "lsm": {"comm": b"", "name": b""},
    "tailcall": {"comm": b""},
    "execcount": {"comm": b""},
    "syscount": {"comm": b""},
}
# These know a name only from a file that is called so.
BY_FILE = ("bootstrap", "mkdir", "execsnoop", "procinfo", "lsm")


def options_for(case: Case) -> list[str]:
    # While other tests run, too, nothing is to be lost.
    words = {
        "bootstrap": ["--buffer", "16384"],
        "mkdir": ["--buffer", "16384"],
        "opensnoop": ["--buffer", "16384"],
        "procinfo": ["--buffer", "16384"],
        "ksyscall": ["--buffer", "16384"],
        "kprobe": ["--buffer", "16384"],
        "fentry": ["--buffer", "16384"],
        "lsm": ["--buffer", "16384"],
        "tailcall": ["--buffer", "16384"],
        "execcount": ["--by-comm", "--interval", "3600"],
        "syscount": ["--by", "comm", "--top", "0", "--entries", "100000"],
        "execsnoop": ["--max-args", "5", "--buffer", "16384"],
    }
    return words.get(case.tool.name, [])


@contextlib.contextmanager
def in_both_formats(case: Case, *words: str) -> Iterator[list[Running]]:
    """Run a tool twice, attached: with JSON and with CSV."""
    with contextlib.ExitStack() as stack:
        tools = [
            stack.enter_context(Running(*case.command(f"--format={form}", *words)))
            for form in ("json", "csv")
        ]
        yield [tool.wait_attached() for tool in tools]


@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
@parameters(on_each_engine(tool for tool in TOOLS if SEEN.get(tool.name)))
def test_round_trip(case: Case, compiled: Compiled, tmp_path: Path) -> None:
    with in_both_formats(case, *options_for(case)) as tools:
        run_named(NAMES, compiled("nothing"), tmp_path)
        by_json, by_csv = (tool.finish(signal.SIGINT) for tool in tools)
    assert (by_json.status, by_csv.status) == (0, 0), (by_json.stderr, by_csv.stderr)
    assert by_json.stdout.isascii()
    cells = list(csv.DictReader(io.StringIO(by_csv.stdout, newline=""), strict=True))
    names = set(filter(can_be_a_file, NAMES)) if case.tool.name in BY_FILE else set(NAMES)
    for key, prefix in SEEN[case.tool.name].items():
        records = [record for record in by_json.records if record[key] is not None]
        if key == "args":
            # The first one is the program's own.
            wanted_args = {(name, b"", name) for name in NAMES}
            assert wanted_args <= {tuple(bytes_of(record, key)[1:]) for record in records}
            assert wanted_args <= {tuple(items_of(cell[key])[1:]) for cell in cells}
            continue
        wanted = {prefix + name for name in names}
        assert wanted <= {bytes_of(record, key) for record in records}, key
        assert wanted <= {unescaped(cell[key]) for cell in cells}, key


# Locales, and names of threads and processes

LATIN_1 = "en_US.ISO-8859-1"


@pytest.fixture(scope="session")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a Latin-1 locale, compiled for these tests."""
    directory = tmp_path_factory.mktemp("locales")
    subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", directory / LATIN_1], check=True
    )
    return {"LOCPATH": str(directory), "LC_ALL": LATIN_1, "PYTHONUTF8": "0"}


@pytest.mark.kernel
@pytest.mark.native
@parameters(on_each_engine(tool for tool in TOOLS if tool.name == "opensnoop"))
def test_a_latin_1_locale(case: Case, latin_1: dict[str, str], tmp_path: Path) -> None:
    name = str(tmp_path / "café 名")
    for form in ("json", "csv"):
        command = case.command(f"--format={form}", "-n", "^touch$")
        with Running(*command, env=latin_1) as tool:
            tool.wait_attached()
            subprocess.run(["touch", name], check=True)
            result = tool.finish(signal.SIGINT)
        assert result.status == 0, result.stderr
        if form == "json":
            assert result.stdout.isascii()
            assert name in [record["path"] for record in result.records]
        else:
            assert name in [row["path"] for row in csv.DictReader(io.StringIO(result.stdout))]


@pytest.mark.kernel
@pytest.mark.native
@parameters(on_each_engine(t for t in TOOLS if t.name in ("opensnoop", "mkdir", "execsnoop")))
def test_name_of_thread_or_process(case: Case, compiled: Compiled, tmp_path: Path) -> None:
    """-n finds either, and nothing else comes through."""
    names = ["outer-process", "^inner", "^(inner|outer)-[pt]", "^inner-process", "nner-threa.$"]
    options = ["-x"] if option(case.tool, "--fails") else []
    with contextlib.ExitStack() as stack:
        tools = [
            stack.enter_context(Running(*case.command("--json", *options, "-n", name)))
            for name in names
        ]
        for tool in tools:
            tool.wait_attached()
        subprocess.run([compiled("named")], cwd=tmp_path, check=True)
        subprocess.run(["touch", tmp_path / "another"], check=True)
        results = [tool.finish(signal.SIGINT) for tool in tools]
    for name, result in zip(names, results, strict=True):
        assert result.status == 0, result.stderr
        found = {(record["comm"], record["process_comm"]) for record in result.records}
        # The thread's own opens and so on; the process opens its libraries as "named".
        pairs = {("inner-thread", "outer-process")}
        assert found == (set() if name == "^inner-process" else pairs), name


@pytest.mark.kernel
@parameters(on_each_engine(tool for tool in TOOLS if option(tool, "--name")))
def test_a_name_that_the_kernel_cannot_keep(case: Case) -> None:
    """It says so before the first row, and goes on."""
    with Running(*case.command("-n", "a-really-long-program-name")) as tool:
        result = tool.wait_attached().finish(signal.SIGINT)
    assert result.status == 0
    warning, attached, *_ = result.stderr.splitlines()
    assert warning == (
        f"{case.tool.command}: no name can match -n: the pattern needs 26 bytes or more, "
        "and the kernel keeps 15 bytes of a name"
    )
    assert attached.endswith("Ctrl-C to end.")
