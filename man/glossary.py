"""The words of the course: what examples/glossary.md says, and the links that lead there.

A word is a heading, what it means, and the pages that teach it. Below the heading of a
word that a newcomer cannot know, a comment has its forms: <!-- link: hook, hooks -->.
In each page the first of these forms becomes a link, unless the page teaches the word.
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

# What is not prose. Words in a link have a place to lead to already.
_OTHER = r"""
      ^```.*?^```$                               # a block of code
    | ^<!--[^\n]*-->\n.*?^<!--\ end\ -->$        # a generated block
    | <!--.*?-->
    | ^(?:\#|\||[ ]{4})[^\n]*$                   # a heading, a row of a table, a line of code
    | `[^`]+`
    | \[[^\]]*\]\([^)]*\)
    | ^\[[^\]]+\]:[ ]https?://[^\n]*$            # where a link leads to
    | https?://\S+
"""
_FLAGS = re.MULTILINE | re.DOTALL | re.VERBOSE | re.IGNORECASE
_BLOCK = re.compile(r"\n<!-- words -->\n(.*?)<!-- end -->\n", re.DOTALL)


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


def linked(page: str, name: str, vocabulary: list[Word]) -> str:
    """Return a page in which the first use of each word leads to the glossary.

    Links of an earlier time are taken out first, so a page that is edited may be
    given again.
    """
    page = unlinked(page)
    word_of = {form.lower(): word for word in vocabulary for form in word.forms}
    if not word_of:
        return page
    seen: dict[Word, str] = {}

    def link(found: re.Match[str]) -> str:
        if not found["form"]:
            return found[0]
        form = " ".join(found["form"].split()).lower()
        word = word_of[form]
        if word in seen or name in word.taught or _is_a_label(found):
            return found[0]
        seen[word] = form
        return f"[{found[0]}]"

    page = re.sub(rf"{_OTHER}|(?P<form>{_any_of(word_of)})", link, page, flags=_FLAGS)
    lines = sorted(f"[{form}]: {GLOSSARY.name}#{word.anchor}\n" for word, form in seen.items())
    return f"{page}\n<!-- words -->\n{''.join(lines)}<!-- end -->\n" if lines else page


def unlinked(page: str) -> str:
    """Return a page without what linked() has added, also around brackets that were there."""
    block = _BLOCK.search(page)
    if not block:
        return page
    labels = re.findall(r"(?m)^\[(.+)\]:", block[1])
    page = page[: block.start()] + page[block.end() :]
    return re.sub(
        rf"{_OTHER}|\[+(?P<form>{_any_of(labels)})\]+",
        lambda found: found["form"] or found[0],
        page,
        flags=_FLAGS,
    )


def _is_a_label(found: re.Match[str]) -> bool:
    """Tell whether brackets would say where a link leads: [hook]: where a paragraph begins."""
    before = found.string[: found.start()]
    return found.string.startswith(":", found.end()) and (
        not before or before.endswith(("\n\n", "\n- "))
    )


def _any_of(forms: dict[str, Word] | list[str]) -> str:
    """Return the pattern of some whole words, the longer ones first, also over a line's end."""
    longest_first = sorted(forms, key=len, reverse=True)
    either = "|".join(r"\s+".join(map(re.escape, form.split())) for form in longest_first)
    return rf"(?<![\w./-])(?:{either})(?![\w-]|[./(]\w)"
