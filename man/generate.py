"""Write what derives from the tools' records: manual pages, catalogue, index of the course.

`make man` runs it; with `--check` it writes nothing and fails if a file is not
what the records say.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from argparse_manpage.manpage import Manpage

from ebpf_tour import __version__
from ebpf_tour.frame.catalogue import parser_of, tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpf_tour.frame.record import Column, Command, Map, Tool

ROOT = Path(__file__).resolve().parent.parent

EXIT_STATUS = (
    ("0", "The normal end; also after Ctrl-C, and when the reader of a pipe goes away."),
    ("1", "It failed while it ran"),  # more in exit_status()
    ("2", "The command line is wrong."),
    ("69", "The kernel or the machine lacks what the tool needs."),
    ("77", "It is not permitted."),
)

LIFECYCLE = (
    "Like every BPF program it is opened, configured (its global variables), loaded (the kernel's "
    "verifier checks it), attached to its hook, read, and closed. When the tool ends, however it "
    "ends, the kernel detaches and frees everything."
)

OUTPUT = "Rows go to standard output, everything else to standard error."

ATTACHED = (
    "Once the program is attached, and not before, one line on standard error says so. It ends in "
    '"Ctrl-C to end.", for scripts that wait for it.'
)

# Names of commands, options and functions are to be found and copied.
WHOLE_WORDS = ".nr HY 0\n.ad l\n"

EXACT = (
    "JSON and CSV hold every byte that the kernel had; a table shows what cannot be printed as an "
    "escape. JSON is ASCII, with its own escapes. Where bytes of a value are no UTF-8, the value "
    "has U+FFFD in their place, and a key KEY_hex beside it has all bytes of the value in "
    "hexadecimal (of a list: a list as long, with null where an item is UTF-8). The key is there "
    "only then. CSV is UTF-8. In {columns} a line break is \\n, a backslash \\\\, and each byte of "
    "another control character or one that is no UTF-8 \\xNN. A semicolon separates the items of a "
    "list; one inside of an item is \\;. A cell that begins with = + - or @ stays as it is: tell a "
    "spreadsheet to import it as text."
)

SUMMARY = (
    'The last JSON record is {"type": "summary", "events": N, "lost": N}: the rows shown, and the '
    "events that the kernel or the tool had to drop."
)


def roff(text: str) -> str:
    """Return text for a manual page; no line of it is taken for a command."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return "\n".join(
        rf"\&{line}" if line.startswith((".", "'")) else line for line in escaped.split("\n")
    )


def term(head: str, text: str) -> str:
    return f".TP\n{head}\n{roff(text)}"


ENVIRONMENT = {
    "EBPF_TOUR_ENGINE": "The engine where --engine is not given: auto, libbpf or bcc.",
}


def synopsis(tool: Tool, parser: argparse.ArgumentParser) -> str:
    """Return the forms of the command line: without a subcommand, and with each."""
    words = words_of(tool, parser)
    forms = [[], *([rf"\fB{roff(command.name)}\fR"] for command in tool.commands)]
    return "\n".join(
        "\n".join([f".SY {roff(tool.command)}", *form, *words, ".YS"]) for form in forms
    )


def words_of(tool: Tool, parser: argparse.ArgumentParser) -> list[str]:
    """Return the arguments and options as a synopsis has them."""
    lines = []
    for action in actions(tool, parser):
        text = rf"\fI{roff(value_of(action))}\fR"
        if action.option_strings:
            names = "|".join(rf"\fB{roff(name)}\fR" for name in action.option_strings)
            text = names if action.nargs == 0 else rf"{names}\~{text}"
        optional = action.option_strings or action.nargs == "?"
        lines.append(f"[{text}]" if optional else text)
    return lines


def actions(tool: Tool, parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments and options, --help last; no subcommand, which has its own section."""
    first, *rest = parser._actions  # noqa: SLF001 - argparse shows them nowhere else
    assert first.dest == "help"
    return [a for a in [*rest, first] if not (tool.commands and a.dest == "command")]


def value_of(action: argparse.Action) -> str:
    return str(action.metavar or "|".join(action.choices or ()) or action.dest)


def options(tool: Tool, parser: argparse.ArgumentParser) -> str:
    """Return what each argument and option does."""
    terms = []
    for action in actions(tool, parser):
        value = rf"\fI{roff(value_of(action))}\fR"
        names = ", ".join(rf"\fB{roff(name)}\fR" for name in action.option_strings)
        head = " ".join([names] * bool(names) + [value] * (action.nargs != 0))
        assert action.help
        terms.append(term(head, sentence(action.help)))
    return "\n".join(terms)


def sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."


def how_it_works(tool: Tool) -> str:
    parts = [roff(tool.how_it_works)]
    if tool.via:
        parts += [".PP", roff(LIFECYCLE), ".PP", "Hooks:"]
        parts += [rf".br\n\(bu \fB{roff(str(hook))}\fR".replace(r"\n", "\n") for hook in tool.hooks]
        parts += [".PP", "Maps:"]
        for item in tool.maps:
            parts.append(
                f".br\n\\(bu \\fB{roff(item.name)}\\fR, {roff(base_type(item))}: {roff(item.doc)}"
            )
    return "\n".join(parts)


def base_type(item: Map) -> str:
    """Return a map's type without what it has in parentheses: "array", not "array (.bss)"."""
    return item.type.partition(" (")[0]


def named(tool: Tool, command: Command) -> str:
    return rf"\fB{roff(tool.command)} {roff(command.name)}\fR"


def commands(tool: Tool) -> str:
    return "\n".join(term(named(tool, command), command.description) for command in tool.commands)


def column_term(column: Column) -> str:
    header = rf"\fB{roff(column.header)}\fR " if column.header else ""
    head = rf"{header}(\fI{roff(column.key)}\fR)"
    return term(head, sentence(column.doc))


def exit_status(tool: Tool) -> str:
    more = "; also a demo that did not see what it caused." if tool.via else "."
    if tool.name == "probes":
        more = ", or nothing matches."
    parts = [
        term(rf"\fB{status}\fR", doc + more if status == "1" else doc)
        for status, doc in EXIT_STATUS
    ]
    for command in tool.commands:
        parts += [".PP", f"Of {named(tool, command)}: {roff(command.exit_status)}"]
    return "\n".join(parts)


def output(tool: Tool) -> str:
    parts = [roff(f"{OUTPUT} {ATTACHED}" if tool.via else OUTPUT)]
    if tool.output:
        parts += [".PP", roff(tool.output)]
    parts.append(".PP\nThe columns, with the keys of the JSON and CSV records in parentheses:")
    parts += map(column_term, tool.columns)
    for command in tool.commands:
        parts += [".PP", f"Those of {named(tool, command)}:"]
        parts += map(column_term, command.columns)
    names = [column.key for column in tool.columns if column.kernel_bytes]
    if names:
        columns = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        parts += [".PP", roff(EXACT.format(columns=columns))]
    parts += [".PP", roff(SUMMARY)]
    return "\n".join(part for part in parts if part)


def sections(tool: Tool) -> Iterator[tuple[str, str]]:
    """Yield heading and text of what argparse does not know."""
    if tool.commands:
        yield "COMMANDS", commands(tool)
    yield "HOW IT WORKS", how_it_works(tool)
    yield "OUTPUT", output(tool)
    yield (
        "EXAMPLES",
        "\n".join(
            term(rf"\fB{roff(example.command)}\fR", sentence(example.doc))
            for example in tool.examples
        ),
    )
    yield "EXIT STATUS", exit_status(tool)
    if tool.via:
        yield (
            "ENVIRONMENT",
            "\n".join(term(rf"\fB{name}\fR", text) for name, text in ENVIRONMENT.items()),
        )
    yield "REQUIREMENTS", roff(tool.requirements)
    yield "OVERHEAD", roff(tool.overhead)
    pages = [f"{other.command}({other.section})" for other in tools() if other.name != tool.name]
    pages.append("ebpf-tour(7)")
    yield (
        "SEE ALSO",
        ",\n".join(
            rf".BR {roff(page.replace('(', ' ('))}" for page in [*pages, *tool.see_also]
        ).replace(",\n", " ,\n"),
    )


ORDER = (
    *("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "HOW IT WORKS", "OPTIONS", "OUTPUT"),
    "EXAMPLES",
    *("EXIT STATUS", "ENVIRONMENT", "REQUIREMENTS", "OVERHEAD", "SEE ALSO"),
)


def release_date() -> str:
    """Return the date of the newest release, from CHANGELOG.md."""
    text = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(r"^## \S+ - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    assert found, "CHANGELOG.md has no dated release"
    return found[1]


def page(tool: Tool) -> str:
    """Return the manual page of a tool."""
    parser = parser_of(tool)
    parser.man_short_description = tool.summary  # type: ignore[attr-defined]
    parser.epilog = None  # the examples have a section of their own
    data = {
        "date": release_date(),
        "project_name": "ebpf-tour",
        "version": __version__,
        "manual_title": "eBPF by example",
        "manual_section": str(tool.section),
    }
    manpage = Manpage(parser, data)
    manpage.add_section("synopsis", "=", synopsis(tool, parser))
    for heading, text in sections(tool):
        manpage.add_section(heading, "=", text)
    # argparse-manpage puts every other section behind the options.
    head, *rest = re.split(r"(?m)^\.SH ", str(manpage))
    parts = {}
    for part in rest:
        heading, _, text = part.partition("\n")
        parts[heading] = text.strip("\n")
    # Arguments that are no options would be left there.
    parts["DESCRIPTION"] = parts["DESCRIPTION"].partition("\n.TP\n")[0]
    parts["OPTIONS"] = options(tool, parser)
    assert set(parts) <= set(ORDER), set(parts) - set(ORDER)
    body = "".join(f".SH {heading}\n{parts[heading]}\n" for heading in ORDER if heading in parts)
    return f".\\\" Generated by man/generate.py from the tool's record.\n{head}{WHOLE_WORDS}{body}"


# What ebpf-tour(7) says of each type of map, by the records' names for them.
MAP_TYPES = {
    "array": "Elements by number, all there from the start. Global variables of a program "
    "(.bss, .data, .rodata) are arrays with one element.",
    "per-CPU array": "An array with a copy for each processor, so that no two meet: scratch space "
    "for what is too large for the stack of 512 bytes.",
    "hash": "Elements by any key of fixed size. It joins what two hooks see, or counts by name.",
    "per-CPU hash": "A hash with a value for each processor: counters that need no atomic "
    "addition. The reader adds the values up.",
    "LRU hash": "A hash that never is full: the element that was used least recently makes room.",
    "ring buffer": "A queue of records that all processors share and user space maps into its "
    "memory. Since Linux 5.8.",
    "perf event array": "The older way for records: a buffer for each processor, and no order "
    "between them.",
    "stack trace": "Call stacks by number. A hash without chains: a stack whose slot is taken "
    "is refused.",
    "array of maps": "Maps in a map: a program finds at run time which one to look into.",
}

OVERVIEW = """.SH DESCRIPTION
An eBPF program is a small program that the kernel runs at a place of its own
code, a hook. Before that, the kernel's verifier proves that the program ends
and touches only what it may. It keeps state in maps, which user space reads,
too. Each tool of this suite shows one hook type or one map type and does
something useful with it; its manual page says how it works.
.SH LIFECYCLE
Every tool goes through the same phases, which have the names of libbpf:
.TP
.B open
Read the compiled object (libbpf) or the C source (BCC).
.TP
.B configure
Set global variables, sizes of maps, and which programs are wanted.
.TP
.B load
Create the maps and hand the programs to the verifier; what it accepts becomes
machine code.
.TP
.B attach
Connect each program to its hook: from now on the kernel runs it.
.TP
.B read
Take records from a buffer, or look into a map.
.TP
.B close
Detach and free everything. The kernel does so, too, when a tool is killed.
.SH ENGINES
.TP
.B libbpf
The C source (NAME.bpf.c) was compiled by clang when the suite was built.
libbpf adapts the object to the running kernel by the kernel's type information
(BTF): compile once, run everywhere, CO\\-RE. It needs libbpf.so.1 and
.IR /sys/kernel/btf/vmlinux .
.TP
.B bcc
BCC compiles the C source (NAME.bcc.c) at each start, inside the tool. It needs
the package python3\\-bpfcc, and kernel BTF or kernel headers.
.PP
.B \\-\\-engine
chooses; without it, libbpf is taken where the kernel has BTF, otherwise BCC.
Both give the same rows.
"""


def overview() -> str:
    """Return ebpf-tour(7): hooks, maps, engines and the lifecycle, and which tool shows what."""
    hooks: dict[str, list[str]] = {}  # what there is to say: the kinds
    hooked: dict[str, list[str]] = {}
    mapped: dict[str, list[str]] = {}
    for tool in tools():
        for hook in tool.hooks:
            kinds = hooks.setdefault(hook.about, [])
            kinds += [hook.kind] if hook.kind not in kinds else []
        for about in dict.fromkeys(hook.about for hook in tool.hooks):
            hooked.setdefault(about, []).append(tool.command)
        for kind in dict.fromkeys(base_type(item) for item in tool.maps):
            mapped.setdefault(kind, []).append(tool.command)

    def entry(head: str, text: str, commands: list[str]) -> str:
        return term(rf"\fB{roff(head)}\fR", f"{text} Shown by {', '.join(commands)}.".strip())

    title = rf'.TH EBPF\-TOUR "7" "{roff(release_date())}" "ebpf\-tour {__version__}"'
    return "\n".join(
        [
            '.\\" Generated by man/generate.py from the records of the tools.',
            f'{title} "eBPF by example"',
            WHOLE_WORDS.strip(),
            ".SH NAME",
            r"ebpf\-tour \- learn eBPF by example: hooks, maps, engines and the lifecycle",
            OVERVIEW + ".SH HOOKS",
            *(entry(", ".join(hooks[about]), about, names) for about, names in hooked.items()),
            ".SH MAPS",
            *(entry(kind, MAP_TYPES.get(kind, ""), names) for kind, names in mapped.items()),
            ".SH TOOLS",
            "In the order of the course, each with a page in section 8:",
            *(term(rf"\fB{roff(t.command)}\fR", sentence(t.summary)) for t in tools()),
            ".SH SEE ALSO",
            ".BR bpftool (8),\n.BR bpftrace (8),\n.BR bpf (2),\n.BR bpf\\-helpers (7)",
            "",
        ]
    )


def catalogue() -> str:
    """Return the README's table of tools."""
    lines = ["| tool | hook | map | what it shows |", "|---|---|---|---|"]
    for tool in tools():
        if tool.lesson:
            hooks = ", ".join(dict.fromkeys(hook.kind for hook in tool.hooks))
            maps = ", ".join(dict.fromkeys(item.type for item in tool.maps))
            name = f"[{tool.command}](examples/{tool.name}.md)"
            lines.append(f"| {name} | {hooks or '-'} | {maps or '-'} | {tool.summary} |")
    return "\n".join(lines)


COURSE = """# The course

The walkthroughs in their order. Each takes about ten minutes: what you will
see, the program in both dialects, the Python phase by phase, a look inside, the
same by other means, things to try. One terminal and root are enough.

What stands behind a `#` is for a shell of root that finds the commands. In a
checkout, after `make demo`, this starts one:

    sudo env "PATH=$PWD/.venv/bin:$PATH" bash

There, a tool shows what you have changed, its C after `make bpf`. (`make install`
puts copies below /usr/local, which stay as they are.) "The same by other means"
needs packages; Debian's are bpftrace, bpftool, linux-perf, strace and bpfcc-tools.

"""


def course() -> str:
    """Return the walkthroughs' index."""
    lines = []
    for number, tool in enumerate((tool for tool in tools() if tool.lesson), 1):
        kinds = ", ".join(dict.fromkeys(hook.kind for hook in tool.hooks)) or "no program"
        types = ", ".join(dict.fromkeys(item.type for item in tool.maps)) or "no map"
        lines.append(f"{number}. [{tool.command}]({tool.name}.md): {tool.summary}")
        lines.append(f"   ({kinds}; {types})")
    others = [tool for tool in tools() if not tool.lesson]
    lines += ["", "Beside the course:", ""]
    lines += [f"- [{tool.command}]({tool.name}.md): {tool.summary}" for tool in others]
    lines += [
        "- [When the verifier says no](verifier.md): three programs that are broken on purpose"
    ]
    return COURSE + "\n".join(lines) + "\n"


def derived() -> dict[Path, str]:
    """Return every file that derives from the records, with its text."""
    files = {ROOT / f"man/{tool.command}.{tool.section}": page(tool) for tool in tools()}
    files[ROOT / "man/ebpf-tour.7"] = overview()
    files[ROOT / "examples/README.md"] = course()
    readme = ROOT / "README.md"
    files[readme] = re.sub(
        r"(<!-- catalogue -->\n).*(\n<!-- end -->)",
        lambda match: match[1] + catalogue() + match[2],
        readme.read_text(),
        flags=re.DOTALL,
    )
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args().check
    stale = 0
    for path, text in derived().items():
        if path.exists() and path.read_text() == text:
            continue
        stale += 1
        print(f"{path.relative_to(ROOT)}: {'not what the records say' if check else 'written'}")
        if not check:
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
