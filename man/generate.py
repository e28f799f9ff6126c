"""Write what is made from the tools' records: manual pages, pictures, catalogue, course.

What is made from docstrings is in reference.py, from the glossary in glossary.py.

argparse-manpage makes a page from a tool's parser and from man/NAME.inc, the prose
that only the page has. Here is what it does not do. `make man` runs this; with
`--check` it writes nothing and fails if a file is not what the records say.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
import textwrap
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import glossary
from argparse_manpage.manpage import Manpage
from reference import hooks_table, reference

from ebpf_tour import __version__
from ebpf_tour.frame.catalogue import course, parser_of, tools
from ebpf_tour.frame.exercises import exercises
from ebpf_tour.frame.picture import drawing
from ebpf_tour.frame.record import Page
from ebpf_tour.survey import territory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ebpf_tour.frame.record import Column, Row, Tool

ROOT = Path(__file__).resolve().parent.parent
os.environ["COLUMNS"] = "80"  # argparse breaks lines by it

# Whole words, since names are to be found and copied; no double space behind a sentence.
LAYOUT = ".nr HY 0\n.ad l\n.ss 12 0\n"


def roff(text: str) -> str:
    """Return text for a manual page; no line of it is taken for a command."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", escaped)


def bold(text: str) -> str:
    return rf"\fB{roff(text)}\fR"


def term(head: str, text: str) -> str:
    return f".TP\n{head}\n{roff(text)}\n"


def sentence(phrase: str) -> str:
    return f"{phrase[:1].upper()}{phrase[1:]}."


def synopsis(tool: Tool, parser: argparse.ArgumentParser) -> str:
    """Return the forms of the command line: without a word behind its name, and with each."""
    only = {name for command in tool.commands for name in command.options}
    forms = [("", words(tool, parser, only))]
    for command in tool.commands:
        others = only.difference(command.options)
        forms.append((f"{bold(command.name)}\n", words(tool, parser, others)))
    return "".join(f".SY {roff(tool.command)}\n{form}{text}.YS\n" for form, text in forms)


def words(tool: Tool, parser: argparse.ArgumentParser, without: set[str]) -> str:
    """Return the arguments and options of a form of the command line."""
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse shows them nowhere else
        if action.dest in without or (tool.commands and action.dest == "command"):
            continue
        value = str(action.metavar or "|".join(action.choices or ()) or action.dest)
        text = rf"\fI{roff(value)}\fR"
        if action.option_strings:
            names = "|".join(map(bold, action.option_strings))
            text = names if action.nargs == 0 else rf"{names}\~{text}"
        optional = action.option_strings or action.nargs == "?"
        found.append(f"[{text}]\n" if optional else f"{text}\n")
    return "".join(found)


def how_it_works(tool: Tool) -> str:
    """Return the picture, the hooks and the maps."""
    if not tool.via:
        return ""
    hooks = "".join(f".br\n\\(bu {bold(str(hook))}\n" for hook in tool.hooks)
    maps = "".join(
        f".br\n\\(bu {bold(item.name)}, {roff(item.base_type)}: {roff(item.doc)}\n"
        for item in tool.maps
    )
    return f"\n.PP\n.nf\n{roff(drawing(tool))}\n.fi\n.PP\nHooks:\n{hooks}.PP\nMaps:\n{maps}"


def output(tool: Tool) -> str:
    """Return the columns: of the tool, and of each command that has its own."""
    keys = "with the keys of the JSON and CSV records in parentheses"
    parts = [f"The columns, {keys}:\n{columns(tool.columns)}"]
    for command in tool.commands:
        if command.columns:
            head = bold(f"{tool.command} {command.name}")
            parts.append(f"Those of {head}:\n{columns(command.columns)}")
    return "".join(f"\n.PP\n{part.strip()}" for part in parts) + "\n"


def columns(described: Iterable[Column]) -> str:
    return "".join(
        term(
            rf"{bold(column.header)} (\fI{roff(column.key)}\fR)".replace(r"\fB\fR ", ""),
            sentence(column.doc),
        )
        for column in described
    )


def exit_status(tool: Tool) -> str:
    """Return the exit statuses of the commands that have their own."""
    return "".join(
        f"\n.PP\nOf {bold(f'{tool.command} {command.name}')}: {roff(command.exit_status)}"
        for command in tool.commands
        if command.exit_status
    )


def see_also(tool: Tool) -> str:
    """Return the neighbours in the course, the overview, and what the record names."""
    course = [None, *(other for other in tools() if other.lesson), None]
    near = [n for pair in pairwise(course) if tool in pair for n in pair if n and n != tool]
    pages = [f"{other.command}({other.section})" for other in near]
    pages += [*(["ebpf-tour(8)"] if tool.lesson else []), "ebpf-tour(7)", *tool.see_also]
    return references(pages)


def references(pages: Iterable[str]) -> str:
    """Return a list of pages such as "ebpf-tour(7)" for SEE ALSO."""
    return " ,\n".join(f".BR {roff(page.replace('(', ' ('))}" for page in pages)


def page(tool: Tool) -> str:
    """Return the manual page of a tool."""
    parser = parser_of(tool)
    parser.epilog = None  # the examples have a section of their own
    manpage = manpage_of(parser, tool.name, tool.summary, tool.section)
    manpage.add_section("synopsis", "=", synopsis(tool, parser))
    manpage.add_section("how it works", ">", how_it_works(tool))
    manpage.add_section("output", ">", output(tool))
    if tool.commands:
        terms = (term(bold(f"{tool.command} {c.name}"), c.description) for c in tool.commands)
        manpage.add_section("commands", "=", "".join(terms))
    options = {text for action in parser._actions for text in action.option_strings}  # noqa: SLF001
    for name, prose in {"--follow": "processes", "--metrics": "metrics"}.items():
        if name in options:
            manpage.parse_include(str(ROOT / f"man/{prose}.inc"))
    manpage.parse_include(str(ROOT / f"man/{'program' if tool.via else 'list'}.inc"))
    manpage.add_section("exit status", ">", exit_status(tool))
    examples = (term(bold(item.command), sentence(item.doc)) for item in tool.examples)
    manpage.add_section("examples", "=", "".join(examples))
    manpage.add_section("requirements", "=", roff(tool.requirements))
    manpage.add_section("see also", "=", see_also(tool))
    # argparse-manpage leaves out --help.
    usage = term(rf"{bold('-h')}, {bold('--help')}", "show the options and end")
    return text_of(manpage, tool.name).replace(".SH OPTIONS\n", f".SH OPTIONS\n{usage}\n", 1)


def manpage_of(parser: argparse.ArgumentParser, stem: str, summary: str, section: int) -> Manpage:
    """Return a page of argparse-manpage with the prose of man/STEM.inc."""
    data = {
        "date": release_date(),
        "description": summary,
        "project_name": "ebpf-tour",
        "version": __version__,
        "manual_title": "eBPF by example",
        "manual_section": str(section),
        "include": str(ROOT / f"man/{stem}.inc"),
    }
    return Manpage(parser, data)


def text_of(manpage: Manpage, stem: str) -> str:
    title, _, rest = str(manpage).partition("\n")
    return f'.\\" Generated by man/generate.py, with man/{stem}.inc.\n{title}\n{LAYOUT}{rest}'


def release_date() -> str:
    """Return the date of the newest release, from CHANGELOG.md."""
    text = (ROOT / "CHANGELOG.md").read_text()
    found = re.search(r"^## \S+ - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    assert found, "CHANGELOG.md has no dated release"
    return found[1]


def overview() -> str:
    """Return ebpf-tour(7): man/overview.inc, the words, and which tool shows which hook and map."""
    kinds: dict[str, dict[str, None]] = {}  # by what there is to say of them
    hooked: dict[str, dict[str, None]] = {}
    mapped: dict[str, dict[str, None]] = {}
    for tool in tools():
        for hook in tool.hooks:
            kinds.setdefault(hook.about, {})[hook.kind] = None
            hooked.setdefault(hook.about, {})[tool.command] = None
        for item in tool.maps:
            mapped.setdefault(item.base_type, {})[tool.command] = None

    def entry(head: str, text: str, commands: Iterable[str]) -> str:
        return term(bold(head), f"{text} Shown by {', '.join(commands)}.")

    manpage = manpage_of(
        argparse.ArgumentParser("ebpf-tour", add_help=False),
        *("overview", "learn eBPF by example: hooks, maps, engines and the lifecycle", 7),
    )
    manpage.synopsis = []
    hooks = (entry(", ".join(kinds[about]), about, names) for about, names in hooked.items())
    meaning = {word.name: glossary.plain(word.text) for word in glossary.words()}
    maps = (entry(kind, meaning[kind], names) for kind, names in mapped.items())
    each = (term(bold(tool.command), sentence(tool.summary)) for tool in tools())
    manpage.add_section("hooks", "=", "".join(hooks))
    manpage.add_section("maps", "=", "".join(maps))
    manpage.add_section(
        "tools", "=", f"In the order of the course, each with a page in section 8:\n{''.join(each)}"
    )
    others = (term(bold(name), text) for name, text in meaning.items() if name not in mapped)
    manpage.add_section("glossary", "=", "".join(others))
    pages = ("ebpf-hooks(7)", "ebpf-maps(7)", "bpftool(8)", "bpftrace(8)", "bpf(2)")
    manpage.add_section("see also", "=", references(pages))
    return text_of(manpage, "overview")


def hook_types() -> str:
    """Return ebpf-hooks(7): man/hook_types.inc, and each line of the types of programs."""
    rows = territory.hook_rows(tools(), None)
    sections = []
    for program, group in groupby(rows, lambda row: row["program_type"]):
        sections.append(f".SS {roff(str(program))}\n")
        for row in group:
            names = (f'SEC("{name}")' for name in words_of(row["sections"]))
            sections.append(type_entry(", ".join(names), row, words_of(row["attach_types"])))
    about = "every type of program of Linux, and the tool that teaches it"
    return type_page("ebpf-hooks", about, "hook_types", "".join(sections), "ebpf-maps(7)")


def map_types() -> str:
    """Return ebpf-maps(7): man/map_types.inc, and each line of the types of maps."""
    rows = territory.map_rows(tools(), None)
    entries = (type_entry(str(row["name"]), row, [str(row["map_type"])]) for row in rows)
    about = "every type of map of Linux, and the tool that teaches it"
    return type_page("ebpf-maps", about, "map_types", "".join(entries), "ebpf-hooks(7)")


def type_entry(head: str, row: Row, types: list[str]) -> str:
    """Return an entry for a type: what `ebpf-tour hooks` shows, and all tools that have it."""
    return term(bold(head), " ".join(type_sentences(row, types)))


def type_sentences(row: Row, types: list[str]) -> Iterator[str]:
    yield from territory.sentences(row | {"here": True}, types)
    yield f"Since Linux {row['since']}; BCC: {row['bcc'] or 'none'}."
    if row["taught_by"]:
        yield f"Taught by {row['taught_by']}."
    others = [tool for tool in words_of(row["tools"]) if tool != row["taught_by"]]
    if others:
        yield f"Also in {', '.join(others)}."


def words_of(value: object) -> list[str]:
    return value if isinstance(value, list) else []


def type_page(command: str, about: str, stem: str, types: str, other: str) -> str:
    manpage = manpage_of(argparse.ArgumentParser(command, add_help=False), stem, about, 7)
    manpage.synopsis = []
    manpage.add_section("types", "=", types)
    pages = (other, "ebpf-tour(7)", "ebpf-tour(8)", "ebpf-probes(8)", "bpf(2)", "bpf-helpers(7)")
    manpage.add_section("see also", "=", references(pages))
    return text_of(manpage, stem)


def kinds_and_types(tool: Tool) -> tuple[str, str]:
    kinds = ", ".join(dict.fromkeys(hook.kind for hook in tool.hooks))
    return kinds, ", ".join(dict.fromkeys(item.type for item in tool.maps))


def catalogue() -> str:
    """Return the README's tables of tools: the lessons, and the tools for work."""
    lines = []
    for for_work, heading in HEADINGS.items():
        lines += [heading, "", "| tool | hook | map | what it shows |", "|---|---|---|---|"]
        for tool in tools():
            if tool.lesson and tool.for_work == for_work:
                kinds, types = kinds_and_types(tool)
                name = f"[{tool.command}](examples/{tool.name}.md)"
                lines.append(f"| {name} | {kinds or '-'} | {types or '-'} | {tool.summary} |")
        lines.append("")
    return "\n".join(lines).strip()


HEADINGS = {
    False: "Lessons, one new thing at a time:",
    True: "Tools for work, exact at the cost of more lines:",
}


def course_index() -> str:
    """Return the walkthroughs' index: the lessons, and the tools for work."""
    lines = []
    heading = ""
    for number, page in enumerate(course(), 1):
        if heading != HEADINGS[page.for_work]:
            heading = HEADINGS[page.for_work]
            lines += ["", heading, ""]
        lines.append(f"{number}. [{page.title}]({page.name}.md): {page.summary}")
        if not isinstance(page, Page):
            kinds, types = kinds_and_types(page)
            lines.append(f"   ({kinds or 'no program'}; {types or 'no map'})")
        names = [f"`{exercise.name}`" for exercise in exercises() if exercise.page == page.name]
        if names:
            lines.append(f"   Exercises: {', '.join(names)}")
    return "\n".join(lines).strip()


def reading(text: str, read_before: Iterable[str]) -> str:
    """Return the line below a walkthrough's title: what to read before it, and how long it takes.

    The words of the prose and of its tables count, and those of code; what is typed and
    printed does not, nor does what is generated.
    """
    titles = {page.name: page.title for page in course()}
    links = ", ".join(f"[{titles[name]}]({name}.md)" for name in read_before)
    prose = re.sub(r"(?s)<!-- \w+ -->.*?<!-- end -->", "", text)
    prose = re.sub(r"(?ms)^```console.*?^```$", "", prose)
    prose = re.sub(r"(?m)^```.*$", "", prose)
    words = len(re.findall(r"\S*\w\S*", prose))
    minutes = math.ceil(words / WORDS_A_MINUTE)
    time = f"Reading time: {minutes} minute{'s' if minutes > 1 else ''}."
    line = f"Read before: {links}. {time}" if links else time
    return textwrap.fill(line, 90, break_on_hyphens=False, break_long_words=False)


WORDS_A_MINUTE = 200


def filled(document: str, marker: str, text: str) -> str:
    """Return a document with a text between its <!-- marker --> and <!-- end -->."""
    parts = re.compile(rf"(<!-- {marker} -->\n).*?(^<!-- end -->)", re.DOTALL | re.MULTILINE)
    document, count = parts.subn(lambda m: f"{m[1]}{text}\n{m[2]}", document)
    assert count == 1, f"there is no <!-- {marker} --> with an <!-- end -->"
    return document


def walkthrough(page: Tool | Page, text: str) -> str:
    """Return a page of the course with its line below the title, and a tool's picture."""
    text = filled(text, "reading", reading(text, page.read_before))
    if isinstance(page, Page) or not page.via:
        return text
    return filled(text, "picture", f"```text\n{drawing(page)}\n```")


def derived() -> dict[Path, str]:
    """Return every file that derives from the records, with its text."""
    files = {ROOT / f"man/{tool.command}.{tool.section}": page(tool) for tool in tools()}
    files[ROOT / "man/ebpf-tour.7"] = overview()
    files[ROOT / "man/ebpf-hooks.7"] = hook_types()
    files[ROOT / "man/ebpf-maps.7"] = map_types()
    for lesson in course():
        path = ROOT / f"examples/{lesson.name}.md"
        files[path] = walkthrough(lesson, path.read_text(encoding="utf-8"))
    for name, marker, text in (
        ("README.md", "catalogue", catalogue()),
        ("examples/README.md", "course", course_index()),
    ):
        files[ROOT / name] = filled((ROOT / name).read_text(encoding="utf-8"), marker, text)
    author = ROOT / "examples/reference.md"
    page_text = filled(author.read_text(encoding="utf-8"), "hooks", hooks_table())
    files[author] = reference(page_text)
    vocabulary = glossary.words()
    for path in set((ROOT / "examples").glob("*.md")) - {glossary.GLOSSARY}:
        text = files.get(path) or path.read_text(encoding="utf-8")
        files[path] = glossary.linked(text, path.name, vocabulary)
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
