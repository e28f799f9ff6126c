"""ebpf-execsnoop: a kprobe on a system call, and a perf event array.

A system call is a function of the kernel like any other, and a kprobe sees its
arguments. The records go to user space through the older kind of buffer: one
for each CPU.
"""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple

from ebpf_tour.base.clock import local_time
from ebpf_tour.base.names import error_name
from ebpf_tour.base.text import from_kernel, word_from_kernel
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Row, Session, Tool, cli, processes
from ebpf_tour.frame.pattern import is_named, pattern
from ebpf_tour.loader.hooks.ksyscall import Ksyscall
from ebpf_tour.loader.hooks.raw_tracepoint import RawTracepoint
from ebpf_tour.loader.hooks.tracepoint import Tracepoint


def run(session: Session) -> None:
    args = session.args
    with session.open(TOOL) as program:
        # Configure: before the program is loaded.
        program.globals["only_uid"] = -1 if args.user is None else args.user
        program.globals["only_ppid"] = args.ppid or 0
        program.globals["with_failed"] = args.fails
        program.globals["max_args"] = min(args.max_args, MOST_ARGS_OF_FAILED)
        program.perf_bytes = args.buffer
        for flag, name, path in (
            ("by_cgroupset", "cgroupset", args.cgroupmap),
            ("by_mntnsset", "mntnsset", args.mntnsmap),
        ):
            program.globals[flag] = path is not None
            if path is None:
                program.omit_map(name)
            else:
                program.reuse_map(name, path, key_bytes=8)

        program.load()
        program.attach()

        session.attached(f"Tracing exec via {program.via}", demo(failing=args.fails))
        for event in program.events("pb", session):
            command = command_of(event, args.max_args)
            if is_wanted(event, command, args):
                session.row(row_of(event, command, session))

        session.lost = program.lost("calls")


class Command(NamedTuple):
    """What was executed: bytes, as the kernel has them.

    `args` begins with the program's name. Before a script's, the kernel puts
    the words of its first line: `interpreter`, or None where the kernel did not say so;
    `args` then has them, too. With `truncated`, the last one ends in three dots, or is
    nothing else.
    """

    filename: bytes | None
    interpreter: list[bytes] | None
    args: list[bytes]
    truncated: bool


def command_of(event: Any, max_args: int) -> Command:
    """Return the command line of a record: struct event of execsnoop.h."""
    start, end = event.filename_bytes, event.filename_bytes + event.args_bytes
    filename = event.text[: start - 1] if start else None
    words = split(event.text[start:end], event.incomplete)
    known = bool(event.ret) or event.interpreted != UNKNOWN
    inserted = words_before_script(words, filename) if known and event.interpreted else 0
    inserted += bool(event.keeps_argv0)
    if event.ret:
        filename = as_kernel_names_it(filename, event.dirfd)
    args = words[inserted:]
    too_many = len(args) > max_args + 1
    if too_many:
        args[max_args + 1 :] = [MORE]
    interpreter = words[:inserted] if known else None
    return Command(filename, interpreter, args, too_many or bool(event.incomplete))


UNKNOWN = 2  # in execsnoop.h


def split(text: bytes, incomplete: bool) -> list[bytes]:
    """Return the arguments, behind each of which there is a NUL unless it was cut."""
    if not incomplete:
        return text.split(b"\0")[:-1]
    *words, last = text.split(b"\0")
    return [*words, last + MORE]


MORE = b"..."


def words_before_script(words: list[bytes], filename: bytes | None) -> int:
    """Return how many words the kernel has put before the name of a script.

    It puts the words of the line "#!" there, or what binfmt_misc was told. The name comes
    in the place of the caller's argv[0]; with flag P of binfmt_misc, before it.
    """
    return words.index(filename, 1) if filename in words[1:] else 0


def as_kernel_names_it(filename: bytes | None, dirfd: int) -> bytes | None:
    """Return the name that execveat(2) gives a file that is relative to a directory."""
    if filename is None or dirfd == AT_FDCWD or filename.startswith(b"/"):
        return filename
    return b"/dev/fd/%d/%s" % (dirfd, filename) if filename else b"/dev/fd/%d" % dirfd


AT_FDCWD = -100


def is_wanted(event: Any, command: Command, args: argparse.Namespace) -> bool:
    """Say whether the regular expressions of -n and -l let it through."""
    if not is_named(args.name, event.comm, event.process_comm):
        return False
    line = b" ".join([command.filename or b"-", *command.args[1:]])
    return not args.line or args.line.search(line) is not None


def row_of(event: Any, command: Command, session: Session) -> Row:
    """Return the row for a record and its command line."""
    # In JSON and CSV, each argument is a value of its own.
    shown = quoted if session.args.quote and session.args.format == "table" else word_from_kernel
    args = [shown(word) for word in command.args]
    interpreter = command.interpreter
    if command.truncated and command.args[-1] == MORE:
        args[-1] = MORE.decode()  # this one is not the caller's
    return {
        "time": local_time(event.time_ns),
        "time_s": session.seconds(event.time_ns),
        "uid": event.uid,
        "comm": from_kernel(event.comm),
        "process_comm": from_kernel(event.process_comm),
        "pid": event.pid,
        "ppid": event.ppid,
        "ret": event.ret,
        "args": args,
        "filename": None if command.filename is None else shown(command.filename),
        "interpreter": None if interpreter is None else [shown(word) for word in interpreter],
        "errno": -event.ret,
        "truncated": command.truncated,
    }


def quoted(raw: bytes) -> str:
    r"""Return an argument in double quotes, with escapes as in C.

    >>> print(quoted(b'say "a"\n'))
    "say \"a\"\n"
    """
    escaped = raw.replace(b"\\", rb"\\").replace(b'"', rb"\"")
    return f'"{from_kernel(escaped)}"'


def command_line(row: Row) -> str:
    """Return the last cell of a row: the file and the arguments; before them, what went wrong."""
    args, error = row["args"], row["errno"]
    words = [str(row["filename"] or "-"), *(args[1:] if isinstance(args, list) else [])]
    prefix = [f"[{error_name(error)}]"] if isinstance(error, int) and error else []
    return " ".join(prefix + words)


def options(parser: argparse.ArgumentParser) -> None:
    cli.add_time_columns(parser)
    cli.add_flag(
        parser,
        "-x",
        "--fails",
        help="as in bcc's execsnoop: also show calls that fail, with their error (opensnoop's "
        "-x shows only those)",
    )
    cli.add_flag(parser, "-q", "--quote", help="put each argument in double quotes")
    processes.add_options(parser)
    cli.add_filters(parser, "un")
    parser.add_argument(
        "-l",
        "--line",
        type=pattern,
        metavar="REGEX",
        help="only command lines in which this regular expression is found",
    )
    parser.add_argument(
        "-P",
        "--ppid",
        type=cli.positive_int,
        metavar="PPID",
        help="as in bcc's execsnoop: only calls by children of this process",
    )
    cli.add_flag(
        parser, "-U", "--print-uid", help="as in bcc's execsnoop: add a column with the user's ID"
    )
    parser.add_argument(
        "--max-args",
        type=cli.positive_int,
        default=20,
        metavar="N",
        help="show at most N arguments after the program's name (default: 20)",
    )
    for name, things in (("cgroupmap", "cgroups"), ("mntnsmap", "mount namespaces")):
        parser.add_argument(
            f"--{name}",
            metavar="PATH",
            help=f"only calls from the {things} in the BPF map that is pinned at PATH",
        )
    parser.add_argument(
        "--buffer",
        type=cli.buffer_bytes,
        default="256",
        metavar="KIB",
        help="size of the perf buffer of each CPU, rounded up to a power of two (default: 256)",
    )
    cli.add_fields(parser, TOOL.columns)


# They are read one by one, and the verifier follows each turn of a loop.
MOST_ARGS_OF_FAILED = 1000


def demo(*, failing: bool) -> Demo:
    count = len(DEMO_ARGS)
    return Demo(
        f"a child process executes /bin/true {count} times"
        f"{' and fails to execute another program' if failing else ''}.",
        workload=execute_all,
        rows=count + failing,
        # As one of the arguments, quoted or not, and not as a part of a path.
        caused=lambda row: DEMO_MARK in command_line(row).replace('"', "").split(),
    )


DEMO_MARK = "ebpf-tour"


# Twenty arguments; what needs quotes; what would move the cursor of a terminal,
# forge a row, and is no UTF-8.
DEMO_ARGS = (
    [*map(str, range(1, 20))],
    ["two words", 'a "quote"', ""],
    [b"\x1b[1Aup", b"two\nlines", b"caf\xe9"],
)


def execute_all() -> None:
    import contextlib
    import subprocess

    for args in DEMO_ARGS:
        subprocess.run(["/bin/true", DEMO_MARK, *args], check=True)
    with contextlib.suppress(FileNotFoundError):
        subprocess.run(["/does/not/exist", DEMO_MARK], check=True)


EXECVE = Ksyscall("execve")
EXECVE_RETURNS = Ksyscall("execve", returns=True)
EXECVEAT = Ksyscall("execveat")
EXECVEAT_RETURNS = Ksyscall("execveat", returns=True)
BEGINS = RawTracepoint("sched_process_exec", within=True)

TOOL = Tool(
    name="execsnoop",
    lesson=230,
    for_work=True,
    read_before=("ksyscall", "opensnoop"),
    summary="show each program that is executed, with its arguments",
    description=(
        "Show a row for each program that any process executes, with its arguments, and with -x "
        "also for each attempt that fails. Options and columns are those of bcc's execsnoop."
    ),
    via={
        "kprobe": (EXECVE, EXECVEAT, BEGINS, EXECVE_RETURNS, EXECVEAT_RETURNS),
        "tracepoint": (
            Tracepoint("syscalls", "sys_enter_execve"),
            Tracepoint("syscalls", "sys_enter_execveat"),
            BEGINS,
            Tracepoint("syscalls", "sys_exit_execve"),
            Tracepoint("syscalls", "sys_exit_execveat"),
        ),
    },
    maps=(
        Map("pb", "perf event array", "carries the records to the tool", tool="reads"),
        Map("calls", "hash", "calls in progress, by thread"),
        Map("scratch", "per-CPU array", "scratch space to build a record"),
        Map("cgroupset", "hash", "with --cgroupmap: the cgroups to trace"),
        Map("mntnsset", "hash", "with --mntnsmap: the mount namespaces to trace"),
        *processes.MAPS,
    ),
    picture=(
        Flow(
            "a process calls execve or execveat",
            {EXECVE: "ksyscall_execve", EXECVEAT: "ksyscall_execveat"},
            reads=("cgroupset", "mntnsset"),
            writes=("calls",),
        ),
        Flow(
            "the new program begins",
            {BEGINS: "begin_program"},
            reads=("calls",),
            writes=("calls",),
        ),
        Flow(
            "the call returns",
            {EXECVE_RETURNS: "kretsyscall_execve", EXECVEAT_RETURNS: "kretsyscall_execveat"},
            reads=("calls",),
            writes=("scratch", "pb"),
        ),
    ),
    columns=(
        Column(
            "time", "TIME", "with -T: local time at the end of the call", width=8, option="time"
        ),
        Column(
            "time_s",
            "TIME(s)",
            "with -t: the same, in seconds since the tool was attached",
            width=8,
            form="%.3f",
            option="timestamp",
        ),
        Column("uid", "UID", "with -U: the user's ID", width=6, option="print_uid"),
        Column(
            "comm",
            "PCOMM",
            "name of the thread; after a successful call, its new name",
            width=16,
            kernel_bytes=True,
        ),
        Column("process_comm", "", "name of its process", kernel_bytes=True),
        Column("pid", "PID", "its process ID, in the initial PID namespace", width=7, right=True),
        Column("ppid", "PPID", "its parent's process ID", width=7, right=True),
        Column(
            "ret",
            "RET",
            "0, or the negative error number of a call that failed",
            width=3,
            form="%s",
            right=True,
        ),
        Column(
            "args",
            "ARGS",
            "the file that was executed and its arguments, without the program's name. If the "
            "call failed, its error is first, in brackets. In JSON, a list of all arguments, "
            "with the program's name first",
            text=command_line,
            kernel_bytes=True,
        ),
        Column(
            "filename",
            "",
            "the file as the caller named it; null if that cannot be read",
            kernel_bytes=True,
        ),
        Column(
            "interpreter",
            "",
            "for a script, a list of the words that the kernel put first, from the script's "
            "first line; null: the kernel skipped the program that finds out, and args begin "
            "with these words",
            kernel_bytes=True,
        ),
        Column("errno", "", "0, or the error number of a call that failed"),
        Column("truncated", "", "whether arguments are missing or cut off"),
    ),
    examples=(
        Example("ebpf-execsnoop", "every program that is executed"),
        Example("ebpf-execsnoop -x", "also calls that fail"),
        Example("ebpf-execsnoop -TU -u root", "programs that root executes, with time and user"),
        Example("ebpf-execsnoop -x -c 'make -j2'", "what a build executes, and tries to"),
        Example("ebpf-execsnoop --container 4f0c", "in a container, by its ID"),
        Example("ebpf-execsnoop -P 181", "programs that children of process 181 execute"),
        Example("ebpf-execsnoop -n '^(ba)?sh$' -q", "shells, each argument in quotes"),
        Example("ebpf-execsnoop -l testpkg", "command lines that contain testpkg"),
        Example(
            "ebpf-execsnoop --cgroupmap /sys/fs/bpf/set", "only in the cgroups in this BPF map"
        ),
        Example("ebpf-execsnoop --demo", "see programs that the demo executes"),
    ),
    requirements=(
        "Linux 5.8 or newer with kernel BTF, tracefs, and root (or CAP_BPF and CAP_PERFMON). "
        "--via kprobe needs CONFIG_KPROBE_EVENTS; --via tracepoint CONFIG_FTRACE_SYSCALLS, but "
        "no kernel BTF if BCC has headers. --cgroupmap works with cgroup v2."
    ),
    see_also=("execve(2)", "execveat(2)", "bpftool-map(8)"),
)

main = cli.command(TOOL, run, options)
