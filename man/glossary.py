"""The words of the course: what examples/glossary.md says.

A word is a heading, what it means, and the pages that teach it. Below the heading of a
word that a newcomer cannot know, a comment has its forms: <!-- link: hook, hooks -->.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

GLOSSARY = Path(__file__).resolve().parent.parent / "examples/glossary.md"

_ENTRY = re.compile(
    r"^### (?P<name>.+)\n(?:<!-- link: (?P<forms>.+) -->\n)?\n"
    r"(?P<text>(?:.+\n)+)Taught in (?P<taught>.+)\.$",
    re.MULTILINE,
)


class Word(NamedTuple):
    """A word, what it means, the pages that teach it, and its forms that become links."""

    name: str
    text: str
    taught: tuple[str, ...]
    forms: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """What GitHub makes of the heading."""
        return re.sub(r"[^\w -]", "", self.name.lower()).replace(" ", "-")


def words() -> list[Word]:
    """Return the words of the glossary, in its order."""
    return words_of(GLOSSARY.read_text(encoding="utf-8"))


def words_of(glossary: str) -> list[Word]:
    found = []
    for entry in _ENTRY.finditer(glossary):
        forms = tuple(entry["forms"].split(", ")) if entry["forms"] else ()
        taught = tuple(re.findall(r"\]\(([^)]+)\)", entry["taught"]))
        found.append(Word(entry["name"], entry["text"].strip(), taught, forms))
    return found


def plain(text: str) -> str:
    """Return a text without what Markdown adds, in one line."""
    return " ".join(text.replace("`", "").split())
