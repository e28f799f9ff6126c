"""Each thing that can be missing or forbidden, made so for real in a namespace.

What is demanded: the cause, the next step, the exit status, and that nothing
stays behind.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import support
from support import (
    ARCHITECTURE,
    BIN,
    ENGINES,
    NO_BTF,
    NO_TRACEFS,
    ROOT,
    assert_error,
    bcc_package,
    in_mount_namespace,
    run,
)

from ebpf_tour.build import compile_all
from ebpf_tour.commands.minimal import TOOL

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.kernel(TOOL), pytest.mark.usefixtures("leaves_nothing")]

MINIMAL = BIN / "ebpf-minimal"
ONE_ROW = ("--json", "--limit", "1")
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")

NO_HEADERS = """
headers=$(realpath -m /lib/modules/$(uname -r)/build)
[ ! -d "$headers" ] || mount -t tmpfs none "$headers"
"""


@pytest.fixture
def everyones(open_directory: Path) -> Path:
    return support.everyones("minimal", open_directory)


def over(directory: Path, target: Path) -> str:
    """Return the shell line that puts one directory or file over another."""
    return f"mount --bind '{directory}' '{target}'"


@pytest.mark.native
@pytest.mark.parametrize("engine", ["auto", *ENGINES])
def test_ordinary_user(everyones: Path, engine: str) -> None:
    """It says how to become root, in a line to paste."""
    result = run(*NOBODY, everyones, "--engine", engine, "--json")
    cause, hint = assert_error(result, 77)
    assert cause == (
        "may not load BPF programs: that needs root, or the capabilities CAP_BPF and CAP_PERFMON"
    )
    assert hint == f"run it as root: sudo {everyones} --engine {engine} --json"


@pytest.mark.native
def test_ordinary_user_with_the_command_in_path(everyones: Path) -> None:
    """Sudo has a PATH of its own, so the shell has to look the command up."""
    path = f"{everyones.parent}:{os.environ['PATH']}"
    result = run(*NOBODY, "ebpf-minimal", "--limit", "3", env={"PATH": path})
    _, hint = assert_error(result, 77)
    assert hint == 'run it as root: sudo "$(command -v ebpf-minimal)" --limit 3'


@pytest.mark.native
def test_no_tracefs_hint_helps() -> None:
    """The command in the hint, pasted, is what was missing."""
    _, hint = assert_error(run(*in_mount_namespace(NO_TRACEFS, MINIMAL)), 69)
    command = hint.removeprefix("mount it: ")
    result = run(*in_mount_namespace(f"{NO_TRACEFS}\n{command}", MINIMAL, *ONE_ROW))
    assert result.status == 0, result.stderr


@pytest.mark.native
def test_no_btf_and_no_headers() -> None:
    """Neither engine can work, and both say why."""
    if os.path.exists("/sys/kernel/kheaders.tar.xz"):
        pytest.skip("this kernel carries its headers, and nothing can be mounted over the file")
    result = run(*in_mount_namespace(NO_BTF + NO_HEADERS, MINIMAL))
    cause, hint = assert_error(result, 69)
    assert "no BTF in /sys/kernel/btf/vmlinux" in cause
    assert f"/lib/modules/{os.uname().release}/build" in cause
    assert f"apt install linux-headers-{os.uname().release}" in hint


@pytest.mark.native
def test_no_such_hook() -> None:
    (hooks,) = TOOL.via.values()
    events = f"/sys/kernel/tracing/events/{hooks[0].category}"
    if not os.path.isdir(events):  # on older systems, tracefs is below debugfs only
        events = events.replace("/tracing/", "/debug/tracing/")
    result = run(*in_mount_namespace(f"mount -t tmpfs none {events}", MINIMAL))
    cause, hint = assert_error(result, 69)
    assert cause.startswith(f"this kernel has no {hooks[0]}")
    assert hint.startswith("list what it has: ls /sys/kernel/")


@pytest.mark.native
def test_no_compiled_object_takes_bcc() -> None:
    """The default engine falls back, and says so in one line."""
    directory = ROOT / "tools/ebpf_tour/bpf" / ARCHITECTURE
    setup = f"mount -t tmpfs none '{directory}'"
    result = run(*in_mount_namespace(setup, MINIMAL, *ONE_ROW))
    assert result.status == 0, result.stderr
    assert len(result.records) == 1
    said, attached = result.stderr.splitlines()
    assert said == f"ebpf-minimal: using BCC, since {directory}/minimal.bpf.o is not there"
    assert attached.endswith("Ctrl-C to end.")

    result = run(*in_mount_namespace(setup, MINIMAL, "--engine", "libbpf"))
    cause, hint = assert_error(result, 69)
    assert cause == f"{directory}/minimal.bpf.o is not there"
    assert hint == "in a checkout, compile it: make bpf"


@pytest.mark.native
def test_neither_bcc_nor_libbpf_object(tmp_path: Path) -> None:
    """With both engines gone, both are named."""
    setup = f"{over(tmp_path, bcc_package())}\nmount -t tmpfs none '{ROOT}/bpf/{ARCHITECTURE}'"
    cause, hint = assert_error(run(*in_mount_namespace(setup, MINIMAL)), 69)
    assert "minimal.bpf.o is not there; BCC's Python package is not installed" in cause
    assert "make bpf; install it: apt install python3-bpfcc" in hint


@pytest.mark.native
def test_a_virtual_environment_that_hides_bcc(everyones: Path, tmp_path: Path) -> None:
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", tmp_path], check=True)
    result = run(tmp_path / "bin/python", everyones, "--engine", "bcc")
    cause, hint = assert_error(result, 69)
    assert cause == "BCC's Python package is not installed"
    assert "--system-site-packages" in hint


@pytest.mark.native
def test_compiler_refuses(sources: Path) -> None:
    """The compiler's own words, with the file and the line."""
    path = sources / "minimal.bcc.c"
    path.write_text(path.read_text().replace("struct bpf_pidns_info ns = {};", "frobnicate;"))
    line = path.read_text().splitlines().index("\tfrobnicate;") + 1
    result = run(*in_mount_namespace(over(sources, ROOT / "bpf"), MINIMAL, "--engine", "bcc"))
    cause, hint = assert_error(result, 1)
    assert cause.startswith("BCC cannot compile ")
    assert "-v" in hint
    said = f"  minimal.bcc.c:{line}:2: error: use of undeclared identifier 'frobnicate'"
    assert said in result.stderr.splitlines()


def test_verifier_refuses(sources: Path, engine: str) -> None:
    """The verifier's own words: here, that a loop never ends. test_verifier.py has more."""
    for path in sources.glob("minimal.*.c"):
        start = "struct bpf_pidns_info ns = {};"
        text = path.read_text()
        assert start in text
        path.write_text(text.replace(start, f"{start}\n\twhile (bpf_get_prandom_u32()) ;"))
    compile_all(sources, sources)
    command = in_mount_namespace(over(sources, ROOT / "bpf"), MINIMAL, "--engine", engine)
    result = run(*command)
    cause, hint = assert_error(result, 1)
    refuses = (
        r"the kernel's verifier refuses \w+ at minimal\.b(pf|cc)\.c:\d+: infinite loop detected"
    )
    assert re.match(refuses, cause)
    assert hint.endswith("-v shows the verifier's whole log")
    assert len(result.stderr.splitlines()) < 15

    result = run(*command, "--show", "log")
    cause, hint = assert_error(result, 1)
    assert re.match(refuses, cause)
    assert "-v" not in hint
    assert "infinite loop detected" in result.stdout
    # From its first line on, and not only the end.
    assert re.search(r"(?m)^0: R1=ctx.* R10=fp0", result.stdout)


@pytest.mark.native
def test_verbose_shows_what_the_libraries_say(engine: str) -> None:
    quiet = run(MINIMAL, "--engine", engine, *ONE_ROW)
    verbose = run(MINIMAL, "--engine", engine, *ONE_ROW, "-v")
    assert (quiet.status, verbose.status) == (0, 0)
    assert quiet.stderr.count("\n") == 1
    if engine == "libbpf":  # BCC has nothing to say about a program that is right
        assert "libbpf: " in verbose.stderr
