"""tp_btf: raw tracepoints whose arguments have types, from the kernel's BTF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ebpf_tour.loader.hooks import Hook, without_btf
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint

if TYPE_CHECKING:
    from ebpf_tour.base.errors import Error
    from ebpf_tour.loader.trial import HookCheck


class TpBtf(Hook):
    """A raw tracepoint with typed arguments. BCC cannot load such programs."""

    kind = "tp_btf"
    about = (
        "A raw tracepoint whose arguments have types, from BTF: the program may follow a pointer "
        "as C does."
    )
    rank = 25
    program_type = 26  # BPF_PROG_TYPE_TRACING
    attach_type = 23  # BPF_TRACE_RAW_TP
    engines = ("libbpf",)

    def __init__(self, event: str) -> None:
        self.name = self.event = event
        self.section = f"tp_btf/{event}"
        self.function = f"tp_btf__{event}"

    def unsupported(self) -> Error | None:
        return without_btf(self.kind) or RawTracepoint(self.event).unsupported()

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        event = "sched_process_wait"
        return [
            trial.HookCheck(
                *("tp_btf", "ebpf-runqlat: raw tracepoints, with types"),
                cls(event).unsupported,
                lambda: trial.Trial(
                    *(cls.kind, cls.program_type, trial.attach_by_btf, trial.wait),
                    *(cls.attach_type, f"btf_trace_{event}"),
                ),
            )
        ]
