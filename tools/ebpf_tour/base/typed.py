"""What every module needs of `typing`, without the 3 ms that importing it takes.

To whoever checks types, these are the originals. `typing.NamedTuple` also compiles each
annotation, which nobody here asks for.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414 - to be imported from here
else:
    from collections import namedtuple

    class _Meta(type):
        def __new__(cls, name, _bases, members):
            fields = members.get("__annotations__", {})
            defaults = [members.pop(field) for field in fields if field in members]
            base = namedtuple(name, fields, defaults=defaults, module=members["__module__"])
            return type(name, (base,), {**members, "__slots__": ()})

    NamedTuple = type.__new__(_Meta, "NamedTuple", (), {})
