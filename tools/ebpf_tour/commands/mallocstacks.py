"""ebpf-mallocstacks: a uprobe, and a hash whose key is a call stack.

The hook is a function in the memory of another process. A breakpoint is put at
its first instruction; when the process hits it, the kernel runs the program.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ebpf_tour.base.errors import Error, UsageError
from ebpf_tour.base.text import printable
from ebpf_tour.frame import Column, Example, Flow, Map, Row, Session, Tool, cli, processes, stacks
from ebpf_tour.frame.session import say
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.uprobe import Instruction, Uprobe
from ebpf_tour.loader.stacks import as_taken, kernel_depth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from ebpf_tour.frame.output.stacks import Measure
    from ebpf_tour.loader import Program
    from ebpf_tour.userland.allocators import Allocators
    from ebpf_tour.userland.held import HeldCommand
    from ebpf_tour.userland.symbols import Symbols
    from ebpf_tour.userland.target import Provider, Target


def run(session: Session) -> None:
    # Imported here, since they bring in ctypes, which --help does not need.
    from ebpf_tour.userland import reader
    from ebpf_tour.userland.allocators import Allocators
    from ebpf_tour.userland.child import Child
    from ebpf_tour.userland.linked import files_of
    from ebpf_tour.userland.symbols import Symbols
    from ebpf_tour.userland.target import Target

    args = session.args
    check(args)
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(session.open(TOOL))
        if args.show:
            configure(program, args, None)
            program.load()  # shows it and does not return

        demo = stack.enter_context(DemoProcess()) if args.demo else None
        command = stack.enter_context(stopped(args)) if args.start is not None else None
        process = demo or command
        child = stack.enter_context(Child(reader.make, session.wake))
        target = stack.enter_context(Target(process.pid if process else args.pid, child))
        if command:
            target.expect(files_of(command, target))
        watched = Allocators(target, function_of(args).symbol, args.function)
        files = stack.enter_context(stacks.StackFiles(session))

        configure(program, args, target)
        program.load()
        program.attach()
        attach_uprobes(session, program, watched, target)

        report = Report(session, program, target, watched, Symbols(target, child))
        for line in watched.hints():
            session.warn(line)
        name = os.path.basename(command.path) if command else target.comm
        doing = f"Counting {watched} in {printable(name)} ({target.pid})"
        if not session.attached(doing, columns=columns(args), report=True):
            return
        if process:
            process.begin()
        ended = follow(session, program, target, report, command)
        if command:
            session.warn(command.verdict(LAST_SECONDS))
        files.write(report.name, report.rows, measures(args))
    if demo:
        demo.check(session, report, ended=ended)


def stopped(args: argparse.Namespace) -> HeldCommand:
    """Return the command of -c, which waits. Raises UsageError."""
    from ebpf_tour.userland.held import HeldCommand

    to_stderr = args.format != "table"
    return HeldCommand(args.start, os.getpid, as_root=args.as_root, stdout_to_stderr=to_stderr)


def check(args: argparse.Namespace) -> None:
    """Raise UsageError where options do not go together."""
    if args.pid is None and args.start is None and not (args.demo or args.show):
        raise UsageError(
            "which process? PID is missing",
            "name a process by its PID, start one with -c, or try --demo",
        )
    if args.pid is not None and args.demo:
        raise UsageError("--demo starts its own process", "leave out PID")
    if args.format == "folded" and args.interval:
        raise UsageError(
            "--folded makes one report, but --interval makes several",
            "leave out --interval: the report comes at the end",
        )


def configure(program: Program, args: argparse.Namespace, target: Target | None) -> None:
    """Set the sizes of the maps and the global variables; without a process only to show them."""
    program.max_entries["totals"] = program.max_entries["deep_totals"] = args.num_stacks
    function = function_of(args)
    program.globals["size_argument"] = function.size
    program.globals["number_argument"] = function.number
    namespace = target.pid_namespace if target else os.stat("/proc/self/ns/pid")
    program.globals["target_pid"] = target.pid_in_namespace if target else 0
    program.globals["pidns_dev"] = features.kernel_dev(namespace.st_dev)
    program.globals["pidns_ino"] = namespace.st_ino


def attach_uprobes(session: Session, program: Program, watched: Allocators, target: Target) -> None:
    """Attach to all that the process may call. Raises Error if that is nothing."""
    for provider in [*watched.functions]:
        try:
            with target.path_of(provider) as path:
                program.attach_to(ALLOC, Instruction(path, provider.offset, target.tid))
        except Error as error:
            if not target.alive:
                raise target.ended() from None
            if len(watched.functions) == 1:
                raise
            watched.functions.remove(provider)
            session.warn(f"not counting {watched.called(provider)}: {error}")


def function_of(args: argparse.Namespace) -> Function:
    return FUNCTIONS.get(args.function, Function(args.function, 1))


def columns(args: argparse.Namespace) -> tuple[Column, ...]:
    """Return the columns, the one to sort by first."""
    return tuple(sorted(TOOL.columns, key=lambda column: column.key != measure(args)))


def measure(args: argparse.Namespace) -> str:
    return "count" if args.by == "calls" else "bytes"


def follow(
    session: Session,
    program: Program,
    target: Target,
    report: Report,
    command: HeldCommand | None,
) -> bool:
    """Wait for the end, with a report now and then, and make the last one.

    Returns whether the process has ended while it was watched.
    """
    interval = session.args.interval or float("inf")
    due = time.monotonic() + interval
    if command:
        target.refresh()  # it runs the command by now
        if command.why_not:
            session.warn(
                f"names may be missing: the command cannot be held at its end ({command.why_not})"
            )
    thread = target.tid
    ends = command.fd if command and not command.why_not else target.pidfd
    while session.running and target.alive:
        session.wait_readable(ends, min(REFRESH_SECONDS, due - time.monotonic()))
        before = target.comm
        if target.refresh():
            session.warn(f"{before} ({target.pid}) is now {target.comm}")
        if target.tid != thread:
            thread = target.tid
            warn_of_lost_thread(session, target)
        if command:
            command.let_end(report.look)
        if time.monotonic() >= due and session.running and target.alive:
            report.make()
            due += interval
    target.refresh()  # what it has loaded at the last moment
    if command:
        command.let_end(report.look)
    ended = not target.alive
    program.detach()  # so that the last report misses nothing
    report.make()
    report.say_what_is_missing()
    return ended


def warn_of_lost_thread(session: Session, target: Target) -> None:
    """Say that the thread has ended by which the kernel knows whose breakpoint it is.

    At the next hit it finds no memory of that thread, and removes the breakpoint. To
    attach again takes capabilities that the tool has given up.
    """
    session.wait_readable(target.pidfd, 0.1)  # the other threads may be ending, too
    if session.running and target.alive:
        session.warn(
            "the thread with the breakpoint ended, and calls by the other threads are no longer "
            f"counted; start {TOOL.command} again"
        )


# How often to look for libraries that the process has loaded since.
REFRESH_SECONDS = 1.0

# How long a command may take to end once its code has run to the end.
LAST_SECONDS = 0.4


class Report:
    """What was counted, as rows."""

    def __init__(
        self,
        session: Session,
        program: Program,
        target: Target,
        watched: Allocators,
        symbols: Symbols,
    ) -> None:
        self._session = session
        self._target = target
        self._watched = watched
        self._symbols = symbols
        self._totals = program.map("totals"), program.map("deep_totals")
        self._unattributed = program.map("unattributed")
        self._depth = kernel_depth()
        self._started = time.monotonic()
        self.rows: list[Row] = []
        self._called: list[tuple[Provider, Sum]] = []
        self._count = 0
        self._not_looked_at = 0  # calls of programs that had gone before anybody looked

    @property
    def name(self) -> str:
        """What the stacks are of: "python3 (4711)"."""
        return f"{self._target.comm} ({self._target.pid})"

    def look(self) -> None:
        """Keep what the process has mapped and a JIT compiler has named, before it ends."""
        self._target.refresh()
        self._symbols.hand_over_perf_map()

    def make(self) -> None:
        """Read the maps and show the largest stacks."""
        key = measure(self._session.args)
        self._not_looked_at = 0
        rows = list(self._recorded())
        self._count = len(rows)
        rows += self._not_recorded()
        self.rows = sorted(rows, key=lambda row: -int(str(row[key])))
        self._session.report(self.rows)
        self._say_total()

    def _row(
        self,
        stack: list[str],
        total: Sum,
        *,
        comm: str = "",
        file: str | None = None,
        truncated: bool = False,
    ) -> Row:
        return {
            "bytes": total.bytes,
            "count": total.calls,
            "stack": stack,
            "truncated": truncated,
            "file": file,
            "comm": comm or self._target.comm,
            "pid": self._target.pid,
            "time_s": round(time.monotonic() - self._started, 3),
        }

    def _recorded(self) -> Iterator[Row]:
        programs = self._programs()
        at = {
            (program, addresses[0]): self._watched.at(program, addresses[0])
            for program, sums in programs.items()
            for addresses, _ in sums
        }
        several = len({provider.module for provider in at.values()}) > 1
        name = {f: self._watched.called(f, of_file=several) for f in at.values()}
        self._called = []
        for program, sums in programs.items():
            comm = self._target.comm_of(program)
            if comm is None:
                self._not_looked_at += sum(total.calls for total in sums.values())
            named = self._symbols.stacks([addresses for addresses, _ in sums], program)
            for names, ((addresses, cut), total) in zip(named, sums.items(), strict=True):
                provider = at[program, addresses[0]]
                self._called.append((provider, total))
                # The address may have other names, too: __libc_malloc.
                names[0] = f"{name[provider]}+0x0"
                yield self._row(names, total, comm=comm or "?", file=provider.name, truncated=cut)

    def _programs(self) -> dict[int, dict[tuple[tuple[int, ...], bool], Sum]]:
        """Return what each program has allocated by stack, and whether the stack is truncated."""
        programs: dict[int, dict[tuple[tuple[int, ...], bool], Sum]] = {}
        for totals in self._totals:
            for stack, total in totals.items():
                if stack.program == self._target.before:
                    continue  # what we did until the command was executed
                sums = programs.setdefault(stack.program, {})
                shown = self._addresses(stack)
                sums[shown] = sums.get(shown, Sum()).plus(Sum(total.bytes, total.calls))
        for program, sums in programs.items():
            again = self._watched.counted_again(program, {call_of(a) for a, _ in sums})
            for shown in [shown for shown in sums if call_of(shown[0]) in again]:
                del sums[shown]
        return programs

    def _addresses(self, stack: Any) -> tuple[tuple[int, ...], bool]:
        """Return a stack's addresses, leaf first, and whether it has more than these."""
        (function, *callers), truncated, _ = as_taken(stack.frames, self._depth)
        # The kernel leaves the caller out, unless the function's first
        # instruction tells it that there is no frame yet: commit cfa7f3d2c526
        # ("perf,x86: avoid missing caller address in stack traces captured in
        # uprobe") (in v6.11).
        if stack.caller and callers[:1] != [stack.caller]:
            callers.insert(0, stack.caller)
        return (function, *callers), truncated

    def _not_recorded(self) -> Iterator[Row]:
        for reason, text in UNATTRIBUTED.items():
            total = self._unattributed.get(reason)
            if total.calls:
                yield self._row([text], Sum(total.bytes, total.calls))

    def _say_total(self) -> None:
        args = self._session.args
        rest = stacks.top_of(args.top, len(self.rows))
        sums = self._sums()
        if len(sums) > 1:
            for what, total in sums.items():
                self._session.warn(f"{total.bytes} bytes in {total.calls} calls{what}")
            self._session.warn(
                f"{self._count} stacks; if one of these functions calls another, both count the "
                f"call{rest}"
            )
        elif self.rows:
            self._session.warn(
                f"{self.total('bytes')} bytes in {self.total('count')} calls{''.join(sums)}, "
                f"at {self._count} stacks{rest}"
            )
        else:
            self._session.warn(f"no call of {self._watched} was seen")
        if self._symbols.why_not:
            self._session.warn(f"offsets in files in place of names: {self._symbols.why_not}")
        if not self._target.is_complete:
            self._session.warn("names are missing: the process keeps mapping more files")
        if self._not_looked_at:
            self._session.warn(
                f"no names for {self._not_looked_at} calls: the program that made them ran for "
                f"less than {REFRESH_SECONDS:g} s, or the tool forgot it"
            )
        full = self._unattributed.get(MAP_FULL)
        if full.calls:
            self._session.warn(
                f"{full.bytes} bytes in {full.calls} calls are in no row, since the map holds "
                f"{args.num_stacks} stacks; raise NUM_STACKS, for example to "
                f"{8 * args.num_stacks}"
            )

    def _sums(self) -> dict[str, Sum]:
        """Return what can be summed up, by what it is: " of malloc [libc.so.6]"."""
        sums: dict[str, Sum] = {}
        for provider, total in self._called:
            of_which = f" of {self._watched.allocator(provider)}"
            what = of_which if self._watched.is_ambiguous else ""
            sums[what] = sums.get(what, Sum()).plus(total)
        if len(sums) > 1:
            for row in self._not_recorded():
                (why,) = stacks.stack_lines(row)
                sums[f": {why}"] = Sum(int(str(row["bytes"])), int(str(row["count"])))
        return sums

    def say_what_is_missing(self) -> None:
        """Say what else the process has that allocates, where that may be what was meant."""
        for text in self._watched.not_counted(anything=bool(self.rows)):
            self._session.warn(text)

    def total(self, key: str) -> int:
        """Return the sum over all rows of the last report."""
        return sum(int(str(row[key])) for row in self.rows)


def call_of(addresses: tuple[int, ...]) -> tuple[int, int]:
    """Return the function that was called, and where it returns to (0: not known)."""
    function, to, *_ = *addresses, 0
    return function, to


class Sum(NamedTuple):
    """What was allocated at a stack, or at several."""

    bytes: int = 0
    calls: int = 0

    def plus(self, other: Sum) -> Sum:
        """Return the sum of both."""
        return Sum(self.bytes + other.bytes, self.calls + other.calls)


# Both sides know these by the C header, mallocstacks.h.
NO_SCRATCH, NO_USER_STACK, MAP_FULL = range(3)

UNATTRIBUTED = {
    NO_SCRATCH: "[stack not recorded: no scratch slot free]",
    NO_USER_STACK: "[no user stack]",
    MAP_FULL: "[stack not recorded: map full]",
}


def measures(args: argparse.Namespace) -> list[Measure]:
    """Return the numbers of the files of stacks, the one that matters first."""
    from ebpf_tour.frame.output.stacks import Measure

    both = [Measure("bytes", "bytes", "bytes"), Measure("count", "calls", "none")]
    return sorted(both, key=lambda item: item.key != measure(args))


class Function(NamedTuple):
    """What an allocating function is called in files, and which arguments are its size."""

    symbol: str
    size: int
    number: int = 0


FUNCTIONS = {
    "malloc": Function("malloc", 1),
    "calloc": Function("calloc", 2, 1),
    "realloc": Function("realloc", 2),
    "reallocarray": Function("reallocarray", 3, 2),
    "posix_memalign": Function("posix_memalign", 3),
    "aligned_alloc": Function("aligned_alloc", 2),
    "memalign": Function("memalign", 2),
    "valloc": Function("valloc", 1),
    "pvalloc": Function("pvalloc", 1),
    "new": Function("_Znwm", 1),  # operator new(unsigned long)
    "new[]": Function("_Znam", 1),
}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pid",
        nargs="?",
        type=cli.positive_int,
        metavar="PID",
        help="the process to watch (not needed with -c, --demo and --show)",
    )
    parser.add_argument(
        "num_stacks",
        nargs="?",
        type=stacks.number_of_stacks,
        default=1024,
        metavar="NUM_STACKS",
        help="how many different stacks the map holds (default: 1024)",
    )
    parser.add_argument(
        "--function",
        type=stacks.not_empty,
        metavar="NAME",
        default="malloc",
        help=f"the function to count: {', '.join(FUNCTIONS)}, or any other whose first argument "
        "is the size (default: malloc, with C++'s new and new[])",
    )
    parser.add_argument(
        "--interval", type=cli.seconds, metavar="SECONDS", help="also report at this interval"
    )
    processes.add_command(parser, "watch it, without the processes that it starts; end with it")
    parser.add_argument(
        "--by",
        choices=("bytes", "calls"),
        default="bytes",
        help="what to sort by, and the number that --folded prints (default: bytes)",
    )
    stacks.add_options(parser)
    cli.add_fields(parser, TOOL.columns, report=True)


class DemoProcess:
    """The process that the demo watches."""

    def __init__(self) -> None:
        import subprocess

        self._child = subprocess.Popen(
            [sys.executable, "-c", DEMO],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us
        )
        assert self._child.stdout
        self._child.stdout.readline()  # by then it is ready
        self.pid = self._child.pid

    def begin(self) -> None:
        """Let it allocate."""
        say(f"Demo: a child process makes {DEMO_CALLS} objects of {DEMO_BYTES} bytes.\n")
        assert self._child.stdin
        with contextlib.suppress(BrokenPipeError):  # somebody has killed it
            self._child.stdin.write(b"\n")
            self._child.stdin.flush()

    def check(self, session: Session, report: Report, *, ended: bool) -> None:
        """Say whether all that it allocated was counted. Raises Error if not.

        `ended` says that it has ended while it was watched.
        """
        wanted = DEMO_CALLS * DEMO_BYTES
        size, calls = report.total("bytes"), report.total("count")
        if not ended:
            say(f"Demo: ended by {session.ended_by} after {size} of {wanted} bytes.\n")
            return
        if self._child.returncode:
            raise Error(
                f"the demo failed: its child process ended with {self._child.returncode}",
                "read its output above, or dmesg if something killed it",
            )
        if size < wanted or calls < DEMO_CALLS:
            counted = f"{size} bytes in {calls} calls were counted"
            if session.program and session.program.runs == 0:
                counted = "the program is attached, but the kernel never ran it"
            raise Error(
                f"the demo failed: of {wanted} bytes in {DEMO_CALLS} calls, {counted}",
                session.next_step(),
            )
        say(f"Demo: saw the {wanted} bytes that it allocated.\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.communicate()


DEMO_CALLS = 1000

DEMO_BYTES = 100_000


# Python takes objects of more than 512 bytes from malloc.
DEMO = f"""
import sys
print(flush=True)
sys.stdin.readline()
for _ in range({DEMO_CALLS}):
    b"x" * {DEMO_BYTES}
"""

ALLOC = Uprobe("handle_alloc", needs_large_keys=True)

TOOL = Tool(
    name="mallocstacks",
    lesson=240,
    for_work=True,
    read_before=("uprobe", "profile", "mkdir"),
    summary="sum up what a process allocates with malloc, by call stack",
    description=(
        "Count the bytes that a process asks malloc for, and the calls, by call stack, and "
        "report them, largest first: at Ctrl-C, after --time-limit, or when the process ends. "
        "It does not see free: it finds the code that allocates much, not the code that leaks."
    ),
    via={"uprobe": (ALLOC,)},
    maps=(
        Map("totals", "hash", "stack to bytes and calls, up to 30 frames", tool="reads"),
        Map("deep_totals", "hash", "the same for up to 127 frames", tool="reads"),
        Map("unattributed", "array", "bytes and calls without a stack, by reason", tool="reads"),
        Map("scratch", "per-CPU array", "slots in which the program builds a stack"),
    ),
    picture=(
        Flow(
            "the process calls malloc",
            {ALLOC: "handle_alloc"},
            reads=("scratch",),
            writes=("scratch", "totals", "deep_totals", "unattributed"),
        ),
    ),
    columns=(
        Column("bytes", "BYTES", "bytes requested at this stack", width=12, right=True),
        Column("count", "CALLS", "calls at this stack", width=10, right=True),
        Column(
            "stack",
            "STACK",
            "the functions, innermost first, each with the offset of the call",
            text=stacks.stack_lines,
            kernel_bytes=True,
        ),
        Column("truncated", "", "whether the stack has more frames than these"),
        Column("file", "", "the file whose function was called", kernel_bytes=True),
        Column("comm", "", "name of the process when it ran this program", kernel_bytes=True),
        Column("pid", "", "its process ID"),
        Column("time_s", "", "seconds since the tool was attached"),
    ),
    examples=(
        Example("ebpf-mallocstacks 4711", "until Ctrl-C or the end of the process"),
        Example("ebpf-mallocstacks 4711 8192 --top 10", "the ten largest of up to 8192 stacks"),
        Example("ebpf-mallocstacks 4711 --function calloc", "another function that allocates"),
        Example("ebpf-mallocstacks 4711 --flamegraph out.svg", "a flame graph, for a browser"),
        Example("ebpf-mallocstacks -c 'ls -l /'", "a command, from its first call to its last"),
        Example("ebpf-mallocstacks --demo", "watch a child process"),
    ),
    keeps=stacks.KEEPS,
    requirements=(
        "Linux 5.11 or newer with CONFIG_UPROBES, and root. Names come from the symbol tables of "
        "the process's files, from this machine's debug files, and from what JIT compilers write."
    ),
    see_also=("malloc(3)", "bpf-helpers(7)"),
)

main = cli.command(TOOL, run, options)
