"""What others have written is read whatever it is: a result, or an error of ours.

That takes a second of CPU time and 256 MiB at most. Hypothesis makes the bytes, from
files that are whole: some of `make test`, many more with `make test-all`.
"""

from __future__ import annotations

import contextlib
import os
import resource
import tempfile
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from support import ROOT

from ebpf_tour.base.errors import Error
from ebpf_tour.explain import verifier
from ebpf_tour.loader.raw_btf import _ENUM, RawBtf
from ebpf_tour.loader.trace_instance import TraceInstance
from ebpf_tour.userland.address_space import parse
from ebpf_tour.userland.elf import BadElf, Elf
from ebpf_tour.userland.perf_map import PerfMap
from ebpf_tour.userland.reader import demangler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support import Compiled

pytestmark = pytest.mark.native

set_hypothesis_home_dir(tempfile.gettempdir() + "/hypothesis")  # no file in the checkout

SECONDS = 1.0
BYTES = 256 << 20


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Demand that what is done meanwhile takes neither long nor much memory."""
    with open("/proc/self/statm", encoding="ascii") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, hard))
    started = time.process_time()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert time.process_time() - started < SECONDS


@pytest.fixture(scope="module", params=["few", pytest.param("many", marks=pytest.mark.product)])
def examples(request: pytest.FixtureRequest) -> settings:
    """Return how many examples there are: the same ones each time, or many others."""
    return settings(
        max_examples=100 if request.param == "few" else 20_000,
        derandomize=request.param == "few",
        database=None,
        deadline=None,  # limited() goes by CPU time
        suppress_health_check=list(HealthCheck),
    )


# Places and what to write there: bytes, or numbers that are at the edge of something.
NUMBERS = [0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, (1 << 64) - 1]
PATCHES = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.one_of(
            st.binary(min_size=1, max_size=16),
            st.tuples(st.sampled_from(NUMBERS), st.sampled_from([1, 2, 4, 8])).map(
                lambda item: (item[0] % (1 << 8 * item[1])).to_bytes(item[1], "little")
            ),
        ),
    ),
    max_size=6,
)


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Return damaged forms of a file: patched, mostly near its beginning and end, and cut."""

    def patched(patches: list[tuple[float, bytes]], kept: float, *, near: bool) -> bytes:
        data = bytearray(whole)
        for place, new in patches:
            at = int(place * (len(data) - 1))
            if near:
                at = at % 1024 if at % 2 else len(data) - 1 - at % 4096
            data[at : at + len(new)] = new
        return bytes(data[: max(0, int(kept * len(data)))])

    return st.builds(patched, PATCHES, st.one_of(st.just(1.0), st.floats(0, 1)), near=st.booleans())


def test_elf(examples: settings, compiled: Compiled) -> None:
    whole = compiled("probes").read_bytes()

    @examples
    @given(damaged(whole))
    def read(data: bytes) -> None:
        with tempfile.TemporaryFile() as file, limited():
            file.write(data)
            file.flush()
            with contextlib.suppress(BadElf):
                elf = Elf(file.fileno())
                for ask in (elf.functions, elf.usdt, elf.build_id):
                    with contextlib.suppress(BadElf):
                        ask()
                for address in (0, 0x1234, 1 << 63):
                    with contextlib.suppress(BadElf):
                        elf.function_at(elf.address_of(address))
                with contextlib.suppress(BadElf):
                    list(elf.implementations("main"))
                elf.section(".text")

    read()


MAPS = b"7f0000001000-7f0000002000 r-xp 00001000 fe:00 77                /usr/lib/libc.so.6"


def test_lines_of_maps(examples: settings) -> None:
    """The kernel writes the numbers, the process the path."""

    @examples
    @given(st.binary())
    def read(path: bytes) -> None:
        with limited():
            for line in (MAPS + path.replace(b"\n", b"\\012")).split(b"\n"):
                mapping = parse(line)
                assert mapping
                assert (mapping.start, mapping.offset) == (0x7F0000001000, 0x1000)

    read()


def test_perf_map(examples: settings) -> None:
    whole = b"".join(b"%x 20 function %d\n" % (0x1000 + 32 * n, n) for n in range(200))

    @examples
    @given(st.one_of(damaged(whole), st.binary()), st.integers(0, 1 << 64))
    def read(data: bytes, address: int) -> None:
        with limited():
            PerfMap(data).find(address)

    read()


def test_mangled_names(examples: settings) -> None:
    demangle = demangler()
    seeds = ["_ZN3FooC2Ev", "_ZNSt6vectorIiSaIiEE9push_backEOi", "_RNvCskwGfYPst2Cb_3foo4main"]
    seeds.append("_ZN3foo4main17h0123456789abcdefE")

    @examples
    @given(
        st.one_of(
            *(damaged(seed.encode()).map(lambda raw: raw.decode("latin-1")) for seed in seeds),
            st.text(max_size=40).map("_Z".__add__),
            st.text("0123456789ABCMNSXYZ_sv", max_size=60).map("_R".__add__),
        )
    )
    def read(name: str) -> None:
        with limited():
            assert isinstance(demangle(name.partition("\0")[0]), str)

    read()


def test_trace_lines(examples: settings) -> None:
    whole = (
        b"          python3-2338    [001] ...21  1234.567890: bpf_trace_printk: Hello, World!\n"
        b"CPU:0 [LOST 17 EVENTS]\n"
        b"           <...>-11       [000] d..21  1234.567891: bpf_trace_printk: Hello, World!\n"
    )
    instance = TraceInstance.__new__(TraceInstance)
    instance.lost = 0

    @examples
    @given(st.one_of(damaged(whole), st.binary()))
    def read(data: bytes) -> None:
        with limited():
            list(instance._parse(data))

    read()


def test_raw_btf(examples: settings) -> None:
    """Of a module, which continues the kernel's: small, and of anybody who may load one."""
    with open("/sys/kernel/btf/vmlinux", "rb") as file:
        kernel = file.read()
    module = next((path for path in sorted(os.listdir("/sys/kernel/btf")) if path != "vmlinux"), "")
    if module:
        with open(f"/sys/kernel/btf/{module}", "rb") as file:
            whole, base = file.read(), RawBtf(kernel)
    else:
        whole, base = kernel[:4096], None

    @examples
    @given(damaged(whole))
    def read(data: bytes) -> None:
        with limited(), contextlib.suppress(Error):
            btf = RawBtf(data, base)
            for name in list(btf._named(_ENUM))[:20]:
                btf.enumeration(name)
            for number in list(btf.functions.values())[:20]:
                btf.parameters(number)
                btf.returns(number, "retval")

    read()


def test_verifier_logs(examples: settings) -> None:
    whole = (ROOT / "tests/logs/6.1.txt").read_bytes()

    @examples
    @given(damaged(whole).map(lambda raw: raw.decode("utf-8", "replace")), st.integers(0, 133))
    def read(log: str, number: int) -> None:
        with limited():
            verifier.statistics(log)
            assert str(verifier.refusal("program", log, number, {}))

    read()
