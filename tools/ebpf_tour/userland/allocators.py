"""What a process may call to allocate, and which calls belong together.

A process often has several functions of one name: an allocator's malloc and the C
library's, a plugin's own. The dynamic linker bound each caller to one of them. All
are watched, and the kernel says which ones are called.
"""

from __future__ import annotations

import collections
import contextlib
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error
from ebpf_tour.base.text import from_kernel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ebpf_tour.userland.address_space import Module
    from ebpf_tour.userland.target import Provider, Target

    # The address of the function, and the one that it returns to.
    Call = tuple[int, int]

# An allocator's own operator new need not call its malloc. One that passes a call on
# calls, or jumps to, one below it.
_OPERATORS_NEW = {
    "_ZnamRKSt9nothrow_t": "operator new[](unsigned long, std::nothrow_t const&)",
    "_Znam": "operator new[](unsigned long)",
    "_ZnwmRKSt9nothrow_t": "operator new(unsigned long, std::nothrow_t const&)",
    "_Znwm": "operator new(unsigned long)",
}

# What else may be there, by the name that --function knows it by.
_OTHERS = {
    **{name: name for name in ("malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc")},
    **{name: name for name in ("je_malloc", "tc_malloc", "mi_malloc", "rpmalloc", "scudo_malloc")},
    **{name: name for name in ("g_malloc", "PyObject_Malloc", "__rust_alloc", "__rdl_alloc")},
    "_Znwm": "new",
    "_Znam": "new[]",
}

# A process can map any number of files with a malloc, and the kernel takes a tenth of a
# second to remove a breakpoint.
_MOST_FUNCTIONS = 16

_PYTHON = "PyObject_Malloc"
_PYTHON_SHOWS = {b"PYTHONMALLOC=malloc", b"PYTHONMALLOC=malloc_debug"}
_PYTHON_CALLS = ("malloc", "calloc", "realloc")


class Allocators:
    """Every function of a name that a process has mapped; `functions` are to be watched.

    For malloc, those of operator new belong to it that are in a file with a malloc.
    Raises Error if there is none.
    """

    def __init__(self, target: Target, symbol: str, name: str) -> None:
        self._target = target
        self._symbol = symbol
        self._name = from_kernel(os.fsencode(name))
        found = self._all()
        self.functions = found[:_MOST_FUNCTIONS]
        self._left_out = len(found) - len(self.functions)
        self._at = {(f.module.number, f.offset): f for f in self.functions}
        self._modules = {function.module for function in found}
        self._names = collections.Counter(module.name for module in self._modules)

    def _all(self) -> list[Provider]:
        found = self._target.providers(self._symbol)
        if self._symbol == "malloc":
            modules = {provider.module for provider in found}
            operators = self._target.implementations(*_OPERATORS_NEW)
            # Of several names at one place, the plainest one.
            operators.sort(key=lambda provider: -[*_OPERATORS_NEW].index(provider.function))
            found += [provider for provider in operators if provider.module in modules]
        places: dict[tuple[Module, int], Provider] = {}
        for provider in found:
            places.setdefault((provider.module, provider.offset), provider)
        return [*places.values()]

    def __str__(self) -> str:
        """Say what is watched: "malloc of a.so, libc.so.6"."""
        own = [f for f in self.functions if f.function == self._symbol]
        files = [*dict.fromkeys(map(self._file, own))]
        rest = f" and {len(files) - 4} more files" if len(files) > 4 else ""
        text = f"{self._name} of {', '.join(files[:4])}{rest}"
        more = dict.fromkeys(self._file(f) for f in self.functions if f not in own)
        return f"{text}, operator new of {', '.join(more)}" if more else text

    def _file(self, provider: Provider) -> str:
        """Return the name of its file, or the path where several have the same name."""
        alone = self._names[provider.name] == 1
        return provider.name if alone else self._target.path_there(provider.module)

    def called(self, provider: Provider, *, of_file: bool = True) -> str:
        """Return what to call a function; with the file if several files' functions are called."""
        name = self._name
        if provider.function != self._symbol:
            name = _OPERATORS_NEW[provider.function]
        alike = [
            f
            for f in self.functions
            if (f.module, f.function) == (provider.module, provider.function)
        ]
        if len(alike) > 1:  # versions of a symbol
            return f"{name} [{self._file(provider)}+{provider.offset:#x}]"
        return f"{name} [{self._file(provider)}]" if of_file else name

    def at(self, program: int, address: int) -> Provider:
        """Return the function that begins at an address, the first one if it is not known.

        `program` is the one that the process ran, as Target.find() has it.
        """
        for module, offset in self._target.find(program, address):
            if (module.number, offset) in self._at:
                return self._at[module.number, offset]
        return self.functions[0]

    def counted_again(self, program: int, calls: Collection[Call]) -> set[Call]:
        """Return which calls of a program, of those seen, are a part of one of operator new.

        An operator new that calls malloc counts as itself: malloc returns into it then. If
        it jumps to malloc instead, both return to the same place.
        """
        operators = [f for f in self.functions if f.function in _OPERATORS_NEW]
        if self._symbol != "malloc" or not operators:
            return set()
        order = [*_OPERATORS_NEW, self._symbol]
        function = {address: self.at(program, address) for address in {call[0] for call in calls}}
        inside = {
            to: self._function_at(program, to - 1, operators) for to in {call[1] for call in calls}
        }
        again = set()
        places: dict[tuple[Module, int], list[tuple[int, Call]]] = {}
        for call in calls:
            own, caller = function[call[0]], inside[call[1]]
            if caller and caller.module == own.module and caller != own:
                again.add(call)
            elif call[1]:
                found = places.setdefault((own.module, call[1]), [])
                found.append((order.index(own.function), call))
        for found in places.values():
            first, _ = min(found)
            again |= {call for rank, call in found if rank > first}
        return again

    def _function_at(
        self, program: int, address: int, functions: list[Provider]
    ) -> Provider | None:
        """Return which of some functions an address lies in."""
        for module, offset in self._target.find(program, address):
            for function in functions:
                if function.module == module and 0 <= offset - function.offset < function.size:
                    return function
        return None

    @property
    def is_ambiguous(self) -> bool:
        """Whether several functions of the name are watched."""
        return sum(f.function == self._symbol for f in self.functions) > 1

    def allocator(self, provider: Provider) -> str:
        """Return what to sum up a function's calls under: malloc and operator new are one."""
        own = provider
        if provider.function != self._symbol:
            own = next(f for f in self.functions if f.module == provider.module)
        return self.called(own)

    def hints(self) -> Iterator[str]:
        """Yield what is to know before the count begins."""
        if self._left_out:
            yield f"{self._left_out} more functions of that name are not counted"
        if (
            self._symbol in _PYTHON_CALLS
            and self._target.implementations(_PYTHON)
            and not self._target.has_environment(_PYTHON_SHOWS)
        ):
            yield (
                "Python's objects of up to 512 bytes do not reach malloc; to count them, start "
                "Python with PYTHONMALLOC=malloc"
            )

    def not_counted(self, *, anything: bool) -> Iterator[str]:
        """Yield what else may allocate: what came late and, if nothing was counted, the rest."""
        with contextlib.suppress(Error):  # the child has ended
            now = {provider.module for provider in self._target.implementations(self._symbol)}
            for module in [*(now - self._modules)][:4]:
                yield (
                    f"{module.name} has a {self._name}, too, but was mapped later: it was not "
                    "counted"
                )
            if not anything:
                found = {f.function for f in self._target.implementations(*_OTHERS)}
                others = [name for symbol, name in _OTHERS.items() if symbol in found]
                others = [name for name in others if name != self._name]
                yield (
                    "it may allocate in another way: "
                    + (f"by --function {', '.join(others)}; " if others else "")
                    + f"by mmap(2) of its own: ebpf-syscount -s mmap -p {self._target.pid}"
                )
