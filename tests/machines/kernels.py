"""Run the kernel tests on other kernels, in virtual machines, and print what came of it.

`make test-kernels KERNELS="6.1 7.2"` calls this. Each kernel is booted twice, side by side,
and runs half of the tests in each guest: with TESTS=choice some of those marked `core`, with
TESTS=processor fewer, with TESTS=core all of these, with TESTS=all every one that is not
marked `native`. One with pages of 16 KiB runs the demos only. One that boots with a parameter,
as 6.1+lockdown=integrity, runs the tests for that, in one guest. A guest without results, a
tool that no kernel can run, and a test that fails make it fail.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from ebpf_tour.frame.catalogue import tools

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build/kernels"
PLAIN = ("5.10", "6.1", "6.12", "7.2", "6.1-arm64", "6.12-arm64", "6.12-arm64-16k")
PARAMETERS = (
    "lockdown=integrity",
    "lockdown=confidentiality",
    "sysctl.kernel.unprivileged_bpf_disabled=0",
    "sysctl.kernel.unprivileged_bpf_disabled=2",
    "sysctl.kernel.perf_event_paranoid=4",
)
KERNELS = (*PLAIN, *(f"6.1+{parameter}" for parameter in PARAMETERS))
NEWEST = "7.2"
SHARDS = 2

# What a guest runs: the arguments of -m and -k. An emulated machine takes about ten seconds
# for a test with libbpf, and forty with BCC, for its compiler. So there is a choice: each way
# of each tool with libbpf, each kind of hook with BCC, and what development machines lack.
LIBBPF = "not bcc and (demo or lsm or replace or rows_of_kprobe or fexit or each_thread)"
BCC = (
    "bcc and demo and (hello or opensnoop or mkdir or syscount or execsnoop and kprobe "
    "or usdt or xdp or clsact or sockfilter or profile or lsm and see)"
)
LESSONS = "lesson and (bloom or user-ring or storage or device)"
# With BCC, what another processor changes: its registers, its system calls, its stacks.
REGISTERS = (
    "bcc and demo and (hello or opensnoop or mkdir or syscount or execsnoop and kprobe or profile)"
)
CHOSEN = {
    "choice": ("kernel and core", f"{LIBBPF} or {BCC} or {LESSONS}"),
    "processor": ("kernel and core", f"{LIBBPF} or {REGISTERS}"),
    "core": ("kernel and core", ""),
    "all": ("kernel and not native", ""),
    "demos": ("kernel and core", "demo"),
    "hardened": ("hardened", ""),
}
HARDENED = ["tests/test_hardened.py"]

# An emulated machine takes ten times as long, and all that a test waits for is
# to come in the end. A fifth of the largest workloads shows as much.
PATIENCE_S = "600"
SCALE = "0.2"
GUEST_S = "7200"

# How a skip begins that is legal: tests/support.py says so for hook objects.
UNSUPPORTED = "unsupported here: "


class Test(NamedTuple):
    """One test in one guest. `outcome` is passed, unsupported or failed."""

    kernel: str
    tool: str
    engine: str
    name: str
    outcome: str
    reason: str


def chosen_for(kernel: str) -> str:
    """Return which of CHOSEN a kernel runs."""
    if "+" in kernel:
        return "hardened"
    return "demos" if kernel.endswith("-16k") else os.environ.get("TESTS", "choice")


def shards_of(kernel: str) -> int:
    return 1 if "+" in kernel else SHARDS


def files_with(chosen: str) -> list[str]:
    """Return the files with such tests: a guest is slow to read all others."""
    if chosen == "hardened":
        return HARDENED
    marked, named = CHOSEN[chosen]
    # Leaves the tests' bytecode behind, so that no guest has to compile them.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only", "-q"]
    command += ["-m", marked, "-k", named]
    said = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    names = [line.partition("::")[0] for line in said.stdout.splitlines() if "::" in line]
    return list(dict.fromkeys(names))


def run_guest(kernel: str, shard: int, arguments: list[str]) -> list[Test]:
    """Run one part of the tests in a guest. Raises RuntimeError if it gives no results.

    `arguments` are those of pytest, such as the files.
    """
    results, log = (RESULTS / f"{kernel}-{shard}.{kind}" for kind in ("xml", "log"))
    results.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    marked, named = CHOSEN[chosen_for(kernel)]
    command = [
        *("tests/machines/kernels.sh", "run", kernel, "--"),
        # Straight into the file, to be watched: the guest's own output comes at its end.
        *("sh", "-c", f'exec "$@" >{log.relative_to(ROOT)} 2>&1', "sh"),
        *("env", "CI=true", "PYTHONDONTWRITEBYTECODE=1"),
        *(f"TEST_PATIENCE_S={PATIENCE_S}", f"TEST_SCALE={SCALE}"),
        *("tools/as_root.sh", ".venv/bin/python", "-m", "pytest", "-p", "no:cacheprovider", "-v"),
        *("-m", marked, "-k", named, f"--timeout={int(PATIENCE_S) * 3}", "--durations=20"),
        *(f"--shard={shard}/{shards_of(kernel)}", f"--junitxml={results.relative_to(ROOT)}"),
        *arguments,
    ]
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "KERNELS_TIMEOUT": GUEST_S},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    try:
        tests = list(read_results(results, kernel))
    except (FileNotFoundError, ET.ParseError):
        tests = []
    part = f"{shard}/{shards_of(kernel)}"
    print(f"{kernel} {part}: {len(tests)} tests, {time.monotonic() - began:.0f} s", flush=True)
    if not tests:
        # Where the tests were, then how the kernel died: a stack trace has some lines.
        said = log.read_text(errors="backslashreplace") if log.exists() else ""
        lines = said.splitlines()[-5:]
        lines += done.stdout.decode(errors="backslashreplace").splitlines()[-60:]
        tail = "".join(f"  {line}\n" for line in lines)
        raise RuntimeError(f"the guest with {kernel} gave no results:\n{tail}")
    return tests


def read_results(path: Path, kernel: str) -> list[Test]:
    """Return the tests of a JUnit file. Raises FileNotFoundError, ParseError."""
    found = []
    for case in ET.parse(path).getroot().iter("testcase"):
        properties = {p.get("name"): p.get("value", "") for p in case.iter("property")}
        outcome, reason = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, reason = "failed", (child.get("message") or "").partition("\n")[0]
                break
            if child.tag == "skipped":
                outcome, reason = "unsupported", child.get("message", "")
                if not reason.startswith(UNSUPPORTED):
                    outcome = "failed"
        file = str(case.get("classname", "")).rpartition(".")[2]
        found.append(
            Test(
                kernel,
                properties.get("tool", ""),
                properties.get("engine", ""),
                f"{file}::{case.get('name')}",
                outcome,
                reason.removeprefix(UNSUPPORTED),
            )
        )
    return found


def tables(tests: list[Test], kernels: list[str]) -> str:
    """Return a row for each tool and engine with a cell for each kernel, then those with a plus."""
    plain = [kernel for kernel in kernels if "+" not in kernel]
    lines = [table([test for test in tests if test.kernel in plain], plain)] if plain else []
    for kernel in kernels:
        if kernel not in plain:
            counts = Counter(test.outcome for test in tests if test.kernel == kernel)
            lines.append(f"{kernel}: {cell(counts)}")
    return "\n".join(lines)


def table(tests: list[Test], kernels: list[str]) -> str:
    """Return a row for each tool and engine with a cell for each kernel."""
    cells: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(
        lambda: {kernel: Counter() for kernel in kernels}
    )
    for test in tests:
        cells[test.tool, test.engine][test.kernel][test.outcome] += 1
    rows = [[*key, *map(cell, counts.values())] for key, counts in sorted(cells.items())]
    return tabulate(rows, ["TOOL", "ENGINE", *kernels], tablefmt="plain", disable_numparse=True)


def cell(counts: Counter[str]) -> str:
    """Return "12 passed, 3 unsupported" as "12 (3 unsupported)", and so on."""
    text = str(counts["passed"])
    if counts["unsupported"]:
        text += f" ({counts['unsupported']} unsupported)"
    if counts["failed"]:
        text += f" {counts['failed']} FAILED"
    return text


def wrong(tests: list[Test], commands: set[str], kernels: list[str]) -> list[str]:
    """Return what makes the whole thing fail, a line each.

    `commands` are those of all tools: one that passed nowhere is wrong, too. Older kernels
    may lack what it is about, but then its tests have said so.
    """
    lines = [f"FAILED {t.kernel} {t.name}: {t.reason}" for t in tests if t.outcome == "failed"]
    enough = {"passed"} if NEWEST in kernels else {"passed", "unsupported"}
    able = {test.tool for test in tests if test.outcome in enough}
    return lines + [f"FAILED {tool}: no kernel could run it" for tool in sorted(commands - able)]


def reasons(tests: list[Test]) -> list[str]:
    """Return why tests were unsupported, a line for each kernel, tool and reason."""
    found = Counter((t.kernel, t.tool, t.reason) for t in tests if t.outcome == "unsupported")
    return [f"{kernel} {tool}: {why} ({n})" for (kernel, tool, why), n in sorted(found.items())]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"of {', '.join(KERNELS)}")
    parser.add_argument("--pytest", default="", metavar="ARGS", help="what else pytest gets")
    args = parser.parse_args()
    kernels = args.kernels or list(KERNELS)
    RESULTS.mkdir(parents=True, exist_ok=True)

    # One after the other, before guests run side by side.
    subprocess.run([ROOT / "tests/machines/kernels.sh", "fetch", *kernels], check=True)
    files = {chosen: files_with(chosen) for chosen in {*map(chosen_for, kernels)}}
    tests: list[Test] = []
    failures: list[str] = []
    with ThreadPoolExecutor(SHARDS) as pool:
        jobs = [
            pool.submit(
                run_guest, kernel, shard, [*shlex.split(args.pytest), *files[chosen_for(kernel)]]
            )
            for kernel in kernels
            for shard in range(1, shards_of(kernel) + 1)
        ]
        for job in jobs:
            try:
                tests += job.result()
            except RuntimeError as error:
                failures.append(f"FAILED {error}")
    commands = {tool.command for tool in tools() if tool.via}
    every_tool = any("+" not in kernel for kernel in kernels)
    failures += wrong(tests, commands if every_tool else set(), kernels)
    print(tables(tests, kernels))
    print(*reasons(tests), *failures, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
