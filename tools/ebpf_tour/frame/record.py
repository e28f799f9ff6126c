"""The record that each tool declares, and that everything else derives from.

`--help`, the manual page, the catalogue in the README, the table of
`ebpf-tour` and the tests' parameters all come from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.frame.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ebpf_tour.loader.hooks import Hook

Value = int | float | str | list[str] | Histogram | None
Row = dict[str, Value]


class Column(NamedTuple):
    """One column of the output, and one key of the JSON records.

    `key` names the value in a row, `header` heads the column, `doc` says what it is. `width`
    is the least number of characters; 0 is for the text that comes last. `session.row()`
    keeps it; in a report, the columns fit their content. `form` is a printf conversion for
    the cell ("%.6f"); `text(row)` returns the cell instead, a string or a list of lines. A
    column without a header is only in JSON and CSV. With an `option`, the table has it only
    if that was given ("timestamp" for --timestamp). `kernel_bytes` says that the value may
    hold any byte: a name, a path. With `histogram`, the value is a Histogram. A report draws
    it below the row's other values, with the header as its unit. JSON has its buckets, and CSV
    has a line for each of them, with `from`, `to` and `count` in place of the key
    (`bucket_count` where there is a count already).
    """

    key: str
    header: str
    doc: str = ""
    width: int = 0
    form: str = "%s"
    right: bool = False
    text: Callable[[Row], str | list[str]] | None = None
    option: str = ""
    kernel_bytes: bool = False
    histogram: bool = False


class Example(NamedTuple):
    """A command line and what it does, for --help and the manual page."""

    command: str
    doc: str


class Map(NamedTuple):
    """A map of the program: its name in the C source, its type, its use.

    `tool` is what the tool does with it: "reads", "sets", "sets and reads", or "" if only
    the programs use it.
    """

    name: str
    type: str
    doc: str
    tool: str = ""

    @property
    def base_type(self) -> str:
        """The type without what is in parentheses: "array", not "array (.bss)"."""
        return self.type.partition(" (")[0]


class Counter(NamedTuple):
    """A counter for --metrics: ebpf_tour_NAME_total. `values` maps the label's values to counts.

    Without a `label`, there is one value, of "". With `most`, only so many have their own series.
    """

    name: str
    doc: str
    label: str
    values: Mapping[str, int]
    most: int = 0


class Flow(NamedTuple):
    """A part of a tool's picture: what happens, the programs that run then, their maps.

    `programs` maps each hook to its function in the libbpf dialect. `reads` and `writes` name
    maps, the trace buffer, or the file descriptor of an iterator. A map in both is changed.
    """

    event: str
    programs: Mapping[Hook, str]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


class Command(NamedTuple):
    """A word behind a tool's name that makes it do something else, with columns of its own.

    A name in capitals stands for any word. `options` are the arguments and options that
    only this command takes, by their argparse names.
    """

    name: str
    summary: str
    description: str
    columns: tuple[Column, ...]
    exit_status: str = ""
    options: tuple[str, ...] = ()


class Page(NamedTuple):
    """A page of the course that is about no tool: its file in examples/, its place, its title."""

    name: str
    lesson: int
    title: str
    summary: str
    read_before: tuple[str, ...] = ()
    for_work: bool = False


class Tool(NamedTuple):
    """Everything there is to know about a tool without running it.

    A tool of your own needs a `name`, which its C files have, too, a `summary`, `columns`,
    the `directory` where its C files are, and `via`. That maps names for --via to the ways
    to see the tool's event, the best way first, each a tuple of hooks. A tool with one way
    has one entry, a tool without a BPF program none.

    The tools of this package fill in all but `directory`. `keeps` are the capabilities that it
    needs once it is attached, besides what every tool needs. `lesson` is its place in the
    course. A tool `for_work` is exact before it is short; all others are lessons.
    `read_before` names the pages of the course that its walkthrough builds on. `picture` is
    of the first way, `verbose` says what -v does.
    """

    name: str
    lesson: int = 0
    for_work: bool = False
    read_before: tuple[str, ...] = ()
    summary: str = ""
    description: str = ""
    columns: tuple[Column, ...] = ()
    examples: tuple[Example, ...] = ()
    requirements: str = ""
    via: Mapping[str, tuple[Hook, ...]] = {}
    maps: tuple[Map, ...] = ()
    picture: tuple[Flow, ...] = ()
    engines: tuple[str, ...] = ("libbpf", "bcc")
    keeps: tuple[str, ...] = ()
    see_also: tuple[str, ...] = ()
    section: int = 8
    directory: str = ""
    verbose: str = "also show what the libraries say"
    commands: tuple[Command, ...] = ()

    @property
    def command(self) -> str:
        """The command's name, such as `ebpf-minimal`."""
        if self.directory:
            return self.name
        return f"ebpf-{self.name.replace('_', '-')}"

    @property
    def title(self) -> str:
        """What a link to its walkthrough says."""
        return self.command

    @property
    def shows_events(self) -> bool:
        """Whether it reads a record of each event from a buffer."""
        buffers = ("ring buffer", "perf event array")
        return any(item.type in buffers and item.tool == "reads" for item in self.maps)

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks of all ways, each once."""
        return tuple(dict.fromkeys(hook for way in self.via.values() for hook in way))
