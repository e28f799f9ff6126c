"""What every command line has in common: options, errors, exit statuses."""

from __future__ import annotations

import argparse
import functools
import io
import os
import signal
import sys
from typing import TYPE_CHECKING

from ebpf_tour import __version__
from ebpf_tour.base import limits
from ebpf_tour.base.errors import USAGE, Error, NotPermitted, UsageError
from ebpf_tour.base.text import printable
from ebpf_tour.frame import fields, live
from ebpf_tour.frame.interrupt import Interrupt, be_patient
from ebpf_tour.frame.output import FORMATS
from ebpf_tour.frame.pattern import COMM_BYTES, least_bytes, pattern
from ebpf_tour.frame.session import Finished, Session, say, writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from ebpf_tour.frame.record import Column, Tool

ENGINES = ("auto", "libbpf", "bcc")
ENGINE_VARIABLE = "EBPF_TOUR_ENGINE"


class _Parser(argparse.ArgumentParser):
    """argparse with our two-line errors."""

    def error(self, message: str) -> NoReturn:
        _report(self.prog, UsageError(message, f"see the options: {self.prog} --help"))
        sys.exit(USAGE)


class _Formatter(argparse.HelpFormatter):
    """Fills paragraphs, but leaves a text of several lines (the examples) alone."""

    def __init__(self, prog: str) -> None:
        # Left alone, argparse makes a formatter for each option that is added
        # and imports shutil, with three compression libraries, for the width.
        try:
            width = int(os.environ.get("COLUMNS") or os.get_terminal_size().columns)
        except (OSError, ValueError):
            width = 80
        super().__init__(prog, width=width - 2)

    def _split_lines(self, text: str, width: int) -> list[str]:
        import textwrap

        return textwrap.wrap(text, width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


# An int in C: what a program can be given.
MOST = 2**31 - 1


def positive_int(text: str) -> int:
    """Convert a whole number above 0.

    For argparse. Raises ArgumentTypeError.
    """
    number = _whole_number(text, MOST)
    if not number:
        if text.isdecimal() and text.strip("0"):
            raise argparse.ArgumentTypeError(f"{printable(text)!r} is more than {MOST}")
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a whole number above 0")
    return number


def _whole_number(text: str, most: int) -> int | None:
    """Return the number that a text is, None if it is none or too large."""
    # Python refuses to convert thousands of digits.
    if not text.isdecimal() or len(text) > 4000:
        return None
    number = int(text)
    return number if number <= most else None


def process_id(text: str) -> int:
    """Convert the PID of a process that exists.

    For argparse. Raises ArgumentTypeError.
    """
    from ebpf_tour.loader import features

    number = positive_int(text)
    # In a container, the PIDs of the first PID namespace cannot be looked up.
    if features.pid_in_first_namespace() and not os.path.exists(f"/proc/{number}"):
        raise argparse.ArgumentTypeError(f"there is no process {number}")
    return number


def buffer_bytes(text: str) -> int:
    """Convert a size in KiB to bytes: a power of two, and at least a page.

    For argparse. Raises ArgumentTypeError.
    """
    size = max(positive_int(text) * 1024, os.sysconf("SC_PAGE_SIZE"))
    if size > 1 << 30:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} KiB is more than a buffer can hold")
    return 1 << (size - 1).bit_length()


def entries(text: str) -> int:
    """Convert how many entries a map is to have.

    For argparse. Raises ArgumentTypeError.
    """
    number = positive_int(text)
    if number > 1 << 24:
        raise argparse.ArgumentTypeError(f"{number} is more than a map should have")
    return number


def top(text: str) -> int | None:
    """Convert how many rows to show: None for 0, which is all.

    For argparse. Raises ArgumentTypeError.
    """
    return None if text == "0" else positive_int(text)


def seconds(text: str) -> float:
    """Convert a time in seconds, as a float.

    For argparse. Raises ArgumentTypeError.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{printable(text)!r} is not a number of seconds above 0")
    return value


def user_id(text: str) -> int:
    """Convert a user's name or number to the number.

    For argparse. Raises ArgumentTypeError.
    """
    import pwd

    number = _whole_number(text, 2**32 - 1)
    if number is not None:
        return number
    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"there is no user {printable(text)!r}") from None


def add_flag(parser: argparse.ArgumentParser, *names: str, help: str) -> None:  # noqa: A002
    """Add an option without a value: False, or True if it is given."""
    parser.add_argument(*names, action="store_true", help=help)


def add_filters(parser: argparse.ArgumentParser, letters: str) -> None:
    """Add those of -p PID, -u USER, -n REGEX and -x (failed ones) that are in `letters`: "pu".

    They are args.pid, args.user, args.name and args.failed; None or False if not given.
    """
    if "p" in letters:
        parser.add_argument(
            "-p", "--pid", type=process_id, metavar="PID", help="only calls by this process"
        )
    if "u" in letters:
        parser.add_argument(
            "-u",
            "--user",
            "--uid",
            type=user_id,
            metavar="USER",
            help="only calls by this user (name or ID)",
        )
    if "n" in letters:
        parser.add_argument(
            "-n",
            "--name",
            type=pattern,
            metavar="REGEX",
            help="only threads whose name, or whose process's name, contains a match of this "
            "regular expression",
        )
    if "x" in letters:
        add_flag(
            *(parser, "-x", "--failed"),
            help="only attempts that failed, as in bcc's opensnoop (execsnoop's -x adds them)",
        )


def add_time_columns(parser: argparse.ArgumentParser) -> None:
    """Add -T and -t, which show the columns with the option "time" and "timestamp"."""
    add_flag(parser, "-T", "--time", help="add a column with the local time (HH:MM:SS)")
    add_flag(
        *(parser, "-t", "--timestamp"),
        help="add a column with the seconds since the tool was attached",
    )


def add_buffer_option(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Add --buffer: the size of the ring buffer; args.buffer is in bytes."""
    parser.add_argument(
        "--buffer",
        type=buffer_bytes,
        default="1024",
        metavar="KIB",
        help=f"size of the ring buffer{also}, rounded up to a power of two (default: 1024)",
    )


def add_interval(parser: argparse.ArgumentParser, default: float, help: str) -> None:  # noqa: A002
    """Add --interval, in seconds. It has no letter: -i is an interface, or a tool's own."""
    parser.add_argument("--interval", type=seconds, default=default, metavar="SECONDS", help=help)


def add_fields(
    parser: argparse.ArgumentParser, columns: tuple[Column, ...], *, report: bool = False
) -> None:
    """Add --fields, and --sort if the rows come by `session.report()`."""
    fields.add_options(parser, columns, report=report)


def add_live(parser: argparse.ArgumentParser) -> None:
    """Add --live: `session.report()` keeps the table in place."""
    live.add_option(parser)


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add --metrics and --metrics-file; the tools that read events from a buffer have them."""
    parser.add_argument(
        "--metrics",
        type=address,
        metavar="[ADDR:]PORT",
        help="in place of rows, serve the counts to Prometheus over HTTP at this port, of this "
        "machine alone if no address is given; 0 takes a port that is free",
    )
    parser.add_argument(
        "--metrics-file",
        metavar="FILE.prom",
        help="in place of rows, keep the counts in this file, for node_exporter; it is replaced "
        "every few seconds, and removed at the end",
    )


def address(text: str) -> tuple[str, int]:
    """Convert [ADDR:]PORT to a host and a port: "9000", "10.0.0.1:9000", "[::1]:9000".

    For argparse. Raises ArgumentTypeError.
    """
    host, colon, digits = text.rpartition(":")
    port = _whole_number(digits, 65535)
    bare = host.removeprefix("[").removesuffix("]")
    # An address with colons is in brackets, so that its end is known.
    if port is None or bool(colon) != bool(bare) or (":" in bare) != (host == f"[{bare}]"):
        raise argparse.ArgumentTypeError(
            f"{printable(text)!r} is not [ADDR:]PORT, such as 9435, 10.0.0.1:9435 or [::1]:9435"
        )
    return bare or "127.0.0.1", port


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add --limit to a tool without a program; the others have it."""
    parser.add_argument("--limit", type=positive_int, metavar="N", help="end after N rows")


def add_engine_option(parser: argparse.ArgumentParser) -> None:
    """Add --engine; the tools with a program of their own have it."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=os.environ.get(ENGINE_VARIABLE) or "auto",
        help="what loads the program: libbpf loads a compiled object (CO-RE), bcc compiles the "
        "C now and loads it; auto takes libbpf if the kernel has BTF, otherwise bcc "
        f"(default: auto, or ${ENGINE_VARIABLE})",
    )


def add_show_option(parser: argparse.ArgumentParser) -> None:
    """Add --show; the tools with a program of their own have it."""
    parser.add_argument(
        "--show",
        choices=("source", "asm", "log", "maps"),
        help="instead of running, show the C source, its bytecode line by line, the verifier's "
        "log, or the loaded programs and maps (those with --json, too)",
    )


def make_parser(
    tool: Tool, options: Callable[[argparse.ArgumentParser], None] | None = None
) -> argparse.ArgumentParser:
    """Return the parser of a tool: its own options, then the shared ones."""
    parser = _Parser(
        prog=tool.command,
        description=tool.description or tool.summary,
        epilog=_examples(tool) if tool.examples else None,
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help="show the options and end")
    if tool.commands:
        _add_commands(parser, tool)
    if options:
        options(parser)
    _add_output_options(parser, tool)
    if tool.via:
        _add_program_options(parser, tool)
    parser.add_argument(
        "--version",
        action="version",
        version=f"{tool.command} {__version__}",
        help="show the version and end",
    )
    return parser


def _add_commands(parser: argparse.ArgumentParser, tool: Tool) -> None:
    names = [command.name for command in tool.commands]
    parser.add_argument(
        "command",
        nargs="?",
        choices=None if any(name.isupper() for name in names) else names,
        metavar="|".join(names),
        help="; ".join(command.summary for command in tool.commands),
    )


def _examples(tool: Tool) -> str:
    width = max(len(example.command) for example in tool.examples)
    lines = [f"  {example.command:{width}}  {example.doc}" for example in tool.examples]
    if max(map(len, lines)) > 80:
        lines = [f"  {example.command}\n      {example.doc}" for example in tool.examples]
    return "examples:\n" + "\n".join(lines)


def _add_output_options(parser: argparse.ArgumentParser, tool: Tool) -> None:
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="a table for people, JSON lines or CSV for programs (default: table)",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="same as --format json"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help=tool.verbose)
    if not tool.via:
        return
    if tool.shows_events:
        add_metrics(parser)
    add_limit(parser)
    parser.add_argument(
        "--time-limit", type=seconds, metavar="SECONDS", help="end after this many seconds"
    )


def _add_program_options(parser: argparse.ArgumentParser, tool: Tool) -> None:
    add_engine_option(parser)
    if len(tool.via) > 1:
        parser.add_argument(
            "--via",
            choices=("auto", *tool.via),
            default="auto",
            help="the hooks that see the event; auto takes the first of these that works here "
            "(default: auto)",
        )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="cause events in a child process, show them, and end; one terminal is enough",
    )
    add_show_option(parser)


def command(
    tool: Tool,
    run: Callable[[Session], None],
    options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> Callable[[], int]:
    """Return a function that does what `main()` does: for a console script."""
    return functools.partial(main, tool, run, options)


def main(
    tool: Tool,
    run: Callable[[Session], None],
    options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> int:
    """Run a tool and return its exit status, for sys.exit().

    `options(parser)` adds the tool's own options to an argparse parser, and `run(session)` is
    the tool. An Error becomes two lines on stderr. Raises SystemExit for --help and a wrong
    option.
    """
    _open_missing_streams()
    # Who has started us may ignore it, and then there is no child to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        interrupt = Interrupt()
        be_patient(interrupt)
        try:
            return _run(tool, run, make_parser(tool, options), interrupt)
        finally:
            interrupt.forget()
    except Finished:
        return 0
    except (Error, OSError, MemoryError) as error:
        told = limits.ran_out(error) or error
        if not isinstance(told, Error):
            raise
        add_hint(told, tool.command)
        _report(tool.command, told)
        return told.status


def _run(
    tool: Tool,
    run: Callable[[Session], None],
    parser: argparse.ArgumentParser,
    interrupt: Interrupt,
) -> int:
    args = _parse(parser)
    if tool.via and args.engine not in ENGINES:
        parser.error(
            f"{ENGINE_VARIABLE}: {printable(args.engine)!r} is not one of {', '.join(ENGINES)}"
        )
    if tool.via and args.show:
        _check_show(parser, args)
    fields.check(args)
    if hasattr(args, "start"):
        from ebpf_tour.frame import processes

        processes.check_command(args)
        if hasattr(args, "pids"):
            processes.check(args)
    limits.require_files()
    session = Session(tool, args, interrupt)
    _warn_of_long_name(session)
    try:
        run(session)
        session.finish()
    finally:
        session.close()
    return 0


def _warn_of_long_name(session: Session) -> None:
    """Say so if -n can let nothing through."""
    name = getattr(session.args, "name", None)
    if name and not session.args.show and (least := least_bytes(name)) > COMM_BYTES:
        session.warn(
            f"no name can match -n: the pattern needs {least} bytes or more, and the kernel "
            f"keeps {COMM_BYTES} bytes of a name"
        )


def _check_show(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse what --show would have to ignore."""
    if args.demo:
        parser.error("--show runs nothing, so it cannot be given with --demo")
    if args.format != "table" and (args.show, args.format) != ("maps", "json"):
        parser.error(
            f"--show {args.show} cannot print {args.format}; only --show maps can print json"
        )


def _parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the options. --help and --version print what they have to say, and end."""
    with writing():
        try:
            return parser.parse_args()
        except SystemExit:
            sys.stdout.flush()  # here, where a full disk is an error in two lines
            raise


def _open_missing_streams() -> None:
    """Give a closed stdin, stdout or stderr to /dev/null.

    Otherwise the next file that is opened would take its number, and what is
    meant for a terminal would end up in it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout.buffer, io.FileIO):
        # PYTHONUNBUFFERED: Python would drop the rest of a line when a signal
        # comes while it is written.
        sys.stdout = open(1, "w", encoding=sys.stdout.encoding, closefd=False)  # noqa: SIM115
    # A terminal that cannot show a character gets its escape.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def add_hint(error: Error, command: str) -> None:
    """Give an error about permissions that has no hint the line to paste."""
    if isinstance(error, NotPermitted) and not error.hint:
        error.hint = f"run it as root: {_as_root(command)}"


def _as_root(command: str) -> str:
    """Return the line to paste: sudo does not look where this command was found."""
    import shlex
    import shutil

    from ebpf_tour.base.paths import absolute

    words = sys.argv[1:]
    path = shutil.which(command)
    if path and os.path.realpath(path) == os.path.realpath(sys.argv[0]):
        return " ".join([f'sudo "$(command -v {command})"', *map(shlex.quote, words)])
    script = [absolute(sys.argv[0])]
    if script[0].endswith(".py"):  # root's Python may not have this package
        script.insert(0, sys.executable)
    return " ".join(["sudo", *map(shlex.quote, [*script, *words])])


def _report(command: str, error: Error) -> None:
    if error.detail:
        lines = error.detail.strip("\n").splitlines()
        say("".join(f"  {printable(line)}\n" for line in lines[-20:]))
    # An argument that is quoted may hold anything.
    say(f"{command}: error: {printable(str(error))}\n")
    more = f"-v shows {error.more}" if error.more else ""
    hint = "; ".join(filter(None, (error.hint, more)))
    if hint:
        say(f"hint: {printable(hint)}\n")
