"""Which processes a tool looks at: -p, --follow, -c, --cgroup and --container.

The programs of bpf/lib/processes.bpf.h decide that in the kernel.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.descriptors import Closing
from ebpf_tour.base.errors import UsageError
from ebpf_tour.frame import cli
from ebpf_tour.frame.record import Map

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from ebpf_tour.frame.session import Session
    from ebpf_tour.loader import Program
    from ebpf_tour.userland.command import StoppedCommand

# What the map of bpf/lib/processes.bpf.h holds.
_MOST = 10240

MAPS = (
    Map("processes", "hash", "the processes of -p and -c, with --follow those they start", "sets"),
    Map("wanted_cgroup", "cgroup array", "the cgroup of --cgroup or --container", "sets"),
)
"""The maps of bpf/lib/processes.bpf.h, for the record of a tool."""


def add_options(
    parser: argparse.ArgumentParser, *, several_words: bool = True, events: str = "calls"
) -> None:
    """Add -p, --follow, -c, --as-root, --cgroup and --container.

    A tool with arguments of its own takes only one word after -p. `events` says for the help
    what is chosen.
    """
    parser.add_argument(
        *("-p", "--pid"),
        type=process_ids,
        action="extend",
        dest="pids",
        nargs="+" if several_words else 1,
        metavar="PID[,PID...]",
        help=f"only {events} by these processes",
    )
    add_command(
        *(parser, f"only {events} by it and by the processes that come from it; end with them")
    )
    cli.add_flag(
        *(parser, "--follow"),
        help="with -p: also the processes that they start from now on (with -c, always)",
    )
    parser.add_argument(
        "--cgroup", metavar="PATH", help=f"only {events} from this cgroup, and those below it"
    )
    parser.add_argument(
        "--container",
        metavar="ID",
        help=f"only {events} from this container (at least 4 digits of its ID), or from this "
        "systemd unit (nginx.service)",
    )


def add_command(parser: argparse.ArgumentParser, what: str) -> None:
    """Add -c and --as-root. `what` says for the help whose events are shown."""
    parser.add_argument(
        *("-c", "--command"),
        dest="start",
        metavar="COMMAND",
        help=f"start this command once everything is attached; {what}",
    )
    cli.add_flag(
        *(parser, "--as-root"),
        help="with -c: run the command as root, not as the user that called sudo",
    )


def process_ids(text: str) -> Sequence[int]:
    """Convert PIDs with commas between them; for argparse. Raises ArgumentTypeError."""
    return [cli.process_id(word) for word in text.split(",")]


def check_command(args: argparse.Namespace) -> None:
    """Raise UsageError where -c and --as-root do not go with other options."""
    others = {
        "-p": getattr(args, "pids", None),
        "PID": getattr(args, "pid", None),
        "--demo": args.demo,
    }
    if args.start is not None:
        for name, given in others.items():
            if given:
                raise UsageError(f"-c starts a process, so {name} cannot be given", "leave out one")
        if args.show:
            raise UsageError("--show runs nothing, so -c cannot be given", "leave out one of them")
    elif args.as_root:
        raise UsageError("--as-root is for -c", "name a command: -c COMMAND")


def check(args: argparse.Namespace) -> None:
    """Raise UsageError where the options of `add_options()` do not go together."""
    if getattr(args, "pid", None) and (args.pids or args.follow or args.cgroup or args.container):
        raise UsageError(
            "PID is one process, so -p, --follow, --cgroup and --container cannot be given",
            "leave out PID, or these",
        )
    if args.follow and not args.pids and args.start is None:
        raise UsageError("whom to follow?", "name processes with -p, or start one with -c")
    if args.cgroup and args.container:
        raise UsageError("--cgroup and --container are two names for one thing", "leave out one")


class Processes(Closing):
    """The processes that the options choose, for a program with bpf/lib/processes.bpf.h.

    `follow` says that its programs at fork and at the end of a process are needed. `pids` are
    those of -p, or the command of -c. Starts that command, which waits. Raises UsageError,
    Unsupported.
    """

    def __init__(self, session: Session) -> None:
        args = session.args
        self._session = session
        self.pids: list[int] = [pid for pids in args.pids or () for pid in pids]
        self._kernel_pids = self.pids
        self._cleanup = contextlib.ExitStack()
        self._cgroup = -1
        self._command: StoppedCommand | None = None
        if path := _cgroup_of(args):
            self._cgroup = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._cleanup.callback(os.close, self._cgroup)
        if args.start is not None:
            from ebpf_tour.userland.command import StoppedCommand

            self._command = self._cleanup.enter_context(
                StoppedCommand(
                    *(args.start, self._own_pid()),
                    as_root=args.as_root,
                    stdout_to_stderr=args.format != "table",
                )
            )
            self.pids = [self._command.pid]
            self._kernel_pids = [self._command.kernel_pid]
        self.follow = bool(args.follow or self._command)

    def _own_pid(self) -> Callable[[], int]:
        """Return what returns the PID of who calls it, as the kernel's programs see it.

        Raises OSError.
        """
        from ebpf_tour.loader import features, syscall

        if features.pid_in_first_namespace():
            return os.getpid
        program = syscall.load_pid_program()
        self._cleanup.callback(os.close, program)
        return lambda: syscall.run_program(program, b"").result

    def configure(self, program: Program) -> None:
        """Set what the program has to know before it is loaded."""
        program.globals["by_process"] = bool(self._kernel_pids)
        program.globals["by_cgroup"] = self._cgroup >= 0
        program.max_entries["processes"] = _MOST if self._kernel_pids else 1

    def fill(self, program: Program) -> None:
        """Tell the loaded program which processes, and which cgroup."""
        from ebpf_tour.loader.maps import Slots

        processes = program.map("processes")
        for pid in self._kernel_pids:
            processes.set(pid, 0)
        if self._cgroup >= 0:
            Slots(program.map_fd("wanted_cgroup")).put(0, self._cgroup)

    def begin(self) -> None:
        """Let the command execute; the session ends with it and all that come from it."""
        if not self._command:
            return
        self._command.begin()
        self._session.end_with(self._command.ended)

    def verdict(self) -> str:
        """Return what to say of the command at the end, "" without one."""
        return self._command.verdict() if self._command else ""

    def close(self) -> None:
        """Let go of the command, and close what was opened. May be called twice."""
        self._cleanup.close()


def _cgroup_of(args: argparse.Namespace) -> str:
    """Return the path of the cgroup that is wanted, "" for all. Raises UsageError, Unsupported."""
    from ebpf_tour.userland import cgroup

    if args.cgroup:
        cgroup.require_cgroup(args.cgroup)
        return str(args.cgroup)
    return cgroup.of_container(args.container) if args.container else ""
