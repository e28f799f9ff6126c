"""Hooks of the security modules: a program decides what is allowed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, NotPermitted, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import Hook, without_btf, without_direct_calls

if TYPE_CHECKING:
    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.trial import HookCheck

_LIST = "/sys/kernel/security/lsm"


class Lsm(Hook):
    """A hook of the security modules, such as `path_mkdir`: the program allows (0) or refuses."""

    kind = "lsm"
    about = "A question that the kernel asks its security modules: may this process do that?"
    rank = 70
    program_type = 29
    attach_type = 27  # BPF_LSM_MAC
    needs_btf = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.section = f"lsm/{name}"
        self.function = f"lsm__{name}"

    @property
    def in_bcc(self) -> str:
        return f"LSM_PROBE({self.name}, ...)"

    @staticmethod
    def none_here() -> Error | None:
        """Return why no such program would be asked here, or None."""
        if missing := without_btf("lsm"):
            return missing
        try:
            with open(_LIST, encoding="ascii", errors="replace") as file:
                modules = file.read().strip()
        except OSError:
            modules = ""  # securityfs is not mounted: nobody knows
        if modules and "bpf" not in modules.split(","):
            return Unsupported(
                f"bpf is not among the kernel's security modules: {modules}"
                f"{features.without('BPF_LSM')}",
                f"boot with lsm={modules},bpf",
            )
        from ebpf_tour.loader.btf import LSM, takes

        if not takes(LSM):
            return NotPermitted(
                "this kernel refuses lsm programs",
                "boot your distribution's stock kernel: it needs CONFIG_BPF_LSM and no "
                "hardening against it",
            )
        return without_direct_calls("lsm")

    def unsupported(self) -> Error | None:
        if missing := self.none_here():
            return missing
        if features.in_kallsyms(f"bpf_lsm_{self.name}"):
            return None
        return Unsupported(
            f"this kernel has no {self}", "list what it has: grep bpf_lsm_ /proc/kallsyms"
        )

    def attach_bcc(self, function: BccFunction, target: object) -> Detach:  # noqa: ARG002
        from ebpf_tour.loader import syscall

        # BCC's Python would keep the link where its detach does not find it.
        link = syscall.open_raw_tracepoint(None, function.fd)
        return lambda: os.close(link)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("LSM", "ebpf-lsm: programs that allow or forbid, as a security module does"),
                cls.none_here,
                lambda: trial.Trial(
                    *("LSM", cls.program_type, trial.attach_by_btf, trial.own_group),
                    *(cls.attach_type, "bpf_lsm_task_getpgid"),
                ),
                loads=True,
            )
        ]
