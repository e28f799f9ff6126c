"""Text as wide as a terminal shows it: some characters take two columns, some none."""

from __future__ import annotations

from wcwidth import wcswidth


def padded(text: str, width: int, right: bool) -> str:
    """Return printable text filled up to `width` columns with spaces, at its left if `right`."""
    spaces = " " * (width - wcswidth(text))
    return spaces + text if right else text + spaces
