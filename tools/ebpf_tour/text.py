"""Kernel bytes become text here, and nowhere else.

Process and file names are chosen by whoever made them: they may hold escape
sequences that move the cursor, line breaks that forge a row, or bytes that are
no UTF-8. What these functions return is safe to print.
"""

from __future__ import annotations

import functools


def printable(text: str) -> str:
    r"""Return `text` with everything that is not printable as an escape.

    Bytes of an argument or a path that are no UTF-8, which Python has as lone
    surrogates, are shown as those bytes.

    >>> printable("a\x1b[1A\udcff")
    'a\\x1b[1A\\xff'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def printable_lines(text: str) -> str:
    r"""Return `text` with everything that is not printable as an escape, but for line breaks.

    For what a library says, which may quote anything. A tab becomes blanks.

    >>> printable_lines("a\n\x1b[1Ab\n")
    'a\n\\x1b[1Ab\n'
    """
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) & 0xFF:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


@functools.lru_cache(maxsize=512)  # the same names come again and again
def from_kernel(raw: bytes) -> str:
    r"""Return a C string from the kernel (up to its first NUL) as safe text.

    >>> from_kernel(b"caf\xc3\xa9\xff\0rest")
    'café\\xff'
    """
    return printable(raw.partition(b"\0")[0].decode("utf-8", "backslashreplace"))
