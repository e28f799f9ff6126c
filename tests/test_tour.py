"""ebpf-tour: the catalogue, and what `check` says, held against what the tools then do."""

from __future__ import annotations

import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cases import CAN_RUN, Case, fault
from support import BIN, NO_BTF, NO_TRACEFS, ROOT, assert_error, in_mount_namespace, need, run

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.commands.fentry import TOOL as FENTRY
from ebpf_tour.commands.lsm import TOOL as LSM
from ebpf_tour.commands.mkdir import TOOL as MKDIR
from ebpf_tour.commands.tour import CHECK, TOOL, catalogue_lines, check_lines
from ebpf_tour.frame.catalogue import tools
from ebpf_tour.loader import features, trial
from ebpf_tour.loader.bcc import llvm_version
from ebpf_tour.loader.hooks import what_is_missing
from ebpf_tour.loader.hooks.fentry import Fentry
from ebpf_tour.loader.hooks.kprobe import Kprobe
from ebpf_tour.loader.hooks.lsm import Lsm
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.loader.hooks.uprobe import Uprobe
from ebpf_tour.survey.check import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ebpf_tour.loader.hooks import Hook

TOUR = BIN / "ebpf-tour"
TOOLS = [tool for tool in tools() if tool.name != "tour"]
WITH_PROGRAM = [tool for tool in TOOLS if tool.via]

leaves_nothing = pytest.mark.usefixtures("leaves_nothing", "quiet_kernel")
kernel = pytest.mark.kernel
native = pytest.mark.native

# Packages of Python that BCC is one of, and libbpf, whatever their paths are here.
NO_BCC = f"mount -t tmpfs none '{Path(str((find_spec('bcc') or find_spec('os')).origin)).parent}'"
NO_LIBBPF = """
for file in /usr/lib/*/libbpf.so.1 /lib64/libbpf.so.1 /usr/lib64/libbpf.so.1; do
	[ ! -e "$file" ] || mount --bind /dev/null "$(realpath "$file")"
done
"""
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon")
IN_USER_NAMESPACE = ("unshare", "--user", "--map-root-user")


# The catalogue


def catalogue(*command: str | Path) -> dict[str, dict[str, Any]]:
    result = run(*command, TOUR, "--json")
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(TOOLS), "lost": 0}
    assert [record["tool"] for record in result.records] == [tool.command for tool in TOOLS]
    return {record["tool"]: record for record in result.records}


def test_json() -> None:
    for record, tool in zip(catalogue().values(), TOOLS, strict=True):
        assert list(record) == [column.key for column in TOOL.columns]
        assert record["lesson"] == tool.lesson
        assert record["kind"] == ("for work" if tool.for_work else "lesson")
        assert record["read_before"] == list(tool.read_before)
        assert record["summary"] == tool.summary
        assert record["hooks"] == list(tool.via)
        assert set(record["maps"]) == {item.type for item in tool.maps}


def test_csv() -> None:
    header, *rows = run(TOUR, "--format", "csv").stdout.splitlines()
    assert header.split(",") == [column.key for column in TOOL.columns]
    assert [row.split(",")[0] for row in rows] == [tool.command for tool in TOOLS]


def test_table() -> None:
    """Two lines for a tool, of 80 columns; what is longer goes on below."""
    lines = run(TOUR).stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["TOOL", "HOOK", "MAP"]
    assert lines[1].split() == ["RUNS", "SHOWS"]
    table = "\n".join(lines).partition("\n\nWhy not")[0].splitlines()
    assert [line.split()[0] for line in table[2:] if line.startswith("ebpf-")] == [
        tool.command for tool in TOOLS
    ]
    work = next(number for number, line in enumerate(table) if line == "Tools for work:")
    assert table[3] == "Lessons:"
    assert table[work + 1].split()[0] == next(tool.command for tool in TOOLS if tool.for_work)
    shown = " ".join(" ".join(table).split())
    for tool in TOOLS:
        assert tool.summary in re.sub(r" (yes|no|via \w+) ", " ", shown)


def test_nothing_to_do_with_the_engines() -> None:
    """It has no program, so options of programs are none of its own."""
    assert run(TOUR, "--engine", "bcc").status == 2
    assert run(TOUR, env={"EBPF_TOUR_ENGINE": "nonsense"}).status == 0


@leaves_nothing
@fault
def test_what_runs(case: Case) -> None:
    """In the way and with the engine that the catalogue says, without being told."""
    tool = case.tool
    record = catalogue()[tool.command]
    assert record["runs"] == "yes"
    way = next(name for name, hooks in tool.via.items() if not what_is_missing(hooks))
    assert (record["via"], record["engine"]) == (way, "libbpf")
    missing = what_is_missing(next(iter(tool.via.values())))
    assert record["reason"] == (str(missing) if missing else None)
    assert (record["via"] == next(iter(tool.via))) == (record["reason"] is None)
    assert run(BIN / tool.command, "--show", "maps").status == 0


@native
@kernel
@pytest.mark.parametrize(
    "command",
    [
        in_mount_namespace(NO_TRACEFS),
        in_mount_namespace(f"{NO_BTF}\n{NO_BCC}"),
        in_mount_namespace(NO_LIBBPF + NO_BCC),
        WITHOUT_CAPABILITIES,
    ],
    ids=["no tracefs", "no BTF and BCC", "no libbpf and BCC", "no capabilities"],
)
def test_what_does_not_run(command: tuple[str, ...]) -> None:
    """The tool gives the same answer itself."""
    found = catalogue(*command)
    assert "no" in {record["runs"] for record in found.values()}
    for tool in WITH_PROGRAM:
        record = found[tool.command]
        result = run(*command, BIN / tool.command, "--show", "maps")
        if record["runs"] == "yes":
            assert result.status == 0, result.stderr
            continue
        assert (record["via"], record["engine"]) == (None, None)
        cause, hint = assert_error(result, result.status, tool.command)
        assert cause == record["reason"]
        words = hint.split(" ")
        assert record["hint"].split(" ")[: len(words) - 4] == words[:-4]
        assert result.status in (69, 77)


@native
@kernel(*CAN_RUN)
def test_without_libbpf() -> None:
    """BCC takes its place, and that is said in the records, not once for each tool."""
    command = in_mount_namespace(NO_LIBBPF, TOUR, "--json")
    result = run(*command)
    assert result.status == 0
    assert result.stderr == f"ebpf-tour: the course begins in {ROOT}/examples/README.md\n"
    minimal = next(record for record in result.records if record["tool"] == "ebpf-minimal")
    tool = run(*in_mount_namespace(NO_LIBBPF, BIN / "ebpf-minimal", "--show", "maps"))
    assert (minimal["engine"] == "bcc") == (tool.status == 0)


ROW = {
    "tool": "ebpf-a",
    "kind": "lesson",
    "hooks": ["kprobe", "tracepoint"],
    "maps": ["hash", "ring buffer"],
    "runs": "yes",
    "via": "kprobe",
    "reason": None,
    "hint": None,
    "summary": "show this",
}


def test_text_of_the_catalogue() -> None:
    """Each reason once."""
    other = {**ROW, "tool": "ebpf-b", "via": "tracepoint", "reason": "no kprobes", "hint": "do it"}
    third = {**ROW, "tool": "ebpf-c", "runs": "no", "via": None, "reason": "no kprobes"}
    third["kind"] = "for work"
    text = "\n".join(catalogue_lines([ROW, other, {**third, "hint": "do it"}]))
    assert (
        text
        == """\
TOOL               HOOK               MAP
  RUNS             SHOWS

Lessons:
ebpf-a             kprobe/tracepoint  hash, ring buffer
  yes              show this
ebpf-b             kprobe/tracepoint  hash, ring buffer
  via tracepoint   show this

Tools for work:
ebpf-c             kprobe/tracepoint  hash, ring buffer
  no               show this

Why not, or not by the first choice of hooks:
  ebpf-b, ebpf-c: no kprobes
    -> do it"""
    )


# check


class Verdicts:
    """What `ebpf-tour check` says, by the names of the checks."""

    def __init__(self, *command: str | Path) -> None:
        self.result = run(*command, TOUR, "check", "--json")
        assert "Traceback" not in self.result.stderr
        assert self.result.summary == {"type": "summary", "events": len(CHECKS), "lost": 0}
        self.records = {record["check"]: record for record in self.result.records}
        assert list(self.records) == [check.name for check in CHECKS]
        for record in self.records.values():
            assert list(record) == [column.key for column in CHECK.columns]
            assert record["found"] in (True, False, None)
            assert record["detail"]
            assert record["used_for"]
            assert record["found"] is False or not record["hint"]

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self.records[name]


# What has to work where a check says so: the same through the tools.
PROOFS = {
    "syscall tracepoint": ("ebpf-mkdir", "--via", "tracepoint", "--demo"),
    "raw tracepoint": ("ebpf-procinfo", "--demo"),
    "kprobe": ("ebpf-mkdir", "--engine", "libbpf", "--via", "kprobe", "--demo"),
    "kretprobe": ("ebpf-mkdir", "--engine", "bcc", "--via", "kprobe", "--demo"),
    "fentry": ("ebpf-mkdir", "--via", "fentry", "--demo"),
    "fexit": ("ebpf-mkdir", "--via", "fentry", "--demo"),
    "uprobe": ("ebpf-uprobe", "--demo"),
    "perf clock": ("ebpf-profile", "--event", "cpu-clock", "--demo"),
    "iterator": ("ebpf-task-iter", "--demo"),
    "LSM": ("ebpf-lsm", "--demo"),
    "large keys": ("ebpf-mallocstacks", "--demo"),
    "perf buffer": ("ebpf-bootstrap", "--transport", "perf", "--demo"),
    "ring buffer": ("ebpf-bootstrap", "--transport", "ringbuf", "--demo"),
    "socket filter": ("ebpf-sockfilter", "--demo"),
    "tcx": ("ebpf-tc", "--via", "tcx", "--demo"),
    "xdp": ("ebpf-xdp", "--demo"),
    "clsact": ("ebpf-tc", "--via", "clsact", "--demo"),
    "cgroup_skb": ("ebpf-cgroup", "--demo"),
    "sock_ops": ("ebpf-sockops", "--demo"),
    "cgroup_sock_addr": ("ebpf-cgroup", "--connect", "--demo"),
    "libbpf": ("ebpf-hello", "--engine", "libbpf", "--show", "maps"),
    "BCC": ("ebpf-hello", "--engine", "bcc", "--show", "maps"),
}


@leaves_nothing
@kernel
def test_check_is_right() -> None:
    """Where it says that something works it does, and where not, the tool does not either."""
    verdicts = Verdicts()
    assert verdicts.result.status == 0
    for name, (command, *options) in PROOFS.items():
        if name == "large keys" and not verdicts["uprobe"]["found"]:
            continue  # its tool needs both
        result = run(BIN / command, *options)
        assert verdicts[name]["found"] == (result.status == 0), (name, result.stderr)
        if result.status:
            cause, _ = assert_error(result, result.status, command)
            # The tool names the first hook that it lacks: of fentry and fexit, that.
            assert cause == verdicts[name]["detail"].replace("fexit", "fentry")
    # A kernel for these tools has these; a kprobe may be compiled out.
    for name in (
        "privileges",
        "BTF",
        "tracefs",
        "tracepoint",
        "raw tracepoint",
        "uprobe",
        "libbpf",
    ):
        assert verdicts[name]["found"], verdicts[name]


@pytest.mark.core
@leaves_nothing
@kernel
@pytest.mark.parametrize("kind", [Fentry, Lsm])
def test_what_the_kernel_only_loads(kind: type[Hook]) -> None:
    """On arm64 before Linux 6.4, it attaches none of them. The hook says what the trial shows."""
    missing: Error | None = None
    for check in kind.checks():
        missing = check.missing()
        assert check.make
        try:
            check.make().run()
        except Error:
            assert missing, check.name
        else:
            assert missing is None
    tool = FENTRY if kind is Fentry else LSM
    result = run(BIN / tool.command, "--demo")
    assert result.status == (missing.status if missing else 0), result.stderr


@pytest.mark.core
@leaves_nothing
@kernel
def test_another_way_where_one_is_missing() -> None:
    """Without --via, a tool takes the first one that works."""
    result = run(BIN / MKDIR.command, "--engine", "libbpf", "--demo")
    assert result.status == 0, result.stderr
    via = next(via for via, hooks in MKDIR.via.items() if not what_is_missing(hooks))
    assert f" via {via}" in result.stderr


@kernel
def test_facts() -> None:
    """Against other sources than the ones that it asks."""
    verdicts = Verdicts()
    assert os.uname().release in verdicts["kernel"]["detail"]
    assert verdicts["tracefs"]["detail"] == features.tracefs()
    mounts = Path("/proc/mounts").read_text(encoding="utf-8")
    for name, kind in (("bpffs", "bpf"), ("cgroup2", "cgroup2")):
        assert verdicts[name]["found"] == (f" {kind} " in mounts)
    assert verdicts["clang"]["found"] == bool(shutil.which("clang"))
    listed = Path("/sys/kernel/security/lsm")
    if verdicts["LSM"]["found"] and listed.exists():
        assert "bpf" in listed.read_text(encoding="ascii").split(",")
    assert verdicts["kprobe"]["found"] == (Kprobe(trial.KERNEL_FUNCTION).unsupported() is None)
    assert verdicts["fentry"]["found"] == (Fentry(trial.KERNEL_FUNCTION).unsupported() is None)
    from bcc import __version__ as bcc_version  # noqa: TID251 - to compare

    assert verdicts["BCC"]["detail"].startswith(f"{bcc_version}, ")


@native
@leaves_nothing
@kernel
def test_check_without_tracefs() -> None:
    verdicts = Verdicts(*in_mount_namespace(NO_TRACEFS))
    assert verdicts.result.status == 0  # raw tracepoints and uprobes work
    for name in ("tracefs", "tracepoint", "syscall tracepoint"):
        assert verdicts[name]["found"] is False
        assert verdicts[name]["detail"].startswith("tracefs is not mounted")
        assert "mount -t tracefs" in verdicts[name]["hint"]
    assert verdicts["raw tracepoint"]["found"]
    assert verdicts["uprobe"]["found"]
    assert verdicts["BCC"]["found"] is None
    proof = run(*in_mount_namespace(NO_TRACEFS, BIN / "ebpf-mallocstacks", "--demo"))
    assert proof.status == 0, proof.stderr


@native
@leaves_nothing
@kernel
def test_check_without_btf() -> None:
    verdicts = Verdicts(*in_mount_namespace(NO_BTF))
    for name in ("BTF", "fentry", "fexit", "LSM", "libbpf"):
        assert verdicts[name]["found"] is False
        assert "BTF" in verdicts[name]["detail"]
    assert verdicts["tracepoint"]["found"]
    # BCC can do with headers.
    assert verdicts["BCC"]["found"] == verdicts["kernel headers"]["found"]
    assert verdicts.result.status == (0 if verdicts["BCC"]["found"] else 69)


@native
@leaves_nothing
@kernel
def test_check_without_engines() -> None:
    verdicts = Verdicts(*in_mount_namespace(NO_LIBBPF + NO_BCC))
    assert (verdicts["libbpf"]["found"], verdicts["BCC"]["found"]) == (False, False)
    assert "apt install libbpf1" in verdicts["libbpf"]["hint"]
    assert "apt install python3-bpfcc" in verdicts["BCC"]["hint"]
    assert verdicts["tracepoint"]["found"]  # for that it needs neither of them
    cause, hint = assert_error(verdicts.result, 69, "ebpf-tour")
    assert cause.startswith("no engine can be used here: libbpf: libbpf.so.1 cannot be loaded")
    assert "python3-bpfcc" in hint


@leaves_nothing
@kernel
@pytest.mark.parametrize(
    "command", [WITHOUT_CAPABILITIES, IN_USER_NAMESPACE], ids=["no capabilities", "user namespace"]
)
def test_check_without_privileges(command: tuple[str, ...]) -> None:
    """It says what can be known, and does not take what may not be tried for missing."""
    if command == IN_USER_NAMESPACE and run(*command, "true").status and not os.environ.get("CI"):
        pytest.skip("no user namespace can be made here (in a chroot, or by a sysctl)")
    with_root, verdicts = Verdicts(), Verdicts(*command)
    assert verdicts["privileges"]["found"] is False
    assert verdicts["BTF"] == with_root["BTF"]
    assert verdicts["kernel"] == with_root["kernel"]
    for name in ("raw tracepoint", "uprobe", "ring buffer", "libbpf", "BCC"):
        assert verdicts[name]["found"] is None
        assert "only root" in verdicts[name]["detail"]
    # Without them, the hook's own answer is certain only where it is no.
    assert verdicts["kprobe"]["found"] == (None if with_root["kprobe"]["found"] else False)
    cause, _ = assert_error(verdicts.result, 77, "ebpf-tour")
    proof = run(*command, BIN / "ebpf-hello")
    assert assert_error(proof, 77, "ebpf-hello")[0] == cause


@kernel
def test_locked_down_kernel(tmp_path: Path) -> None:
    """What the kernel says of its mode is asked by the hooks, too."""
    need(Kprobe("vfs_mkdir"))
    (tmp_path / "lockdown").write_text("none integrity [confidentiality]\n")
    setup = f"""
    mountpoint -q /sys/kernel/security || mount -t tmpfs none /sys/kernel/security
    [ -e /sys/kernel/security/lockdown ] || touch /sys/kernel/security/lockdown
    mount --bind '{tmp_path}/lockdown' /sys/kernel/security/lockdown
    """
    verdicts = Verdicts(*in_mount_namespace(setup))
    for name in ("kprobe", "kretprobe"):
        assert verdicts[name]["found"] is False
        assert "the kernel is locked down (confidentiality)" in verdicts[name]["detail"]
        assert "lockdown=integrity" in verdicts[name]["hint"]
    result = run(*in_mount_namespace(setup, TOUR))
    assert "the kernel is locked down (confidentiality)" in result.stderr


@native
def test_table_of_check() -> None:
    result = run(TOUR, "check")
    lines = result.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["CHECK", "FOUND", "DETAIL"]
    names = [line[:20].rstrip() for line in lines[1:] if line[:1].strip()]
    assert names == [check.name for check in CHECKS]
    verbose = " ".join(run(TOUR, "check", "-v").stdout.split())
    for check in CHECKS:
        assert f"for {check.used_for}" in verbose


def test_text_of_check() -> None:
    row = {
        "check": "A",
        "group": "x",
        "found": True,
        "detail": "1.2",
        "used_for": "b",
        "hint": None,
    }
    missing = {**row, "check": "B", "found": False, "detail": "none", "hint": "install it"}
    unknown = {**row, "check": "C", "group": "y", "found": None, "detail": "not tried"}
    rows = [row, missing, {**missing, "check": "D"}, unknown]
    assert (
        "\n".join(check_lines(rows, verbose=False))
        == """\
CHECK               FOUND  DETAIL
A                   yes    1.2
B                   no     none
                           for b
                           -> install it
D                   no     none
                           for b

C                   ?      not tried"""
    )
    assert "\n".join(check_lines([row], verbose=True)).endswith("1.2\n" + " " * 27 + "for b")


@native
def test_check_in_csv() -> None:
    header, *rows = run(TOUR, "check", "--format", "csv").stdout.splitlines()
    assert header.split(",") == [column.key for column in CHECK.columns]
    assert len(rows) == len(CHECKS)


def test_no_such_command() -> None:
    for word, hint in (("chekc", "did you mean check?"), ("mkdri", "did you mean mkdir?")):
        assert assert_error(run(TOUR, word), 2, "ebpf-tour") == (f"there is no tool '{word}'", hint)
    _, hint = assert_error(run(TOUR, "\x1b[1A\n"), 2, "ebpf-tour")
    assert hint == "list the tools: ebpf-tour"


# The trials


def made_for(kind: type[Hook]) -> trial.Trial:
    """Return the first trial of a kind of hook."""
    make = kind.checks()[0].make
    assert make
    return make()


@leaves_nothing
@kernel
def test_a_program_that_is_never_run() -> None:
    """To be attached is not enough."""
    made = made_for(Uprobe)._replace(cause=lambda: None)
    with pytest.raises(
        Error, match="a program can be attached to uprobe, but the kernel never runs it"
    ):
        made.run()


@leaves_nothing
@kernel
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: made_for(RawTracepoint)._replace(attach=_attach_to_nothing), "No such file"),
        (lambda: made_for(Fentry)._replace(function="no_such_function"), "no function"),
        (lambda: made_for(RawTracepoint)._replace(program_type=9999), "Invalid argument"),
    ],
    ids=["attach", "function", "load"],
)
def test_a_trial_that_fails(make: Callable[[], trial.Trial], said: str) -> None:
    with pytest.raises(Error, match=said):
        make().run()


def _attach_to_nothing(program: int) -> int:
    return trial.syscall.open_raw_tracepoint(b"no_such_tracepoint", program)


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("x86_64-linux-gnu/libLLVM-14.so.1", "14"),
        ("x86_64-linux-gnu/libLLVM.so.19.1", "19.1"),
        ("llvm-18/lib/libLLVM.so.1", "18"),
        ("x86_64-linux-gnu/libbcc.so.0.31.0", ""),
    ],
)
def test_llvm_version(path: str, version: str) -> None:
    """As Debian 12 and 13 and Ubuntu 24.04 have it."""
    assert llvm_version(f"7f00-7f01 r-xp 00000000 fe:00 1    /usr/lib/{path}\n") == version


@native
@kernel
@pytest.mark.parametrize(
    ("raised", "wanted"),
    [(Unsupported("no such thing", "get one"), Unsupported), (OSError("what?"), Error)],
)
def test_errors_in_a_network_of_its_own(raised: Exception, wanted: type[Error]) -> None:
    """A child process tries there, and its errors come out as they are."""

    def fail() -> None:
        raise raised

    with pytest.raises(wanted, match=re.escape(str(raised))) as caught:
        trial.in_own_network(fail)
    assert type(caught.value) is wanted
    assert caught.value.hint == getattr(raised, "hint", "")
    trial.in_own_network(lambda: None)
