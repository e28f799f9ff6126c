"""ebpf-usdt: a USDT probe, its maps and a ring buffer.

The hook is a place in a program that its author marked for tracers. It has arguments.
"""

from __future__ import annotations

import argparse
import gc

from ebpf_tour.frame import Demo, Example, Flow, Map, Session, Tool, cli, probed
from ebpf_tour.frame.record import Column
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks.usdt import Usdt, places


def run(session: Session) -> None:
    probed.check(session.args, OWN)
    with session.open(TOOL) as program, probed.find(session, OWN) as probe:
        pidns_dev, pidns_ino = features.pid_namespace(probe.namespace)

        # Configure: global variables are set before the program is loaded.
        program.globals["only_pid"] = probe.pid
        program.globals["pidns_dev"] = pidns_dev
        program.globals["pidns_ino"] = pidns_ino
        program.max_entries["rb"] = session.args.buffer
        where = places(probe)
        PROBE.configure(program, where)  # BCC's program is told now where the argument is

        program.load()
        for place in where:  # the compiler may have made several of one
            program.attach_to(PROBE, place)  # libbpf's finds it in __bpf_usdt_specs

        session.attached(probed.tracing(session, OWN, probe), demo())
        for event in program.events("rb", probed.pace(session, OWN)):
            session.row(probed.row_of(event, probe=session.args.place))
        session.lost = program.lost()


def options(parser: argparse.ArgumentParser) -> None:
    probed.add_options(parser, OWN, "PROVIDER:NAME", "the probe to trace")


def collect() -> None:
    gc.disable()  # so that Python does not collect by itself
    gc.collect()


OWN = probed.Own(
    "usdt", "--probe", "python:gc__start", "our own garbage collector once a second", collect
)


def demo() -> Demo:
    everything = 2  # the generation that has all objects
    return Demo(
        "a child process collects generation 0 1000 times, we collect generation 2 3 times.",
        workload=collect_often,
        rows=3,
        caused=lambda row: row["value"] == everything,
        exclusive=True,
    )


def collect_often() -> None:
    for _ in range(1000):
        gc.collect(0)


PROBE = Usdt("handle_probe")

TOOL = Tool(
    name="usdt",
    lesson=80,
    read_before=("uprobe",),
    summary="show a probe that a program's author placed, such as Python's garbage collector",
    description=(
        "Show a row whenever a program passes a USDT probe, a place that its author marked for "
        "tracers, with the first argument. The program need not be restarted. Without --binary "
        "and -p it shows the garbage collector of its own Python, which it calls once a second."
    ),
    via={"usdt": (PROBE,)},
    maps=(
        Map("rb", "ring buffer", "carries the records to the tool", tool="reads"),
        Map("__bpf_usdt_specs", "array", "where to find the arguments at each place", tool="sets"),
        Map("__bpf_usdt_ip_to_spec_id", "hash", "address to place", tool="sets"),
        Map(".kconfig", "array (.kconfig)", "whether the kernel has BPF cookies"),
    ),
    picture=(
        Flow(
            "a process passes the probe",
            {PROBE: "handle_probe"},
            reads=("__bpf_usdt_specs", "__bpf_usdt_ip_to_spec_id", ".kconfig"),
            writes=("rb",),
        ),
    ),
    columns=(
        *probed.WHO,
        Column("probe", "PROBE", "the probe, as --probe names it", width=20),
        *probed.value_columns("the first argument; 0 if the probe has none"),
    ),
    examples=(
        Example("ebpf-usdt", "the garbage collector of its own Python, until Ctrl-C"),
        Example("ebpf-usdt -p 1", "the garbage collector of a running process, by its PID"),
        Example("ebpf-usdt --binary python3 --probe python:import__find__load__start", "imports"),
        Example("ebpf-usdt --demo", "see that another process is filtered out"),
    ),
    requirements=(
        "Linux 5.8 or newer with CONFIG_UPROBES and CONFIG_UPROBE_EVENTS, root, and a program "
        "with USDT probes, such as Debian's Python. --engine libbpf needs Linux 5.15 for "
        "--binary."
    ),
    see_also=("bpf-helpers(7)", "readelf(1)"),
)

main = cli.command(TOOL, run, options)
