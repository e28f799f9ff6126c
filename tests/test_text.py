"""Nothing that a process calls itself reaches a terminal as more than text.

That every byte can be had back, tests/test_exact.py says.
"""

from __future__ import annotations

import pytest

from ebpf_tour.base.text import from_kernel, printable


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"bash", "bash"),
        (b"", ""),
        (b"bash\0leftover", "bash"),
        (b"\0bash", ""),
        ("café 名".encode(), "café 名"),
        (b"\x1b[1A\x1b[2K", r"\x1b[1A\x1b[2K"),
        (b"a\nb\r\tc", r"a\nb\r\tc"),
        (b"\x7f\x9b", r"\x7f\x9b"),
        ("\x9b1A".encode(), r"\x9b1A"),  # CSI as one character
        (b"caf\xe9", r"caf\xe9"),  # Latin-1
        (b"\xe2\x82", r"\xe2\x82"),  # cut short, as in a name of 15 bytes
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),  # a surrogate, which UTF-8 has not
        ("\u202egnp.exe".encode(), r"\u202egnp.exe"),  # would turn the line around
        ("\u2066\u2069\u200f".encode(), r"\u2066\u2069\u200f"),
        ("\u2028\u2029".encode(), r"\u2028\u2029"),  # line breaks for str.splitlines()
        ("\U000e0041".encode(), r"\U000e0041"),  # invisible
    ],
)
def test_shown(raw: bytes, text: str) -> None:
    assert printable(from_kernel(raw)) == text


def test_every_byte_comes_out_printable_on_one_line() -> None:
    for byte in range(1, 256):
        text = printable(from_kernel(bytes([byte])))
        assert text.isprintable()
        assert text
        assert text.splitlines() == [text]


def test_lone_surrogate() -> None:
    """As in a file name that Python got from the command line: the byte that it stands for."""
    assert from_kernel(b"\xff") == "\udcff"
    assert printable("\udcff") == r"\xff"
    assert printable("\ud800") == r"\ud800"  # stands for none


def test_what_is_printable_stays() -> None:
    text = "café 名 🐝 \\x1b"
    assert printable(text) is text
