"""The child that reads what others wrote: it has no privileges, and it has limits."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import wait_until

from ebpf_tour.base.errors import Error
from ebpf_tour.userland import child as module
from ebpf_tour.userland.child import PREPARE, Child, ChildError, GivenUp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.native, pytest.mark.kernel]

NOBODY = "65534"


def status() -> dict[str, str]:
    pairs = (line.partition(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {key: " ".join(value.split()) for key, _, value in pairs}


def files() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the list itself
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return found


def burn() -> None:
    while True:
        pass


def work() -> dict[str, Callable[..., Any]]:
    return {
        PREPARE: lambda: False,
        "status": status,
        "files": files,
        "open": lambda path: open(path).close(),
        "become root": lambda: os.setuid(0),
        "fork": os.fork,
        "take": lambda size: len(bytes(size)),
        "burn": burn,
        "sleep": lambda: time.sleep(3600),
        "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
        "exit": lambda: os._exit(7),
        "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "pid": os.getpid,
        "say": lambda text: text,
        "size": lambda fd: os.fstat(fd).st_size,
    }


@pytest.fixture
def child() -> Iterator[Child]:
    with Child(work) as made:
        yield made


def test_it_has_no_privileges(child: Child) -> None:
    found = child.ask("status")
    assert found["Uid"] == found["Gid"] == " ".join([NOBODY] * 4)
    assert found["Groups"] == ""
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(found[name], 16) == 0
    assert found["NoNewPrivs"] == "1"
    for request in (("become root",), ("fork",), ("open", "/etc/shadow")):
        with pytest.raises(Error):
            child.ask(*request)


def test_it_has_nothing_open(child: Child) -> None:
    with open("/etc/shadow", "rb"), open("/etc/passwd", "rb"):
        names = child.ask("files")
    kinds = sorted(name.partition(":")[0] for name in names)
    assert kinds == ["/dev/null", "/dev/null", "/dev/null", "socket"]


def test_it_gets_a_file(child: Child, tmp_path: Path) -> None:
    """Which it could not open itself."""
    path = tmp_path / "secret"
    path.write_bytes(b"12345")
    path.chmod(0o600)
    fd = os.open(path, os.O_RDONLY)
    child._send(True, "size", (), fd)
    os.close(fd)
    size = module._LENGTH.unpack(child._receive(4))[0]
    assert child._receive(size) == b'["value", 5]'


def test_memory(child: Child) -> None:
    """It refuses what is too much, and goes on."""
    with pytest.raises(Error, match="not enough memory"):
        child.ask("take", 300 << 20)
    assert child.ask("take", 1 << 20) == 1 << 20


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ("exit", "the child that reads files ended with 7"),
        ("crash", "the child that reads files was ended by SIGSEGV"),
    ],
)
def test_why_it_has_died(child: Child, request_: str, why: str) -> None:
    """Each question after that has the same answer, at once."""
    for _ in range(2):
        with pytest.raises(ChildError) as caught:
            child.ask(request_)
        assert str(caught.value) == child.died
        assert re.fullmatch(why, child.died)
    child.tell("say", "nothing")  # no error


@pytest.fixture
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CPU_SECONDS", 1.0)
    monkeypatch.setattr(module, "_SECONDS", 2.0)


@pytest.mark.parametrize("request_", ["burn", "sleep"])
@pytest.mark.usefixtures("_short_limits")
def test_it_gives_up(child: Child, request_: str) -> None:
    """What takes too long costs the next request nothing."""
    with pytest.raises(GivenUp, match="a file took too long to read"):
        child.ask(request_)
    assert child.ask("say", "a") == "a"
    assert not child.died


@pytest.mark.usefixtures("_short_limits")
def test_it_gives_up_what_nobody_waits_for(child: Child) -> None:
    """Then nobody would hear of it, so it ends."""
    child.tell("burn")
    with pytest.raises(ChildError):
        child.ask("say", "a")
    assert child.died == "a file took too long to read"


@pytest.mark.usefixtures("_short_limits")
def test_preparing_is_given_up() -> None:
    """Which begins once nobody asks."""
    begun = mmap.mmap(-1, 1)  # in common with the child

    def prepare() -> None:
        begun[0] = 1
        burn()

    with Child(lambda: {**work(), PREPARE: prepare}) as child:
        assert child.ask("say", "a") == "a"
        wait_until(lambda: begun[0] == 1, lambda: "it does not prepare")
        assert child.ask("say", "b") == "b"


@pytest.fixture
def ending() -> Iterator[Child]:
    """A child of a tool that is to end."""
    read, write = os.pipe()
    with Child(work, wake=read) as child:
        assert child.ask("say", "a") == "a"
        os.write(write, b"x")
        assert child.ask("say", "b") == "b"
        yield child
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("request_", ["burn", "sleep"])
def test_it_holds_up_no_end(ending: Child, request_: str) -> None:
    """Once the tool is to end, an answer has to come soon."""
    with pytest.raises(GivenUp):
        ending.ask(request_)
    assert ending.ask("say", "c") == "c"


def test_it_does_not_give_up_for_ever(ending: Child) -> None:
    for last in (False, False, True):
        with pytest.raises(ChildError):
            ending.ask("sleep")
        assert bool(ending.died) == last
    assert ending.died == "3 files took too long to read"


def test_it_does_not_answer(ending: Child) -> None:
    """As in a call of C, which no exception ends."""
    with pytest.raises(ChildError):
        ending.ask("stop")
    assert ending.died == "the child that reads files does not answer"


@pytest.mark.parametrize(
    "answer", [b"", b"\0" * 4, b"\xff" * 4, b"\4\0\0\0null", b"\7\0\0\0[1,2,3]", b"\6\0\0\0[[[[[["]
)
def test_an_answer_that_makes_no_sense(child: Child, answer: bytes) -> None:
    """It may have been taken over by what it has read."""

    def lie() -> dict[str, Callable[..., Any]]:
        def write() -> None:
            for fd in range(3, 1024):
                try:
                    os.write(fd, answer)
                except OSError:
                    continue
            os._exit(0)

        return {**work(), "lie": write}

    with Child(lie) as liar, pytest.raises(ChildError):
        liar.ask("lie")
    assert child.ask("say", "the others go on") == "the others go on"


SCRIPT = """
import sys, time
sys.path[:0] = sys.argv[1:2]
from test_child import work
from ebpf_tour.userland.child import Child
child = Child(work)
print(child.ask("pid"), flush=True)
time.sleep(3600)
"""


def test_it_ends_with_its_parent() -> None:
    """However that ends."""
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), lambda: "it lives")
