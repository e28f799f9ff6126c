"""fentry and fexit: functions of the kernel, by a direct call of the program."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, NotPermitted
from ebpf_tour.loader.hooks import Hook, without_btf, without_direct_calls
from ebpf_tour.loader.hooks.kprobe import KernelFunction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.trial import HookCheck, Trial


class Fentry(KernelFunction):
    """Entry to a kernel function through BPF's own trampoline; with `returns`, its return.

    Cheaper than a kprobe, and typed: the program gets the arguments by BTF.
    """

    kinds = ("fentry", "fexit")
    about = (
        "Entry to a function of the kernel, or (fexit) its return with the arguments. The "
        "kernel calls the program directly, which is cheaper than a kprobe, and the arguments "
        "have types, from BTF."
    )
    rank = 50
    program_type = 26  # BPF_PROG_TYPE_TRACING
    where_to_look = "see bpftool btf dump file /sys/kernel/btf/vmlinux format raw"

    def __init__(
        self,
        function: str,
        *,
        returns: bool = False,
        renamed: Mapping[str, str] | None = None,
        engines: tuple[str, ...] = Hook.engines,
    ) -> None:
        super().__init__(function, returns=returns, renamed=renamed)
        # What KFUNC_PROBE() and KRETFUNC_PROBE() make.
        self.function = f"{'kretfunc' if returns else 'kfunc'}__{function}"
        self.engines = engines
        self.attach_type = 25 if returns else 24  # BPF_TRACE_FEXIT, BPF_TRACE_FENTRY

    @property
    def in_bcc(self) -> str:
        return f"{'KRETFUNC' if self.returns else 'KFUNC'}_PROBE({self.name}, ...)"

    @classmethod
    def none_here(cls, returns: bool = False) -> Error | None:
        """Return why no function at all can be hooked in this way here, or None."""
        from ebpf_tour.loader.btf import TRACING, takes

        kind = cls.kinds[returns]
        if missing := without_btf(kind):
            return missing
        if not takes(TRACING):
            return NotPermitted(
                f"this kernel refuses {kind} programs",
                "boot your distribution's stock kernel: it needs "
                "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS and no hardening against it",
            )
        return without_direct_calls(kind)

    def unsupported(self) -> Error | None:
        return self.none_here(self.returns) or self.without_function()

    @staticmethod
    def has(function: str) -> bool:
        from ebpf_tour.loader.btf import has_kernel_function

        return has_kernel_function(function)

    def prepare_libbpf(self, function: LibbpfFunction) -> None:
        if self.renamed:
            function.set_attach_target(self.target)

    def name_for_bcc(self, function: str) -> str:
        # libbcc finds the kernel's function by the name of the program, "kfunc__NAME".
        return function.removesuffix(self.name) + self.target

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:  # noqa: ARG002
        from ebpf_tour.loader.trial import attach_by_btf

        fd = attach_by_btf(function.fd)
        return lambda: os.close(fd)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("fentry", "ebpf-fentry: the same at less cost, with types"),
                cls(trial.KERNEL_FUNCTION).unsupported,
                lambda: _trial(returns=False),
                loads=True,
            ),
            trial.HookCheck(
                *("fexit", "ebpf-fentry: returns, with the arguments"),
                cls(trial.KERNEL_FUNCTION, returns=True).unsupported,
                lambda: _trial(returns=True),
                loads=True,
            ),
        ]


def _trial(*, returns: bool) -> Trial:
    from ebpf_tour.loader import trial

    hook = Fentry(trial.KERNEL_FUNCTION, returns=returns)
    return trial.Trial(
        *(hook.kind, hook.program_type, trial.attach_by_btf, trial.own_group),
        *(hook.attach_type, trial.KERNEL_FUNCTION),
    )
