"""The places where a program can be attached, listed: one class for each kind of probe.

The names are those that bpftrace uses.
"""

from __future__ import annotations

import abc
import functools
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features, raw_btf
from ebpf_tour.loader.hooks.fentry import Fentry
from ebpf_tour.loader.hooks.kprobe import Kprobe
from ebpf_tour.loader.hooks.uprobe import Uprobe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpf_tour.loader.raw_btf import RawBtf
    from ebpf_tour.userland.binaries import Binary

_BLACKLIST = "/sys/kernel/debug/kprobes/blacklist"
_PMUS = "/sys/bus/event_source/devices"

KERNEL = "vmlinux"
"""The module, so to speak, of the functions that are in none."""


class Place(NamedTuple):
    """A place where a program can be attached.

    `target` is the category of a tracepoint, the module of a function of the
    kernel, or the path of a file. Only USDT probes have a `provider`.
    """

    target: str
    name: str
    provider: str = ""


class Places(abc.ABC):
    """All places of one kind. `kind` and `aliases` are what patterns call it."""

    kind: str
    aliases: tuple[str, ...] = ()
    note = ""
    """What is not quite right about the list, once it was made."""

    def unsupported(self) -> Error | None:
        """Return why no place of this kind can be listed here, or None."""
        return None

    @abc.abstractmethod
    def all(self) -> Iterable[Place]:
        """Return the places in any order. Raises Error."""

    def fields(self, place: Place) -> list[str]:  # noqa: ARG002 - not every kind has some
        """Return what a program gets there, as C text: ["int dfd", "umode_t mode"]."""
        return []

    def refused(self, place: Place) -> str:  # noqa: ARG002 - most kinds are not tried
        """Return why the kernel takes no program there, "" if it does or was not asked."""
        return ""

    def untried(self) -> str:
        """Return what `refused()` cannot find out here, and why; "" if there is nothing."""
        return ""

    def spelled(self, place: Place) -> str:
        """Return how a place is written: "tracepoint:sched:sched_process_exec"."""
        return f"{self.kind}:{place.target}:{place.name}"


class Tracepoints(Places):
    """Tracepoints, from tracefs."""

    kind = "tracepoint"
    aliases = ("t",)

    def unsupported(self) -> Error | None:
        try:
            features.tracefs()
        except Error as error:
            return error
        return None

    def all(self) -> Iterator[Place]:
        for line in _read(f"{features.tracefs()}/available_events").splitlines():
            category, _, event = line.partition(":")
            yield Place(category, event)

    def fields(self, place: Place) -> list[str]:
        text = _read(f"{features.tracefs()}/events/{place.target}/{place.name}/format")
        # Every event has the same fields first; a blank line ends them.
        _, _, own = text.partition("\n\n")
        return re.findall(r"\tfield:(.*?);", own)


class RawTracepoints(Places):
    """Tracepoints without their records, from BTF, and without it from tracefs.

    BTF knows some that have no record at all, so that tracefs lacks them.
    """

    kind = "rawtracepoint"
    aliases = ("rt",)

    def unsupported(self) -> Error | None:
        return None if features.has_kernel_btf() else Tracepoints().unsupported()

    def all(self) -> Iterator[Place]:
        if features.has_kernel_btf():
            for module, btf in _btfs().items():
                for name in btf.typedefs:
                    if name.startswith("btf_trace_"):
                        yield Place(module, name.removeprefix("btf_trace_"))
            return
        for place in Tracepoints().all():
            # One for each system call is made of raw_syscalls:sys_enter and sys_exit.
            if place.target != "syscalls":
                yield Place(KERNEL, place.name)

    def fields(self, place: Place) -> list[str]:
        if not features.has_kernel_btf():
            return []
        btf = _btfs()[place.target]
        # The function that calls what is attached has names for the arguments.
        caller = btf.functions.get(f"__traceiter_{place.name}")
        number = caller or btf.typedefs[f"btf_trace_{place.name}"]
        return btf.parameters(number)[1:]  # without the void * of who is attached

    def spelled(self, place: Place) -> str:
        return f"{self.kind}:{place.name}"


class KernelFunctions(Places):
    """Functions of the kernel for kprobes, or with `returns` for kretprobes.

    From ftrace, which lists the functions that begin with a place for a call;
    where its list cannot be read, from kallsyms.
    """

    def __init__(self, *, returns: bool = False) -> None:
        self.kind = "kretprobe" if returns else "kprobe"
        self.aliases = ("kr",) if returns else ("k",)
        self._returns = returns

    def unsupported(self) -> Error | None:
        return Kprobe.none_here()

    def all(self) -> Iterator[Place]:
        names, self.note = _functions()
        # "0xffffffff81e00010-0xffffffff81e00080	asm_exc_divide_error"
        blacklist = set(re.findall(r"\t(\S+)", _readable(_BLACKLIST)))
        for module, name in names:
            if name not in blacklist:
                yield Place(module, name)

    def fields(self, place: Place) -> list[str]:
        return _parameters(place, returns=self._returns)

    def spelled(self, place: Place) -> str:
        return f"{self.kind}:{place.name}"


class TypedFunctions(Places):
    """Functions of the kernel for fentry, or with `returns` for fexit: those that BTF has, too."""

    def __init__(self, *, returns: bool = False) -> None:
        self.kind = "fexit" if returns else "fentry"
        # kfunc and kretfunc are what bpftrace called them until its version 0.21.
        self.aliases = ("fr", "kretfunc") if returns else ("f", "kfunc")
        self._returns = returns

    def unsupported(self) -> Error | None:
        without = _without_btf()
        if without:
            return without
        try:
            # Only who may load programs can ask; to read is for everybody.
            features.require_privileges()
            return Fentry.none_here(self._returns)
        except Error:
            return None

    def all(self) -> Iterator[Place]:
        names, self.note = _functions()
        for module, btf in _btfs().items():
            for name, number in btf.functions.items():
                if (module, name) in names and self._takes(btf.arity(number)):
                    yield Place(module, name)

    @staticmethod
    def _takes(arity: int | None) -> bool:
        # Until commit 473e3150e30a ("bpf, x86: allow function arguments up to 12 for
        # TRACING") (in v6.6), six were the most; functions with more are rare.
        return arity is not None and arity <= 6

    def fields(self, place: Place) -> list[str]:
        return _parameters(place, returns=self._returns)


class Iterators(Places):
    """What an iterator program can walk through, such as all tasks, from BTF."""

    kind = "iter"
    aliases = ("it",)

    def unsupported(self) -> Error | None:
        return _without_btf()

    def all(self) -> Iterator[Place]:
        btf = raw_btf.of_kernel()
        functions = btf.functions
        # The structure is what the program gets, the function what names the target.
        for struct in btf.structs:
            name = struct.removeprefix("bpf_iter__")
            if name != struct and f"bpf_iter_{name}" in functions:
                yield Place(KERNEL, name)

    def fields(self, place: Place) -> list[str]:
        btf = raw_btf.of_kernel()
        parameters = btf.parameters(btf.functions[f"bpf_iter_{place.name}"])
        return parameters[1:]  # without the bpf_iter_meta, which all have

    def refused(self, place: Place) -> str:
        # BTF has every iterator that was compiled in. A hardened kernel may refuse
        # programs for some of them, which shows only when one is loaded.
        from ebpf_tour.loader import trial

        return trial.iterator(place.name) if trial.may_try() else ""

    def untried(self) -> str:
        from ebpf_tour.loader import trial

        if trial.may_try():
            return ""
        return f"whether this kernel takes programs for iterators was {trial.NOT_TRIED}"

    def spelled(self, place: Place) -> str:
        return f"{self.kind}:{place.name}"


class PerfEvents(Places):
    """What perf_event_open(2) counts: in software, or with `hardware` in the processor.

    The names are those of perf-list(1).
    """

    SOFTWARE = (
        *("alignment-faults", "bpf-output", "context-switches", "cpu-clock", "cpu-migrations"),
        *("dummy", "emulation-faults", "major-faults", "minor-faults", "page-faults"),
        "task-clock",
    )
    HARDWARE = (
        *("backend-stalls", "branch-instructions", "branch-misses", "bus-cycles"),
        *("cache-misses", "cache-references", "cpu-cycles", "frontend-stalls"),
        *("instructions", "ref-cycles"),
    )

    def __init__(self, *, hardware: bool = False) -> None:
        self.kind = "hardware" if hardware else "software"
        self.aliases = ("h",) if hardware else ("s",)
        self._names = self.HARDWARE if hardware else self.SOFTWARE
        # arm64 calls its own by the processor, hybrid machines have several.
        self._pmus = ("cpu", "armv8_") if hardware else ("software",)

    def unsupported(self) -> Error | None:
        try:
            names = os.listdir(_PMUS)
        except OSError:
            names = []
        if any(name.startswith(self._pmus) for name in names):
            return None
        if self.kind == "software":
            return Unsupported(f"this kernel has no perf events{features.without('PERF_EVENTS')}")
        return Unsupported(
            "this machine has no hardware counters that the kernel could use",
            "list the software events, which every machine has: ebpf-probes 'software:*'",
        )

    def all(self) -> Iterator[Place]:
        for name in self._names:
            yield Place("", name)

    def spelled(self, place: Place) -> str:
        return f"{self.kind}:{place.name}:"  # bpftrace wants a number behind it


class UserFunctions(Places):
    """Functions of programs and libraries for uprobes, or with `returns` for uretprobes."""

    def __init__(self, binaries: Iterable[Binary], *, returns: bool = False) -> None:
        self.kind = "uretprobe" if returns else "uprobe"
        self.aliases = ("ur",) if returns else ("u",)
        self._binaries = binaries

    def unsupported(self) -> Error | None:
        return Uprobe("").unsupported()

    def all(self) -> Iterator[Place]:
        for binary in self._binaries:
            for name in binary.functions():
                yield Place(binary.path, name)


class UsdtProbes(Places):
    """USDT probes of programs and libraries."""

    kind = "usdt"
    aliases = ("U",)

    def __init__(self, binaries: Iterable[Binary]) -> None:
        self._binaries = binaries
        self._arguments: dict[Place, str] = {}

    def unsupported(self) -> Error | None:
        return Uprobe("").unsupported()

    def all(self) -> Iterator[Place]:
        for binary in self._binaries:
            for probe in binary.usdt():
                # One that is at several places has the same arguments at each.
                place = Place(binary.path, probe.name, probe.provider)
                self._arguments.setdefault(place, probe.arguments)
        yield from self._arguments

    def fields(self, place: Place) -> list[str]:
        """Return the type of each argument, and the number that tracers know it by: "s32 arg0"."""
        arguments = self._arguments[place].split()
        return [f"{_c_type(text)} arg{number}" for number, text in enumerate(arguments)]

    def spelled(self, place: Place) -> str:
        return f"{self.kind}:{place.target}:{place.provider}:{place.name}"


_KERNEL_PLACES = {
    places.kind: places
    for places in (
        *(Tracepoints(), RawTracepoints(), KernelFunctions(), KernelFunctions(returns=True)),
        *(TypedFunctions(), TypedFunctions(returns=True), Iterators()),
        *(PerfEvents(), PerfEvents(hardware=True)),
    )
}


def kernel_places(kind: str) -> Places:
    """Return the places of a kind in the kernel."""
    return _KERNEL_PLACES[kind]


def user_places(kind: str, binaries: Iterable[Binary]) -> Places:
    """Return the places of a kind in some files."""
    if kind == "usdt":
        return UsdtProbes(binaries)
    return UserFunctions(binaries, returns=kind == "uretprobe")


def kind_called(name: str) -> str:
    """Return the kind with a name or a short name, "" if there is none."""
    user = (user_places(kind, ()) for kind in ("uprobe", "uretprobe", "usdt"))
    for places in (*_KERNEL_PLACES.values(), *user):
        if name == places.kind or name in places.aliases:
            return places.kind
    return ""


def _c_type(argument: str) -> str:
    """Return the type of a USDT probe's argument: "s32" for "-4@%edi", "f64" for "8f@%xmm0"."""
    size = re.match(r"(-?)(\d+)(f?)@", argument)
    if not size:
        return "unsigned long"  # an old form, "%rdi": as wide as a register
    sign, number, is_float = size.groups()
    return f"{'f' if is_float else 's' if sign else 'u'}{int(number) * 8}"


@functools.cache
def _btfs() -> dict[str, RawBtf]:
    """Return the BTF of the kernel and of its modules, by their names."""
    kernel = raw_btf.of_kernel()
    return {KERNEL: kernel, **dict(raw_btf.of_modules(kernel))}


def _without_btf() -> Error | None:
    try:
        raw_btf.of_kernel()
    except Error as error:
        return error
    return None


def _parameters(place: Place, *, returns: bool) -> list[str]:
    """Return a kernel function's parameters, and what it returns as `retval`."""
    if _without_btf():
        return []
    btf = _btfs().get(place.target)
    number = btf.functions.get(place.name) if btf else None
    if not btf or not number:
        return []
    fields = btf.parameters(number)
    if returns:
        fields.append(btf.returns(number, "retval"))
    return fields


@functools.cache
def _functions() -> tuple[dict[tuple[str, str], None], str]:
    """Return module and name of the kernel's functions, and what is not right about that.

    Several functions may have the same name; it is there once.
    """
    try:
        text = _read(f"{features.tracefs()}/available_filter_functions")
    except Error as error:
        return _functions_of_kallsyms(), (
            f"functions are from /proc/kallsyms, and some of them cannot be probed: {error}"
        )
    names: dict[tuple[str, str], None] = {}
    for line in text.splitlines():
        name, _, module = line.partition(" ")
        # Where a function was that is no more, since commit b39181f7c690
        # ("ftrace: Add FTRACE_MCOUNT_MAX_OFFSET to avoid adding weak function") (in v5.19).
        if not name.startswith("__ftrace_invalid_address__"):
            names[module[1:-1] or KERNEL, name] = None
    return names, ""


# "ffffffff81000000 T _stext", "ffffffffc0000000 t ovl_mkdir	[overlay]"
_KALLSYM = r"(?m)^([0-9a-f]+) (\w) (\S+)(?:\t\[(\S+)\])?$"

# Bytes before a function, and jumps; programs that are loaded; code that the kernel makes.
_NO_FUNCTIONS = ("__pfx_", "__cfi_", "__SCT__")
_NO_MODULES = ("bpf", "__builtin__")


def _functions_of_kallsyms() -> dict[tuple[str, str], None]:
    names: dict[tuple[str, str], None] = {}
    in_text = False
    for line in re.finditer(_KALLSYM, _read("/proc/kallsyms")):
        address, kind, name, module = line.groups()
        # Before and behind the code there is what ran only while the kernel
        # booted. Who may not see addresses sees zeros, and all of it.
        if name in ("_stext", "_etext"):
            in_text = name == "_stext"
        if kind not in "tTwW" or name.startswith(_NO_FUNCTIONS):
            continue
        if not module and (in_text or not address.strip("0")):
            names[KERNEL, name] = None
        elif module and not module.startswith(_NO_MODULES):
            names[module, name] = None
    return names


def _read(path: str) -> str:
    """Return what a file below /sys or /proc says. Raises Error."""
    try:
        with open(path, encoding="utf-8", errors="backslashreplace") as file:
            return file.read()
    except PermissionError:
        raise features.explain_eperm(f"read {path}") from None
    except OSError as error:
        raise Unsupported(f"cannot read {path}: {error.strerror}") from None


def _readable(path: str) -> str:
    """Return what a file says, nothing if it cannot be read."""
    try:
        return _read(path)
    except Error:
        return ""
