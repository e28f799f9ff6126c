"""The loader as a library: in a script, without a command line, a session or a signal handler."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support import ENGINES, ROOT

from ebpf_tour.loader.pace import Until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The README's: the first block of Python behind the heading.
SCRIPT = (ROOT / "README.md").read_text().split("## The loader as a library\n")[1]
SCRIPT = SCRIPT.split("```python\n")[1].split("```\n")[0]

kernel = pytest.mark.kernel
leaves_nothing = pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")


@pytest.fixture
def processes() -> Iterator[None]:
    """Start processes that end at once, again and again."""
    with subprocess.Popen(["sh", "-c", "while :; do /bin/true; done"]) as shell:
        yield
        shell.kill()


@kernel
@leaves_nothing
@pytest.mark.native
@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("engine", ENGINES)
def test_the_script_of_the_readme(installed: Path, engine: str, tmp_path: Path) -> None:
    """From an installed wheel, in a virtual environment of its own."""
    assert len(SCRIPT.splitlines()) <= 15
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace(", hooks)", f", hooks, engine='{engine}')"))
    done = subprocess.run(
        [installed / "bin/python", "-I", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    rows = done.stdout.splitlines()
    assert len(rows) == 10
    assert all(re.fullmatch(r"\d+ b['\"].*['\"]", row) for row in rows)


TWICE = """
import gc, os, signal, subprocess
from ebpf_tour.loader import open_program
from ebpf_tour.loader.hooks.tracepoint import Tracepoint

before = signal.getsignal(signal.SIGINT), gc.isenabled(), os.environ.get("TMPDIR")
for engine in ENGINES * 2:
    with open_program("bootstrap", [Tracepoint("sched", "sched_process_exec")], engine=engine) as p:
        p.globals["min_duration_ns"] = p.globals["use_perf"] = 0
        p.max_entries["rb"] = 1 << 20
        p.load()
        p.attach()
        children = [subprocess.Popen(["/bin/true"]) for _ in range(3)]
        pids = {child.pid for child in children}
        for child in children:
            child.wait()
        seen = {event.pid for event in p.events("rb", seconds=0.5)}
        assert pids <= seen, (engine, pids, seen)
        assert p.counter("lost") == 0
    del p
    gc.collect()  # nothing may call what is gone with it
assert before == (signal.getsignal(signal.SIGINT), gc.isenabled(), os.environ.get("TMPDIR"))
"""


@kernel
@leaves_nothing
@pytest.mark.parametrize("engine", ENGINES)
def test_open_load_read_close_and_again(engine: str) -> None:
    """In one process, with one engine and with both in turn."""
    for engines in ([engine], [engine, *(e for e in ENGINES if e != engine)]):
        script = TWICE.replace("ENGINES", repr(engines))
        subprocess.run([sys.executable, "-c", script], check=True)


@kernel
@leaves_nothing
def test_two_programs_at_once() -> None:
    """With an engine each, open at the same time."""
    script = (
        "from ebpf_tour.loader import open_program\n"
        "from ebpf_tour.loader.hooks.tracepoint import Tracepoint\n"
        "hooks = [Tracepoint('syscalls', 'sys_enter_execve')]\n"
        "with open_program('hello', hooks, engine='libbpf') as one:\n"
        "    with open_program('hello', hooks, engine='bcc') as other:\n"
        "        for program in (one, other):\n"
        "            program.load()\n"
        "            program.attach()\n"
        "        assert len({*one.program_fds(), *other.program_fds()}) == 2\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_importing_changes_nothing() -> None:
    """Also where the script is called like one of our commands."""
    script = (
        "import gc, os, pkgutil, signal, sys\n"
        "sys.argv[0] = '/usr/bin/ebpf-mine'\n"
        "def state():\n"
        "    handlers = [signal.getsignal(n) for n in signal.valid_signals()]\n"
        "    return handlers, gc.isenabled(), gc.get_threshold(), dict(os.environ), os.getcwd()\n"
        "before = state()\n"
        "import ebpf_tour, ebpf_tour.loader, ebpf_tour.frame.session, ebpf_tour.survey.places\n"
        "for name in ('loader', 'loader.hooks', 'explain', 'userland', 'base', 'frame'):\n"
        "    package = __import__(f'ebpf_tour.{name}', fromlist=['x'])\n"
        "    for info in pkgutil.iter_modules(package.__path__):\n"
        "        __import__(f'ebpf_tour.{name}.{info.name}')\n"
        "assert state() == before\n"
        "assert 'bcc' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@kernel
def test_errors_have_a_cause_and_a_hint() -> None:
    script = (
        "from ebpf_tour.base.errors import Error\n"
        "from ebpf_tour.loader import open_program\n"
        "from ebpf_tour.loader.hooks.tracepoint import Tracepoint\n"
        "try:\n"
        "    open_program('hello', [Tracepoint('sched', 'no_such_event')])\n"
        "except Error as error:\n"
        "    assert str(error) == 'this kernel has no tracepoint sched:no_such_event', error\n"
        "    assert error.hint.startswith('list what it has: ls /sys/kernel/'), error.hint\n"
        "else:\n"
        "    raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_until() -> None:
    assert not Until(seconds=0).running
    answers = iter((False, False, True))
    pace = Until(until=lambda: next(answers))
    assert [pace.running, pace.running, pace.running] == [True, True, False]
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        assert cat.stdin
        assert cat.stdout
        pace = Until(wake=cat.stdout.fileno())
        assert pace.running
        cat.stdin.write(b"x")
        cat.stdin.flush()
        pace.sleep(60)  # ends when there is something to read
        assert not pace.running


@kernel
@leaves_nothing
@pytest.mark.native
@pytest.mark.usefixtures("processes")
def test_a_keyboard_interrupt_is_pythons(tmp_path: Path) -> None:
    """A script without a handler of its own ends by Ctrl-C, and everything is closed."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace("number == 10", "False"))
    with subprocess.Popen([sys.executable, script], stdout=-1, stderr=-1, text=True) as running:
        assert running.stdout
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert said.endswith("KeyboardInterrupt\n")
    assert running.returncode == -signal.SIGINT
