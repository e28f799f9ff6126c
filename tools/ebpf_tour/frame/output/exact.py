r"""What the kernel had, exactly, in formats that programs read.

A name may hold any byte but NUL. JSON has Unicode text only, so where bytes are
not UTF-8 a second key has all of them; CSV has lines, so there bytes that would
break them are written as escapes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ebpf_tour.base.text import as_utf8, is_utf8, to_bytes

if TYPE_CHECKING:
    from ebpf_tour.frame.record import Row, Value


def with_hex(row: Row) -> dict[str, object]:
    r"""Return a row for JSON: where a value is no UTF-8, `KEY_hex` beside it has its bytes.

    The value itself has U+FFFD there. Of a list, `KEY_hex` is a list as long,
    with null where an item is UTF-8.

    >>> with_hex({"comm": "caf\udce9", "pid": 1})
    {'comm': 'caf\ufffd', 'comm_hex': '636166e9', 'pid': 1}
    """
    exact: dict[str, object] = {}
    for key, value in row.items():
        exact[key] = value
        if isinstance(value, str) and not is_utf8(value):
            exact[key], exact[f"{key}_hex"] = as_utf8(value), _hex(value)
        elif isinstance(value, list) and not all(map(is_utf8, value)):
            exact[key], exact[f"{key}_hex"] = [*map(as_utf8, value)], [*map(_hex, value)]
    return exact


def _hex(text: str) -> str | None:
    return None if is_utf8(text) else to_bytes(text).hex()


# Control characters, the bytes that are no UTF-8, and what makes an escape.
_SPECIAL = re.compile("[\0-\x1f\x7f-\x9f\udc80-\udcff\\\\]")


def escaped(text: str) -> str:
    r"""Return text for a CSV cell: `\n` for a line break, `\\` for a backslash.

    Every byte of another control character, or one that is no UTF-8, is `\xNN`.
    So all bytes come back if the escapes are undone and the rest is encoded as UTF-8.

    >>> print(escaped("two\nlines\t\udcff\\"))
    two\nlines\x09\xff\\
    """
    return _SPECIAL.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character == "\n":
        return r"\n"
    if character == "\\":
        return r"\\"
    return "".join(f"\\x{byte:02x}" for byte in to_bytes(character))


def cell(value: Value) -> Value:
    r"""Return a value of a column of kernel bytes for CSV.

    In a list, a semicolon separates the items; one inside of an item is `\;`.
    """
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, list):
        return ";".join(escaped(item).replace(";", r"\;") for item in value)
    return value
