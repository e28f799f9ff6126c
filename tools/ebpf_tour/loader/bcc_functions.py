"""Which functions of a C file in the BCC dialect are programs, and for which hooks.

BCC compiles a whole file, and a program for a hook that this kernel lacks would make
that fail: BCC has no record of a tracepoint that does not exist.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.loader.c_source import code_of

if TYPE_CHECKING:
    from collections.abc import Iterable

# BCC's macros for programs: what the name of the function that they make begins
# with, and how many of their arguments it ends with. It begins with the second
# in later versions than 0.26, which know functions of modules, too.
_MACROS = {
    "TRACEPOINT_PROBE": (("tracepoint__",), 2),
    "RAW_TRACEPOINT_PROBE": (("raw_tracepoint__",), 1),
    "KFUNC_PROBE": (("kfunc__", "kfunc__vmlinux__"), 1),
    "KRETFUNC_PROBE": (("kretfunc__", "kretfunc__vmlinux__"), 1),
    "MODULE_KFUNC_PROBE": (("kfunc__",), 2),
    "MODULE_KRETFUNC_PROBE": (("kretfunc__",), 2),
    "KMOD_RET": (("kmod_ret__",), 1),
    "LSM_PROBE": (("lsm__",), 1),
    "BPF_ITER": (("bpf_iter__",), 1),
}

_HEAD = re.compile(
    r"^(?P<type>[a-z_][\w\s*]*[\s*])?(?P<name>\w+)[ \t]*\((?P<arguments>[^;{}]*)\)\s*\{",
    re.MULTILINE,
)


class CFunction(NamedTuple):
    """A function that is not static: to BCC, that is a program, which nobody may call.

    `names` are those that it may have, `written` is how the file says it. It
    begins in line `start`, from 0, and ends before line `end`.
    """

    names: tuple[str, ...]
    written: str
    start: int
    end: int

    def is_among(self, names: Iterable[str]) -> bool:
        """Say whether it has one of these names."""
        return not set(names).isdisjoint(self.names)


def functions(text: str) -> list[CFunction]:
    """Return the functions of a C file that are not static."""
    code = code_of(text)
    found = []
    for head in _HEAD.finditer(code):
        names, written = _names(head)
        if names:
            start = code.count("\n", 0, head.start())
            found.append(CFunction(names, written, start, _end(code, head)))
    return found


def _names(head: re.Match[str]) -> tuple[tuple[str, ...], str]:
    """Return the names that a function may have, none if it is static, and how it is written."""
    name, kind = head["name"], head["type"]
    if kind:
        is_static = {"static", "inline"} & set(kind.split())
        return (() if is_static else (name,)), f"{name}()"
    prefixes, count = _MACROS.get(name, ((), 0))
    arguments = [argument.strip() for argument in head["arguments"].split(",")][:count]
    hook = "__".join(arguments)
    return tuple(prefix + hook for prefix in prefixes), f"{name}({', '.join(arguments)})"


def _end(code: str, head: re.Match[str]) -> int:
    """Return the line behind a function: behind the next brace that begins a line."""
    line = code[head.end() :].partition("\n")[0]
    if line.count("}") > line.count("{"):  # all of it is in one line
        position = head.end()
    else:
        brace = re.compile(r"^\}", re.MULTILINE).search(code, head.end())
        position = brace.end() if brace else len(code)
    return code.count("\n", 0, position) + 1


def without(text: str, functions: Iterable[CFunction]) -> str:
    """Return a C file without some of its functions; all others keep their lines."""
    lines = text.split("\n")
    for function in functions:
        lines[function.start : function.end] = [""] * (function.end - function.start)
    return "\n".join(lines)


def spelled(function: str) -> str:
    """Return how a C file says that it has a function: mostly by a macro of BCC's."""
    for macro, (prefixes, count) in _MACROS.items():
        if function.startswith(prefixes[0]):
            arguments = function.removeprefix(prefixes[0]).split("__", count - 1)
            return f"{macro}({', '.join(arguments)})"
    return f"{function}()"
