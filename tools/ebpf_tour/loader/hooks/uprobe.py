"""Uprobes and uretprobes: breakpoints on functions of programs and libraries."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import Hook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.trial import HookCheck, Trial


class Instruction(NamedTuple):
    """An instruction to put a uprobe on: a file, the offset in it in bytes, a PID (-1: all)."""

    path: str
    offset: int
    pid: int = -1

    def __str__(self) -> str:
        return f"{self.path}+{self.offset:#x}"


class Uprobe(Hook):
    """Entry to a function of a program or library; with `returns`, its return.

    `function` is the C function of the BPF program, in both dialects. Which
    function it probes is known at run time only: `Program.attach_to()` takes the
    hook and an `Instruction`.
    """

    name = ""
    about = "Entry to a function of a program or library in user space, or its return (uretprobe)."
    rank = 60
    program_type = 2  # that of kprobes
    needs_target = True
    takes = "Instruction"

    def __init__(
        self, function: str, *, returns: bool = False, needs_large_keys: bool = False
    ) -> None:
        self.function = self.libbpf_function = function
        self.returns = returns
        self.needs_large_keys = needs_large_keys
        self.kind = self.section = "uretprobe" if returns else "uprobe"

    def unsupported(self) -> Error | None:
        if os.path.exists("/sys/bus/event_source/devices/uprobe"):
            return None
        return Unsupported(
            f"this kernel has no uprobes{features.without('UPROBES')}",
            "boot your distribution's stock kernel, which has them",
        )

    def attach_libbpf(self, function: LibbpfFunction, target: Instruction) -> Detach:
        with explained(target):
            return function.call(
                "attach_uprobe", self.returns, target.pid, target.path, target.offset
            )

    def attach_bcc(self, function: BccFunction, target: Instruction) -> Detach:
        lib = function.lib
        kind = "r" if self.returns else "p"
        path = os.fsencode(target.path)
        file = os.stat(path).st_ino  # several may have a function at the same offset
        name = f"{kind}_ebpf_tour_{os.getpid()}_{file:x}_{target.offset:x}".encode()
        # The last one is ref_ctr_offset. BCC 0.26's own Python leaves it to chance.
        fd = lib.bpf_attach_uprobe(
            *(function.fd, self.returns, name, path, target.offset, target.pid, 0)
        )
        # Where perf_event_open(2) refuses uprobes, BCC has made a probe event in
        # tracefs, which does not go with its descriptor, nor when attaching fails.
        # Otherwise there is nothing to remove, and no tracefs to say so is no error.
        if fd < 0:
            lib.bpf_detach_uprobe(name)
            raise OSError(f"BCC cannot attach to {target}")

        def detach() -> None:
            lib.bpf_close_perf_event_fd(fd)
            lib.bpf_detach_uprobe(name)

        return detach

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("uprobe", "ebpf-uprobe: any function of a program or library"),
                cls("").unsupported,
                lambda: make_trial(returns=False),
            ),
            trial.HookCheck(
                *("uretprobe", "the same, when the function returns"),
                cls("", returns=True).unsupported,
                lambda: make_trial(returns=True),
            ),
        ]


@contextlib.contextmanager
def explained(target: object) -> Iterator[None]:
    """Say why the kernel refuses a uprobe at a place with EINVAL. Raises Error, OSError."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Error(
            f"the kernel refuses a uprobe at {target}: {error.strerror}",
            "end the other tracer there: it may have given another semaphore, as bcc's own "
            "tools do by mistake (dmesg: ref_ctr_offset mismatch)",
        ) from None


def make_trial(*, returns: bool) -> Trial:
    """Return the trial of a uprobe or uretprobe, in this process only."""
    from ebpf_tour.loader import syscall, trial

    def attach(program: int) -> int:
        kind, config = trial.probe("uprobe", returns=returns)
        path, offset = in_own_libc("getpgid")
        event = syscall.PerfEvent(kind, config, os.fsencode(path), offset, pid=os.getpid())
        return trial.attach_to_perf_event(program, event)

    name = "uretprobe" if returns else "uprobe"
    return trial.Trial(name, Uprobe.program_type, attach, trial.own_group)


def in_own_libc(function: str) -> tuple[str, int]:
    """Return the file of this process's C library, and where in it the function is."""
    from ebpf_tour.loader import syscall

    address = syscall.address_in_libc(function)
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            # start-end perms offset dev inode path
            extent, _, offset, _, _, *path = line.split(None, 5)
            start, end = (int(text, 16) for text in extent.split("-"))
            if start <= address < end and path:
                return path[0].rstrip("\n"), address - start + int(offset, 16)
    raise Unsupported("the C library of this Python is not a file")
