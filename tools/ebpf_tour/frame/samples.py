"""Samples of call stacks: counted in the kernel, named here, shown as rows.

The C has a stack-trace map, `stacks`, and a hash, `counts`. The key of the hash has a
program, a pid, a comm, a kernel_stack and a user_stack, which are IDs in the first map;
its value says how often that was sampled.
"""

from __future__ import annotations

import collections
import contextlib
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.text import from_kernel
from ebpf_tour.frame.output.stacks import Measure, without_offset
from ebpf_tour.frame.stacks import StackFiles, top_of
from ebpf_tour.loader import features
from ebpf_tour.loader.stacks import KernelSymbols, Stack, StackTraces
from ebpf_tour.userland.process import Process
from ebpf_tour.userland.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpf_tour.frame.record import Row
    from ebpf_tour.frame.session import Session
    from ebpf_tour.loader import Program

# How often to look for processes that have begun, and at what they have mapped.
_REFRESH_SECONDS = 0.5
# A compiler, say, is there for a tenth of a second.
_REFRESH_SECONDS_OF_COMMAND = 0.02

REFUSED = "[stack not recorded: another one has its slot]"
NO_STACK = "[no stack]"


class Sample(NamedTuple):
    """A key of the map `counts`, with its stacks."""

    comm: str
    pid: int
    program: int
    kernel: Stack
    user: Stack

    @property
    def refused(self) -> bool:
        """Whether one of its stacks is not in the map."""
        return self.kernel.refused or self.user.refused


class Samples(Closing):
    """The samples of a program that is loaded; made before it is attached."""

    def __init__(self, session: Session, program: Program) -> None:
        self._session = session
        self._program = program
        self._counts = program.map("counts")
        self._stacks = StackTraces(program.map("stacks"))
        self._kernel: KernelSymbols | None = None
        self._has_pids = features.pid_in_first_namespace() > 0
        self._cleanup = contextlib.ExitStack()
        self._processes = self._cleanup.enter_context(Processes(session.wake))
        command = session.args.start is not None
        self._refresh_s = _REFRESH_SECONDS_OF_COMMAND if command else _REFRESH_SECONDS
        self._asked = [
            self._cleanup.enter_context(Process(pid)) for pid in (() if command else session.pids)
        ]
        self._processes.look(process.pid for process in self._asked)
        self._files = self._cleanup.enter_context(StackFiles(session))

    def gather(self) -> None:
        """Let the program count until the run is to end; look at the processes meanwhile."""
        while self._session.running and self._any_left():
            self._look()
            alive = [process.pidfd for process in self._asked if process.alive]
            if alive:
                self._session.wait_readable(alive[0], self._refresh_s)
            else:
                self._session.sleep(self._refresh_s)
        self._look()
        self._program.detach()

    def _any_left(self) -> bool:
        """Say whether there is still somebody of -p, with --follow also of those they started."""
        if not self._asked or any(process.alive for process in self._asked):
            return True
        return self._session.args.follow and bool(self._program.map("processes").keys())

    def _look(self) -> None:
        if self._has_pids:  # otherwise they mean other processes here
            keys = self._counts.keys()
            self._processes.look(key.pid for key in keys)

    def report(self) -> None:
        """Show the stacks, the most frequent first, and say what is missing."""
        session, found = self._session, self._found()
        refused = sum(count for sample, count in found.items() if sample.refused)
        session.lost = self._program.lost() + refused
        rows = self._rows(found)
        session.report(rows)
        self._files.write(session.tool.command, rows, [Measure("count", "samples", "none")])
        rest = top_of(session.args.top, len(rows))
        session.warn(f"{found.total()} samples, at {len(rows)} stacks{rest}")
        for text in self._what_is_missing(found, refused):
            session.warn(text)

    def _found(self) -> collections.Counter[Sample]:
        """Return what is in the maps."""
        found: collections.Counter[Sample] = collections.Counter()
        for key, count in self._counts.items():
            kernel, user = self._stacks.get(key.kernel_stack), self._stacks.get(key.user_stack)
            comm = from_kernel(key.comm)
            found[Sample(comm, key.pid, key.program, kernel, user)] += count
        return found

    def _rows(self, found: collections.Counter[Sample]) -> list[Row]:
        """Return a row for each process and each stack of functions."""
        sums: collections.Counter[tuple[str, int, tuple[str, ...], bool]] = collections.Counter()
        for sample, stack in self._named(found):
            sums[sample.comm, sample.pid, stack, sample.user.truncated] += found[sample]
        return [
            {"count": n, "comm": comm, "pid": pid, "stack": list(stack), "truncated": truncated}
            for (comm, pid, stack, truncated), n in sums.most_common()
        ]

    def _named(self, samples: Iterable[Sample]) -> Iterator[tuple[Sample, tuple[str, ...]]]:
        """Yield samples with their functions: those of the kernel, then those of the program."""
        programs = collections.defaultdict(list)
        for sample in samples:
            programs[sample.pid, sample.program].append(sample)
        for (pid, program), some in programs.items():
            addresses = [sample.user.addresses for sample in some]
            named = self._processes.stacks(pid, addresses, program)
            for sample, user in zip(some, named, strict=True):
                stack = (*self._kernel_names(sample.kernel), *map(without_offset, user))
                yield sample, (REFUSED,) if sample.refused else stack or (NO_STACK,)

    def _kernel_names(self, stack: Stack) -> Iterator[str]:
        if stack.addresses and not self._kernel:
            self._kernel = KernelSymbols()
        return map(without_offset, self._kernel.names(stack.addresses) if self._kernel else ())

    def _what_is_missing(self, found: Iterable[Sample], refused: int) -> Iterator[str]:
        """Yield a sentence for each thing that the rows do not show."""
        size = self._session.args.stack_storage_size
        more = f"raise --stack-storage-size, for example to {8 * size}"
        if refused:
            yield f"{refused} samples have no stack, since other stacks have the slots; {more}"
        if full := self._program.counter("lost"):
            yield f"{full} samples are in no row, since the map counts was full; {more}"
        if not self._has_pids:
            yield "no names of programs: the PIDs in a container are not the kernel's"
        elif self._processes.why_not:
            yield f"names are missing: {self._processes.why_not}"
        elif gone := {s.pid for s in found if s.user.addresses} & self._processes.unknown:
            yield (
                f"no names for {len(gone)} processes: they ended, executed another program, or "
                "may not be read"
            )

    def close(self) -> None:
        """End the child, and close the files. May be called twice."""
        self._cleanup.close()
