"""ebpf-probes, held against what the kernel and other readers of the same files say.

Natively this covers what a kernel without kprobes has; `tests/machines/kernels.sh run 6.1 -- ...`
lists the functions for kprobes and fentry, too, and attaches to some of them.
"""

from __future__ import annotations

import argparse
import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import (
    BIN,
    NO_BTF,
    NO_TRACEFS,
    ROOT,
    Running,
    assert_error,
    everyones,
    in_mount_namespace,
    need,
    run,
)

from ebpf_tour.base.errors import Error, UsageError
from ebpf_tour.commands.probes import TOOL, Query, queries
from ebpf_tour.loader import features, raw_btf, syscall, trial
from ebpf_tour.loader.btf import kernel_function
from ebpf_tour.loader.hooks.fentry import Fentry
from ebpf_tour.loader.hooks.kprobe import Kprobe
from ebpf_tour.survey import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Compiled

PROBES = BIN / "ebpf-probes"

kernel = pytest.mark.kernel
native = pytest.mark.native
KPROBE, FENTRY = Kprobe("vfs_mkdir"), Fentry("vfs_mkdir")


def listed(*arguments: str | Path) -> list[str]:
    """Return the lines of a list; it demands that there is one."""
    result = run(PROBES, *arguments)
    assert result.status == 0, result.stderr
    return result.stdout.splitlines()


def records(*arguments: str | Path) -> list[dict[str, Any]]:
    result = run(PROBES, "--json", *arguments)
    assert result.status == 0, result.stderr
    assert result.summary == {"type": "summary", "events": len(result.records), "lost": 0}
    return result.records


def fails(status: int, *command: str | Path) -> tuple[str, str]:
    result = run(*command)
    assert result.stdout == ""
    return assert_error(result, status, "ebpf-probes")


# Tracepoints


@kernel
def test_tracepoints() -> None:
    """Those that tracefs has a directory with a switch for."""
    events = Path(features.tracefs()) / "events"
    there = {
        f"tracepoint:{e.parent.parent.name}:{e.parent.name}" for e in events.glob("*/*/enable")
    }
    found = listed("tracepoint")
    assert set(found) == there
    assert len(found) == len(there) > 500
    assert found == sorted(found)


@kernel
def test_fields_of_tracepoints() -> None:
    """Every event's own fields, as its format has them."""
    found = records("-v", "tracepoint:sched:*")
    assert found
    for record in found:
        path = f"{features.tracefs()}/events/sched/{record['name']}/format"
        every = re.findall(r"field:(.+?);\toffset:", Path(path).read_text(encoding="ascii"))
        assert record["fields"] == [field for field in every if " common_" not in field]
    (exec_record,) = (r for r in found if r["name"] == "sched_process_exec")
    assert "pid_t pid" in exec_record["fields"]


@kernel
def test_fields_in_the_list() -> None:
    """Below the probe, as bpftrace shows them."""
    first, *fields = listed("-v", "tracepoint:syscalls:sys_enter_openat")
    assert first == "tracepoint:syscalls:sys_enter_openat"
    assert "    const char * filename" in fields
    assert listed("tracepoint:syscalls:sys_enter_openat") == [first]


@kernel
def test_raw_tracepoints() -> None:
    """All those that have a tracepoint with a record, and no other name than they."""
    text = Path(f"{features.tracefs()}/available_events").read_text(encoding="ascii")
    events = {line.partition(":")[2] for line in text.split() if not line.startswith("syscalls:")}
    found = {line.partition(":")[2] for line in listed("rawtracepoint")}
    assert events <= found
    result = run(*in_mount_namespace(NO_BTF, PROBES, "rawtracepoint"))
    assert {line.partition(":")[2] for line in result.stdout.split()} == events


@kernel
def test_that_raw_tracepoints_can_be_attached_to() -> None:
    names = [line.partition(":")[2] for line in listed("rawtracepoint")]
    program = syscall.load_program(trial._RAW_TRACEPOINT, trial.RETURN_0)
    try:
        for name in names[:: len(names) // 30]:
            os.close(syscall.open_raw_tracepoint(name.encode(), program))
    finally:
        os.close(program)


@kernel
def test_arguments_of_raw_tracepoints() -> None:
    (record,) = records("-v", "rawtracepoint:sched_process_exec")
    types = ["struct task_struct *", "pid_t", "struct linux_binprm *"]
    # Older kernels' BTF has the types only.
    named = [re.sub(r"\w+$", "", field).rstrip() for field in record["fields"]]
    assert types in (record["fields"], named)


# Functions of the kernel


@kernel
def test_kprobes() -> None:
    """What ftrace knows, less what kprobes must leave alone."""
    need(KPROBE)
    path = Path(f"{features.tracefs()}/available_filter_functions")
    known = {line.split()[0] for line in path.read_text(encoding="ascii").splitlines()}
    blacklist = Path("/sys/kernel/debug/kprobes/blacklist")
    if blacklist.exists():
        known -= {line.split()[1] for line in blacklist.read_text(encoding="ascii").splitlines()}
    known = {name for name in known if "invalid_address" not in name}
    assert {line.removeprefix("kprobe:") for line in listed("kprobe")} == known
    returns = listed("kretprobe:vfs_*")
    assert returns == [line.replace("kprobe", "kretprobe") for line in listed("kprobe:vfs_*")]


@kernel
def test_that_functions_can_be_attached_to() -> None:
    """Some of all that are listed; those whose names are not unique may be refused."""
    need(KPROBE)
    names = [line.removeprefix("kprobe:") for line in listed("kprobe")]
    text = Path("/proc/kallsyms").read_text(encoding="ascii")
    symbols = [line.split()[2] for line in text.splitlines()]
    unique = [name for name in names[:: len(names) // 25] if symbols.count(name) == 1]
    assert unique
    for name in unique:
        place = syscall.PerfEvent(*trial.probe("kprobe", returns=False), name.encode())
        os.close(syscall.open_perf_event(place))


def test_functions_of_kallsyms() -> None:
    """Only what is code and stays; a function that ran while the kernel booted is none."""
    found = places._functions_of_kallsyms()
    lines = Path("/proc/kallsyms").read_text(encoding="ascii").splitlines()
    code = {line.split()[2] for line in lines if line.split()[1] in "tTwW"}
    assert {name for _, name in found} <= code
    assert ("vmlinux", "vfs_mkdir") in found
    assert "start_kernel" in code
    if os.geteuid() == 0:  # who may see addresses
        assert ("vmlinux", "start_kernel") not in found


@kernel
def test_kprobes_without_the_list_of_ftrace() -> None:
    """Then they are from kallsyms, and it says so, once."""
    need(KPROBE)
    result = run(*in_mount_namespace(NO_TRACEFS, PROBES, "k*:vfs_*"))
    assert set(listed("kprobe:vfs_*")) <= set(result.stdout.splitlines())
    (note,) = result.stderr.splitlines()
    assert note.startswith("ebpf-probes: functions are from /proc/kallsyms, ")


@kernel
def test_functions_of_modules() -> None:
    """A pattern may name the module."""
    need(KPROBE)
    by_module: dict[str, set[str]] = {}
    for record in records("kprobe"):
        by_module.setdefault(record["target"], set()).add(record["name"])
    modules = {line.split()[0] for line in Path("/proc/modules").read_text().splitlines()}
    assert set(by_module) - {"vmlinux"} <= modules
    module = next((name for name in by_module if name != "vmlinux"), "vmlinux")
    assert {r["name"] for r in records(f"kprobe:{module}:*")} == by_module[module]


@kernel
def test_fentry() -> None:
    """Functions that ftrace knows and BTF describes; some are attached to."""
    need(FENTRY)
    found = records("fentry")
    path = Path(f"{features.tracefs()}/available_filter_functions")
    known = {line.split()[0] for line in path.read_text(encoding="ascii").splitlines()}
    names = [record["name"] for record in found if record["target"] == "vmlinux"]
    assert {"vfs_mkdir", trial.KERNEL_FUNCTION} <= set(names) <= known
    assert len(names) > len(known) // 2
    btf = raw_btf.of_kernel()
    for name in names[:: len(names) // 10]:
        program = syscall.load_program(
            *(FENTRY.program_type, trial.RETURN_0, FENTRY.attach_type, btf.functions[name])
        )
        try:
            os.close(syscall.open_raw_tracepoint(None, program))
        finally:
            os.close(program)


@kernel
def test_fentry_shows_arguments() -> None:
    need(FENTRY)
    (record,) = records("-v", "fentry:vmlinux:vfs_mkdir")
    assert record["probe"] == "fentry:vmlinux:vfs_mkdir"
    assert "struct dentry *dentry" in record["fields"]
    (returns,) = records("-v", "fexit:vfs_mkdir")
    assert returns["fields"][:-1] == record["fields"]
    assert returns["fields"][-1].endswith("retval")


@kernel
@pytest.mark.parametrize(("pattern", "hook"), [("kprobe:vfs_*", KPROBE), ("f:vfs_*", FENTRY)])
def test_a_kind_that_this_kernel_lacks(pattern: str, hook: Kprobe | Fentry) -> None:
    """The same cause that a tool names. With a pattern for all kinds, the others are listed."""
    missing = hook.none_here()
    if not missing:
        assert run(PROBES, pattern).status == 0
        return
    assert fails(missing.status, PROBES, pattern) == (str(missing), missing.hint)
    result = run(PROBES, "*mkdir*")
    assert result.status == 0
    kind = "kprobe" if isinstance(hook, Kprobe) else "fentry"
    assert result.stderr.splitlines().count(f"ebpf-probes: {kind} not listed: {missing}") == 1
    assert "tracepoint:syscalls:sys_enter_mkdirat" in result.stdout.splitlines()


def test_prototypes() -> None:
    """Ours and libbpf's reading of the kernel's BTF agree."""
    btf = raw_btf.of_kernel()
    names = sorted(btf.functions)
    for name in [*names[:: len(names) // 200], "vfs_mkdir", "call_usermodehelper_setup"]:
        theirs = kernel_function(name)
        number = btf.functions[name]
        ours = btf.parameters(number)
        if ours[-1:] == ["..."]:
            assert btf.arity(number) is None
            continue
        assert btf.arity(number) == len(ours) == len(theirs.parameters)
        for text, (parameter, _) in zip(ours, theirs.parameters, strict=True):
            assert re.search(rf"\b{parameter}\b", text), (name, text)


DECLARED = """
struct shop;
union box { int a; };
enum colour { RED };
typedef unsigned int money;
typedef int (*sell_t)(struct shop *, ...);

int plain(int a, const char *b, char **const c) { return 0; }
money typed(struct shop *s, const union box *u, enum colour e, sell_t f) { return 0; }
void pointers(int (*f)(long, void *), const char (*names)[32], int (*(*deep)(void))[2]) { }
struct shop *nothing(void) { return 0; }
long open_end(int (*p)(const volatile int *, ...)) { return 0; }
"""

WRITTEN = {
    "plain": ["int a", "const char *b", "char **const c", "int retval"],
    "typed": [
        *("struct shop *s", "const union box *u", "enum colour e", "sell_t f", "money retval"),
    ],
    "pointers": [
        *("int (*f)(long, void *)", "const char (*names)[32]", "int (*(*deep)(void))[2]"),
        "void retval",
    ],
    "nothing": ["struct shop *retval"],
    "open_end": ["int (*p)(const volatile int *, ...)", "long retval"],
}


def test_declarations(tmp_path: Path) -> None:
    """From C to BTF and back again."""
    source, section = tmp_path / "declared.o", tmp_path / "btf"
    command = ["clang", "-target", "bpf", "-g", "-O1", "-xc", "-", "-c", "-o", source]
    subprocess.run(command, input=DECLARED, text=True, check=True)
    subprocess.run(["llvm-objcopy", f"--dump-section=.BTF={section}", source], check=True)
    btf = raw_btf.RawBtf(section.read_bytes())
    assert {
        name: [*btf.parameters(number), btf.returns(number, "retval")]
        for name, number in btf.functions.items()
    } == WRITTEN


@pytest.mark.parametrize("data", [b"", b"\x7fELF" + bytes(60), bytes(24)])
def test_no_btf(data: bytes) -> None:
    with pytest.raises(Error):
        raw_btf.RawBtf(data)


ENUM, ENUM64, SIGNED = 6 << 24, 19 << 24, 1 << 31


@pytest.mark.parametrize(
    ("kind", "item", "values"),
    [
        (ENUM, "=II", {"one": 1, "also_one": 1, "high": 1 << 31}),
        (ENUM | SIGNED, "=Ii", {"one": 1, "less": -1}),
        (ENUM64, "=IQ", {"one": 1, "high": 1 << 63}),
        (ENUM64 | SIGNED, "=Iq", {"one": 1, "less": -(1 << 40)}),
    ],
)
def test_enumerations(kind: int, item: str, values: dict[str, int]) -> None:
    """Of both kinds of BTF, with and without a sign; some names have the same value."""
    texts = b"\0" + b"\0".join(name.encode() for name in ("numbers", *values)) + b"\0"
    types = struct.pack("=3I", 1, kind | len(values), 4)
    for name, value in values.items():
        types += struct.pack(item, texts.index(b"\0" + name.encode() + b"\0") + 1, value)
    header: Any = (0xEB9F, 1, 0, 24, 0, len(types), len(types), len(texts))
    btf = raw_btf.RawBtf(struct.pack("=HBBI4I", *header) + types + texts)
    assert btf.enumeration("numbers") == values
    assert btf.enumeration("letters") == {}


def refusal(iterator: str) -> str | None:
    """Return the kernel's error for a program that an iterator gets, None if it takes it."""
    trace_iter = 28  # BPF_TRACE_ITER
    number = raw_btf.of_kernel().functions[f"bpf_iter_{iterator}"]
    try:
        program = syscall.load_program(FENTRY.program_type, trial.RETURN_0, trace_iter, number)
    except syscall.ProgramRefused as error:
        if error.errno not in (errno.EPERM, errno.EACCES):
            raise  # the program is at fault
        return errno.errorcode[error.errno]
    os.close(program)
    return None


@kernel
def test_iterators() -> None:
    """Each one loads, or -v names the error with which this kernel refuses it."""
    found = {record["name"]: record for record in records("-v", "iter:*")}
    assert found["task"]["fields"] == ["struct task_struct *task"]
    assert found["task"]["refused"] is None
    said = {name: record["refused"] for name, record in found.items()}
    assert {name: text and text.partition(":")[0] for name, text in said.items()} == {
        name: refusal(name) for name in found
    }


@kernel
def test_iterators_that_are_refused(compiled: Compiled) -> None:
    """By a seccomp filter, and in each form of the output."""
    said = "EPERM: Operation not permitted"
    command = (compiled("forbid"), PROBES, "-v", "iter:task")
    result = run(*command)
    assert result.stdout.splitlines() == [
        *("iter:task", "    struct task_struct *task", f"    (this kernel refuses it: {said})"),
    ]
    assert run(*command, "--json").records[0]["refused"] == said
    (row,) = csv.DictReader(io.StringIO(run(*command, "--format", "csv").stdout))
    assert row["refused"] == said
    # Without -v it is not tried.
    assert run(compiled("forbid"), PROBES, "--json", "iter:task").records[0]["refused"] is None


@kernel
def test_iterators_without_privileges() -> None:
    """They are listed, and it says once that they were not tried."""
    without = ("setpriv", "--bounding-set=-sys_admin,-bpf")
    result = run(*without, PROBES, "-v", "--json", "iter:*")
    assert result.status == 0
    assert [record["probe"] for record in result.records] == listed("iter:*")
    assert {record["refused"] for record in result.records} == {None}
    assert result.stderr == (
        "ebpf-probes: whether this kernel takes programs for iterators was not tried, since only "
        "root may load programs\n"
    )
    assert run(*without, PROBES, "iter:*").stderr == ""


def test_perf_events() -> None:
    """They can be opened, unless the machine has none."""
    names = [line.split(":")[1] for line in listed("software")]
    assert "cpu-clock" in names
    result = run(PROBES, "hardware")
    try:
        os.close(syscall.open_perf_event(syscall.PerfEvent(0, 0, pid=os.getpid())))
    except OSError:
        assert result.status == 69
    else:
        assert "hardware:cpu-cycles:" in result.stdout.splitlines()


# Functions and USDT probes of programs


@pytest.fixture(scope="module")
def program(compiled: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program with functions and probes of every sort: see tests/programs/probes.c."""
    return Path(shutil.copy(compiled("probes"), tmp_path_factory.mktemp("programs") / "shop"))


def functions_by_readelf(path: Path) -> set[str]:
    """Return the defined functions, without the versions that some names have."""
    text = subprocess.run(["readelf", "-sW", path], capture_output=True, check=True).stdout
    found = set()
    for line in text.decode("utf-8", "backslashreplace").splitlines():
        # Num: Value Size Type Bind Vis Ndx Name
        fields = line.split(None, 7)
        if len(fields) == 8 and fields[3] == "FUNC" and fields[6] != "UND":
            found.add(fields[7].split("@")[0].split()[0])
    return found


def names(lines: list[str], kind: str, path: Path) -> set[str]:
    start = f"{kind}:{path}:"
    return {line.removeprefix(start) for line in lines if line.startswith(start)}


@native
def test_functions_of_a_program(program: Path) -> None:
    found = names(listed("--binary", program), "uprobe", program)
    theirs = functions_by_readelf(program)
    # It shows the escape as ^[, ours is \x1b.
    assert found == {name.replace("^[", r"\x1b") for name in theirs}
    assert {"exported", "hidden", "chosen_one", r"evil\x1b[1A"} <= found
    assert "indirect" not in found


@native
@pytest.mark.parametrize("name", ["shop[1]", "shop*", "[shop]", "sh?p"])
def test_a_file_whose_name_looks_like_a_pattern(program: Path, tmp_path: Path, name: str) -> None:
    """It is a name if there is such a file."""
    for other in ("shop1", "shop2", "s"):
        shutil.copy("/bin/true", tmp_path / other)
    path = Path(shutil.copy(program, tmp_path / name))
    found = listed("--binary", path, "uprobe:*")
    assert f"uprobe:{path}:exported" in found
    assert all(line.startswith(f"uprobe:{path}:") for line in found)


@native
@pytest.mark.parametrize("file", ["/usr/bin/python3", "libc.so.6", "libstdc++"])
def test_functions_of_other_files(file: str) -> None:
    """Without the debug files that may be installed, which readelf does not look at."""
    setup = "[ ! -d /usr/lib/debug ] || mount -t tmpfs none /usr/lib/debug"
    result = run(*in_mount_namespace(setup, PROBES, "--json", "--binary", file, "uprobe:*"))
    assert result.status == 0, result.stderr
    path = Path(result.records[0]["target"])
    assert path.is_absolute()
    assert {record["name"] for record in result.records} == functions_by_readelf(path)


@native
def test_functions_of_a_debug_file(tmp_path: Path) -> None:
    """A stripped program, and beside it what was stripped."""
    stripped, debug = tmp_path / "shop", tmp_path / "shop.debug"
    subprocess.run(
        ["gcc", "-Wl,--build-id=0x1234567890", "-xc", "-", "-o", stripped],
        input=(ROOT / "tests/programs/probes.c").read_text(),
        text=True,
        check=True,
    )
    subprocess.run(["objcopy", "--only-keep-debug", stripped, debug], check=True)
    subprocess.run(["strip", stripped], check=True)
    setup = """
    mkdir -p /usr/lib/debug
    mount -t tmpfs none /usr/lib/debug
    """
    without = run(*in_mount_namespace(setup, PROBES, "--binary", stripped, "hidden"))
    assert without.status == 1
    setup += f"""
    mkdir -p /usr/lib/debug/.build-id/12
    cp '{debug}' /usr/lib/debug/.build-id/12/34567890.debug
    """
    result = run(*in_mount_namespace(setup, PROBES, "--binary", stripped, "hidden"))
    assert result.stdout == f"uprobe:{stripped}:hidden\n"


def usdt_by_readelf(path: Path) -> set[str]:
    text = subprocess.run(["readelf", "-n", path], capture_output=True, check=True).stdout
    pairs = re.findall(r"Provider: (.+)\n +Name: (.+)\n", text.decode("utf-8", "backslashreplace"))
    return {f"{provider}:{name}" for provider, name in pairs}


@native
def test_usdt_probes(program: Path) -> None:
    found = {record["probe"]: record for record in records("-v", f"usdt:{program}:*")}
    start = f"usdt:{program}"
    assert set(found) == {
        *(f"{start}:shop:sale", f"{start}:shop:closed", f"{start}:evil\x1b[1A:two\nlines")
    }
    sale = found[f"{start}:shop:sale"]
    assert sale["fields"] == ["u64 arg0", "s32 arg1", "f64 arg2", "u16 arg3"]
    assert (sale["provider"], sale["name"], sale["target"]) == ("shop", "sale", str(program))
    assert found[f"{start}:shop:closed"]["fields"] == []


@native
def test_usdt_probes_of_python() -> None:
    """Debian's and Ubuntu's has some."""
    theirs = usdt_by_readelf(Path("/usr/bin/python3"))
    result = run(PROBES, "usdt:/usr/bin/python3")
    if not theirs:
        assert result.status == 1
        return
    assert names(result.stdout.splitlines(), "usdt", Path("/usr/bin/python3")) == theirs


@native
@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("usdt:{}:shop:*", ["shop:closed", "shop:sale"]),
        ("usdt:{}:sa*", ["shop:sale"]),
        ("U:{}:sh?p:s[abc]le", ["shop:sale"]),
        ("usdt:{}", ["evil\\x1b[1A:two\\nlines", "shop:closed", "shop:sale"]),
        ("uprobe:{}:exp*", ["exported"]),
        ("u:{}:hidden", ["hidden"]),
        ("ur:{}:hidden", ["hidden"]),
    ],
)
def test_patterns_with_a_file(program: Path, pattern: str, shown: list[str]) -> None:
    kinds = {"u": "uprobe", "ur": "uretprobe", "U": "usdt"}
    kind = pattern.partition(":")[0]
    found = listed(pattern.format(program))
    assert found == [f"{kinds.get(kind, kind)}:{program}:{name}" for name in shown]


@native
def test_pattern_for_files(program: Path) -> None:
    """Files that are no programs are left out."""
    (program.parent / "script").write_text("#!/bin/sh\n")
    (program.parent / "directory").mkdir(exist_ok=True)
    shutil.copy(program, program.parent / "second")
    found = listed(f"uprobe:{program.parent}/*:exported")
    assert found == [f"uprobe:{program.parent}/{name}:exported" for name in ("second", "shop")]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that has mapped the program as a library, and waits."""
    library = tmp_path / "libshop.so"
    source = ROOT / "tests/programs/probes.c"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True)
    script = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, library], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


@native
@kernel
def test_process(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """All files that it has mapped."""
    library = tmp_path / "libshop.so"
    found = listed("-p", str(process.pid), "*a*")
    assert names(found, "usdt", library) == {"shop:sale"}
    assert "hidden" not in names(found, "uprobe", library)
    assert {"malloc", "calloc"} <= {line.rpartition(":")[2] for line in found}
    assert {line.partition(":")[0] for line in found} == {"uprobe", "usdt"}


@native
@kernel
def test_process_whose_file_is_deleted(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The path leads to it all the same."""
    library = tmp_path / "libshop.so"
    inode = library.stat().st_ino
    library.unlink()
    (record,) = records("-p", str(process.pid), "usdt:shop:sale")
    assert os.stat(record["target"]).st_ino == inode


@native
@kernel
def test_process_in_a_container(tmp_path: Path) -> None:
    """The same path is another file there; what is shown leads to the right one from here."""
    copy = tmp_path / "sleep"
    script = f"mount -t tmpfs none '{tmp_path}'; cp $(command -v sleep) '{copy}'; exec '{copy}' 60"
    command = ("unshare", "--mount", "sh", "-ec", script)
    with Running(*command) as running:
        exe = Path(f"/proc/{running.pid}/exe")
        while exe.readlink() != copy:
            assert running.process.poll() is None
        result = run(PROBES, "--json", "-p", str(running.pid), "uprobe:*")
        targets = {record["target"] for record in result.records}
        assert str(copy) not in targets
        for target in targets:
            assert os.path.exists(target)
        running.finish(signal.SIGTERM)


@pytest.mark.parametrize("pid", ["2", "4194304"])
@kernel
def test_no_such_process(pid: str) -> None:
    fails(1, PROBES, "-p", pid, "usdt:*")


# Patterns


def asked(pattern: str | None, binary: str | None = None) -> list[Query]:
    return queries(argparse.Namespace(pattern=pattern, binary=binary, pid=None))


COMMON = ("tracepoint", "rawtracepoint", "kprobe", "fentry", "iter", "software", "hardware")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, [Query(kind) for kind in COMMON]),
        ("*", [Query(kind) for kind in COMMON]),
        ("*open*", [Query(kind, name="*open*") for kind in COMMON]),
        ("vfs_read", [Query(kind, name="vfs_read") for kind in COMMON]),
        ("kprobe", [Query("kprobe")]),
        ("kprobe:", [Query("kprobe")]),
        ("kretprobe:vfs_*", [Query("kretprobe", name="vfs_*")]),
        ("k:ext4:*", [Query("kprobe", target="ext4")]),
        ("t:sched:*exec", [Query("tracepoint", target="sched", name="*exec")]),
        ("tracepoint:*exec", [Query("tracepoint", name="*exec")]),
        ("tracepoint:s*:*exec", [Query("tracepoint", target="s*", name="*exec")]),
        ("*probe:x", [Query("kprobe", name="x")]),
        ("*:x", [Query(kind, name="x") for kind in COMMON]),
        ("kfunc:x", [Query("fentry", name="x")]),
        ("software:faults:100", [Query("software", name="faults")]),
        ("usdt:/bin/a", [Query("usdt", file="/bin/a")]),
        ("usdt:/bin/a:b", [Query("usdt", name="b", file="/bin/a")]),
        ("usdt:/bin/a:b:c", [Query("usdt", provider="b", name="c", file="/bin/a")]),
        ("uprobe:libc:mall*", [Query("uprobe", name="mall*", file="libc")]),
        ("uprobe:/a:b/c:d", [Query("uprobe", name="d", file="/a:b/c")]),
    ],
)
def test_parts_of_a_pattern(pattern: str | None, expected: list[Query]) -> None:
    assert asked(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (None, [Query("uprobe"), Query("usdt")]),
        ("*gc*", [Query("uprobe", name="*gc*"), Query("usdt", name="*gc*")]),
        ("uretprobe:main", [Query("uretprobe", name="main")]),
        ("usdt:b:c", [Query("usdt", provider="b", name="c")]),
        ("usdt:c", [Query("usdt", name="c")]),
    ],
)
def test_parts_of_a_pattern_with_an_option(pattern: str | None, expected: list[Query]) -> None:
    assert asked(pattern, "/bin/a") == expected


@pytest.mark.parametrize(
    ("pattern", "binary", "said"),
    [
        ("nonsense:x", None, "there is no kind of probe 'nonsense'"),
        (":x", None, "there is no kind of probe ''"),
        ("\x1b[1A:x", None, "there is no kind of probe '\x1b[1A'"),
        ("usdt:*", None, "which one?"),
        ("uprobe", None, "which one?"),
        ("uprobe:", None, "which one?"),
        ("uprobe:*open*", None, "which one?"),
        ("kprobe:x", "/bin/a", "kprobe is a place in the kernel"),
    ],
)
def test_patterns_that_make_no_sense(pattern: str, binary: str | None, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked(pattern, binary)
    assert said in str(caught.value)
    assert caught.value.hint


def test_two_files() -> None:
    fails(2, PROBES, "--binary", "/bin/sh", "-p", "1")


# What goes wrong, and the forms of the output


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("tracepoint:sched:process", "use * for any text:  '*process*'"),
        (
            "tracepoint:no_such*",
            "check upper and lower case; the pattern must match the whole name",
        ),
        ("tracepoint:\x1b[1A", "use * for any text:  '*\\x1b[1A*'"),
    ],
)
@kernel
def test_nothing_matches(pattern: str, hint: str) -> None:
    """As grep."""
    cause, said = fails(1, PROBES, pattern)
    assert cause.startswith("nothing here matches '")
    assert said == hint


@pytest.mark.parametrize("form", ["json", "csv"])
@kernel
def test_nothing_matches_in_other_formats(form: str) -> None:
    fails(1, PROBES, "tracepoint:no_such", "--format", form)


@native
@pytest.mark.parametrize(
    ("file", "cause", "hint"),
    [
        ("/no/such", "cannot read /no/such: No such file or directory", "name a program"),
        ("/", "cannot read /: Is a directory", "name a program"),
        ("script", "has nothing to probe: it is not an ELF file", "it is a script"),
        ("text", "has nothing to probe: it is not an ELF file", "name a 64-bit program"),
        ("broken", "is broken: it ends too early", "reinstall"),
        ("no-such-program", "there is no program or library no-such-program", "by its path"),
        ("\x1b1A", r"there is no program or library \x1b1A", "by its path"),
        ("/usr/*/no-such[1A", "no program or library matches /usr/*/no-such[1A", "ls"),
    ],
)
def test_files_that_are_none(
    program: Path, tmp_path: Path, file: str, cause: str, hint: str
) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "text").write_text("not a program, but long enough for a header" * 9)
    (tmp_path / "broken").write_bytes(program.read_bytes()[:-2000])
    path = tmp_path / file if (tmp_path / file).is_file() else file
    said, advice = fails(1, PROBES, "--binary", path)
    assert cause in said
    assert hint in advice


@kernel
def test_without_tracefs() -> None:
    command = in_mount_namespace(NO_TRACEFS, PROBES, "tracepoint:sched:*")
    cause, hint = fails(69, *command)
    assert cause == "tracefs is not mounted, so no tracepoint can be found"
    assert "mount -t tracefs" in hint


@kernel
def test_without_btf() -> None:
    for pattern in ("fentry:vfs_*", "iter:*"):
        cause, _ = fails(69, *in_mount_namespace(NO_BTF, PROBES, pattern))
        assert cause.startswith("this kernel has no BTF in /sys/kernel/btf/vmlinux")


@kernel
def test_ordinary_user(open_directory: Path) -> None:
    """May not look into tracefs; to read BTF and files is for everybody."""
    command = everyones("probes", open_directory)
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", command)
    cause, hint = fails(77, *nobody, "tracepoint:sched:*")
    assert cause.endswith("only root may, unless others are given access")
    assert hint == f"run it as root: sudo {command} 'tracepoint:sched:*'"
    result = run(*nobody, "fentry:vfs_mkdir")
    assert result.stdout == "fentry:vmlinux:vfs_mkdir\n"
    assert result.stderr.startswith("ebpf-probes: functions are from /proc/kallsyms")


@kernel
def test_forms_of_output() -> None:
    lines = listed("tracepoint:sched:*")
    found = records("tracepoint:sched:*")
    assert [record["probe"] for record in found] == lines
    for record in found:
        assert list(record) == [column.key for column in TOOL.columns]
        assert record["probe"] == f"tracepoint:sched:{record['name']}"
        assert (record["kind"], record["target"]) == ("tracepoint", "sched")
        assert (record["provider"], record["fields"], record["refused"]) == (None, None, None)
    result = run(PROBES, "tracepoint:sched:*", "--format", "csv")
    table = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["probe"] for row in table] == lines
    (row,) = csv.DictReader(
        io.StringIO(run(PROBES, "-v", "t:sched:sched_process_exec", "--format", "csv").stdout)
    )
    (record,) = records("-v", "t:sched:sched_process_exec")
    assert row["fields"] == ";".join(record["fields"])


@kernel
def test_limit() -> None:
    assert listed("tracepoint:sched:*", "--limit", "3") == listed("tracepoint:sched:*")[:3]
    assert len(records("tracepoint:sched:*", "--limit", "3")) == 3


@kernel
def test_reader_goes_away() -> None:
    done = subprocess.run(
        ["sh", "-c", 'set -e; "$0" tracepoint | head -n 1', PROBES], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


def test_every_kind_is_known() -> None:
    """Each has a name and short names of its own."""
    every = [
        *places._KERNEL_PLACES.values(),
        *(places.user_places(k, []) for k in ("uprobe", "uretprobe", "usdt")),
    ]
    called = [name for kind in every for name in (kind.kind, *kind.aliases)]
    assert len(called) == len(set(called))
    for name in called:
        assert places.kind_called(name)
    assert json.dumps(called)


def test_documented_kinds() -> None:
    """The manual page names every kind and its first short name."""
    prose = (ROOT / "man/probes.inc").read_text(encoding="utf-8")
    kernel_kinds = places._KERNEL_PLACES.values()
    user_kinds = (places.user_places(kind, []) for kind in ("uprobe", "uretprobe", "usdt"))
    for kind in (*kernel_kinds, *user_kinds):
        assert f"{kind.kind} ({kind.aliases[0]})" in " ".join(prose.split())
