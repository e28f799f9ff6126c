"""--live, in a terminal and where there is none."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest
from support import BIN, run

from ebpf_tour.frame.live import CLEAR

pytestmark = pytest.mark.kernel

SYSCOUNT = BIN / "ebpf-syscount"


def in_terminal(lines: int, *words: str, term: str = "xterm") -> str:
    """Run a command in a terminal with so many lines, and return what it gets to show."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", lines, 80, 0, 0))
    env = {**os.environ, "TERM": term, "LINES": "", "COLUMNS": ""}
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=-1, env=env) as tool:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # nobody has the other end open any more
                break
            shown += piece
    os.close(ours)
    assert tool.returncode == 0
    return shown.decode().replace("\r\n", "\n")


def test_in_a_terminal() -> None:
    """Each report clears the one before, and has room."""
    shown = in_terminal(8, str(SYSCOUNT), "--live", "-i", "0.2", "--time-limit", "1")
    before, *reports = shown.split(CLEAR)
    assert before == ""
    assert len(reports) >= 2
    for report in reports:
        header, *rows = report.strip("\n").split("\n")
        assert "COUNT" in header.split()
        assert 1 <= len(rows) <= 6
        assert all(re.search(r"\d", row) for row in rows)


def test_every_second_by_itself() -> None:
    shown = in_terminal(24, str(SYSCOUNT), "--live", "--time-limit", "2.5")
    assert shown.count(CLEAR) >= 2


@pytest.mark.parametrize("where", ["dumb", "pipe", "json"])
def test_where_it_cannot_stay(where: str) -> None:
    """No escape reaches a file, a script, or a terminal that would show it."""
    words = (str(SYSCOUNT), "--live", "--time-limit", "1.5")
    if where == "dumb":
        shown = in_terminal(8, *words, term="dumb")
    else:
        shown = run(*words, *(["--json"] if where == "json" else [])).stdout
    assert "\033" not in shown
    assert shown.count("\n") >= 3
