"""What the kernel's verifier says, for people who meet it for the first time.

Its log is text for experts, and each kernel words it a little differently. The
functions here find out from it why and where the verifier refused a program, and
what it cost to follow one. They take text and return text; none asks the kernel.
"""

from __future__ import annotations

import bisect
import errno
import functools
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import Error
from ebpf_tour.explain.lines import SourceLine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ebpf_tour.explain.lines import Lines

# How many of the last instructions an error shows, and how much of each.
_STEPS = 5
_WIDTH = 98

# A log can have 16 MiB; why it ends is at its end. Before Linux 6.4, of a longer
# one the end is lost, later the beginning.
_TAIL = 64 << 10
TOO_LONG = "its log is longer than 16 MiB"

# "7: (79) r1 = *(u64 *)(r0 +0)         ; R0=map_value(...) R1=scalar()". Without
# the state of the registers where the verifier did not get past it. Old kernels
# (5.10) write that on a line of its own, and mostly not at all.
_STEP = re.compile(
    r"^(\d+): (\([0-9a-f]{2}\) .*?|<invalid .*>)(?: +; ?((?:R\d|frame|fp|refs=).*)?)?$",
    re.MULTILINE,
)

# Behind a jump, what comes next can be on the same line: another instruction's
# state ("3: R0=scalar()"), a line of C, or the reason.
_JUMP = re.compile(r"(.*?goto pc[+-]\d+) (.*)")

# The verifier's own "; *count += 1; @ lookup.bpf.c:25"; before Linux 6.9 without
# the place.
_SOURCE = re.compile(r"^; (.+?)(?: @ (\S+):(\d+))?$", re.MULTILINE)

# Of a program of BCC's, and the instructions in their order.
_BCC_PLACE = re.compile(r" @ main\.c:\d+$", re.MULTILINE)
_NUMBER = re.compile(r"^(\d+): \(", re.MULTILINE)

# What stands below the last instruction and is no reason: statistics, and the
# states that the verifier compared or went back over.
_NO_REASON = re.compile(
    r"\s|;|\d+: |from \d+ to \d+|(cur|old) state:|R\d+\w*=|frame\d*:|\(\d+\) frame|caller:|callee:"
    r"|mark_precise|last_idx|regs=|parent |propagating|processed \d|insns processed"
    r"|(verification time|stack depth|max_states|total_states|peak_states) "
)

_INSN = re.compile(r"\b(?:alloc_insn=|insn )(\d+)")

# The reasons that beginners meet first, as regular expressions, and what they
# mean. The first that matches counts.
_MEANINGS = {
    r"mem access '\w*map_value_or_null'": (
        "a map lookup returns NULL if the key is not there: compare it with NULL before you use it"
    ),
    r"_or_null'|_or_null expected=": (
        "the pointer is NULL if there was no space or no match: compare it with NULL before you "
        "use it"
    ),
    r"mem access '(scalar|inv)'": (
        "to the verifier this is a number, not an address: read memory with a helper such as "
        "bpf_probe_read_kernel(), or with BPF_CORE_READ()"
    ),
    r"infinite loop|back-edge": (
        "the verifier sees no change from one iteration to the next, so to it this loop never "
        "ends: count the iterations, up to a limit"
    ),
    r"too complex|program is too large|longer than 16 MiB": (
        "give each loop a small limit: the verifier follows every iteration and every branch, "
        "and gives up after a million instructions"
    ),
    r"invalid bpf_context access|stores into R\d+ ctx": (
        "read the context field by field, within its bounds; a tracing program may not write to it"
    ),
    r"[Uu]nreleased reference|reference leak": (
        "what was reserved or acquired here must be submitted or released on every path out"
    ),
    r"!read_ok|read from stack .*off -?\d+\+\d|uninit": (
        "it is read before it is written: initialise all of it, including the padding"
    ),
    r"stack .*(size|off|depth)|invalid stack": (
        "put what is larger than the stack of 512 bytes into a per-CPU array"
    ),
    r"invalid access to|allowed memory range|value is negative|unbounded|zero-sized": (
        "this offset or length may be out of bounds, as far as the verifier knows: first "
        "compare it with its limits, as an unsigned number"
    ),
    r"R\d+ type=\S+ expected=": (
        "the helper takes another kind of argument: see its prototype in bpf-helpers(7)"
    ),
    r"unknown func|cannot use helper|(helper call|kernel function) .*not allowed|invalid func": (
        "programs of this type may not call that, or this kernel does not have it: see "
        "bpf-helpers(7)"
    ),
    r"GPL-restricted": (
        "only programs under the GPL may call that helper: name that licence in LICENSE (in BCC, "
        "by BPF_LICENSE; where that is missing, BCC says GPL)"
    ),
    r"CO-RE relocation": (
        "this kernel has no such type or field: test with bpf_core_field_exists(), and see "
        "bpftool btf dump file /sys/kernel/btf/vmlinux format c"
    ),
    r"unreachable insn|jump out of range|not an exit": (
        "end each path through the program with return: one leads nowhere"
    ),
    r"pointer arithmetic|math between|pointer operation|prohibited": (
        "first check the bounds of what is added to the pointer: the verifier must know them"
    ),
}


class Step(NamedTuple):
    """An instruction that the verifier looked at, and the registers after it."""

    number: int
    text: str
    state: str
    source: SourceLine | None
    """The line of C, from the log; its number is 0 where the log does not tell."""


class Statistics(NamedTuple):
    """What it has cost the verifier to follow a program."""

    instructions: int
    states: int
    stack: str
    """Bytes; of each function, if there are several: "24+8"."""
    microseconds: int


def statistics(log: str) -> Statistics | None:
    """Return the statistics at the end of a log, None if it is cut off before."""
    end = log[-_TAIL:]
    processed = re.search(r"^processed (\d+) insns .* total_states (\d+)", end, re.MULTILINE)
    stack = re.search(r"^stack depth ([\d+]+)", end, re.MULTILINE)
    time = re.search(r"^verification time (\d+) usec", end, re.MULTILINE)
    if not (processed and stack and time):
        return None
    return Statistics(int(processed[1]), int(processed[2]), stack[1], int(time[1]))


def with_places(log: str, lines: Lines) -> str:
    """Return the log of a program of BCC's that names the lines of its files.

    The kernel names lines of main.c, which is what BCC has made of them; a newer kernel
    (6.9) has their numbers, too. `lines` are those of the function. Where they do not
    tell, the place is left out.
    """
    steps = list(_NUMBER.finditer(log))
    starts = [step.start() for step in steps]
    line_of = functools.cache(functools.partial(_line_of, lines=lines))

    def place(match: re.Match[str]) -> str:
        following = bisect.bisect(starts, match.start())
        line = line_of(int(steps[following][1])) if following < len(steps) else None
        return f" @ {line.file}:{line.number}" if line else ""

    return _BCC_PLACE.sub(place, log)


def refusal(function: str, log: str, number: int, lines: Lines) -> Error:
    """Return the error for a program that the verifier refuses.

    Its cause names the program, the line of C and the reason, its hint is what
    that means, and its detail shows the last instructions. `number` is the
    errno, `lines` are those of the function, if anyone knows them.
    """
    steps = _steps(log[-_TAIL:])
    why = reason(log, number)
    named = _INSN.search(why)  # the reason knows better than the last step
    where = _line_of(int(named[1]), lines) if named else None
    if not where and steps:
        where = _line_of(steps[-1].number, lines) or steps[-1].source
    place = f" at {where.file}:{where.number}" if where and where.number else ""
    return Error(
        f"the kernel's verifier refuses {function}{place}: {why}",
        meaning(why),
        "\n".join(_path(steps[-_STEPS:], lines)),
    )


def reason(log: str, number: int) -> str:
    """Return why the verifier gave up, in its own words; `number` is the errno."""
    end = log[-_TAIL:]
    last = next(reversed(list(_STEP.finditer(end))), None)
    below = end[last.end() :] if last else end
    said = [line.strip() for line in below.splitlines() if not _NO_REASON.match(line + " ")]
    if last:
        behind = _JUMP.fullmatch(last[2])
        if behind and not _NO_REASON.match(behind[2]):
            said.insert(0, behind[2])
    else:
        said = said[-1:]  # it came to no instruction: all that is before is about others
    if said:
        return "; ".join(said)
    return TOO_LONG if number == errno.ENOSPC else os.strerror(number)


def meaning(why: str) -> str:
    """Return what a reason means for the author of the program, "" if nobody knows."""
    found = (text for pattern, text in _MEANINGS.items() if re.search(pattern, why))
    return next(found, "")


def _steps(log: str) -> list[Step]:
    steps: list[Step] = []
    source: SourceLine | None = None
    for line in log.splitlines():
        if step := _STEP.match(line):
            text = step[2]
            jump = _JUMP.fullmatch(text)
            steps.append(Step(int(step[1]), jump[1] if jump else text, step[3] or "", source))
        elif steps and line.startswith(" R"):  # on old kernels, and not after each of them
            steps[-1] = steps[-1]._replace(state=line.strip())
        elif comment := _SOURCE.match(line):
            text, file, number = comment.groups()
            # BCC has changed the text by then, and counts other lines.
            known = file and file != "main.c"
            source = SourceLine(file or "", int(number) if known else 0, text.strip())
    return steps


def _line_of(insn: int, lines: Lines) -> SourceLine | None:
    """Return the line that an instruction was made from."""
    before = [number for number in lines if number <= insn]
    return lines[max(before)] if before else None


def _path(steps: list[Step], lines: Lines) -> Iterator[str]:
    """Yield the last steps, each below its line of C."""
    shown = None
    for step in steps:
        source = _line_of(step.number, lines) or step.source
        if source and source != shown:
            yield f"; {source}" if source.number else f"; {source.text}"
            shown = source
        text = f"{step.number:4}: {step.text}"
        if step.state:
            text = f"{text:38} ; {step.state}"
        yield text if len(text) <= _WIDTH else f"{text[: _WIDTH - 3]}..."
