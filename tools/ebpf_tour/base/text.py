"""Bytes that the kernel or another process chose, as text: exact, and safe to print.

Any user can choose the name of a process or a file. It may hold escape sequences
that move the cursor, line breaks that forge a row, or bytes that are not UTF-8.
A row holds them exactly, as `from_kernel()` returns them. `printable()` makes text
that is shown to people; JSON and CSV keep every byte.
"""

from __future__ import annotations

import functools


@functools.lru_cache(maxsize=512)  # the same names come again and again
def from_kernel(raw: bytes) -> str:
    r"""Return a C string from the kernel (up to its first NUL) as text that keeps every byte.

    A byte that is no UTF-8 becomes a lone surrogate, as in Python's file names
    (PEP 383). The text is not safe to print.

    >>> from_kernel(b"caf\xc3\xa9\xff\0rest")
    'café\udcff'
    """
    return word_from_kernel(raw.partition(b"\0")[0])


def word_from_kernel(raw: bytes) -> str:
    """Return the same for bytes without a NUL that hardly come again, as arguments do."""
    return raw.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """Return the bytes that `from_kernel()` made text of."""
    return text.encode("utf-8", "surrogateescape")


def printable(text: str) -> str:
    r"""Return `text` with everything that is not printable as an escape.

    Bytes that are no UTF-8, which the text has as lone surrogates, are shown as
    those bytes.

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


def is_utf8(text: str) -> bool:
    """Say whether the bytes that `text` stands for are UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_utf8(text: str) -> str:
    r"""Return `text` with U+FFFD for each byte that is no UTF-8, as Unicode recommends.

    >>> as_utf8("caf\udcff")
    'caf\ufffd'
    """
    return to_bytes(text).decode("utf-8", "replace")


def wrapped(start: str, text: str, indent: int) -> list[str]:
    """Return lines of at most 80 columns: `start` and the text, which goes on at `indent`.

    Its words stay whole, since names are to be found and copied.
    """
    import textwrap

    return textwrap.wrap(
        *(text, 80),
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start.rstrip()]
