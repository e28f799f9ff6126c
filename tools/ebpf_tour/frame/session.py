"""One run of a tool: its options, its output, and when it ends."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from typing import TYPE_CHECKING

from ebpf_tour import __version__
from ebpf_tour.base.clock import kernel_ns
from ebpf_tour.base.descriptors import is_readable
from ebpf_tour.base.errors import Error, UsageError
from ebpf_tour.base.text import printable, printable_lines
from ebpf_tour.frame import fields, live
from ebpf_tour.frame.demo import Demo, DemoRun
from ebpf_tour.frame.interrupt import Blocked, Interrupt
from ebpf_tour.frame.output import Writer, open_writer

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ebpf_tour.frame.metrics import Metrics
    from ebpf_tour.frame.processes import Processes
    from ebpf_tour.frame.record import Column, Counter, Row, Tool
    from ebpf_tour.loader import Program
    from ebpf_tour.loader.hooks import Hook

__all__ = ["Demo", "Finished", "Interrupt", "Session"]

# Options that do not choose which rows are shown.
_CHOOSE_NO_ROWS = (
    *("--demo", "--format", "--json", "--engine", "--via", "-v", "--verbose"),
    *("--limit", "--time-limit", "--buffer", "--transport", "--fields"),
)


class Finished(Exception):  # noqa: N818 - a normal end, not an error
    """There is nothing left to do: nobody reads our output any more, or --show is done."""


class Session:
    """Options, output and end of one run.

    It ends at Ctrl-C, SIGTERM or SIGHUP, after `--limit` rows, after `--time-limit`
    seconds, when the demo has seen enough, or as `end_with()` says.
    """

    args: argparse.Namespace
    """The options by name: `args.user` is the value of --user."""

    lost: int
    """How many events could not be shown, 0 at first. The tool sets it; the summary has it."""

    program: Program | None = None
    """What `open()` has opened."""

    def __init__(self, tool: Tool, args: argparse.Namespace, interrupt: Interrupt) -> None:
        self.tool = tool
        self.args = args
        self.rows = 0
        self.lost = 0
        self._interrupt = interrupt
        self._attached_ns = 0
        self._full = False
        self._deadline = float("inf")
        self._end_fd: int | None = None
        self._end_reason = ""
        self._writer: Writer | None = None
        self._columns: tuple[Column, ...] = ()
        self._limit: int | None = getattr(args, "limit", None)
        self._demo: DemoRun | None = None
        self._processes: Processes | None = None
        self._metrics: Metrics | None = None

    def open(self, tool: Tool, without: Sequence[Hook] = ()) -> Program:
        """Open the tool's `Program` as --engine and --via say, for a `with` statement.

        `without` are hooks that this run does not need. With --show, it shows that, now or
        when the program is loaded, and the run ends. Raises what `open_program()` raises.
        """
        from ebpf_tour.loader import open_program

        args = self.args
        if {getattr(args, name, None) for name in ("metrics", "metrics_file")} != {None}:
            from ebpf_tour.frame.metrics import Metrics

            self._metrics = Metrics(tool, args)
        if hasattr(args, "pids"):
            from ebpf_tour.frame.processes import Processes

            self._processes = Processes(self)
        program = open_program(
            *(tool.name, tool.via),
            directory=tool.directory,
            engine=args.engine,
            via=getattr(args, "via", "auto"),  # a tool with one way has no --via
            say=lambda text: say(printable_lines(text)),
            verbose=args.verbose,
            whole_log=args.show == "log",
            count_runs=args.demo,
            to_read=args.show == "source",
            follow=self._processes is not None and self._processes.follow,
            without=without,
        )
        self.program = program
        if self._processes and args.show != "source":
            self._processes.configure(program)
        if program.fallback:
            self.warn(f"using BCC, since {program.fallback}")
        if args.show:
            from ebpf_tour.frame import show

            if args.show == "source":  # needs no privileges, so it is not loaded
                with program:
                    show.show(program, "source")
            program.after_load = show.after_load(args.show, json=args.format == "json")
        else:
            program.after_load = self._loaded
        return program

    def _loaded(self, program: Program, error: Error | None) -> None:
        """Take the signals over: what comes now has to be removed at the end.

        Until then they end the tool at once, whatever a compiler is doing.
        """
        if not error:
            self._interrupt.take()
            if self._processes:
                self._processes.fill(program)

    @property
    def pids(self) -> Sequence[int]:
        """The processes of -p, or the command of -c, once the program is open."""
        return self._processes.pids if self._processes else ()

    @property
    def running(self) -> bool:
        """Whether the tool should go on."""
        return not (
            self._full
            or self._interrupt.seen
            or time.monotonic() >= self._deadline
            or (self._end_fd is not None and is_readable(self._end_fd))
            or (self._demo is not None and self._demo.over())
        )

    def end_in_order(self) -> None:
        """From now on, let a signal end the run in order: there is something to remove.

        A tool with a program needs no call: loading it does that.
        """
        self._interrupt.take()

    @property
    def wake(self) -> int:
        """A file descriptor that is readable once a signal has come."""
        return self._interrupt.fd

    def wait_writable(self, fd: int) -> None:
        """Wait for who reads `fd`. Raises Blocked once the run is to end and nobody does."""
        self._interrupt.wait_writable(fd)

    def end_with(self, fd: int, reason: str = "") -> None:
        """End the run also when `fd` is readable: a pidfd is when its process ends.

        Then it says `reason` on stderr, if there is one.
        """
        self._end_fd = fd
        self._end_reason = reason

    def attached(
        self,
        doing: str,
        demo: Demo | None = None,
        columns: tuple[Column, ...] = (),
        *,
        report: bool = False,
    ) -> bool:
        """Say that everything is attached, and start the demo if there is --demo.

        `doing` begins the line: "Tracing exec and exit". `columns` are the columns of this
        run, if not the tool's. `report=True` says that rows come by `report()`. Returns
        False if the run has ended before.
        """
        # (ebpf-mallocstacks has its demo's process already: the one that it looks at.)
        if self.args.demo and not demo and self.tool.directory:
            raise UsageError(
                f"{self.tool.command} has no demo",
                "run it without --demo, and cause events in another terminal",
            )
        # See commands/__init__.py. Records and rows hold no cycles, so that a look
        # for garbage need not come often, nor at what was there before them.
        gc.freeze()
        gc.set_threshold(100_000)
        gc.enable()
        self._interrupt.take()
        self._attached_ns = kernel_ns()
        self._give_up_capabilities()
        if not self.running:
            return False
        if self._metrics:
            self._begin_metrics(self._metrics)
        say(f"{printable(doing)}... Ctrl-C to end.\n")
        if self.args.time_limit is not None:
            self._deadline = time.monotonic() + self.args.time_limit
            self._interrupt.deadline = self._deadline
        self._writer_for(columns or self.tool.columns, report=report)
        if self.args.demo and demo:
            self._start_demo(demo)
        if self._processes:
            self._processes.begin()
        return True

    def count(self, read: Callable[[], Iterable[Counter]]) -> None:
        """Say that with --metrics, there is what `read()` returns, in place of events.

        Call it before `attached()`. It is called whenever somebody asks.
        """
        if self._metrics:
            self._metrics.counters = read

    def refuse_metrics(self, how: str) -> None:
        """Raise UsageError with --metrics. `how` is what this run shows nothing for it with."""
        if self._metrics:
            raise UsageError(
                f"{self.tool.command} {how} has no counters for --metrics", "leave out one of them"
            )

    def _begin_metrics(self, metrics: Metrics) -> None:
        program = self.program
        assert program
        info = {"version": __version__, "engine": program.engine, "via": program.via}
        interval = getattr(self.args, "interval", None)
        self.warn(f"metrics at {metrics.begin(lambda: self.rows, program.losses, info, interval)}")

    def _give_up_capabilities(self) -> None:
        """Keep only those that are needed from now on. -v says which."""
        from ebpf_tour.base import capabilities
        from ebpf_tour.loader import syscall

        needed = [*self.tool.keeps]
        if os.geteuid():  # root owns what has to be removed from tracefs at the end
            needed += ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]
        capabilities.use()
        if not syscall.may_use_maps():
            needed.append("CAP_BPF")
        capabilities.keep(*needed)
        if self.args.verbose:
            kept = ", ".join(capabilities.permitted()) or "none"
            self.warn(f"capabilities that the tool keeps: {kept}")

    def seconds(self, since_boot_ns: int) -> float:
        """Return the seconds from `attached()` to a time of bpf_ktime_get_ns()."""
        return max(0, since_boot_ns - self._attached_ns) / 1e9

    def _writer_for(self, columns: tuple[Column, ...], *, report: bool) -> Writer:
        """Open the writer, unless it is open, and write what comes before the rows."""
        if self._writer is None:
            self._columns = columns
            args = self.args
            shown = fields.chosen(args, columns)
            given = [name for name, value in vars(args).items() if value]
            self._writer = open_writer("none" if self._metrics else args.format, shown, given)
            with writing():
                if not (report and self.args.format == "table"):
                    self._writer.begin()
                self._writer.flush()
        return self._writer

    def _start_demo(self, demo: Demo) -> None:
        say(f"Demo: {demo.story}\n")
        self._demo = DemoRun(demo, self._interrupt)
        self._demo.begin()

    def row(self, row: Row) -> None:
        """Show one row: a dict with a value for each column's key. --limit counts them."""
        if self._full or self._writer is None:
            return
        if not self.rows:
            require_columns(row, self._columns)
        try:
            self._writer.row(row)
        except (OSError, Blocked) as error:
            raise cannot_write(error) from None
        self._count(row)

    def report(
        self,
        rows: Iterable[Row],
        columns: tuple[Column, ...] = (),
        lines: Callable[[Iterable[Row]], Iterable[str]] | None = None,
    ) -> None:
        """Show the rows of a report, in a table of their own.

        `columns` are the columns of this report, if not the tool's. `lines(rows)` returns the
        lines for people in place of a table. --sort and --top, where the tool has them, choose
        the order and how many.
        """
        if self._full or (self._interrupt.seen and self._writer is None):
            return  # there were enough, or it ended before it was attached
        largest = fields.in_order(self.args, rows)[: getattr(self.args, "top", None)]
        room = live.lines(self.args)
        shown = list(self._counted(largest[:room]))
        with writing():
            writer = self._writer_for(columns or self.tool.columns, report=True)
            if room:
                sys.stdout.write(live.CLEAR)
            if shown:
                require_columns(shown[0], self._columns)
            writer.report(shown, lines)
            writer.flush()

    def _counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield as many rows as were asked for, even if the demo has seen enough."""
        for row in rows:
            if self.rows == self._limit:
                return
            yield row
            self._count(row)

    def _count(self, row: Row) -> None:
        self.rows += 1
        if self._demo:
            self._demo.count(row)
        if self.rows == self._limit or (self._demo and self._demo.complete):
            self._full = True

    def sleep(self, seconds: float) -> None:
        """Wait so many seconds, but not past the end of the run. It writes out the rows so far."""
        self._wait(seconds)

    def wait_readable(self, fd: int, seconds: float = float("inf")) -> None:
        """Wait until `fd` is readable, for `seconds` at most, and not past the end of the run."""
        self._wait(seconds, fd)

    def _wait(self, seconds: float, *fds: int) -> None:
        if self._writer:
            with writing():
                self._writer.flush()
        wait = self._demo.wait if self._demo else self._interrupt.wait
        ends = fds if self._end_fd is None else (*fds, self._end_fd)
        until = time.monotonic() + seconds
        metrics = self._metrics
        if metrics:
            ends = (*ends, metrics.wake)
        while self.running:
            if metrics and metrics.answer():
                return  # so that what has come is read
            left = min(until, self._deadline) - time.monotonic()
            longest = metrics.due - time.monotonic() if metrics else left
            if left <= 0 or not set(fds).isdisjoint(wait(min(left, longest), *ends)):
                return

    def say(self, text: str) -> None:
        """Write lines for the user on stderr, as they are but for what a terminal would obey."""
        say("".join(f"  {printable(line)}\n" for line in text.strip("\n").splitlines()))

    def warn(self, text: str) -> None:
        """Write a line for the user on stderr, with the tool's name before it."""
        say(f"{self.tool.command}: {printable(text)}\n")

    def finish(self) -> None:
        """Write the summary and report losses. Raises Error if the demo failed."""
        if self._writer:
            with writing():
                self._writer.end({"events": self.rows, "lost": self.lost})
                self._writer.flush()
            if self.lost:
                self._report_lost()
        if self._processes and (said := self._processes.verdict()):
            self.warn(said)
        if self._end_reason and self._end_fd is not None and is_readable(self._end_fd):
            self.warn(self._end_reason)
        if self._demo:
            self._finish_demo(self._demo)

    def _report_lost(self) -> None:
        unfinished = self.program.unfinished if self.program else 0
        why = f"; {unfinished} of them began and did not end" if unfinished else ""
        shown = "" if self._metrics else f" besides the {self.rows} shown"
        self.warn(f"{self.lost} events were lost{shown}{why}")

    @property
    def ended_by(self) -> str:
        """What has ended the run: "a signal", "--limit", "--time-limit", or "" for its own end."""
        if self._interrupt.seen:
            return "a signal"
        if self.rows == self._limit:
            return "--limit"
        return "--time-limit" if time.monotonic() >= self._deadline else ""

    def _finish_demo(self, demo: DemoRun) -> None:
        """Say what the demo has seen. Raises Error if it failed."""
        ran = self.program.runs if self.program else None
        say(demo.verdict(self.ended_by, ran, self.next_step()))

    def next_step(self) -> str:
        """Return the hint for a demo whose rows do not come: what to run instead."""
        words = [word for word in sys.argv[1:] if word.startswith("-")]
        choosing = [word for word in words if word.partition("=")[0] not in _CHOOSE_NO_ROWS]
        if choosing:
            return f"run it without {' '.join(choosing)}, which may filter out the demo's own rows"
        ways = []
        if self.program:
            ways += [f"--via {name}" for name in self.tool.via if name != self.program.via]
            ways += [f"--engine {name}" for name in self.tool.engines]
            ways.remove(f"--engine {self.program.engine}")
        take = f"try {' or '.join(ways)}; " if ways else ""
        return f"{take}see what works on this machine: ebpf-tour check"

    def close(self) -> None:
        """End a demo that is still going on, and remove its files. Let go of a command.

        Serve no metrics any more.
        """
        if self._demo:
            self._demo.close()
        if self._processes:
            self._processes.close()
        if self._metrics:
            self._metrics.close()


def require_columns(row: Row, columns: tuple[Column, ...]) -> None:
    """Raise Error unless a row has a value for each column."""
    for column in columns:
        if column.key not in row:
            raise Error(
                f"a row has no {column.key}, which is a column of the record",
                f"it has {', '.join(row)}",
            )


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Tell a closed pipe and a full disk from every other OSError, where stdout is written to.

    Raises Finished for the first, and where nobody reads at the end; Error for the second.
    """
    try:
        yield
    except (OSError, Blocked) as error:
        raise cannot_write(error) from None


def cannot_write(error: OSError | Blocked) -> Exception:
    """Return what to raise where stdout cannot be written to, and write no more there."""
    discard(1)
    if isinstance(error, Blocked):
        say("the rest is not written: nobody reads it\n")
        return Finished()
    if isinstance(error, BrokenPipeError):
        return Finished()
    return Error(
        f"cannot write to standard output: {error.strerror}", "redirect it to another file"
    )


def say(text: str) -> None:
    """Write to stderr. Where that is not possible any more, the run goes on all the same."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, Blocked):
        discard(2)


def discard(fd: int) -> None:
    """Let Python's own flush at exit go nowhere instead of failing again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, fd)
    os.close(devnull)
