"""freplace: a program in place of a function of another program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, NotPermitted
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import Hook, without_btf

if TYPE_CHECKING:
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.trial import HookCheck

_EXT = 28  # BPF_PROG_TYPE_EXT


class Freplace(Hook):
    """A global function of another program; `of` is its descriptor, to be set before load."""

    kind = "freplace"
    about = "A function of another program that is loaded. The program runs in its place."
    rank = 102
    engines = ("libbpf",)
    program_type = _EXT
    capability = "CAP_NET_ADMIN"
    needs_btf = True
    of = -1

    def __init__(self, name: str, function: str) -> None:
        self.name = name
        self.section = f"freplace/{name}"
        self.function = self.libbpf_function = function

    def unsupported(self) -> Error | None:
        from ebpf_tour.loader.btf import takes

        if missing := features.without_capability(self.capability) or without_btf(self.kind):
            return missing
        if takes(_EXT):
            return None
        return NotPermitted(
            f"this kernel refuses {self.kind} programs",
            "boot your distribution's stock kernel: it needs Linux 5.6, CONFIG_BPF_JIT and no "
            "hardening against it",
        )

    def prepare_libbpf(self, function: LibbpfFunction) -> None:
        function.set_attach_target(self.name, self.of)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        missing = cls("", "").unsupported
        used_for = "ebpf-replace: functions of other programs"
        return [trial.HookCheck(cls.kind, used_for, missing, make=None, loads=True)]
