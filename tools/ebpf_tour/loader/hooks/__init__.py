"""Hooks: the places in the kernel where a program can be attached, a file for each kind.

A hook knows its name in both dialects, whether this kernel has it and why not,
how each engine attaches to it, and how `ebpf-tour check` tries it. It asks for
the feature itself; it never compares version numbers. A new kind is a new file
here, and nothing else knows of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, NotPermitted, Unsupported
from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.trial import HookCheck

    Detach = Callable[[], object]


class Hook:
    """A place where a program can be attached. Two of the same kind and name are equal.

    `kind` is what the field calls it, `about` a sentence on it for people,
    `name` the place, `section` the SEC() of its program in the libbpf dialect,
    `function` the name of its function in the BCC dialect. Where several
    programs have the same SEC(), `libbpf_function` is the name of the one that is
    meant.

    `engines` are those that can attach to it; a way to see an event can do
    without an `optional` hook. `needs_btf` says that its program needs kernel
    BTF on BCC, too: it is told by it where its arguments are, or reads what no
    header defines. `needs_large_keys` says that its program has a hash with keys
    of more than 512 bytes. `needs_target` says that only the tool knows where to attach
    it: `Program.attach_to()` does, and `Program.attach()` leaves it out. `takes` is the
    type of the target that it wants then.

    `context` is the structure that the kernel hands to its program.

    `returns` says that its program sees the end of a call, `within` that it adds to a call
    that another program has seen begin: where the kernel skips it, no event is lost.

    `capability` is what it takes besides CAP_BPF and CAP_PERFMON, "" if nothing.
    `alone` says that its place has room for one program only.

    `program_type` (BPF_PROG_TYPE_*) and `attach_type` (BPF_*) are numbers of
    include/uapi/linux/bpf.h; -1 where the kernel wants none. `sets_type` says that libbpf
    is not to load the program as its SEC() says, but as `program_type` does. `rank` is where
    lists have the kind.
    """

    kind: str
    about: str
    rank: int
    program_type: int
    attach_type = -1
    sets_type = False
    name: str
    section: str
    function: str
    libbpf_function = ""
    engines: tuple[str, ...] = ("libbpf", "bcc")
    optional = False
    needs_btf = False
    needs_large_keys = False
    needs_target = False
    takes = ""
    context = "pt_regs"
    returns = False
    within = False
    capability = ""
    alone = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hook) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str, str]:
        return self.kind, self.name, self.function

    @property
    def in_bcc(self) -> str:
        """How its function begins in the BCC dialect: a macro, or the function's own name."""
        return f"int {self.function}(struct {self.context} *ctx)"

    def is_for(self, section: str, function: str) -> bool:
        """Say whether a program of the libbpf dialect, by its SEC() and name, is this hook's."""
        return section == self.section and self.libbpf_function in ("", function)

    def unsupported(self) -> Error | None:
        """Return why this hook cannot be used here, or None if it can."""
        raise NotImplementedError

    def prepare_libbpf(self, function: LibbpfFunction) -> None:
        """Tell libbpf, before it loads a program, what the SEC() does not say. Raises OSError."""

    def name_for_bcc(self, function: str) -> str:
        """Return the name to load a function under, for the types whose place libbcc reads in it.

        `function` is its name in the C that BCC has compiled.
        """
        return function

    def attach_libbpf(self, function: LibbpfFunction, target: Any) -> Detach:  # noqa: ARG002
        """Attach a program that libbpf has loaded; return what detaches it.

        Without more ado, libbpf does what the SEC() says. Raises OSError, Error.
        """
        return function.attach()

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:
        """Attach a program that BCC has loaded; return what detaches it.

        Raises Exception (BCC's Python), OSError, Error.
        """
        raise NotImplementedError

    @classmethod
    def checks(cls) -> list[HookCheck]:
        """Return what `ebpf-tour check` tries of this kind."""
        return []


class ByDescriptor(Hook):
    """A hook that takes a program's file descriptor, whichever engine has loaded the program.

    Its target says where: see `Program.attach_to()`.
    """

    needs_target = True

    def attach(self, program: int, target: Any) -> Detach:
        """Attach a program; return what detaches it. Raises OSError, Error."""
        raise NotImplementedError

    def attach_libbpf(self, function: LibbpfFunction, target: Any) -> Detach:
        return self.attach(function.fd, target)

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:
        return self.attach(function.fd, target)


def kinds() -> list[type[Hook]]:
    """Return the kinds of hooks, by their rank. This imports them all."""
    import importlib
    import pkgutil

    found: dict[type[Hook], None] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Hook) and "rank" in vars(value):
                found[value] = None
    return sorted(found, key=lambda kind: kind.rank)


def what_is_missing(hooks: tuple[Hook, ...]) -> Error | None:
    """Return why a way cannot be used here, or None if it can."""
    for hook in hooks:
        error = hook.unsupported()
        if not error and hook.needs_btf:
            error = without_btf(f"the program at {hook}")
        if not error and hook.needs_large_keys:
            error = without_large_keys()
        if error and not hook.optional:
            return error
    return None


def without_btf(what: str) -> Error | None:
    """Return the error for what needs kernel BTF, if the kernel has none."""
    if features.has_kernel_btf():
        return None
    return Unsupported(
        f"this kernel has no BTF in {features.KERNEL_BTF}{features.without('DEBUG_INFO_BTF')}, "
        f"which {what} needs",
        "boot your distribution's stock kernel, which has it",
    )


def without_direct_calls(kind: str) -> Error | None:
    """Return the error for programs that a function of the kernel calls, if it can call none.

    Such a kernel loads them all the same: it refuses only to attach them, with ENOTSUPP. arm64
    can since commit 2aa6ac03516d ("arm64: ftrace: Add direct call support") (in v6.4).
    """
    if features.in_kallsyms("register_ftrace_direct"):
        return None
    option = "DYNAMIC_FTRACE_WITH_DIRECT_CALLS"
    return Unsupported(
        f"this kernel cannot attach {kind} programs{features.without(option)}",
        f"boot a kernel with CONFIG_{option}: arm64 has it since Linux 6.4",
    )


def without_large_keys() -> Error | None:
    """Return the error for a program with large keys, if the kernel has none."""
    from ebpf_tour.loader import syscall

    try:
        if syscall.has_large_keys():
            return None
    except NotPermitted:
        return None  # who loads the program says so
    return Unsupported(*features.NO_LARGE_KEYS)
