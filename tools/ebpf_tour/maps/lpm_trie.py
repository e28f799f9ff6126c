"""lpm-trie: values by prefix, of which the longest wins."""

from __future__ import annotations

import socket
import sys

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 3


def run(steps: Steps) -> None:
    trie = steps.program.map("trie")

    def lookup(address: str, note: str = "") -> None:
        steps.run("lookup", number_of(address), call=f"lookup({address})", note=note)

    def update(prefix: str, value: int, note: str = "") -> None:
        steps.run("update", *key_of(prefix), value, call=f"update({prefix}, {value})", note=note)

    steps.part("What goes in and comes out")
    update("10.0.0.0/8", 1)
    update("10.1.0.0/16", 2)
    lookup("10.1.2.3", note="both match: the longer one wins")
    lookup("10.2.2.3", note="only 10.0.0.0/8 matches")
    lookup("192.168.1.1", note="none matches")
    update("0.0.0.0/0", 3, note="no bit has to match: the default")
    lookup("192.168.1.1")

    steps.part(f"When it is full: it has room for {ROOM} prefixes")
    update("10.1.2.0/24", 4, note="a new prefix gets no place")
    steps.run("delete", *key_of("10.1.0.0/16"), call="delete(10.1.0.0/16)")
    update("10.1.2.0/24", 4)
    lookup("10.1.2.3")
    lookup("10.1.9.9", note="10.0.0.0/8 again")

    steps.part("How user space reads it")
    steps.tool("lookup 10.1.2.3", lambda: trie.get((32, number_of("10.1.2.3"))))
    steps.tool("all keys", lambda: sorted(map(prefix_of, trie.keys())))


def number_of(address: str) -> int:
    """Return an IPv4 address as the C has it: a number in network byte order."""
    return int.from_bytes(socket.inet_aton(address), sys.byteorder)


def key_of(prefix: str) -> tuple[int, int]:
    """Return the members of a key: "10.0.0.0/8"."""
    address, bits = prefix.split("/")
    return int(bits), number_of(address)


def prefix_of(key: tuple[int, int]) -> str:
    """Return a key as text; the inverse of `key_of()`."""
    bits, address = key
    return f"{socket.inet_ntoa(address.to_bytes(4, sys.byteorder))}/{bits}"


LESSON = MapLesson(
    name="lpm-trie",
    type="LPM_TRIE",
    place=9,
    about="values by prefix, of which the longest wins",
    when=(
        "A rule is for a whole range of addresses, and a narrower one beats it: routes, networks "
        "to block or allow, beginnings of paths. A hash would need every single address."
    ),
    full="A new prefix is refused (-ENOSPC).",
    gone="Only you remove elements.",
    shared="Both see the same values, as in a hash: without an atomic addition, some are lost.",
    rather="hash, if whole addresses are the keys.",
    programs=tuple(map(ProgRun, ("lookup", "update", "delete", "update_delete"))),
    run=run,
    measured={
        "lookup": ("lookup", (number_of("10.1.2.3"),)),
        "update": ("update", (*key_of("10.0.0.0/8"), 1)),
        "update_delete": ("update_delete", key_of("10.1.0.0/16")),
    },
)
