"""USDT probes: places in programs and libraries that their authors marked for tracers.

A note in the ELF file says where a probe is, and where its arguments are at that time. A
child process without privileges read it (userland/probed.py), so neither libbpf
nor BCC looks into the file: what they would do is done here with what the child found.
"""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader.hooks.uprobe import Uprobe, explained, make_trial

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.layout import Layout
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.program import Program
    from ebpf_tour.loader.syscall import PerfEvent
    from ebpf_tour.loader.trial import HookCheck
    from ebpf_tour.userland.probed import Probed

_UPROBE = "/sys/bus/event_source/devices/uprobe"
_REF_CTR_SHIFT = 32  # format/ref_ctr_offset: "config:32-63"

# Of usdt.bpf.h: enum __bpf_usdt_arg_type, and BPF_USDT_MAX_ARG_CNT.
_CONST, _REG, _REG_DEREF = 0, 1, 2
_MOST_ARGUMENTS = 12

# In the order of struct pt_regs, each of 8 bytes.
_X86 = (
    *("r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx"),
    *("si", "di", "orig_ax", "ip", "cs", "flags", "sp"),
)
_ARM64 = (*(f"x{number}" for number in range(31)), "sp")

_NUMBER = r"-?\d{1,18}"
_SPELLINGS = (  # x86: $5, %eax, -8(%rbp); arm64: 5, x0, [sp, 8]
    re.compile(rf"\$?(?P<value>{_NUMBER})"),
    re.compile(r"%?(?P<register>[a-z]\w*)"),
    re.compile(rf"(?P<value>(?:{_NUMBER})?)\(%(?P<register>\w+)\)"),
    re.compile(rf"\[(?P<register>\w+)(?:, *(?P<value>{_NUMBER}))?\]"),
)


# struct __bpf_usdt_arg_spec of usdt.bpf.h, by its size: val_off, arg_type, reg_off, arg_signed
# and arg_bitshift. Libbpf 1.7's has an index register, too, in bit fields. No argument here has
# one, so they are 0.
_SPECS = {16: struct.Struct("=QIh?b"), 24: struct.Struct("=QB5xh?b6x")}


class Argument(NamedTuple):
    """Where an argument is, by the names of struct __bpf_usdt_arg_spec in usdt.bpf.h."""

    arg_type: int
    reg_off: int
    val_off: int
    arg_signed: bool
    arg_bitshift: int


class Place(NamedTuple):
    """A probe to attach to: where in a file, its semaphore (0: none), for which process (-1: all).

    The kernel adds one to the semaphore of each process while it is attached, so that
    the program prepares the arguments. `spec_id` tells the places of a probe; `address` is
    the one in the process (0: not known).
    """

    path: str
    offset: int
    semaphore: int
    arguments: tuple[Argument, ...]
    pid: int
    address: int
    spec_id: int

    def __str__(self) -> str:
        return f"{self.path}+{self.offset:#x}"


def places(probed: Probed) -> list[Place]:
    """Return a list of targets for a probe that `frame.probed` has found. Raises Error."""
    return [
        Place(
            *(probed.path, place.offset, place.semaphore, tuple(arguments(place.arguments))),
            *(probed.tid, place.address, number),
        )
        for number, place in enumerate(probed.places)
    ]


class Usdt(Uprobe):
    """A USDT probe, with its arguments. For the kernel it is a uprobe with a semaphore.

    `Program.attach_to()` takes the hook and a Place, and before the program is loaded
    `configure()` takes all that there are.
    """

    about = "A place in a program or library that its author marked for tracers, with arguments."
    rank = 65
    takes = "Place"
    # libbpf 1.3 and newer ("libbpf: Add uprobe multi link support to bpf_program__attach_usdt")
    # loads a program with SEC("usdt") for a link to many places at once, where the kernel has
    # such links (v6.6). The kernel then refuses the link to one place that is made below.
    sets_type = True

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
            "boot Linux 4.20 or newer",
        )

    def configure(self, program: Program, places: list[Place]) -> None:
        """Tell BCC's program where the first argument is. That of libbpf has a map for it.

        Raises Error if it is not at the same place everywhere.
        """
        if program.engine != "bcc":
            return
        nothing = Argument(_CONST, 0, 0, arg_signed=False, arg_bitshift=0)
        found = {next(iter(place.arguments), nothing) for place in places}
        if len(found) > 1:
            raise Error(
                f"the program has that probe at {len(places)} places with the argument in "
                "different registers or memory, and BCC's program knows only one",
                "use libbpf's program, which knows them all: --engine libbpf",
            )
        for name, value in found.pop()._asdict().items():
            program.globals[f"usdt_{name}"] = int(value)

    def attach_libbpf(self, function: LibbpfFunction, target: Any) -> Detach:
        """Do what bpf_program__attach_usdt() does, but read no file."""
        from ebpf_tour.loader import syscall, trial

        program = function.of
        specs = program.map("__bpf_usdt_specs")
        spec = _spec_of(specs.value)
        args = b"".join(
            spec.pack(a.val_off % 2**64, a.arg_type, a.reg_off, a.arg_signed, a.arg_bitshift)
            for a in target.arguments
        )
        specs.set(target.spec_id, specs.value.make(args=args, arg_cnt=len(target.arguments)))
        if syscall.has_attach_cookies():
            with explained(target):
                link = trial.link_to_perf_event(function.fd, _event(target), target.spec_id)
            return lambda: os.close(link)
        if not target.address:
            raise Unsupported(
                "this kernel has no BPF cookies (Linux 5.15 and newer have them), which tell "
                "the program what probe it is at",
                "name a process (-p PID), or use the other engine: --engine bcc",
            )
        program.map("__bpf_usdt_ip_to_spec_id").set(target.address, target.spec_id)
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


def _spec_of(all_specs: Layout) -> struct.Struct:
    """Return how an argument is written, by the layout of struct __bpf_usdt_spec."""
    args = next(member for member in all_specs.members if member.name == "args")
    size = args.size * args.items // _MOST_ARGUMENTS
    if size not in _SPECS:
        raise Error(
            f"this program was compiled with a usdt.bpf.h whose arguments have {size} bytes, "
            "which this version does not know",
            "compile it with libbpf 1.7 or older, or use the other engine: --engine bcc",
        )
    return _SPECS[size]


def _event(place: Place) -> PerfEvent:
    from ebpf_tour.loader import syscall, trial

    kind, config = trial.probe("uprobe", returns=False)
    config |= place.semaphore << _REF_CTR_SHIFT
    return syscall.PerfEvent(kind, config, os.fsencode(place.path), place.offset, pid=place.pid)


def _attach(program: int, place: Place) -> Detach:
    from ebpf_tour.loader import trial

    with explained(place):
        fd = trial.attach_to_perf_event(program, _event(place))
    return lambda: os.close(fd)


def arguments(spelled: str, machine: str = "") -> Iterator[Argument]:
    """Yield where a probe's arguments are, by its note: "-4@%edi 8@8(%rsp)".

    They end before one that a program cannot read, such as a floating-point number.
    `machine` is as uname(2) calls it. Raises Error if that is the first one.
    """
    texts = re.split(r" (?=-?\d+f?@)", spelled.strip()) if spelled.strip() else []
    for number, text in enumerate(texts[:_MOST_ARGUMENTS]):
        argument = _argument(text, machine or os.uname().machine)
        if argument:
            yield argument
        elif number:
            return
        else:
            raise Error(
                f"the first argument is where this tool cannot read it: {spelled}",
                "list the arguments of other probes: ebpf-probes -v",
            )


def _argument(text: str, machine: str) -> Argument | None:
    """Return where an argument is, None if a program cannot read it."""
    found = re.fullmatch(r"(-?)([1248])@(.+)", text)
    form = found and next(filter(None, (f.fullmatch(found[3]) for f in _SPELLINGS)), None)
    if not found or not form:
        return None
    parts = form.groupdict()
    kind = _REG_DEREF if form[0][-1] in ")]" else _REG if "register" in parts else _CONST
    register = _register(parts["register"], machine) if kind else 0
    if register is None:
        return None
    value = int(parts.get("value") or 0)
    return Argument(kind, register, value, bool(found[1]), 64 - 8 * int(found[2]))


def _register(name: str, machine: str) -> int | None:
    """Return where a register is in struct pt_regs, by any of its names; None if it has none."""
    if machine == "aarch64":
        names, plain = _ARM64, re.sub(r"^w(?=\d)", "x", name)
    else:
        names, plain = _X86, re.sub(r"^(r\d+)[dwb]$", r"\1", name)
        plain = re.sub(r"^[re](?=[a-z])", "", plain)
        plain = {"al": "ax", "bl": "bx", "cl": "cx", "dl": "dx"}.get(plain, plain)
        plain = re.sub(r"^(si|di|bp|sp)l$", r"\1", plain)
    return 8 * names.index(plain) if plain in names else None
