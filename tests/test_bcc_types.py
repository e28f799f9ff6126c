"""What Python knows of keys, values and records on BCC, held against the compiled objects.

Both dialects of a program share its header, so the layouts are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bcc_programs import TOOLS, WAYS, configured
from cases import CAN_RUN
from support import pinned_hash

from ebpf_tour.commands.bootstrap import TOOL as BOOTSTRAP
from ebpf_tour.commands.execsnoop import TOOL as EXECSNOOP
from ebpf_tour.loader import libbpf
from ebpf_tour.loader.program import sources

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ebpf_tour.frame.record import Tool
    from ebpf_tour.loader.layout import Layout

# BPF_MAP_TYPE_*
ARRAYS = {2, 6, 7}  # ARRAY, PERCPU_ARRAY, STACK_TRACE: BCC's macros give them an int for a key
BUFFERS = {4, 27}  # PERF_EVENT_ARRAY, RINGBUF
# PROG_ARRAY and CGROUP_ARRAY: in the libbpf dialect, their values are no type.
SLOTS = {3, 8}
SOCKETS = {18}  # SOCKHASH: BCC's macro gives it an int for a value

# Maps that a program has only with an option that is not given here.
PINNED = {"cgroupset", "mntnsset"}

pytestmark = [pytest.mark.kernel(*CAN_RUN), pytest.mark.usefixtures("leaves_nothing")]


class Compiled:
    """The object of the libbpf dialect, opened for its types."""

    def __init__(self, name: str) -> None:
        self._lib = libbpf.declared_libbpf()
        self._object = libbpf.open_object(self._lib, libbpf.object_path(sources(), name), name)
        self._ids = libbpf.map_types(self._lib, self._object)

    def record(self) -> Layout:
        return libbpf.record_layout(self._lib, self._object)

    def map(self, name: str) -> tuple[Layout, Layout] | None:
        """Return the types of a map, None for what is a global variable here, such as a counter."""
        if name not in self._ids:
            return None
        return libbpf.map_layouts(self._lib, self._object, self._ids[name])

    def close(self) -> None:
        self._lib.bpf_object__close(self._object)


@pytest.fixture
def compiled(tool: Tool) -> Iterator[Compiled]:
    compiled = Compiled(tool.name)
    yield compiled
    compiled.close()


def assert_same(ours: Layout, theirs: Layout) -> None:
    assert (ours.size, ours.members) == (theirs.size, theirs.members)


def assert_same_map(kind: int, ours: tuple[Layout, Layout], theirs: tuple[Layout, Layout]) -> None:
    if kind in ARRAYS:
        assert ours[0].size == theirs[0].size
    else:
        assert_same(ours[0], theirs[0])
    if kind not in SOCKETS:
        assert_same(ours[1], theirs[1])


@pytest.mark.parametrize(
    ("tool", "via", "numbers"),
    [*((tool, via, {}) for tool, via in WAYS), (BOOTSTRAP, "tracepoint", {"use_perf": 1})],
)
def test_layouts(tool: Tool, via: str, numbers: dict[str, int], compiled: Compiled) -> None:
    """By BTF, and by what libbcc says of itself, which counts where the kernel took no BTF."""
    with configured(tool, via, **numbers) as program:
        program.load()
        types = program._types
        assert types._btf
        tables = {table.name: table for table in program._tables()}
        for name, table in tables.items():
            if table.type in BUFFERS:
                for record in (types.of_record(name), types.listed(name)):
                    assert record
                    assert_same(record, compiled.record())
            elif table.type in SLOTS:
                continue
            elif theirs := compiled.map(name):
                assert_same_map(table.type, types.of_map(name, table.fd), theirs)
                assert_same_map(table.type, types.described(name), theirs)
            else:
                assert_same_map(table.type, types.of_map(name, table.fd), types.described(name))
    # Those of global variables, and of usdt.bpf.h, are libbpf's.
    own = {item.name for item in tool.maps if not item.name.startswith((".", "__bpf_usdt_"))}
    expected = own - PINNED
    if tool == BOOTSTRAP:
        expected.remove("rb" if numbers else "pb")
    assert tables.keys() >= expected


@pytest.mark.parametrize("tool", [EXECSNOOP])
def test_a_map_that_somebody_else_has_made(tool: Tool, compiled: Compiled, tmp_path: Path) -> None:
    """It has no BTF, or that of another program."""
    with (
        pinned_hash(tmp_path, 8, 8) as pinned,
        configured(tool, "tracepoint", by_cgroupset=1) as program,
    ):
        program.reuse_map("cgroupset", str(pinned.path), 8)
        program.load()
        fd = program.map_fd("cgroupset")
        theirs = compiled.map("cgroupset")
        assert theirs
        for ours, others in zip(program._types.of_map("cgroupset", fd), theirs, strict=True):
            assert_same(ours, others)


def test_every_way_is_there() -> None:
    assert {tool.name for tool, _ in WAYS} == {tool.name for tool in TOOLS}
