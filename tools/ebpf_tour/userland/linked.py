"""Which files a program will map when it is executed: its own, and the libraries that it needs.

Its dynamic linker tells: with --list, it looks for the libraries, and does not run the program.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error
from ebpf_tour.base.text import printable

if TYPE_CHECKING:
    from ebpf_tour.userland.command import StoppedCommand
    from ebpf_tour.userland.target import Target

# A script may be run by another script: BINPRM_MAX_RECURSION of fs/exec.c.
_MOST_SCRIPTS = 5
_PATIENCE_SECONDS = 20

# "	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f3f1b200000)"; without an arrow, the
# path is that of the dynamic linker itself, or one that LD_PRELOAD has.
_LINE = re.compile(rb"^\t(?:.* => )?(/.*) \(0x[0-9a-f]+\)$", re.MULTILINE)


def files_of(command: StoppedCommand, target: Target) -> list[str]:
    """Return the paths of what a command will map, in the order in which functions are looked for.

    That is the program first, or what runs it if it is a script. Raises Error.
    """
    path = command.path
    for _ in range(_MOST_SCRIPTS):
        interpreter, is_script = target.interpreter(path)
        if not interpreter:
            return [path]
        if not is_script:
            return [path, *_libraries(interpreter, path, command), interpreter]
        path = interpreter
    raise Error(f"{printable(command.path)}: too many scripts run each other", "name the program")


def _libraries(linker: str, path: str, command: StoppedCommand) -> list[str]:
    """Return the paths of the libraries that a program needs, as the command's user finds them.

    Raises Error.
    """
    user = command.user
    try:
        done = subprocess.run(
            [linker, "--list", path],
            env=command.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=command.groups,
        )
        why = _last_line(done.stderr) or f"{linker} ended with status {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        done, why = None, str(error)
    if not done or done.returncode:
        raise Error(
            f"which libraries {printable(path)} needs cannot be found out: {printable(why)}",
            "start it by hand, and name its PID",
        )
    return [path.decode("utf-8", "surrogateescape") for path in _LINE.findall(done.stdout)]


def _last_line(said: bytes) -> str:
    return said.decode("utf-8", "surrogateescape").strip().rpartition("\n")[2]
