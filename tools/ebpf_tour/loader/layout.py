"""Layouts of keys, values and records: from bytes to Python and back.

They are read from what the compiler made, so no C structure is repeated here.
"""

from __future__ import annotations

import collections
import functools
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

_INTEGERS = {(1, False): "B", (2, False): "H", (4, False): "I", (8, False): "Q"} | {
    (1, True): "b",
    (2, True): "h",
    (4, True): "i",
    (8, True): "q",
}


class Member(NamedTuple):
    """A member of a structure: `items` integers of `size` bytes at `offset`.

    With `text` it is a char array, or what is no integer, such as a union: that
    becomes one bytes object.
    """

    name: str
    offset: int
    size: int
    signed: bool = False
    items: int = 1
    text: bool = False

    @property
    def form(self) -> str:
        """The struct module's notation."""
        if self.text:
            return f"{self.items}s"
        return f"{self.items if self.items > 1 else ''}{_INTEGERS[self.size, self.signed]}"


def as_bytes(name: str, offset: int, size: int) -> Member:
    """Return a member that becomes the bytes that it consists of."""
    return Member(name, offset, 1, items=size, text=True)


class Layout:
    """How `size` bytes are laid out.

    A structure decodes to a namedtuple of its members, anything else to its
    value: an int, bytes for a char array (NULs included), a tuple for an array
    of integers. `NO_KEY` is the layout of the key of a map that has none.
    """

    def __init__(self, name: str, size: int, members: Iterable[Member]) -> None:
        self.size = size
        self.members = tuple(members)
        self.form, end = "", 0
        # Where a last member begins that is text, and what comes before it, for records
        # that end inside of it.
        self._text_at = size
        for member in self.members:
            self._head = struct.Struct("=" + self.form)
            self._text_at = member.offset if member.text else size
            self.form += f"{member.offset - end}x{member.form}"
            end = member.offset + member.size * member.items
        self.form += f"{size - end}x"
        self._struct = struct.Struct("=" + self.form)
        self._scalar = len(self.members) == 1 and not self.members[0].name
        self._flat = all(member.text or member.items == 1 for member in self.members)
        self._plain = self._flat and not self._scalar
        make_type: Any = collections.namedtuple  # noqa: PYI024 - the fields come from BTF
        # What namedtuple's _make() does, without a call of Python code for each record.
        self._make = functools.partial(tuple.__new__, make_type(name or "_", self.names))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of a structure's members."""
        return tuple(member.name for member in self.members if member.name)

    def decode(self, raw: bytes | memoryview) -> Any:
        """Return the value of `raw`, of which only the first `size` bytes count.

        A record may end inside its last member, if that is text: a program
        sends only as much of it as there is.
        """
        return self.decode_at(raw, 0, len(raw))

    def decode_at(self, raw: bytes | memoryview, start: int, stop: int) -> Any:
        """Return the value of `raw[start:stop]`, without that copy."""
        if self._text_at <= stop - start < self.size:
            text = bytes(raw[start + self._text_at : stop])
            values = (*self._head.unpack_from(raw, start), text)
        else:
            values = self._struct.unpack_from(raw[start:stop])
        return self._make(values) if self._plain else self.from_values(values)

    def decode_all(self, unpacked: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """Return the values from what struct.iter_unpack() has made of many."""
        return map(self._make if self._plain else self.from_values, unpacked)

    def from_values(self, values: tuple[Any, ...]) -> Any:
        """Return the value from what struct.unpack() has made of it."""
        if not self._flat:
            values = tuple(self._grouped(values))
        return values[0] if self._scalar else self._make(values)

    def _grouped(self, values: tuple[Any, ...]) -> Iterator[Any]:
        """Put the items of each integer array together again."""
        index = 0
        for member in self.members:
            if member.text or member.items == 1:
                yield values[index]
                index += 1
            else:
                yield values[index : index + member.items]
                index += member.items

    def make(self, **members: Any) -> Any:
        """Return a structure with these members; text is b"" and a number 0 where it has others.

        Raises KeyError for a member that it does not have.
        """
        values: dict[str, Any] = {m.name: b"" if m.text else 0 for m in self.members}
        if unknown := members.keys() - values.keys():
            raise KeyError(*unknown)
        return self._make((values | members).values())

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value; the inverse of `decode()`."""
        flat: list[Any] = []
        for item in (value,) if self._scalar else value:
            flat += item if isinstance(item, tuple) else (item,)
        return self._struct.pack(*flat)


NO_KEY = Layout("", 0, ())
