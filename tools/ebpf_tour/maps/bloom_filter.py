"""bloom-filter: a set that says "perhaps" or "no".

BCC 0.26 has no word for it: neither BPF_TABLE() nor BPF_QUEUESTACK() knows "bloom_filter".
"""

from __future__ import annotations

from ebpf_tour.frame.maps import MapLesson, Steps
from ebpf_tour.loader.hooks.prog_run import ProgRun

ROOM = 100


def run(steps: Steps) -> None:
    bloom = steps.program.map("filter")
    steps.part("What goes in and comes out")
    steps.run("peek", 17, note="no: 17 was surely never pushed")
    steps.run("push", 17)
    steps.run("peek", 17, note="perhaps: 17 may have been pushed")

    steps.part(f"When it is full: it is made for {ROOM}")
    steps.run_each("push", range(ROOM), note="all went in")
    steps.run_each("peek", range(ROOM), note='"perhaps" for all: it forgets none')
    steps.run_each("peek", range(1001, 2001), note='of 1000 never pushed: "perhaps"')
    steps.run_each("push", range(ROOM, 10 * ROOM), note="900 more: none was refused")
    steps.run_each("peek", range(1001, 2001), note='"perhaps" for nearly all: useless')

    steps.part("How user space reads it")
    steps.tool("peek 17", lambda: 0 if bloom.may_have(17) else None, note="perhaps")
    steps.tool("all values", bloom.keys, note="it keeps bits, not the values")


LESSON = MapLesson(
    name="bloom-filter",
    type="BLOOM_FILTER",
    place=8,
    about='a set that says "perhaps" or "no"',
    when=(
        "Most of what you see was never in a set, and you want to skip it at once: ask the filter, "
        'and an exact map only at "perhaps". It takes one or two bytes for a value of any size.'
    ),
    full='It takes any number, but says "perhaps" more often, wrongly: make it large enough.',
    gone="Nobody: a value cannot be removed. Make a new filter.",
    shared="They only set bits, each atomically: none is lost.",
    rather="hash, if you need to be sure, or to remove.",
    programs=tuple(
        ProgRun(function, map_type="BLOOM_FILTER", since="5.16", engines=("libbpf",))
        for function in ("push", "peek")
    ),
    run=run,
    measured={"lookup": ("peek", (1,)), "update": ("push", (1,))},
)
