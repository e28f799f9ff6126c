"""ebpf-probes: what can be hooked here.

No BPF program: the kernel and the files of programs say themselves where one
can be attached. `survey/places.py` knows where to ask.
"""

from __future__ import annotations

import contextlib
import fnmatch
import re
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error, UsageError
from ebpf_tour.frame import Column, Example, Row, Session, Tool, cli

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from ebpf_tour.survey.places import Place, Places
    from ebpf_tour.userland.binaries import Binary


def run(session: Session) -> None:
    args = session.args
    wanted = queries(args)
    found: list[tuple[Places, Place]] = []
    errors: list[Error] = []
    notes: dict[str, None] = {}
    with contextlib.ExitStack() as stack:
        binaries = open_files(wanted, session, stack)
        for query in wanted:
            places = places_called(query.kind, binaries)
            try:
                here = matching(places, query)
            except Error as error:
                errors.append(error)
                # Most virtual machines have no hardware events.
                if len(wanted) > 1 and query.kind != "hardware":
                    session.warn(f"{query.kind} not listed: {error}")
                continue
            found += [(places, place) for place in here]
            for note in (places.note, places.untried() if args.verbose and here else ""):
                if note:
                    notes[note] = None
        for note in notes:
            session.warn(note)
        if len(errors) == len(wanted):
            raise errors[0]
        if not found:
            raise nothing(args)
        session.report((row_of(*item, args) for item in found), lines=lines)


class Query(NamedTuple):
    """A pattern for the probes of one kind, in its parts.

    `file` is what names a program or library, "" where that is an option's business.
    """

    kind: str
    target: str = "*"
    provider: str = "*"
    name: str = "*"
    file: str = ""


def queries(args: argparse.Namespace) -> list[Query]:
    """Return what is asked for, one query for each kind. Raises UsageError."""
    if args.binary and args.pid:
        raise UsageError("--binary and -p both name files", "leave out one of them")
    has_file = bool(args.binary or args.pid)
    kinds = [k for k in (USER_KINDS if has_file else KERNEL_KINDS) if k not in RETURNS]
    pattern = args.pattern or "*"
    head, colon, rest = pattern.partition(":")
    if not colon:
        if head not in (*KERNEL_KINDS, *USER_KINDS):
            return [Query(kind, name=pattern) for kind in kinds]
        rest = "*"
    return [query(kind, rest, has_file) for kind in kinds_called(head, kinds)]


def kinds_called(head: str, common: list[str]) -> list[str]:
    """Return the kinds that the first part of a pattern means. Raises UsageError."""
    from ebpf_tour.survey.places import kind_called

    kind = kind_called(head)
    kinds = [kind] if kind else fnmatch.filter(common, head)
    if not kinds:
        raise UsageError(
            f"there is no kind of probe '{head}'",
            f"the kinds are {', '.join((*KERNEL_KINDS, *USER_KINDS))}",
        )
    return kinds


def query(kind: str, rest: str, has_file: bool) -> Query:
    """Return the query for what is behind the kind. Raises UsageError."""
    if kind in KERNEL_KINDS:
        if has_file:
            raise UsageError(
                f"{kind} is a place in the kernel, not in a program",
                "leave out --binary and -p",
            )
        if kind in ("software", "hardware"):
            return Query(kind, name=rest.partition(":")[0])
        target, _, name = rest.rpartition(":")
        return Query(kind, target=target or "*", name=name or "*")
    parts = rest.rsplit(":", 2 if kind == "usdt" else 1)
    file = "" if has_file else parts.pop(0)
    if not has_file and (not file or ("/" not in file and "*" in file)):
        raise UsageError(
            f"{kind} is a place in a program or library: which one?",
            f"name the file: {kind}:/usr/bin/python3:*, or --binary FILE, or -p PID",
        )
    name = parts.pop() if parts else "*"
    return Query(kind, provider=parts[0] if parts else "*", name=name or "*", file=file)


KERNEL_KINDS = (
    *("tracepoint", "rawtracepoint", "kprobe", "kretprobe", "fentry", "fexit", "iter"),
    *("software", "hardware"),
)

USER_KINDS = ("uprobe", "uretprobe", "usdt")


# Listed where the pattern does not name a kind: not the returns.
RETURNS = ("kretprobe", "fexit", "uretprobe")


def open_files(wanted: list[Query], session: Session, stack: contextlib.ExitStack) -> list[Binary]:
    """Open the programs and libraries that are asked for, until the end. Raises Error."""
    args = session.args
    name = args.binary or next((query.file for query in wanted if query.file), "")
    if not (args.pid or name):
        return []
    from ebpf_tour.userland.binaries import Binaries

    binaries = stack.enter_context(Binaries(session.wake))
    return binaries.of_process(args.pid) if args.pid else binaries.find(name)


def places_called(kind: str, binaries: list[Binary]) -> Places:
    from ebpf_tour.survey.places import kernel_places, user_places

    return kernel_places(kind) if kind in KERNEL_KINDS else user_places(kind, binaries)


def matching(places: Places, query: Query) -> list[Place]:
    """Return the places that a query is for, sorted. Raises Error if there can be no list."""
    missing = places.unsupported()
    if missing:
        raise missing
    name, target, provider = (
        re.compile(fnmatch.translate(part)).match
        for part in (query.name, query.target, query.provider)
    )
    found = (
        place
        for place in places.all()
        if name(place.name) and target(place.target) and provider(place.provider)
    )
    return sorted(found, key=places.spelled)


def nothing(args: argparse.Namespace) -> Error:
    pattern = args.pattern or "*"
    return Error(
        f"nothing here matches '{pattern}'",
        "check upper and lower case; the pattern must match the whole name"
        if "*" in pattern
        else f"use * for any text:  '*{pattern.rpartition(':')[2]}*'",
    )


def row_of(places: Places, place: Place, args: argparse.Namespace) -> Row:
    return {
        "probe": places.spelled(place),
        "kind": places.kind,
        "target": place.target,
        "provider": place.provider or None,
        "name": place.name,
        "fields": places.fields(place) if args.verbose else None,
        "refused": (places.refused(place) or None) if args.verbose else None,
    }


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """Yield the text for a terminal: a line for each probe, below it what -v adds."""
    for row in rows:
        yield str(row["probe"])
        for field in row["fields"] if isinstance(row["fields"], list) else ():
            yield f"    {field}"
        if row["refused"]:
            yield f"    (this kernel refuses it: {row['refused']})"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pattern",
        nargs="?",
        metavar="PATTERN",
        help="which probes: NAME, KIND:NAME or KIND:TARGET:NAME, each with * for any text",
    )
    parser.add_argument(
        "--binary",
        metavar="FILE",
        help="list the functions and USDT probes of a program or library: a path, or a name "
        "such as bash or libc",
    )
    parser.add_argument(
        "-p",
        "--pid",
        type=cli.positive_int,
        metavar="PID",
        help="list the functions and USDT probes of all files that a process has mapped",
    )
    cli.add_limit(parser)


TOOL = Tool(
    name="probes",
    lesson=30,
    read_before=("minimal",),
    summary="list what can be hooked here: events and functions, by name or pattern",
    description=(
        "List the places where a BPF program can be attached on this machine: tracepoints, "
        "functions of the kernel, functions and USDT probes of programs. PATTERN chooses some of "
        "them, as with bpftrace -l."
    ),
    columns=(
        Column(
            "probe",
            "PROBE",
            "the full name, as a pattern and as bpftrace writes it",
            kernel_bytes=True,
        ),
        Column("kind", "", "the kind of probe"),
        Column(
            "target",
            "",
            "the category of a tracepoint, the module of a kernel function (vmlinux: none), the "
            "path of a program or library",
            kernel_bytes=True,
        ),
        Column(
            "provider", "", "the group of a USDT probe, as its program calls it", kernel_bytes=True
        ),
        Column("name", "", "the event or function", kernel_bytes=True),
        Column(
            "fields",
            "",
            "with -v: what a program gets at the probe, such as the fields of a record or the "
            "arguments of a function, each as C text",
            kernel_bytes=True,
        ),
        Column(
            "refused",
            "",
            "with -v, for an iterator: the error with which this kernel refuses programs, such "
            "as EPERM; empty if it accepts them, or if only root could try",
        ),
    ),
    examples=(
        Example("ebpf-probes '*mkdir*'", "everything with mkdir in its name"),
        Example("ebpf-probes -v tracepoint:sched:sched_process_exec", "the fields of a record"),
        Example("ebpf-probes -v fentry:vfs_mkdir", "the arguments of a function of the kernel"),
        Example("ebpf-probes 'usdt:/usr/bin/python3:*'", "the USDT probes of a program"),
        Example("ebpf-probes --binary libc '*alloc*'", "functions of the C library"),
        Example("ebpf-probes -p 4711 'usdt:*'", "the USDT probes of all files that a process uses"),
    ),
    requirements=(
        "Root for tracepoints and for the exact list of functions for kprobes; without it, "
        "functions come from /proc/kallsyms. Kernel BTF for fentry, iterators and the arguments of "
        "functions, CONFIG_KPROBES for kprobes. Root to try iterators."
    ),
    see_also=("bpftrace(8)", "nm(1)", "perf-list(1)"),
    verbose=(
        "also show the fields and arguments that a program gets at each probe, and which "
        "iterators this kernel refuses"
    ),
)

main = cli.command(TOOL, run, options)
