"""The record that each tool declares, and that everything else derives from.

`--help`, the manual page, the catalogue in the README, the table of
`ebpf-tour` and the tests' parameters all come from here.
"""

from __future__ import annotations

from ebpf_tour.base.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ebpf_tour.loader.hooks import Hook

Value = int | float | str | list[str] | None
Row = dict[str, Value]


class Column(NamedTuple):
    """One column of the output, and one key of the JSON records.

    `width` is the least width in a table, 0 for the free text that comes
    last; `form` is a printf conversion for the cell in a table ("%.6f"),
    `text` makes the cell from the whole row instead, a list of lines if it has
    more than one. A column without a header is not in the table, only in JSON
    and CSV; one with an `option` is in the table only if that option was given
    ("timestamp" for --timestamp). `kernel_bytes` says that a process or the
    kernel chose the value: a name, a path, an argument. It may hold any byte.
    """

    key: str
    header: str
    doc: str
    width: int = 0
    form: str = "%s"
    right: bool = False
    text: Callable[[Row], str | list[str]] | None = None
    option: str = ""
    kernel_bytes: bool = False


class Example(NamedTuple):
    """A command line and what it does, for --help and the manual page."""

    command: str
    doc: str


class Map(NamedTuple):
    """A map of the program: its name in the C source, its type, its use."""

    name: str
    type: str
    doc: str


class Command(NamedTuple):
    """A word behind a tool's name that makes it do something else, with other columns."""

    name: str
    summary: str
    description: str
    columns: tuple[Column, ...]
    exit_status: str


class Tool(NamedTuple):
    """Everything there is to know about a tool without running it.

    `lesson` is its place in the course. `via` holds the ways to see the
    tool's event, best first: a name for --via and the hooks of that way. A
    tool with one way has one entry, a tool without a BPF program none. `verbose`
    is what -v does.

    The tools of this package fill in all of it, which the tests demand. One of
    your own needs a name, a summary, `via`, and the `directory` where its C
    files are.
    """

    name: str
    lesson: int = 0
    summary: str = ""
    description: str = ""
    how_it_works: str = ""
    columns: tuple[Column, ...] = ()
    examples: tuple[Example, ...] = ()
    requirements: str = ""
    overhead: str = ""
    output: str = ""
    via: Mapping[str, tuple[Hook, ...]] = {}
    maps: tuple[Map, ...] = ()
    engines: tuple[str, ...] = ("libbpf", "bcc")
    see_also: tuple[str, ...] = ()
    section: int = 8
    directory: str = ""
    verbose: str = "show what the libraries say, too"
    commands: tuple[Command, ...] = ()

    @property
    def command(self) -> str:
        """The command's name, such as `ebpf-minimal`."""
        if self.directory:
            return self.name
        return "ebpf-tour" if self.name == "tour" else f"ebpf-{self.name}"

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The hooks of all ways, each once."""
        return tuple(dict.fromkeys(hook for way in self.via.values() for hook in way))
