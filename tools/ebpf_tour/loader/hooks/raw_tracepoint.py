"""Raw tracepoints: the same places, with the arguments as the kernel passes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import Hook

if TYPE_CHECKING:
    from typing import Any

    from ebpf_tour.loader.bcc import Function as BccFunction
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.trial import HookCheck


class RawTracepoint(Hook):
    """A tracepoint without its record: the program gets the arguments as they are."""

    kind = "raw tracepoint"
    about = (
        "A tracepoint without its record: the program gets the arguments as the kernel passes "
        "them. That costs less, and the arguments may be pointers to its structures."
    )
    rank = 20
    context = "bpf_raw_tracepoint_args"
    program_type = 17

    def __init__(
        self,
        event: str,
        *,
        needs_btf: bool = False,
        within: bool = False,
        engines: tuple[str, ...] = Hook.engines,
    ) -> None:
        self.name = self.event = event
        self.engines = engines
        self.needs_btf = needs_btf
        self.within = within
        self.section = f"raw_tp/{event}"
        # What RAW_TRACEPOINT_PROBE() makes.
        self.function = f"raw_tracepoint__{event}"

    @property
    def in_bcc(self) -> str:
        return f"RAW_TRACEPOINT_PROBE({self.event})"

    def is_for(self, section: str, function: str) -> bool:
        # libbpf knows both spellings.
        return super().is_for(section.replace("raw_tracepoint/", "raw_tp/", 1), function)

    def unsupported(self) -> Error | None:
        # The function that calls the programs, since commit d25e37d89dd2 ("tracepoint:
        # Optimize using static_call()") (in v5.10); the tracepoint's data, which
        # is there only with CONFIG_KALLSYMS_ALL.
        for prefix in ("__traceiter_", "__tracepoint_"):
            if features.in_kallsyms(prefix + self.event):
                return None
        return Unsupported(
            f"this kernel has no {self}",
            "list what it has: ls /sys/kernel/tracing/events (without the categories)",
        )

    def attach_bcc(self, function: BccFunction, target: Any) -> Detach:  # noqa: ARG002
        name = self.event.encode()
        function.bpf.attach_raw_tracepoint(tp=name, fn_name=function.name)
        return lambda: function.bpf.detach_raw_tracepoint(name)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import syscall, trial

        def attach(program: int) -> int:
            return syscall.open_raw_tracepoint(b"sched_process_wait", program)

        return [
            trial.HookCheck(
                *("raw tracepoint", "tracepoints at less cost, with bare arguments"),
                cls("sched_process_wait").unsupported,
                lambda: trial.Trial("raw tracepoint", cls.program_type, attach, trial.wait),
            )
        ]
