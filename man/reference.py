"""The reference of a tool's author, examples/reference.md: what is made from the docstrings.

A block of the page names a module or class and the names to describe; the block is filled
with a signature and a docstring for each.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING

from ebpf_tour.loader.hooks import kinds as kinds_of_hooks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpf_tour.loader.hooks import Hook

# Where the reference has entries, whole or "in brief", and where it only names what a
# module has: <!-- from MODULE[:CLASS] [as NAME]: NAMES -->, <!-- names of MODULE: NAMES -->
ENTRIES = re.compile(
    r"(<!-- (in brief )?from ([\w.]+)(?::(\w+))?(?: as (\w+))?: ([\w ]+) -->\n).*?(^<!-- end -->)",
    re.DOTALL | re.MULTILINE,
)


NAMES = re.compile(
    r"(<!-- names of ([\w.]+):([\w ]*) -->\n).*?(^<!-- end -->)", re.DOTALL | re.MULTILINE
)


def reference(document: str) -> str:
    """Return the reference of a tool's author with its entries made from the docstrings."""

    def entries(found: re.Match[str]) -> str:
        opening, brief, module, class_, called, names, end = found.groups()
        owner = importlib.import_module(module)
        owner = getattr(owner, class_) if class_ else owner
        prefix = f"{called}." if called else ""
        made = (entry_of(owner, name, prefix, brief=bool(brief)) for name in names.split())
        return opening + "".join(f"{entry}\n" for entry in made) + end

    def only_names(found: re.Match[str]) -> str:
        opening, module, names, end = found.groups()
        owner = importlib.import_module(module)
        assert all(hasattr(owner, name) for name in names.split()), (module, names)
        what = ", ".join(f"`{name}`" for name in names.split())
        shown = f"- `{module}`: {what or summary(owner)}"
        return f"{opening}{in_lines(shown)}\n{end}"

    return NAMES.sub(only_names, ENTRIES.sub(entries, document))


def summary(owner: object) -> str:
    """Return the first paragraph of a docstring."""
    return inspect.cleandoc(str(owner.__doc__)).partition("\n\n")[0]


def in_lines(text: str) -> str:
    """Return an item of a list in lines."""
    return textwrap.fill(text, 88, subsequent_indent="  ", break_on_hyphens=False)


def entry_of(owner: object, name: str, prefix: str, *, brief: bool) -> str:
    """Return the entry of a name: its signature and its docstring, or only the first sentence."""
    value = inspect.getattr_static(owner, name, None)
    text = attribute_docs(owner).get(name, "")
    if isinstance(value, type | property) or inspect.isroutine(value):
        text = value.__doc__ or ""
    text = inspect.cleandoc(text)
    assert text, f"{owner} {name} has no docstring"
    shown = f"{prefix}{name}"
    if inspect.isclass(value) or inspect.isroutine(value):
        shown += signature(getattr(owner, name), method=inspect.isclass(owner))
    first, *rest = text.split("\n\n")
    if brief:
        rest = []
    if not inspect.isclass(value):
        # How to use it, and what it raises. The rest is for who reads the code.
        rest = [part for part in rest if part is rest[0] or part.startswith("Raises ")]
    paragraphs = [f"- `{shown}`: {first}", *rest]
    item, *below = map(in_lines, paragraphs)
    return "\n\n".join([item, *(f"  {part}" for part in below)])


def signature(value: object, *, method: bool) -> str:
    """Return the parameters of a function or class without their types."""
    parameters = list(inspect.signature(value).parameters.values())  # type: ignore[arg-type]
    if method and parameters[:1] and parameters[0].name == "self":
        del parameters[0]
    plain = [item.replace(annotation=inspect.Parameter.empty) for item in parameters]
    return str(inspect.Signature(plain)).replace("'", '"')


@functools.cache
def attribute_docs(owner: object) -> dict[str, str]:
    """Return the strings that are written below the attributes of a class or a module."""
    tree: ast.Module | ast.ClassDef = ast.parse(textwrap.dedent(inspect.getsource(owner)))  # type: ignore[arg-type]
    if inspect.isclass(owner):
        (tree,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    found = {}
    for attribute, below in pairwise(tree.body):
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            targets = attribute.targets if isinstance(attribute, ast.Assign) else ()
            targets = (attribute.target,) if isinstance(attribute, ast.AnnAssign) else targets
            for target in targets:
                if isinstance(target, ast.Name):
                    found[target.id] = str(below.value.value)
    return found


def hooks_table() -> str:
    """Return a row for each kind of hook: its name in Python and in both dialects."""
    lines = [
        "| in Python | `SEC()` for libbpf | function or macro for BCC | target |",
        "|---|---|---|---|",
    ]
    for kind in kinds_of_hooks():
        near = (other for other in kind.__subclasses__() if other.__module__ == kind.__module__)
        for hook, in_python in (pair for each in (kind, *near) for pair in examples_of(each)):
            target = f"`{hook.takes}`" if hook.takes else "-"
            in_bcc = f"`{hook.in_bcc}`" if "bcc" in hook.engines else "-"
            both = f"`{hook.section}` | {in_bcc}"
            lines.append(f"| `{in_python}` | {both} | {target} |")
    return "\n".join(lines)


def examples_of(kind: type[Hook]) -> Iterator[tuple[Hook, str]]:
    """Yield a hook of a kind with made-up names, and how it is written; at a return, too."""
    parameters = inspect.signature(kind).parameters
    names = [name.upper() for name, item in parameters.items() if item.default is item.empty]
    words = [f'"{name}"' for name in names]
    yield kind(*names), f"{kind.__name__}({', '.join(words)})"
    if "returns" in parameters:
        words.append("returns=True")
        yield kind(*names, returns=True), f"{kind.__name__}({', '.join(words)})"  # type: ignore[call-arg]
