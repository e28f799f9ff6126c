"""What is made of the verifier's log: of logs that kernels wrote, and of real refusals.

logs/ has what Linux 5.10 to 7.2 wrote about programs that are broken on purpose,
the longer ones without their beginning.
"""

from __future__ import annotations

import errno
import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from support import BIN, ENGINES, ROOT, assert_error, run

from ebpf_tour.build import compile_all
from ebpf_tour.explain import verifier
from ebpf_tour.explain.lines import SourceLine

if TYPE_CHECKING:
    from pathlib import Path

    from support import Result

BROKEN = ROOT / "examples/broken"
SUFFIX = {"libbpf": "bpf.c", "bcc": "bcc.c"}

# By program: the reason, what the hint says, and the line that is to blame.
REFUSALS = {
    "lookup": (
        r"R0 invalid mem access 'map_value_or_null'",
        "compare it with NULL",
        "*count += 1;",
    ),
    "loop": (
        "infinite loop detected at insn 3",
        "count the iterations",
        "while (bpf_ktime_get_ns()",
    ),
    "context": (r"invalid bpf_context access off=32 size=[28]", "may not write to it", "0700;"),
    "license": (
        r"cannot call GPL.restricted function from non-GPL compatible program",
        "GPL",
        'printk("a program is executed");',
    ),
    "bound": (
        r"invalid access to map value, value_size=512 off=512 size=8; R\d max value is outside .*",
        "compare it with its limits",
        "[number] += 1;",
    ),
    "unset": ("R3 !read_ok", "before it is written", "bpf_probe_read_user_str("),
    "core": ("failed to resolve CO-RE relocation .*nosuch .*", "bpf_core_field_exists()", ""),
    "fpsize": ("R2 min value is negative, .*", "compare it with its limits", "bpf_probe_read"),
    "gpl": ("cannot call GPL.restricted function from non-GPL compatible program", "LICENSE", ""),
    "helper": (".*bpf_get_socket_cookie#46", "bpf-helpers(7)", "bpf_get_socket_cookie(ctx);"),
    "helperarg": (
        "R1 type=ctx expected=map_ptr",
        "another kind of argument",
        "bpf_map_lookup_elem",
    ),
    "jumps": (r"The sequence of 8193 jumps is too complex\.", "a small limit", "for (i = 0;"),
    "long": ("BPF program is too large. Processed 1000001 insn|its log is longer.*", "limit", ""),
    "math": (
        "math between map_value pointer and register .*",
        "compare it with its limits",
        "v +=",
    ),
    "range": (
        r"invalid access to map value, value_size=32 off=56 size=8; R0 max value is outside .*",
        "compare it with its limits",
        "v[ctx->args[0] & 7] = 1;",
    ),
    "reserve": ("R0 invalid mem access '.*mem_or_null'", "compare it with NULL", "*e = 1;"),
    "scalar": ("R0 invalid mem access '(scalar|inv)'", "bpf_probe_read_kernel()", "bpf_printk"),
    "stack": (r"invalid indirect read from stack.*", "initialise all of it", "bpf_map_update_elem"),
    "unbounded": (".* unbounded .*", "compare it with its limits", ""),
    "uninit": ("R7 !read_ok", "before it is written", "asm volatile"),
    "unreleased": (r"Unreleased reference id=2 alloc_insn=4.*", "submitted or released", ""),
}


def logs() -> list[tuple[str, str, str, int, str]]:
    """Return kernel, program, engine, errno and log of each refusal."""
    found = []
    for path in sorted((ROOT / "tests/logs").glob("*.txt")):
        parts = re.split(r"(?m)^== (\w+) (\w+) (\d+)\n", path.read_text())[1:]
        for name, engine, number, log in zip(*(parts[at::4] for at in range(4)), strict=True):
            found.append((path.stem, name, engine, int(number), log))
    return found


LOGS = logs()


@pytest.mark.parametrize(
    ("kernel", "name", "engine", "number", "log"),
    LOGS,
    ids=[f"{kernel}-{name}-{engine}" for kernel, name, engine, _, _ in LOGS],
)
def test_log(kernel: str, name: str, engine: str, number: int, log: str) -> None:
    """From the log alone, as for a function whose lines nobody knows."""
    reason, hint, line = REFUSALS[name]
    error = verifier.refusal("prog", log, number, {})
    pattern = r"the kernel's verifier refuses prog(?: at (\w+\.bpf\.c):\d+)?: (.*)"
    said = re.fullmatch(pattern, str(error))
    assert said, str(error)
    assert re.fullmatch(reason, said[2])
    assert hint in error.hint
    # Since Linux 6.9 the place is in the log; in BCC's it is one in another text.
    placed = tuple(map(int, kernel.split("."))) >= (6, 9) and engine == "libbpf"
    assert said[1] == (f"{name}.bpf.c" if placed else None)
    shown = error.detail.splitlines()
    assert 0 < len([row for row in shown if re.match(r" +\d+: ", row)]) <= 5
    assert all(len(row) <= 98 for row in shown)
    lines = [row for row in shown if row.startswith("; ")]
    if line and lines:
        assert line in lines[-1]


def test_logs_are_of_all_kernels() -> None:
    programs = {"lookup", "loop", "context"}
    assert {kernel for kernel, *_ in LOGS} == {"5.10", "6.1", "6.12", "6.18", "7.2"}
    for kernel in {kernel for kernel, *_ in LOGS}:
        found = {(name, engine) for of, name, engine, _, _ in LOGS if of == kernel}
        assert found >= {(name, engine) for name in programs for engine in ENGINES}


LOG = """\
0: R1=ctx() R10=fp0
; first(); @ main.bpf.c:7
0: (b7) r1 = 1                        ; R1=1
1: (15) if r1 == 0x0 goto pc+3
3: (18) r2 = 0xffff88810155f800       ; R2=map_ptr(map=counts,ks=4,vs=8)
5: (85) call bpf_map_lookup_elem#1
R1 type=scalar expected=map_ptr
processed 5 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 0 mark_read 0
"""


def test_lines_that_are_known() -> None:
    """They count more than those in the log; an instruction between has the one before."""
    lines = {0: SourceLine("a.c", 3, "first();"), 3: SourceLine("a.c", 4, "second();")}
    error = verifier.refusal("prog", LOG, errno.EACCES, lines)
    assert str(error).startswith("the kernel's verifier refuses prog at a.c:4: R1 type=scalar")
    assert error.detail.splitlines() == [
        "; first(); @ a.c:3",
        "   0: (b7) r1 = 1                      ; R1=1",
        "   1: (15) if r1 == 0x0 goto pc+3",
        "; second(); @ a.c:4",
        "   3: (18) r2 = 0xffff88810155f800     ; R2=map_ptr(map=counts,ks=4,vs=8)",
        "   5: (85) call bpf_map_lookup_elem#1",
    ]


def test_places_in_a_log_of_bcc() -> None:
    """By the instruction that follows; on kernels before 6.9 there are none."""
    log = LOG.replace("@ main.bpf.c:7", "@ main.c:207").replace(
        "pc+3", "pc+3 ; second(); @ main.c:210"
    )
    lines = {0: SourceLine("a.c", 3, "first();"), 3: SourceLine("a.h", 4, "second();")}
    placed = verifier.with_places(log, lines)
    assert "; first(); @ a.c:3\n" in placed
    assert " goto pc+3 ; second(); @ a.h:4\n" in placed
    assert "; first();\n" in verifier.with_places(log, {})
    assert verifier.with_places(LOG, lines) == LOG


@pytest.mark.parametrize(
    ("log", "number", "reason"),
    [
        # The reason names another instruction, or comes before any was followed.
        ("unreachable insn 3\nprocessed 0 insns (limit 1000000) x\n", 22, "unreachable insn 3"),
        (
            "arg#0 reference type('UNKNOWN ') size cannot be determined: -22\nback-edge\n",
            22,
            "back",
        ),
        ("", errno.E2BIG, "Argument list too long"),
        ("0: (b7) r1 = 1\n1: (b7) r1 = ", errno.ENOSPC, "its log is longer than 16 MiB"),
        ("4: (2d) if r6 > r0 goto pc-2 infinite loop\n", 22, "infinite loop"),
        ("4: (2d) if r6 > r0 goto pc-2 3: R0=scalar()\n", 22, "Invalid argument"),
    ],
)
def test_reason(log: str, number: int, reason: str) -> None:
    assert verifier.reason(log, number).startswith(reason)


def test_line_that_the_reason_names() -> None:
    lines = {0: SourceLine("a.c", 3, "reserve();"), 5: SourceLine("a.c", 9, "}")}
    log = "9: (95) exit\nUnreleased reference id=2 alloc_insn=4\n"
    assert " at a.c:3: " in str(verifier.refusal("prog", log, 22, lines))


def test_lines_that_are_not_known() -> None:
    """Of a function that is called; then the log's own count."""
    lines = {0: SourceLine("a.c", 3, "first();"), 3: None}
    error = verifier.refusal("prog", LOG, errno.EACCES, lines)
    assert str(error).startswith("the kernel's verifier refuses prog at main.bpf.c:7: ")
    assert "; first(); @ main.bpf.c:7" in error.detail.splitlines()


def test_unknown_reason() -> None:
    """Then it stands for itself."""
    error = verifier.refusal("prog", "0: (95) exit\nfrobnication failed\n", 22, {})
    assert (str(error).rpartition(": ")[2], error.hint) == ("frobnication failed", "")


PROCESSED = "processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 2 peak_states 1"


@pytest.mark.parametrize(
    ("log", "found"),
    [
        (f"verification time 111 usec\nstack depth 8\n{PROCESSED}\n", (7, 2, "8", 111)),
        # Linux 7.2, and two functions.
        (
            f"verification time 9 usec\nstack depth 8+16 max 24\ninsns processed 7\n{PROCESSED}",
            (7, 2, "8+16", 9),
        ),
        ("verification time 111 usec\nstack depth 8\n", None),  # cut off
        ("", None),
    ],
)
def test_statistics(log: str, found: tuple[int, int, str, int] | None) -> None:
    assert verifier.statistics(log) == found


# From here on: the programs in examples/broken, and the running kernel.


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of examples/broken, for a test to compile and change."""
    ignored = shutil.ignore_patterns("*.o", "__pycache__")
    copy = shutil.copytree(BROKEN, tmp_path_factory.mktemp("copy") / "broken", ignore=ignored)
    compile_all(copy, copy)
    return copy


def load(directory: Path, *options: str) -> Result:
    return run(BIN / "python", directory / "load.py", *options)


def line_of(path: Path, text: str) -> int:
    """Return the number of the only line of a file with a text."""
    (number,) = (n for n, line in enumerate(path.read_text().splitlines(), 1) if text in line)
    return number


kernel = pytest.mark.kernel()
leaves_nothing = pytest.mark.usefixtures("leaves_nothing")
PROGRAMS = ("lookup", "loop", "context", "license", "bound", "unset")
each = pytest.mark.parametrize("name", PROGRAMS)


@kernel
@leaves_nothing
@pytest.mark.parametrize(
    ("engine", "name"),
    [
        *(pytest.param("libbpf", name, marks=pytest.mark.core) for name in PROGRAMS),
        pytest.param("bcc", "lookup", marks=pytest.mark.core),
        *(("bcc", name) for name in PROGRAMS if name != "lookup"),
    ],
)
def test_refusal(broken: Path, name: str, engine: str) -> None:
    """In two lines the reason, the C line and what it means; above, how it came to that."""
    result = load(broken, name, "--engine", engine)
    cause, hint = assert_error(result, 1, "load.py")
    reason, meaning, text = REFUSALS[name]
    file = f"{name}.{SUFFIX[engine]}"
    line = line_of(broken / file, text)
    refused = rf"the kernel's verifier refuses \w+ at {file}:{line}: {reason}"
    assert meaning in hint
    if file == "license.bpf.c":  # the object tells what is missing, the log need not
        refused = f"{file} has no licence: {refused}"
    else:
        assert hint.endswith("; -v shows the verifier's whole log")
    assert re.fullmatch(refused, cause)
    *shown, _, _ = result.stderr.splitlines()
    assert len(shown) <= 12
    said = (broken / file).read_text().splitlines()[line - 1].strip()
    lines = [row.strip() for row in shown if row.startswith("  ; ")]
    assert lines[-1] == f"; {said} @ {file}:{line}"
    assert re.match(r" +\d+: \([0-9a-f]{2}\) ", shown[-1])
    assert result.stdout == ""


@kernel
@leaves_nothing
@pytest.mark.parametrize("name", ["lookup", "loop"])
def test_whole_log(broken: Path, name: str, engine: str) -> None:
    """With -v on stderr before the error, with --show log on stdout."""
    verbose = load(broken, name, "--engine", engine, "-v")
    cause, hint = assert_error(verbose, 1, "load.py")
    assert "-v" not in hint
    assert re.search(r"(?m)^0: \([0-9a-f]{2}\) ", verbose.stderr)
    assert re.search(r"(?m)^processed \d+ insns ", verbose.stderr)

    shown = load(broken, name, "--engine", engine, "--show", "log")
    again, hint = assert_error(shown, 1, "load.py")
    assert again == cause
    assert REFUSALS[name][1] in hint
    assert "-v" not in hint
    assert shown.stderr.count("\n") == 2
    assert shown.stdout.split()[:2] == ["PROCESSED", "STATES"]
    assert re.search(r"(?m)^0: R1=ctx.* R10=fp0", shown.stdout)


READ = "\tbpf_probe_read_user_str("
EXECVE = 'SEC("tp/syscalls/sys_enter_execve")\n'

# By program, and where the dialects differ by engine: what is put in whose place.
MENDED = {
    "lookup": ("*count += 1;", "if (!count)\n\t\treturn 0;\n\t*count += 1;"),
    "loop": (
        "while (bpf_ktime_get_ns() < end)",
        "for (int i = 0; i < 64 && bpf_ktime_get_ns() < end; i++)",
    ),
    "context": (" = 0700;", ";"),
    "license-libbpf": (EXECVE, f'char LICENSE[] SEC("license") = "Dual BSD/GPL";\n\n{EXECVE}'),
    "license-bcc": ("#define BPF_LICENSE Proprietary\n", ""),
    "bound": ("sent[64];", "sent[65];"),
    "unset-libbpf": (READ, f"\tcall.path = (const char *)ctx->args[0];\n{READ}"),
    "unset-bcc": (READ, f"\tcall.path = args->filename;\n{READ}"),
}


@kernel
@leaves_nothing
@each
def test_mended(broken: Path, tmp_path: Path, name: str, engine: str) -> None:
    """What is broken about each is what its comment says, and nothing else."""
    copy = shutil.copytree(broken, tmp_path / "broken")
    path = copy / f"{name}.{SUFFIX[engine]}"
    text = path.read_text()
    before, after = MENDED.get(name) or MENDED[f"{name}-{engine}"]
    assert text.count(before) == 1
    if name == "context":  # an expression without an effect, and the compiler says so
        before, after = re.search(rf"(?m)^.*{re.escape(before)}$", text)[0], ""  # type: ignore[index]
    path.write_text(text.replace(before, after))
    compile_all(copy, copy)
    result = load(copy, name, "--engine", engine)
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout == f"the kernel takes {path}\n"


@each
def test_source_can_be_read_without_an_object(tmp_path: Path, name: str, engine: str) -> None:
    copy = shutil.copytree(BROKEN, tmp_path / "broken", ignore=shutil.ignore_patterns("*.o"))
    result = load(copy, name, "--engine", engine, "--show", "source")
    path = copy / f"{name}.{SUFFIX[engine]}"
    if engine == "bcc":
        assert result.stdout.endswith(path.read_text())
    else:
        cause, hint = assert_error(result, 69, "load.py")
        assert cause.endswith(f"/{name}.bpf.o is not there")
        assert hint == f"compile it: {sys.executable} -m ebpf_tour.build {copy}"
