"""examples/glossary.md has the words of the course, and each page leads there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import glossary
import pytest
from glossary import Word, linked, unlinked, words_of
from support import ROOT

from ebpf_tour.frame.catalogue import tools

if TYPE_CHECKING:
    from pathlib import Path

WORDS = glossary.words()
PAGES = sorted(set((ROOT / "examples").glob("*.md")) - {glossary.GLOSSARY})
each_word = pytest.mark.parametrize("word", WORDS, ids=lambda word: word.name)
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)

# What a newcomer cannot know. Whoever takes the mark of one away hears of it here.
HARD = {
    *("attach", "BTF", "bytecode", "context", "CO-RE", "fentry", "hash", "helper", "hook", "JIT"),
    *("kfunc", "kprobe", "map", "per-CPU array", "per-CPU hash", "per-CPU map", "r10"),
    *("raw tracepoint", "ring buffer", "scratch", "skeleton", "tgid", "tracefs", "tracepoint"),
    *("uprobe", "user space", "verifier", "XDP"),
}


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def paragraphs(text: str) -> str:
    """Return the prose of a page, told from the rest line by line: no code, heading, table."""
    kept: list[str] = []
    fence = generated = False
    for line in text.splitlines():
        if line.startswith("```"):
            fence = not fence
        elif line.startswith("<!--"):
            generated = line != "<!-- end -->" and "link:" not in line
        elif not (fence or generated or line.startswith(("#", "|", "    "))):
            kept.append(line)
    without_code = re.sub(r"`[^`]*`", "", "\n".join(kept))
    return re.sub(r"\[[^]]*\]\([^)]*\)", "", without_code)


def uses(word: Word, text: str) -> list[re.Match[str]]:
    """Return where a text uses a word, by itself or as a part of a longer one."""
    longest_first = sorted({word.name, *word.forms}, key=len, reverse=True)
    forms = "|".join(re.escape(form).replace(r"\ ", r"\s+") for form in longest_first)
    return list(re.finditer(rf"(?<![\w./-])(?:{forms})(?![\w-])", text, re.IGNORECASE))


def test_every_heading_is_a_word() -> None:
    """No entry has a form that the parser skips."""
    headings = re.findall(r"(?m)^### (.+)$", text_of(glossary.GLOSSARY))
    assert [word.name for word in WORDS] == headings
    assert headings == sorted(headings, key=lambda name: name.lower().replace("-", ""))


def test_anchors_and_forms_are_of_one_word() -> None:
    for values in ([w.anchor for w in WORDS], [f.lower() for w in WORDS for f in w.forms]):
        assert sorted(values) == sorted(set(values))


@each_word
def test_meaning_is_short(word: Word) -> None:
    sentences = re.findall(r"[.?!](?=\s|$)", word.text)
    assert 1 <= len(sentences) <= 4, word.text


@each_word
def test_word_is_used(word: Word) -> None:
    """Somewhere, and in the pages that are said to teach it."""
    assert word.taught
    for name in word.taught:
        text = text_of(ROOT / f"examples/{name}").lower()
        assert any(form.lower() in text for form in (word.name.rstrip("()"), *word.forms)), name


def test_hard_words_are_linked() -> None:
    assert {word.name for word in WORDS if word.forms} >= HARD


def test_each_type_of_map_is_a_word() -> None:
    """ebpf-tour(7) has them from there."""
    assert {item.base_type for tool in tools() for item in tool.maps} <= {w.name for w in WORDS}


@pytest.mark.parametrize("path", [*PAGES, ROOT / "README.md"], ids=lambda path: path.name)
def test_links_lead_to_a_word(path: Path) -> None:
    anchors = {word.anchor for word in WORDS}
    for anchor in re.findall(r"glossary\.md#([\w-]+)", text_of(path)):
        assert anchor in anchors


def first_use(word: Word, prose: str) -> re.Match[str] | None:
    """Return where a word that is to be linked is used first, not inside of a longer one."""
    longer = [other for other in WORDS if other != word and uses(word, " ".join(other.forms))]
    inside = [found.span() for other in longer for found in uses(other, prose)]
    for found in uses(word._replace(name=word.forms[0]), prose):
        if not any(start <= found.start() and found.end() <= end for start, end in inside):
            return found
    return None


@each_page
def test_first_use_leads_there(path: Path) -> None:
    """It is looked for in another way than the links are made."""
    text = text_of(path)
    prose = paragraphs(text)
    targets = dict(re.findall(r"(?m)^\[(.+)\]: glossary\.md#(.+)$", text))
    for word in (word for word in WORDS if word.forms):
        first = first_use(word, prose)
        if first is None or path.name in word.taught:
            assert word.anchor not in targets.values(), word.name
        else:
            around = prose[first.start() - 1] + prose[first.end()]
            assert around == "[]", f"{word.name} has no link: run make man"
            assert targets[" ".join(first[0].split()).lower()] == word.anchor


@each_page
def test_links_are_made_once(path: Path) -> None:
    text = text_of(path)
    assert linked(text, path.name, WORDS) == text
    assert linked(unlinked(text), path.name, WORDS) == text


GLOSSARY = """# Words

### SEC()

A macro.
Taught in [b](b.md).

### map
<!-- link: map, maps -->

Memory in the kernel,
with `a type`.
Taught in [a](a.md) and [lesson b](b.md).

### per-CPU map
<!-- link: per-CPU map -->

Many. It
is fast.
Taught in [a](a.md).
"""
MAP = Word("map", "Memory in the kernel,\nwith `a type`.", ("a.md", "b.md"), ("map", "maps"))
PER_CPU = Word("per-CPU map", "Many. It\nis fast.", ("a.md",), ("per-CPU map",))


def test_words_of() -> None:
    assert words_of(GLOSSARY) == [Word("SEC()", "A macro.", ("b.md",)), MAP, PER_CPU]
    assert [word.anchor for word in words_of(GLOSSARY)] == ["sec", "map", "per-cpu-map"]
    assert glossary.plain(MAP.text) == "Memory in the kernel, with a type."


MAP_BLOCK = "\n<!-- words -->\n[map]: glossary.md#map\n<!-- end -->\n"
MAPS_BLOCK = MAP_BLOCK.replace("[map]", "[maps]")
PER_CPU_BLOCK = MAP_BLOCK.replace("[map]: glossary.md#", "[per-cpu map]: glossary.md#per-cpu-")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("No word.\n", "No word.\n"),
        ("A map and a map.\n", f"A [map] and a map.\n{MAP_BLOCK}"),
        ("Maps, a map.\n", f"[Maps], a map.\n{MAPS_BLOCK}"),
        ("**The map.**\n", f"**The [map].**\n{MAP_BLOCK}"),
        (
            "# map\n\n| map |\n\n    map\n\nA map.\n",
            f"# map\n\n| map |\n\n    map\n\nA [map].\n{MAP_BLOCK}",
        ),
        ("```console\n# map\n```\nA map.\n", f"```console\n# map\n```\nA [map].\n{MAP_BLOCK}"),
        ("<!-- picture -->\na map\n<!-- end -->\n", "<!-- picture -->\na map\n<!-- end -->\n"),
        ("<!-- from a: b -->\n\na map\n\n<!-- end -->\n",) * 2,
        ("`a\nmap`, [a map](x.md), a map.\n", f"`a\nmap`, [a map](x.md), a [map].\n{MAP_BLOCK}"),
        ("bitmap, map.c, lib/map, map_of, map-like\n",) * 2,
        ("See a\nmap: this.\n", f"See a\n[map]: this.\n{MAP_BLOCK}"),
        ("map: what it is. A map.\n", f"map: what it is. A [map].\n{MAP_BLOCK}"),
        (
            "A per-CPU\nmap.\n",
            f"A [per-CPU\nmap].\n{PER_CPU_BLOCK}",
        ),
    ],
)
def test_linked(page: str, expected: str) -> None:
    words = [MAP, PER_CPU]
    assert linked(page, "c.md", words) == expected
    assert linked(expected, "c.md", words) == expected  # nothing is linked twice
    assert unlinked(expected) == page


def test_that_a_page_which_teaches_a_word_has_no_link() -> None:
    assert linked("A map.\n", "a.md", [MAP]) == "A map.\n"
    assert linked(f"A [map].\n{MAP_BLOCK}", "a.md", [MAP]) == "A map.\n"


def test_that_an_edited_page_is_linked_anew() -> None:
    """Somebody has written a sentence before the one with the link."""
    page = f"All maps. A [map].\n{MAP_BLOCK}"
    assert linked(page, "c.md", [MAP]) == f"All [maps]. A map.\n{MAPS_BLOCK}"


def test_that_a_word_which_is_gone_takes_its_links_along() -> None:
    assert linked(f"A [map].\n{MAP_BLOCK}", "c.md", []) == "A map.\n"
