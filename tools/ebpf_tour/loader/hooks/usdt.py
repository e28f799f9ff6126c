"""USDT probes: places in programs and libraries that their authors marked for tracers.

A note in the ELF file says where a probe is, and where its arguments are then. A
child process without privileges has read it (userland/usdt.py), so neither libbpf
nor BCC looks into the file.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader.hooks.uprobe import Uprobe, make_trial

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.program import Program
    from ebpf_tour.loader.trial import HookCheck

_UPROBE = "/sys/bus/event_source/devices/uprobe"
_REF_CTR_SHIFT = 32  # format/ref_ctr_offset: "config:32-63"

_CONSTANT, _REGISTER, _MEMORY = 0, 1, 2  # usdt_kind of bpf/lib/usdt.bpf.h

# In the order of struct pt_regs, each of 8 bytes.
_X86 = (
    *("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx"),
    *("si", "di", "orig_ax", "ip", "cs", "flags", "sp"),
)
_ARM64 = (*(f"x{number}" for number in range(31)), "sp")

_SPELLINGS = (  # x86: $5, %eax, -8(%rbp); arm64: 5, x0, [sp, 8]
    re.compile(r"\$?(?P<value>-?\d+)"),
    re.compile(r"%?(?P<register>[a-z]\w*)"),
    re.compile(r"(?P<value>-?\d*)\(%(?P<register>\w+)\)"),
    re.compile(r"\[(?P<register>\w+)(?:, *(?P<value>-?\d+))?\]"),
)


class Argument(NamedTuple):
    """Where an argument is, by the global variables of bpf/lib/usdt.bpf.h."""

    kind: int
    register: int
    value: int
    signed: bool
    shift: int


class Place(NamedTuple):
    """A probe to attach to: where in a file, its semaphore (0: none), for which process (-1: all).

    The kernel adds one to the semaphore of each process while it is attached, so that
    the program prepares the arguments.
    """

    path: str
    offset: int
    semaphore: int
    argument: Argument
    pid: int = -1

    def __str__(self) -> str:
        return f"{self.path}+{self.offset:#x}"


def places(path: str, notes: Iterable[tuple[int, int, str]], pid: int = -1) -> list[Place]:
    """Return the places of a probe by its notes: offset, semaphore's offset, arguments.

    Raises Error unless the argument is found in the same way at all of them.
    """
    found = [Place(path, at, where, first_argument(text), pid) for at, where, text in notes]
    if len({place.argument for place in found}) > 1:
        raise Error(
            f"the program has that probe at {len(found)} places, its argument not at the same",
            "take another one: ebpf-probes -v lists them with their arguments",
        )
    return found


class Usdt(Uprobe):
    """A USDT probe, with its first argument. For the kernel it is a uprobe with a semaphore.

    `Program.attach_to()` takes the hook and a Place, and before the program is loaded
    `configure()` takes the Place.
    """

    about = "A place in a program or library that its author marked for tracers, with arguments."
    rank = 65

    def __init__(self, function: str) -> None:
        super().__init__(function)
        self.kind = self.section = "usdt"

    def unsupported(self) -> Error | None:
        # commit a6ca88b241d5 ("trace_uprobe: support reference counter in fd-based
        # uprobe") (in v4.20)
        missing = super().unsupported()
        if missing or os.path.exists(f"{_UPROBE}/format/ref_ctr_offset"):
            return missing
        return Unsupported(
            "this kernel does not count the semaphores of USDT probes",
            "Linux 4.20 and newer do",
        )

    def configure(self, program: Program, place: Place) -> None:
        """Tell a program where the argument is; before load."""
        for name, value in place.argument._asdict().items():
            program.globals[f"usdt_{name}"] = int(value)

    def attach_libbpf(self, function: LibbpfFunction, target: Any) -> Detach:
        return _attach(function.fd, target)

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:
        return _attach(function.fd, target)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("usdt", "ebpf-usdt: places that a program's author marked"),
                cls("").unsupported,
                lambda: make_trial(returns=False),
            )
        ]


def _attach(program: int, place: Place) -> Detach:
    """Attach a program to a probe. Raises OSError."""
    from ebpf_tour.loader import syscall, trial

    kind, config = trial.probe("uprobe", returns=False)
    config |= place.semaphore << _REF_CTR_SHIFT
    path = os.fsencode(place.path)
    event = syscall.PerfEvent(kind, config, path, place.offset, pid=place.pid)
    fd = trial.attach_to_perf_event(program, event)
    return lambda: os.close(fd)


def first_argument(spelled: str, machine: str = "") -> Argument:
    """Return where a probe's first argument is, by its note: "-4@%edi 8@8(%rsp)".

    Without one, it is the constant 0. `machine` is as uname(2) calls it. Raises Error for
    what a program cannot read, such as floating-point numbers.
    """
    if not spelled.strip():
        return Argument(_CONSTANT, 0, 0, signed=False, shift=0)
    found = re.match(r"(-?)([1248])@([^@]+?)(?: -?\d+f?@|$)", spelled.strip())
    form = found and next(filter(None, (f.fullmatch(found[3]) for f in _SPELLINGS)), None)
    if not found or not form:
        raise Error(
            f"the first argument is where this tool cannot read it: {spelled}",
            "see the arguments of other probes: ebpf-probes -v",
        )
    parts = form.groupdict()
    kind = _MEMORY if form[0][-1] in ")]" else _REGISTER if "register" in parts else _CONSTANT
    register = _register(parts["register"], machine or os.uname().machine) if kind else 0
    value = int(parts.get("value") or 0)
    return Argument(kind, register, value, signed=bool(found[1]), shift=64 - 8 * int(found[2]))


def _register(name: str, machine: str) -> int:
    """Return where a register is in struct pt_regs, by any of its names. Raises Error."""
    if machine == "aarch64":
        names, plain = _ARM64, re.sub(r"^w(?=\d)", "x", name)
    else:
        names, plain = _X86, re.sub(r"^(r\d+)[dwb]$", r"\1", name)
        plain = re.sub(r"^[re](?=[a-z])", "", plain)
        plain = {"al": "ax", "bl": "bx", "cl": "cx", "dl": "dx"}.get(plain, plain)
        plain = re.sub(r"^(si|di|bp|sp)l$", r"\1", plain)
    if plain not in names:
        raise Error(
            f"the first argument is in a register that nobody here knows: {name}",
            "see the arguments of other probes: ebpf-probes -v",
        )
    return 8 * names.index(plain)
