#!/usr/bin/env python3
"""Call execve a million times, half of them in a second process at the same time.

There is no program of that name, so each call fails at once. It is a call all the same.
"""

import os
from contextlib import suppress
from pathlib import Path

Path("/proc/self/comm").write_text("execute")  # for ebpf-execcount --by-comm

child = os.fork()
for _ in range(500_000):
    with suppress(OSError):
        os.execv("", ["nothing"])
if child:
    os.waitpid(child, 0)
