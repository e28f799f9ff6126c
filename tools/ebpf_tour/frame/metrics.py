"""--metrics and --metrics-file: what a run has counted, for Prometheus.

Only the main thread reads maps and counts rows. A thread of the server asks it, and waits for
the answer, so it needs no capability, and nothing is read while the program is closed.
"""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import time
from typing import TYPE_CHECKING, Any

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import Error, NotPermitted, Unsupported, UsageError
from ebpf_tour.base.text import printable
from ebpf_tour.frame.output.exact import escaped
from ebpf_tour.frame.record import Counter

if TYPE_CHECKING:
    import argparse
    import socketserver
    import threading
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

    from ebpf_tour.frame.record import Tool

OTHER = "other"
"""The label of what has no label of its own."""

# How often the file is written, where the tool has no interval.
_FILE_SECONDS = 5.0

# What a reader takes out of a buffer at once: _MOST of loader/reader.py.
_AT_ONCE = 2 << 20


def _check(tool: Tool, args: argparse.Namespace) -> None:
    """Raise UsageError where --metrics or --metrics-file cannot be given."""
    given = "--metrics" if args.metrics else "--metrics-file"
    shown: dict[str, object] = {
        "--demo": args.demo,
        "--show": args.show,
        f"--format {args.format}": args.format != "table",
        "--limit": args.limit and not tool.shows_events,
        # Of the tools that have them.
        **{f"--{name}": getattr(args, name, None) for name in ("fields", "sort", "live")},
    }
    for name, is_given in shown.items():
        if is_given:
            raise UsageError(
                f"with {given} the tool shows no rows, so {name} cannot be given", "leave out one"
            )
    if args.metrics_file is not None and not args.metrics_file.endswith(".prom"):
        raise UsageError(
            f"{printable(args.metrics_file)!r} does not end in .prom",
            "name it so: node_exporter reads no other files",
        )


class Largest:
    """Counts of the `most` largest names, and of the rest as "other"; none goes backwards.

    When a name becomes one of the largest, or no longer is, what it has counted stays where it
    was. So a series has what was counted while its name was one of the largest.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._before: Mapping[str, int] = {}
        self._shown: set[str] = set()
        self._sums: collections.Counter[str] = collections.Counter()

    def of(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return what to show, now that the counts are these. Of equal names, one stays."""
        names = sorted(
            counts.keys() - {OTHER},
            key=lambda name: (-counts[name], name not in self._shown, name),
        )
        self._shown = set(names[: self._most])
        for name, count in counts.items():
            series = name if name in self._shown else OTHER
            self._sums[series] += count - self._before.get(name, 0)
        self._before = counts
        return {name: self._sums[name] for name in (*sorted(self._shown), OTHER)}


class Metrics(Closing):
    """What a run has counted, over HTTP and in a file.

    `events` returns how many rows there were, `losses` how many events were lost, by reason.
    `counters`, where a tool sets it, returns what there is in place of the rows. Raises Error,
    NotPermitted, Unsupported, UsageError.
    """

    def __init__(self, tool: Tool, args: argparse.Namespace) -> None:
        _check(tool, args)
        try:
            import prometheus_client
        except ImportError as error:
            raise Unsupported(
                f"--metrics needs prometheus_client: {error}",
                "install it: pip install 'ebpf-tour[metrics]', or apt install "
                "python3-prometheus-client",
            ) from None
        self._client = prometheus_client
        self._tool = tool
        self._file: str | None = args.metrics_file
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)  # never closed: see close()
        self._asked: collections.deque[queue.SimpleQueue[Any]] = collections.deque()
        # Who waits until the buffer was read, and how often that has to be done still.
        self._reading: list[queue.SimpleQueue[Any]] = []
        self._to_read = 0
        self._whole_buffer = 1 + getattr(args, "buffer", 0) // _AT_ONCE
        self._largest: dict[str, Largest] = {}
        self._server = _listen(args.metrics, self._registry(self._ask)) if args.metrics else None
        self._serves = False
        self.due = float("inf")
        self.counters: Callable[[], Iterable[Counter]] | None = None

    def begin(
        self,
        events: Callable[[], int],
        losses: Callable[[], Mapping[str, int]],
        info: dict[str, str],
        interval: float | None,
    ) -> str:
        """Serve, and write the file for the first time. Return where that is."""
        self._events, self._losses, self._info = events, losses, info
        self._interval = interval if interval and interval < float("inf") else _FILE_SECONDS
        where = []
        if self._file is not None:
            self._write(self._file)
            where.append(self._file)
        if self._server:
            import threading

            ready = threading.Event()
            threading.Thread(target=_serve, args=(self._server, ready), daemon=True).start()
            ready.wait()
            self._serves = True
            host, port = self._server.server_address[:2]
            name = f"[{host!s}]" if ":" in str(host) else host
            where.append(f"http://{name!s}:{port}/metrics")
        return " and ".join(where)

    def answer(self) -> bool:
        """Answer who asks, and write the file if it is time.

        Returns True if somebody waits until the tool has read, and shown, what came before.
        """
        if time.monotonic() >= self.due and self._file is not None:
            self._write(self._file)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.wake)
        ready: list[queue.SimpleQueue[Any]] = []
        self._to_read = max(0, self._to_read - 1)
        if not self._to_read:
            ready, self._reading = self._reading, []
            new = [self._asked.popleft() for _ in range(len(self._asked))]
            if self.counters:  # in a map, which needs no reader
                ready = new
            else:
                self._reading, self._to_read = new, self._whole_buffer if new else 0
        if ready:
            found = self._found()
            for one in ready:
                one.put(found)
        return bool(self._reading)

    def _found(self) -> list[Metric]:
        from prometheus_client.core import CounterMetricFamily, InfoMetricFamily

        name = self._tool.name
        shown = "rows that the tool would have shown"
        events = Counter("events", shown, "tool", {name: self._events()})
        metrics: list[Metric] = [
            InfoMetricFamily("ebpf_tour_build", "the tool's version, and how it works", self._info)
        ]
        for counter in self.counters() if self.counters else [events]:
            labels = [counter.label] if counter.label else []
            family = CounterMetricFamily(f"ebpf_tour_{counter.name}", counter.doc, labels=labels)
            values = counter.values
            if counter.most:
                largest = self._largest.setdefault(counter.name, Largest(counter.most))
                values = largest.of(values)
            for label, value in values.items():
                family.add_metric([escaped(label)] if labels else [], value)
            metrics.append(family)
        lost = CounterMetricFamily(
            "ebpf_tour_lost_events", "events that were not seen", labels=["tool", "reason"]
        )
        for reason, number in self._losses().items():
            lost.add_metric([name, reason], number)
        return [*metrics, lost]

    def _ask(self) -> list[Metric]:
        """Ask the main thread: a thread of the server calls this."""
        answer: queue.SimpleQueue[list[Metric] | None] = queue.SimpleQueue()
        self._asked.append(answer)
        os.eventfd_write(self.wake, 1)
        found = answer.get()
        if found is None:
            raise ConnectionAbortedError("the run has ended")
        return found

    def _registry(self, collect: Callable[[], list[Metric]]) -> Any:
        registry = self._client.CollectorRegistry()
        registry.register(_Collector(collect))
        return registry

    def _write(self, path: str) -> None:
        """Write the file, which is never there in part."""
        self.due = time.monotonic() + self._interval
        text = self._client.generate_latest(self._registry(self._found))
        new = f"{path}.{os.getpid()}"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new)
            try:
                with open(new, "xb") as file:  # not one that somebody else has put there
                    file.write(text)
                os.rename(new, path)
            except OSError:
                _remove(new)
                raise
        except OSError as error:
            hint = "name another file"
            if isinstance(error, PermissionError) and os.geteuid() == 0:
                hint = "attached, the tool writes only where root may by the directory's owner"
            raise Error(f"cannot write {printable(path)}: {error.strerror}", hint) from None

    def close(self) -> None:
        """Serve no longer, and remove the file."""
        if self._serves and self._server:
            import socket

            # It wakes the thread up, which otherwise waits for who connects.
            with contextlib.suppress(OSError):
                self._server.socket.shutdown(socket.SHUT_RDWR)
            self._server.shutdown()
        if self._server:
            self._server.server_close()
        # Who asks after this waits, in a thread that ends with the process.
        for one in (*self._reading, *self._asked):
            one.put(None)
        if self.due < float("inf") and self._file is not None:
            _remove(self._file)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


class _Collector:
    """What prometheus_client asks for metrics."""

    def __init__(self, collect: Callable[[], list[Metric]]) -> None:
        self.collect = collect


def _listen(wanted: tuple[str, int], registry: Any) -> socketserver.TCPServer:
    """Listen, but answer nobody yet. Raises Error, NotPermitted, UsageError."""
    import errno
    import socket
    import socketserver

    from prometheus_client import MetricsHandler

    class Server(socketserver.ThreadingTCPServer):
        """http.server's own asks the DNS for its name."""

        allow_reuse_address = True
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """Say nothing: the client has gone, or the run has ended."""

    class Handler(MetricsHandler.factory(registry)):  # type: ignore[misc]
        """Does not wait for a client that says nothing."""

        timeout = 10

    host, port = wanted
    where = printable(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        Server.address_family = family
        return Server(address, Handler)  # type: ignore[arg-type]
    except (OSError, UnicodeError) as error:
        cause = f"cannot listen at {where}: {getattr(error, 'strerror', None) or error}"
        if isinstance(error, PermissionError):
            raise NotPermitted(cause, "take a port above 1023") from None
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise Error(cause, "take another port, or 0 for one that is free") from None
        raise UsageError(cause, "name an address of this machine: [ADDR:]PORT") from None


def _serve(server: socketserver.TCPServer, ready: threading.Event) -> None:
    """Serve until the end: a thread does that, and those that it starts have no more rights."""
    from ebpf_tour.base import capabilities

    capabilities.keep()
    ready.set()
    server.serve_forever(poll_interval=3600)
