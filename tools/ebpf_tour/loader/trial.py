"""Trivial programs, attached for a moment, to find out which hooks work here.

Each one adds one to a number in a map and returns 0, which allows whatever a
security hook is asked about. It is written in bytecode, so it needs neither a
compiler nor a library. That it can be attached is not enough: the trial causes an
event and checks that the program ran.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base import limits
from ebpf_tour.base.errors import Error, NotPermitted, Unsupported
from ebpf_tour.base.names import error_name
from ebpf_tour.loader import features, raw_btf, syscall
from ebpf_tour.loader.hooks.ksyscall import function_of
from ebpf_tour.loader.syscall import PerfEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# BPF_PROG_TYPE_RAW_TRACEPOINT, from include/uapi/linux/bpf.h: what needs the least.
_RAW_TRACEPOINT = 17
_PERF_EVENT_ARRAY, _ARRAY = 4, 2  # BPF_MAP_TYPE_*

# PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT and PERF_EVENT_IOC_*, from
# include/uapi/linux/perf_event.h.
_SOFTWARE, _BPF_OUTPUT = 1, 10
_IOC_ENABLE, _IOC_SET_BPF = 0x2400, 0x40042408

_BPF_PERF_EVENT = 41  # enum bpf_attach_type, from include/uapi/linux/bpf.h

_PMUS = "/sys/bus/event_source/devices"

# getpgid(2) is called seldom. Trials of functions are about it.
KERNEL_FUNCTION = function_of("getpgid")

# How long to wait for a program to have run.
_PATIENCE_SECONDS = 0.25


NOT_TRIED = "not tried, since only root may load programs"


def may_try() -> bool:
    """Say whether this process may load programs."""
    try:
        features.require_privileges()
    except Error:
        return False
    return True


def _instruction(opcode: int, dst: int = 0, src: int = 0, imm: int = 0) -> bytes:
    return struct.pack("=BBhi", opcode, dst | src << 4, 0, imm)


RETURN_0 = _instruction(0xB7, 0) + _instruction(0x95)  # r0 = 0; exit


def _count_in(fd: int) -> bytes:
    """Return the program that adds one to the number in an array."""
    return (
        _instruction(0x18, 1, 2, fd)  # r1 = address of the value in the map
        + _instruction(0x00)  # second half of that constant
        + _instruction(0xB7, 2, imm=1)  # r2 = 1
        + _instruction(0xDB, 1, 2)  # lock *(u64 *)(r1 + 0) += r2
        + RETURN_0
    )


class HookCheck(NamedTuple):
    """A kind of hook in `ebpf-tour check`: what it is for, and how to find out if it works.

    `missing` returns what the tools would say, `make` the trial, if there is more to
    try than that. `loads` says that already `missing` loads a program. `otherwise` is
    what to say where the kernel refuses the trial, if that is plainer.
    """

    name: str
    used_for: str
    missing: Callable[[], Error | None]
    make: Callable[[], Trial] | None
    loads: bool = False
    otherwise: Unsupported | None = None

    def run(self) -> None:
        """Try it. Raises Error, NotPermitted, Unsupported."""
        if missing := self.missing():
            raise missing
        try:
            if self.make:
                self.make().run()
        except Unsupported:
            if self.otherwise:
                raise self.otherwise from None
            raise


class Trial(NamedTuple):
    """What to load, how to attach it, and how to cause an event.

    `attach` takes the program's file descriptor and returns the one that keeps
    it attached. `function` is the kernel's function that a program of this
    type is for, by its BTF, or the typedef of a tracepoint. With `own_network`, it is
    tried in a network namespace that goes with all that was attached there. `close` is
    called at the end.
    """

    name: str
    program_type: int
    attach: Callable[[int], int]
    cause: Callable[[], object]
    attach_type: int = 0
    function: str = ""
    own_network: bool = False
    close: Callable[[], object] | None = None

    def run(self) -> None:
        """Try it, and leave nothing behind.

        Raises NotPermitted, Unsupported, and Error if it is attached and does
        not run.
        """
        if self.own_network:
            in_own_network(self._replace(own_network=False).run)
            return
        with contextlib.ExitStack() as stack:
            if self.close:
                stack.callback(self.close)

            def keep(fd: int) -> int:
                stack.callback(os.close, fd)
                return fd

            with self._explained("load a program for"):
                counter = keep(syscall.create_map(_ARRAY, 4, 8, 1))
                program = keep(
                    syscall.load_program(
                        self.program_type, _count_in(counter), self.attach_type, self._btf_id()
                    )
                )
            with self._explained("attach a program to"):
                keep(self.attach(program))
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while time.monotonic() < deadline:
                self.cause()
                if syscall.lookup(counter, bytes(4), 8) != bytes(8):
                    return
        raise Error(f"a program can be attached to {self.name}, but the kernel never runs it")

    def _btf_id(self) -> int:
        if not self.function:
            return 0
        btf = raw_btf.of_kernel()
        number = btf.functions.get(self.function) or btf.typedefs.get(self.function)
        if number is None:
            raise Unsupported(f"the kernel's BTF has no function {self.function}")
        return number

    @contextlib.contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explained(f"{action} {self.name}", error) from None


def in_own_network(function: Callable[[], object]) -> None:
    """Call a function in a child process with a network namespace of its own.

    Raises what it raises, as Error if that is none of ours.
    """
    from ebpf_tour.loader import interfaces

    reader, writer = os.pipe()
    try:
        child = os.fork()
    except OSError as error:
        os.close(reader)
        os.close(writer)
        raise limits.ran_out(error) or Error(f"cannot try it: {error.strerror}") from None
    if child == 0:
        try:
            interfaces.enter_own_network()
            function()
        except Error as error:
            os.write(writer, f"{type(error).__name__}\n{error}\n{error.hint}".encode())
        except BaseException as error:  # noqa: BLE001 - whatever it is, it did not work
            os.write(writer, f"{Error.__name__}\n{error}\n".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    if said:
        name, cause, hint = said.split("\n", 2)
        kinds = {kind.__name__: kind for kind in (Error, NotPermitted, Unsupported)}
        raise kinds[name](cause, hint)


def explained(action: str, error: OSError) -> Error:
    """Return the error for something that the kernel refused: "attach a program to kprobe"."""
    if error.errno in (errno.EPERM, errno.EACCES):
        return features.explain_eperm(action)
    return Unsupported(f"the kernel refuses to {action}: {_said(error)}")


def _said(error: OSError) -> str:
    """Return the kernel's own words: those of the error, and the first line of its log."""
    # The kernel's own ENOTSUPP, which no C library knows.
    said = "not supported" if error.errno == 524 else os.strerror(error.errno or 0)
    log = error.log.strip() if isinstance(error, syscall.ProgramRefused) else ""
    return f"{said} ({log.splitlines()[0]})" if log else said


def own_group() -> None:
    """Call getpgid(2)."""
    os.getpgid(os.getpid())


def wait() -> None:
    """Look for a child that has ended, which passes sched:sched_process_wait."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def work() -> None:
    """Use the processor for a while."""
    sum(range(10_000))


def iterator(name: str) -> str:
    """Load a program for an iterator, and remove it at once: nothing is walked through.

    Return why the kernel refuses it, in the kernel's words ("EPERM: Operation
    not permitted"), or "" if it takes it. Raises Error without BTF.
    """
    tracing, trace_iter = 26, 28  # BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER
    number = raw_btf.of_kernel().functions[f"bpf_iter_{name}"]
    try:
        os.close(syscall.load_program(tracing, RETURN_0, trace_iter, number))
    except OSError as error:
        return f"{error_name(error.errno or 0)}: {_said(error)}"
    return ""


def attach_by_btf(program: int) -> int:
    """Attach a program to the function that it was loaded for. Raises OSError."""
    return syscall.open_raw_tracepoint(None, program)


def probe(pmu: str, *, returns: bool) -> tuple[int, int]:
    """Return the type and config of a "kprobe" or "uprobe" event. Raises OSError."""
    with open(f"{_PMUS}/{pmu}/type", encoding="ascii") as file:
        kind = int(file.read())
    if not returns:
        return kind, 0
    # "config:0": the bit that asks for the return
    with open(f"{_PMUS}/{pmu}/format/retprobe", encoding="ascii") as file:
        return kind, 1 << int(file.read().partition(":")[2])


def attach_to_perf_event(program: int, event: PerfEvent) -> int:
    """Attach a program to a perf event; closing what this returns ends it. Raises OSError."""
    fd = syscall.open_perf_event(event)
    try:
        fcntl.ioctl(fd, _IOC_SET_BPF, program)
        if not event.on_exec:
            fcntl.ioctl(fd, _IOC_ENABLE, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def link_to_perf_event(program: int, event: PerfEvent, cookie: int) -> int:
    """Do so by a link, with a number that the program can ask for. Raises OSError.

    commit b89fbfbb854c ("bpf: Implement minimal BPF perf link") (in v5.15)
    """
    fd = syscall.open_perf_event(event)
    try:  # the link keeps the event
        link = syscall.create_link(program, fd, _BPF_PERF_EVENT, struct.pack("=Q", cookie))
        fcntl.ioctl(fd, _IOC_ENABLE, 0)
    finally:
        os.close(fd)
    return link


def ring_buffer() -> None:
    """Find out whether the kernel has ring buffers. Raises Error."""
    try:
        if syscall.has_ring_buffer():
            return
    except OSError as error:
        raise explained("create a ring buffer", error) from None
    raise Unsupported("this kernel has no ring buffers", "boot Linux 5.8 or newer")


def large_keys() -> None:
    """Find out whether a hash may have large keys. Raises Error."""
    try:
        if syscall.has_large_keys():
            return
    except OSError as error:
        raise explained("create a hash", error) from None
    raise Unsupported(*features.NO_LARGE_KEYS)


def perf_buffer() -> None:
    """Find out whether programs can send records through perf events. Raises Error."""
    fds: list[int] = []
    try:
        fds.append(syscall.create_map(_PERF_EVENT_ARRAY, 4, 4, 1))
        fds.append(syscall.open_perf_event(PerfEvent(_SOFTWARE, _BPF_OUTPUT, period=1)))
        syscall.update(fds[0], bytes(4), struct.pack("=I", fds[1]))
    except OSError as error:
        raise explained("create a perf buffer", error) from None
    finally:
        for fd in fds:
            os.close(fd)


def reading_memory() -> None:
    """Find out whether programs may read the kernel's memory. Raises Error."""
    code = (
        _instruction(0xBF, 1, 10)  # r1 = r10, the end of the stack
        + _instruction(0x07, 1, imm=-8)  # r1 += -8: where to put it
        + _instruction(0xB7, 2, imm=8)  # r2 = 8: how many bytes
        + _instruction(0xBF, 3, 10)  # r3 = r10: from where
        + _instruction(0x85, imm=113)  # call bpf_probe_read_kernel
        + RETURN_0
    )
    try:
        os.close(syscall.load_program(_RAW_TRACEPOINT, code))
    except OSError as error:
        mode = features.lockdown()
        if mode == "confidentiality":
            raise NotPermitted(
                f"the kernel is locked down ({mode}): programs may not read its memory",
                "boot with lockdown=integrity or lockdown=none; if Secure Boot sets it, turn "
                "that off",
            ) from None
        raise explained("load a program that reads its memory", error) from None


def is_compiled() -> bool:
    """Say whether the kernel compiles programs to machine code (JIT). Raises Error."""
    try:
        fd = syscall.load_program(_RAW_TRACEPOINT, RETURN_0)
    except OSError as error:
        raise explained("load a program", error) from None
    try:
        return syscall.program_info(fd).jited_bytes > 0
    finally:
        os.close(fd)
