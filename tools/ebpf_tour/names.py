"""Names of the numbers that the kernel answers with."""

from __future__ import annotations

import errno
import signal


def error_name(number: int) -> str:
    """Return "EEXIST" for 17, the number itself where Linux has no such error."""
    return errno.errorcode.get(number, str(number))


def signal_name(number: int) -> str:
    """Return "SIGTERM" for 15; a real-time signal has its number only, "SIG40"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
