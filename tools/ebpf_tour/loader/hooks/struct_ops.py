"""struct_ops: functions that the kernel calls in place of its own, such as those of TCP."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import struct
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import Hook, without_btf

if TYPE_CHECKING:
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.libbpf import Function as LibbpfFunction
    from ebpf_tour.loader.libbpf import LibbpfProgram
    from ebpf_tour.loader.trial import HookCheck

_MAP = 26  # BPF_MAP_TYPE_STRUCT_OPS
_STRUCT_OPS = 44  # BPF_STRUCT_OPS
_F_LINK = 1 << 13  # BPF_F_LINK

# The only key of such a map.
_KEY = bytes(4)


class StructOps(Hook):
    """A member of a structure of functions, such as `init` of tcp_congestion_ops.

    `variable` is the structure in the C. The target is the name to register it under, and
    `Program.attach_to()`, with any of its members, attaches all of them.
    """

    kind = "struct_ops"
    about = (
        "A structure of functions that the kernel calls, such as a congestion control of TCP. "
        "Programs are its functions."
    )
    rank = 100
    needs_target = True
    takes = "str"
    engines = ("libbpf",)
    program_type = 27
    needs_btf = True

    def __init__(self, structure: str, variable: str, member: str) -> None:
        self._structure = structure
        self._variable = variable
        self.member = member
        self.name = f"{structure}.{member}"
        self.section = f"struct_ops/{member}"
        self.function = member

    def unsupported(self) -> Error | None:
        if missing := without_btf(self.kind):
            return missing
        if features.in_kallsyms("bpf_struct_ops_map_update_elem"):
            return None
        return Unsupported(f"this kernel has no {self.kind}", "boot Linux 5.6 or newer")

    def prepare_libbpf(self, function: LibbpfFunction) -> None:
        if _has_links():
            function.set_map_flags(self._variable, _F_LINK)

    def attach_libbpf(self, function: LibbpfFunction, target: str) -> Detach:
        from ebpf_tour.loader import syscall

        fd = function.of.map_fd(self._variable)
        if not _has_links():
            self._remove_abandoned(target)
        try:
            # The kernel makes its own structure of this one. Without links, that registers it.
            syscall.update(fd, _KEY, self._value(function.of, fd, target))
            if not _has_links():
                return lambda: syscall.delete(fd, _KEY)
            link = syscall.create_link(fd, 0, _STRUCT_OPS)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
            raise Error(
                f"there is a {self._structure} with the name {target} already",
                "end the process that has registered it",
            ) from None
        return lambda: os.close(link)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        missing = cls("", "", "").unsupported
        used_for = "ebpf-congestion: functions that the kernel calls"
        return [trial.HookCheck(cls.kind, used_for, missing, make=None)]

    def _value(self, program: LibbpfProgram, fd: int, name: str) -> bytes:
        """Return what the map is to hold: descriptors in place of functions, and the name."""
        from ebpf_tour.loader import syscall

        value = bytearray(syscall.map_info(fd).value_bytes)
        functions = {
            hook.member: program_fd
            for hook, program_fd in program.fds_by_hook().items()
            if isinstance(hook, StructOps)
        }
        places = _places(self._structure, [*functions, "name"])
        for member, program_fd in functions.items():
            struct.pack_into("=Q", value, places[member], program_fd)
        struct.pack_into("=15s", value, places["name"], name.encode())
        return bytes(value)

    def _remove_abandoned(self, name: str) -> None:
        """Remove what runs that were killed have left, under a name like ours: "tour_PID"."""
        from ebpf_tour.loader import syscall

        if not features.pid_in_first_namespace():
            return  # nobody knows which of them live
        place = _places(self._structure, ["name"])["name"]
        with contextlib.suppress(OSError):
            for fd in syscall.open_maps(_MAP):
                value = syscall.lookup(fd, _KEY, syscall.map_info(fd).value_bytes) or b""
                found = re.match(rb"(\w+_)(\d+)\0", value[place : place + 16])
                like_ours = found and name.startswith(found[1].decode())
                if found and like_ours and not os.path.exists(f"/proc/{int(found[2])}"):
                    syscall.delete(fd, _KEY)


def _has_links() -> bool:
    """Say whether a link can hold such a map; it ends with the process.

    commit 68b04864ca42 ("bpf: Create links for BPF struct_ops maps.") (in v6.4)
    """
    return features.in_kallsyms("bpf_struct_ops_link_create")


def _places(structure: str, members: list[str]) -> dict[str, int]:
    """Return where members are in the value of a map: behind what the kernel keeps there."""
    from ebpf_tour.loader.btf import Btf, load_libbpf

    btf = Btf.of_kernel(load_libbpf())
    try:
        data = btf.place(f"bpf_struct_ops_{structure}", "data")
        found = {member: btf.place(structure, member) for member in members}
    finally:
        btf.close()
    if not data:
        raise Unsupported(
            f"no program can be a {structure} in this kernel",
            f"see what can: bpftool btf dump file {features.KERNEL_BTF} | grep bpf_struct_ops_",
        )
    return {member: data.offset + place.offset for member, place in found.items() if place}
