"""ebpf-maps: the list, and each type's lesson on both engines. What a lesson is exactly: kind/."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from support import BIN, ENGINES, PATIENCE_S, ROOT, UNSUPPORTED, assert_error, need, run

from ebpf_tour.commands.maps import TOOL, tool_of
from ebpf_tour.frame.maps import MapLesson, map_lessons
from ebpf_tour.loader import features, open_program
from ebpf_tour.userland.cgroup import own_cgroups

if TYPE_CHECKING:
    from ebpf_tour.loader.hooks import Hook

MAPS = BIN / "ebpf-maps"
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-sys_admin,-bpf,-perfmon,-net_admin")
LESSONS = map_lessons()
BY_NAME = {lesson.name: lesson for lesson in LESSONS}

kernel = pytest.mark.kernel

Step = tuple[str, Any]  # the call, and the error's name or the result
Parts = list[list[Step]]
Check = Callable[[Parts], None]

CHECKS: dict[str, Check] = {}


def of(lesson: str) -> Callable[[Check], Check]:
    """Say of a function that it checks the steps of a lesson."""

    def keep(check: Check) -> Check:
        CHECKS[lesson] = check
        return check

    return keep


def lesson_on(name: str, engine: str) -> list[dict[str, Any]]:
    """Return the rows of a lesson."""
    need(*BY_NAME[name].programs)
    result = run(MAPS, name, "--json", "--engine", engine)
    if name == "device-map" and not features.in_kallsyms("xdp_test_run_init_page"):
        reason, _ = assert_error(result, 69, "ebpf-maps")
        assert reason == "this kernel does not send packets by BPF_PROG_RUN"
        pytest.skip(f"{UNSUPPORTED}{reason}")
    assert result.status == 0, result.stderr
    assert result.stderr == ""
    rows = result.records
    assert result.summary == {"type": "summary", "events": len(rows), "lost": 0}
    assert {row["map"] for row in rows} == {name}
    return rows


def steps_of(rows: list[dict[str, Any]]) -> dict[str, list[Step]]:
    """Return the steps of each part: what was called, and what came of it."""
    parts: dict[str, list[Step]] = {}
    for row in rows:
        parts.setdefault(row["part"], []).append((row["call"], row["error"] or row["result"]))
    return parts


def test_every_type_once() -> None:
    assert len({lesson.type for lesson in LESSONS}) == len(LESSONS)
    assert len({lesson.place for lesson in LESSONS}) == len(LESSONS)


def test_the_list() -> None:
    """Without root, and within 80 columns."""
    result = run(*WITHOUT_RIGHTS, MAPS)
    assert result.status == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    names = re.findall(r"(?m)^([a-z]\S+)", result.stdout)
    assert names == [lesson.name for lesson in LESSONS]
    rows = run(*WITHOUT_RIGHTS, MAPS, "--json").records
    assert [row["map"] for row in rows] == names
    for row in rows:
        assert list(row) == [column.key for column in TOOL.columns]


def test_wrong_words() -> None:
    cause, hint = assert_error(run(MAPS, "hsh"), 2, "ebpf-maps")
    assert (cause, hint) == ("there is no lesson on 'hsh'", "did you mean hash?")
    _, hint = assert_error(run(MAPS, "--show", "asm"), 2, "ebpf-maps")
    assert hint == "name a type: ebpf-maps hash --show asm"


@of("hash")
def check_hash(parts: Parts) -> None:
    assert parts[0] == [
        ("update(17, 5)", 0),
        ("lookup(17)", 5),
        ("update(17, 6)", 0),
        ("update(17, 7, 1)", "EEXIST"),
        ("lookup(18)", "ENOENT"),
        ("delete(17)", 0),
    ]
    assert parts[1][4:] == [("update(4, 0)", "E2BIG"), ("update(1, 20)", 0)]
    assert parts[3] == [("lookup 1", 20), ("all keys", ["0", "1", "2", "3"])]
    check_additions(parts[2])


@of("array")
def check_array(parts: Parts) -> None:
    assert parts[0] == [
        ("lookup(3)", 0),
        ("update(3, 5)", 0),
        ("lookup(3)", 5),
        ("update(3, 6, 1)", "EEXIST"),
        ("delete(3)", "EINVAL"),
    ]
    assert parts[1] == [("lookup(4)", "ENOENT"), ("update(4, 7)", "E2BIG")]
    check_additions(parts[2])
    assert parts[3] == [("lookup 3", 5), ("all keys", ["0", "1", "2", "3"])]


@of("percpu-array")
def check_percpu_array(parts: Parts) -> None:
    assert parts[0] == [
        ("lookup(3)", 0),
        ("update(3, 5)", 0),
        ("lookup(3)", 5),
        ("lookup(3)", 0),
    ]
    assert parts[1] == [("lookup(4)", "ENOENT"), ("update(4, 7)", "E2BIG")]
    assert parts[2:] == EACH_CPU_COUNTS


# Two CPUs add a million each, without an atomic addition: a program sees its CPU's value alone.
EACH_CPU_COUNTS: list[list[Step]] = [
    [("add(0) 1000000 times each", None), ("lookup(0)", 1_000_000)],
    [
        ("lookup 0", ["1000000", "1000000"]),
        ("their sum", 2_000_000),
        ("all keys", ["0", "1", "2", "3"]),
    ],
]


@of("percpu-hash")
def check_percpu_hash(parts: Parts) -> None:
    assert parts[0] == [
        ("update(17, 5)", 0),
        ("lookup(17)", 5),
        ("lookup(17)", 0),
        ("delete(17)", 0),
        ("lookup(17)", "ENOENT"),
    ]
    assert parts[1] == [(f"update({key}, 0)", 0) for key in range(4)] + [("update(4, 0)", "E2BIG")]
    assert parts[2:] == EACH_CPU_COUNTS


@of("lru-hash")
def check_lru_hash(parts: Parts) -> None:
    """An old key goes for a new one, but not the one that was used."""
    assert parts[0] == [
        ("update(17, 5)", 0),
        ("lookup(17)", 5),
        ("lookup(18)", "ENOENT"),
        ("delete(17)", 0),
    ]
    assert parts[1] == [
        ("update(0, 10)", 0),
        ("update(1, 11)", 0),
        ("update(2, 12)", 0),
        ("update(3, 13)", 0),
        ("lookup(0)", 10),
        ("update(4, 14)", 0),
        ("lookup(1)", "ENOENT"),
        ("lookup(0)", 10),
        ("update(1001..2000, 15)", 1000),
    ]
    assert parts[2] == [("lookup 2000", 15), ("lookup 1001", "ENOENT")]


@of("queue")
def check_queue(parts: Parts) -> None:
    check_in_line(parts, order=[11, 12, 13], kept=[2, 3, 4, 6])


@of("stack")
def check_stack(parts: Parts) -> None:
    check_in_line(parts, order=[13, 12, 11], kept=[6, 4, 3, 2, "ENOENT"])


def check_in_line(parts: Parts, order: list[int], kept: list[Any]) -> None:
    """The first in is the first out, or the last; BPF_EXIST drops the oldest of both."""
    assert parts[0] == [
        *((f"push({value})", 0) for value in (11, 12, 13)),
        ("peek()", order[0]),
        *(("pop()", value) for value in order),
        ("pop()", "ENOENT"),
    ]
    assert parts[1] == [
        *((f"push({value})", 0) for value in (1, 2, 3, 4)),
        ("push(5)", "E2BIG"),
        ("push(6, 2)", 0),
        *(("pop()", value) for value in kept),
    ]
    assert parts[2] == [
        ("push(0)", 0),
        ("push(0)", 0),
        ("add() 100000 times each", None),
        ("pop 2: their sum", 200_000),
    ]
    assert parts[3] == [
        ("push(21)", 0),
        ("peek", 21),
        ("pop", 21),
        ("pop", "ENOENT"),
        ("all keys", "EINVAL"),
    ]


@of("bloom-filter")
def check_bloom_filter(parts: Parts) -> None:
    """It never says no to what was pushed; what it says wrongly is the same in each run."""
    assert parts == [
        [("peek(17)", "ENOENT"), ("push(17)", 0), ("peek(17)", 0)],
        [
            ("push(0..99)", 100),
            ("peek(0..99)", 100),
            ("peek(1001..2000)", 7),
            ("push(100..999)", 900),
            ("peek(1001..2000)", 975),
        ],
        [("peek 17", 0), ("all values", "EOPNOTSUPP")],
    ]


@of("lpm-trie")
def check_lpm_trie(parts: Parts) -> None:
    assert parts == [
        [
            ("update(10.0.0.0/8, 1)", 0),
            ("update(10.1.0.0/16, 2)", 0),
            ("lookup(10.1.2.3)", 2),
            ("lookup(10.2.2.3)", 1),
            ("lookup(192.168.1.1)", "ENOENT"),
            ("update(0.0.0.0/0, 3)", 0),
            ("lookup(192.168.1.1)", 3),
        ],
        [
            ("update(10.1.2.0/24, 4)", "ENOSPC"),
            ("delete(10.1.0.0/16)", 0),
            ("update(10.1.2.0/24, 4)", 0),
            ("lookup(10.1.2.3)", 4),
            ("lookup(10.1.9.9)", 1),
        ],
        [
            ("lookup 10.1.2.3", 4),
            ("all keys", ["0.0.0.0/0", "10.0.0.0/8", "10.1.2.0/24"]),
        ],
    ]


def check_additions(steps: list[Step]) -> None:
    """Plain additions on two CPUs may be lost, atomic ones are not."""
    lost, kept = (result for call, result in steps if call.startswith("lookup"))
    assert 1_000_000 <= lost <= 2_000_000
    assert kept == 2_000_000


@of("ring-buffer")
def check_ring_buffer(parts: Parts) -> None:
    assert parts[0] == [
        ("small(1)", 0),
        ("large(2)", 0),
        ("discard(3)", 0),
        ("copy(4)", 0),
        ("read", ["1", "2", "4"]),
        ("read", []),
    ]
    assert parts[1][:4] == [(f"large({number})", 0) for number in range(1, 5)]
    assert parts[1][4:] == [
        ("large(5)", "EAGAIN"),
        ("small(6)", 0),
        ("lost", 1),
        ("read", ["1", "2", "3", "4", "6"]),
        ("large(7)", 0),
        ("read", ["7"]),
    ]
    assert parts[2] == [
        ("small(1) 100 times each", None),
        ("count what is read", 200),
        ("lost", 1),
    ]
    assert parts[3] == [("poll", 0), ("small(8)", 0), ("poll", 1), ("read", ["8"])]


@of("user-ring-buffer")
def check_user_ring_buffer(parts: Parts) -> None:
    assert parts == [
        [
            ("put 1, 4 bytes", 0),
            ("put 2, 4 bytes", 0),
            ("drain()", 3),
            ("drain()", 0),
            ("put 10, 4 bytes", 0),
            ("put 20, 16000 bytes", 0),
            ("drain_one()", 10),
            ("drain_one()", 20),
        ],
        [
            *((f"put {number}, 16000 bytes", 0) for number in range(1, 5)),
            ("put 5, 16000 bytes", "ENOSPC"),
            ("drain_one()", 1),
            ("put 5, 16000 bytes", 0),
            ("drain()", 14),
        ],
    ]


@of("array-of-maps")
def check_array_of_maps(parts: Parts) -> None:
    assert parts == [
        [
            ("count(1)", "ENOENT"),
            ("put map a at 0", 0),
            ("count(1)", 0),
            ("count(1)", 0),
            ("lookup(1)", 2),
            ("put map b at 0", 0),
            ("lookup(1)", 0),
            ("count(1)", 0),
            ("counts in a", ["0", "2"]),
            ("counts in b", ["0", "1"]),
        ],
        [("put map a at 1", "E2BIG"), ("put map c at 0", "EINVAL")],
        [
            ("count(0) 100000 times each, and put a new map at 0 half-way", None),
            ("add up all maps used", 200_000),
        ],
        [
            ("put map b at 0", 0),
            ("lookup 0", "id of b"),
            ("delete 0", 0),
            ("count(1)", "ENOENT"),
        ],
    ]


@of("program-array")
def check_program_array(parts: Parts) -> None:
    assert parts == [
        [
            ("jump(0)", "ENOENT"),
            ("put hundred at 0", 0),
            ("jump(0)", 100),
            ("put two_hundred at 0", 0),
            ("jump(0)", 200),
            ("delete 0", 0),
            ("jump(0)", "ENOENT"),
        ],
        [
            ("put hundred at 2", "E2BIG"),
            ("jump(2)", "ENOENT"),
            ("put other at 0", "EINVAL"),
            ("put again at 1", 0),
            ("jump(1)", 32),
        ],
        [("put hundred at 0", 0), ("lookup 0", "id of hundred")],
    ]


@of("task-storage")
def check_task_storage(parts: Parts) -> None:
    assert parts == [
        [
            ("lookup()", "ENOENT"),
            ("count()", 1),
            ("count()", 2),
            ("count()", 1),
            ("lookup()", 2),
        ],
        [("count() 1000 times each", ["1000", "1000"])],
        [
            ("count()", 1),
            ("lookup itself", 2),
            ("lookup child", 1),
            ("lookup child, ended", "ENOENT"),
        ],
    ]


@of("cgroup-storage")
def check_cgroup_storage(parts: Parts) -> None:
    assert parts == [
        [("lookup()", "ENOENT"), ("count()", 1), ("count()", 2), ("count()", 1)],
        [("a child's count() 1000 times each", None), ("lookup()", 2002)],
        [("lookup the directory", 2002), ("lookup it, removed", "ENOENT")],
    ]
    assert own_cgroups() == []


@of("device-map")
def check_device_map(parts: Parts) -> None:
    """Every packet that is sent comes out at the other end, and no other one."""
    assert parts == [
        [
            ("to_first_or_drop()", 1),
            ("to_second_or_pass()", 2),
            ("put first at 0", 0),
            ("to_first_or_drop()", 4),
            ("send 100 packets", 0),
            ("arrived at its peer", 100),
            ("delete 0", 0),
            ("send 100 packets", 0),
            ("arrived at its peer", 0),
        ],
        [("put first at 2", "E2BIG"), ("put no. 999 at 1", "EINVAL")],
        [
            ("put first at 0", 0),
            ("send 100 packets each", None),
            ("arrived at its peer", 200),
        ],
        [("lookup 0", "first"), ("remove the interface", 0), ("lookup 0", "ENOENT")],
    ]


@kernel
@pytest.mark.core
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_lesson(lesson: MapLesson) -> None:
    """Each step, on each engine that can; their rows are equal, but for what was lost."""
    first: list[dict[str, Any]] = []
    for engine in lesson.engines:
        rows = lesson_on(lesson.name, engine)
        CHECKS[lesson.name](list(steps_of(rows).values()))
        for row in rows:
            if "were lost" in (row["note"] or ""):
                row["result"], row["note"] = None, "none was lost"
            elif row["note"] == "none was lost":
                row["result"] = None
        first = first or rows
        assert rows == first


@kernel
@pytest.mark.native
def test_tables_fit_a_terminal() -> None:
    for lesson in LESSONS:
        table = run(MAPS, lesson.name).stdout
        assert max(map(len, table.splitlines())) <= 80, lesson.name
        assert f"BPF_MAP_TYPE_{lesson.type}" in table


@kernel
@pytest.mark.native
def test_additions_are_lost() -> None:
    """Two CPUs that do nothing else lose some at once; on a busy machine, some time later."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        rows = lesson_on("hash", "libbpf")
        notes = [row["note"] for row in rows if row["part"] == "Two CPUs at once"]
        if any("were lost" in (note or "") for note in notes):
            return
    pytest.fail("no addition was lost")


@kernel
@pytest.mark.native
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("engine", ENGINES)
def test_what_it_costs(engine: str) -> None:
    """Everything that the lesson can measure has a number; the rest has none."""
    (row,) = run(MAPS, "hash", "--measure", "--json", "--engine", engine).records
    assert row["map"] == "hash"
    assert row["reason"] is None
    for what in ("lookup", "update", "update_delete"):
        for cpus in (1, 2):
            # 0 where the machine was so busy that an empty program took as long.
            assert 0 <= row[f"{what}_{cpus}_ns"] < 1e6


@kernel
def test_costs_in_a_table() -> None:
    table = run(MAPS, "hash", "--measure").stdout
    assert re.search(r"(?m)^hash( +\d+){6}$", table)


@kernel
def test_show() -> None:
    """--show is what it is for every tool, of the lesson's program."""
    assert "BPF_MAP_TYPE_HASH" in run(MAPS, "hash", "--show", "source").stdout
    maps = run(MAPS, "hash", "--show", "maps").stdout
    assert re.search(r"(?m)^ +\d+  hash +4 +8 +4  hash$", maps)


def test_no_permission() -> None:
    _, hint = assert_error(run(*WITHOUT_RIGHTS, MAPS, "hash"), 77, "ebpf-maps")
    assert hint.startswith("run it as root: ")


def test_each_lesson_has_its_files() -> None:
    """A C file for each engine that its programs name."""
    for lesson in LESSONS:
        tool = tool_of(lesson)
        hooks: list[Hook] = [*lesson.programs]
        for engine in lesson.engines:
            where = {"directory": tool.directory, "engine": engine}
            with open_program(tool.name, hooks, to_read=True, **where) as program:
                assert f"ebpf-maps {lesson.name}, {engine}" in program.source_text().casefold()


def test_no_file_without_a_lesson() -> None:
    """Nothing is left behind when one is renamed."""
    there = {path.name.partition(".")[0] for path in (ROOT / "bpf/maps").glob("*.c")}
    assert there == {lesson.stem for lesson in LESSONS}
