"""Reports: whole tables, laid out by tabulate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Iterable[object]], right: Sequence[bool]) -> str:
    """Return a table with its header; `right` says which columns are numbers.

    The cells are text already: without `disable_numparse` a process named
    "1e5" would come out as 100000.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    align = ["right" if is_right else "left" for is_right in right]
    # Debian 12's tabulate takes no alignment for a table without rows.
    text = tabulate(
        cells, headers, tablefmt="plain", disable_numparse=True, colalign=align if cells else None
    )
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())
