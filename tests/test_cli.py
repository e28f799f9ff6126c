"""The command line that all tools share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import BIN, ROOT, Result, assert_error, run

from ebpf_tour import __version__
from ebpf_tour.commands.minimal import TOOL as MINIMAL
from ebpf_tour.frame.catalogue import tools

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Tool

TOOLS = tools()
WITH_PROGRAM = [tool for tool in TOOLS if tool.via]

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.command)
every_program = pytest.mark.parametrize("tool", WITH_PROGRAM, ids=lambda tool: tool.command)


def assert_usage_error(result: Result, tool: Tool, said: str) -> None:
    cause, hint = assert_error(result, 2, tool.command)
    assert said in cause
    assert "--help" in hint
    assert result.stdout == ""
    assert result.stderr.count("\n") == 2


@every_tool
@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--ver"], "unrecognized arguments: --ver"),
        (["--format", "xml"], "invalid choice: 'xml'"),
    ],
    ids=" ".join,
)
def test_usage_error(tool: Tool, option: list[str], said: str) -> None:
    assert_usage_error(run(BIN / tool.command, *option), tool, said)


@every_tool
def test_hostile_argument_is_quoted_safely(tool: Tool) -> None:
    result = run(BIN / tool.command, "--\x1b[1A\n")
    assert_usage_error(result, tool, r"--\x1b[1A\n")
    assert "\x1b" not in result.stderr


@every_program
@pytest.mark.parametrize("value", ["0", "-1", "abc", "1.5", "", "²", "\x1b[1A"])
def test_limit(tool: Tool, value: str) -> None:
    result = run(BIN / tool.command, f"--limit={value}")
    assert_usage_error(result, tool, "is not a whole number above 0")
    assert "\x1b" not in result.stderr


@every_program
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "abc", "", "\x1b[1A"])
def test_time_limit(tool: Tool, value: str) -> None:
    result = run(BIN / tool.command, f"--time-limit={value}")
    assert_usage_error(result, tool, "is not a number of seconds above 0")
    assert "\x1b" not in result.stderr


@every_program
@pytest.mark.parametrize("value", ["gcc", "BCC", "\x1b[1A"])
def test_engine_variable_that_names_none(tool: Tool, value: str) -> None:
    result = run(BIN / tool.command, env={"EBPF_TOUR_ENGINE": value})
    assert_usage_error(result, tool, "is not one of auto, libbpf, bcc")
    assert "\x1b" not in result.stderr


@every_tool
def test_version(tool: Tool) -> None:
    result = run(BIN / tool.command, "--version")
    assert result == Result(0, f"{tool.command} {__version__}\n", "")


@every_tool
def test_help(tool: Tool) -> None:
    result = run(BIN / tool.command, "--help", env={"COLUMNS": "80"})
    assert result.status == 0
    assert result.stderr == ""
    assert result.stdout.startswith(f"usage: {tool.command} ")
    assert max(map(len, result.stdout.splitlines())) <= 80
    for example in tool.examples:
        assert example.command in result.stdout


@pytest.mark.parametrize("command", ["ebpf-mkdir", "ebpf-opensnoop", "ebpf-syscount"])
def test_process_that_is_not_there(command: str) -> None:
    """Nothing would ever come of it."""
    most = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    cause, _ = assert_error(run(BIN / command, "-p", str(most + 1)), 2, command)
    assert cause == f"argument -p/--pid: there is no process {most + 1}"


@every_tool
def test_help_imports_no_engine(tool: Tool) -> None:
    """Neither that, nor what takes long and only a report needs."""
    script = (
        "import sys\n"
        f"sys.argv = [{tool.command!r}, '--help']\n"
        "try:\n"
        f"    from ebpf_tour.commands.{tool.name} import main\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end\n"
        "slow = {'bcc', 'ctypes', 'tabulate', 'importlib.metadata', 'dataclasses', 'json'}\n"
        "print(*sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    # The hooks of an editable installation import some of them by themselves,
    # so the package is found by its path, without site-packages: -S.
    done = subprocess.run(
        [sys.executable, "-S", "-c", script],
        env={"PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("usage: ")
    assert done.stderr == "\n"


@pytest.mark.native
@pytest.mark.kernel(MINIMAL)
@pytest.mark.parametrize(
    ("variable", "options", "name"),
    [
        ("", [], "handle_write:"),
        ("libbpf", [], "handle_write:"),
        ("bcc", [], "tracepoint__syscalls__sys_enter_write:"),
        ("libbpf", ["--engine", "bcc"], "tracepoint__syscalls__sys_enter_write:"),
        ("bcc", ["--engine", "libbpf"], "handle_write:"),
    ],
)
def test_engine_variable(variable: str, options: list[str], name: str) -> None:
    """It chooses where --engine does not."""
    command = (BIN / "ebpf-minimal", "--show", "asm", *options)
    result = run(*command, env={"EBPF_TOUR_ENGINE": variable})
    assert result.status == 0, result.stderr
    assert result.stdout.splitlines()[0] == name
