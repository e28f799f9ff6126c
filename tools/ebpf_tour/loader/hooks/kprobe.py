"""Kprobes and kretprobes: breakpoints on functions of the kernel."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import Hook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.trial import HookCheck, Trial


class KernelFunction(Hook):
    """A hook on a function of the kernel.

    A function is no interface: the next kernel may have renamed it. `function` is the
    name that the C files have, `renamed` its later names, each with the version of
    Linux that brought it. Which one the running kernel has is asked, not computed.
    """

    kinds: tuple[str, str]
    """The hook's kind at the function's entry, and at its return."""

    where_to_look = "look for it in /proc/kallsyms"

    def __init__(
        self, function: str, *, returns: bool = False, renamed: Mapping[str, str] | None = None
    ) -> None:
        self.name = function
        self.returns = returns
        self.renamed = dict(renamed or {})
        self._names = (function, *self.renamed)
        self.kind = self.kinds[returns]
        self.section = f"{self.kind}/{function}"
        self.function = f"{self.kind}__{function}"

    @staticmethod
    def has(function: str) -> bool:
        """Say whether the kernel has a function that this kind of hook can be put on."""
        return features.in_kallsyms(function)

    @functools.cached_property
    def target(self) -> str:
        """The function's name in this kernel; where it has none of them, the first one."""
        if not self.renamed:
            return self._names[0]
        return next(filter(self.has, self._names), self._names[0])

    def without_function(self) -> Error | None:
        """Return the error for a function that the kernel does not have."""
        if self.has(self.target):
            return None
        later = [f", nor {name} (its name since Linux {v})" for name, v in self.renamed.items()]
        return Unsupported(
            f"this kernel has no function {self.target} to probe{''.join(later)}",
            f"{self.where_to_look}: it may have been renamed or inlined",
        )


class Kprobe(KernelFunction):
    """Entry to a kernel function; with `returns`, its return (a kretprobe)."""

    kinds = ("kprobe", "kretprobe")
    about = (
        "Entry to almost any function of the kernel, or (kretprobe) its return. Nobody prepared "
        "the function for it, and the next kernel may rename it."
    )
    rank = 30
    program_type = 2

    def __init__(
        self,
        function: str,
        *,
        returns: bool = False,
        renamed: Mapping[str, str] | None = None,
        needs_btf: bool = False,
    ) -> None:
        super().__init__(function, returns=returns, renamed=renamed)
        self.needs_btf = needs_btf

    @staticmethod
    def none_here() -> Error | None:
        """Return why no function at all can be probed here, or None."""
        if not os.path.exists("/sys/bus/event_source/devices/kprobe"):
            return Unsupported(
                f"this kernel has no kprobes{features.without('KPROBES')}",
                "boot your distribution's stock kernel, which has them",
            )
        if features.lockdown() == "confidentiality":
            return features.explain_eperm("attach to functions of the kernel")
        return None

    def unsupported(self) -> Error | None:
        return self.none_here() or self.without_function()

    def attach_libbpf(self, function: LibbpfFunction, target: Any) -> Detach:
        if not self.renamed:
            return super().attach_libbpf(function, target)
        return function.call("attach_kprobe", self.returns, self.target)

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:  # noqa: ARG002
        bpf, name = function.bpf, self.target.encode()
        if self.returns:
            bpf.attach_kretprobe(event=name, fn_name=function.name)
            return lambda: _detach(bpf.detach_kretprobe, name)
        bpf.attach_kprobe(event=name, fn_name=function.name)
        return lambda: _detach(bpf.detach_kprobe, name)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("kprobe", "ebpf-kprobe: any function of the kernel, when it is called"),
                cls(trial.KERNEL_FUNCTION).unsupported,
                lambda: _trial(returns=False),
            ),
            trial.HookCheck(
                *("kretprobe", "ebpf-kprobe: any function of the kernel, when it returns"),
                cls(trial.KERNEL_FUNCTION, returns=True).unsupported,
                lambda: _trial(returns=True),
            ),
        ]


def _detach(detach: Callable[[bytes], object], name: bytes) -> None:
    """End a probe of BCC's, which then looks for an event in tracefs to remove.

    Older kernels than Linux 4.17 need one. Where tracefs is not mounted, BCC says so after
    the probe has ended.
    """
    try:
        detach(name)
    except Exception as error:
        if "Failed to detach" not in str(error):
            raise


def _trial(*, returns: bool) -> Trial:
    from ebpf_tour.loader import syscall, trial

    def attach(program: int) -> int:
        kind, config = trial.probe("kprobe", returns=returns)
        event = syscall.PerfEvent(kind, config, trial.KERNEL_FUNCTION.encode())
        return trial.attach_to_perf_event(program, event)

    return trial.Trial(Kprobe.kinds[returns], Kprobe.program_type, attach, trial.own_group)
