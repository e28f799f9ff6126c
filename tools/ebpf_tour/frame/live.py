"""--live: each report takes the place of the one before, in a terminal."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

CLEAR = "\033[H\033[J"
"""What puts the cursor at the top left, and clears what is below; see console_codes(4)."""

# The header of the table, and a line for what else is said.
_OTHER_LINES = 2


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add --live."""
    parser.add_argument(
        "--live",
        action="store_true",
        help="keep the table in place: each report takes the place of the one before, with as "
        "many rows as the terminal has lines (every second, if no interval is given)",
    )


def lines(args: argparse.Namespace) -> int | None:
    """Return how many rows there is room for; None where the table does not stay in place.

    That is without --live, for another format, and where no terminal would understand it.
    """
    if not getattr(args, "live", False) or args.format != "table":
        return None
    if not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    # 0 where a terminal does not say.
    return max(1, (os.get_terminal_size(sys.stdout.fileno()).lines or 24) - _OTHER_LINES)
