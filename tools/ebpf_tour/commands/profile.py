"""ebpf-profile: a perf event, and a stack-trace map.

The hook is a clock. Many times a second it interrupts what runs on a CPU, and the
program counts the stack that was there.
"""

from __future__ import annotations

import argparse
import mmap
import time

from ebpf_tour.base.errors import UsageError
from ebpf_tour.frame import Column, Demo, Example, Flow, Map, Session, Tool, cli, processes, stacks
from ebpf_tour.frame.demo import adding_up_to
from ebpf_tour.loader.hooks.perf_event import EVENTS, PerfEvent, described, sampled


def run(session: Session) -> None:
    from ebpf_tour.frame.samples import Samples

    args = session.args
    if args.frequency and args.event == "page-faults":
        raise UsageError("every page fault is a sample", "leave out -F")
    with session.open(TOOL) as program:
        program.globals["no_kernel"] = args.user_stacks_only
        program.globals["no_user"] = args.kernel_stacks_only
        program.max_entries["stacks"] = args.stack_storage_size
        program.max_entries["counts"] = 4 * args.stack_storage_size
        program.load()

        with Samples(session, program) as samples:
            event = sampled(args.event, args.frequency or HERTZ)
            event = event._replace(on_exec=args.start is not None)
            if not SAMPLE.attach_each(program, event, session.pids):
                session.warn("threads may be missing: the process keeps starting new ones")
            if session.attached(f"Sampling {described(event)}", demo(args), report=True):
                samples.gather()
                samples.report()


HERTZ = 49  # not 50, so as not to keep step with what runs at round frequencies


def options(parser: argparse.ArgumentParser) -> None:
    processes.add_options(parser, events="samples")
    parser.add_argument(
        "-F",
        "--frequency",
        type=cli.positive_int,
        metavar="HZ",
        help=f"samples a second, on each CPU (default: {HERTZ})",
    )
    parser.add_argument(
        "--event",
        choices=EVENTS,
        help="what to sample (default: cycles where the processor counts them, else cpu-clock)",
    )
    stacks.add_sample_options(parser)
    stacks.add_options(parser)
    cli.add_fields(parser, TOOL.columns, report=True)


def demo(args: argparse.Namespace) -> Demo:
    wanted = PAGES if args.event == "page-faults" else max(1, (args.frequency or HERTZ) // 2)
    return Demo(
        f"a child process writes to {PAGES} new pages, and computes for a second.",
        workload=write_and_compute,
        rows=1,
        caused=adding_up_to(wanted),
        counted=wanted,
    )


PAGES = 500


def write_and_compute() -> None:
    with mmap.mmap(-1, PAGES * mmap.PAGESIZE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        memory.write(bytes(len(memory)))
    while time.process_time() < 1:
        sum(range(10_000))


SAMPLE = PerfEvent("handle_sample")

TOOL = Tool(
    name="profile",
    lesson=120,
    read_before=("execcount",),
    summary="show which functions use the CPUs, by sampling stacks",
    description=(
        "Sample the stacks of running threads many times a second, and report at the end how "
        "often each stack was seen. It teaches perf events and the stack-trace map."
    ),
    via={"perf event": (SAMPLE,)},
    maps=(
        Map("stacks", "stack trace", "stack ID to stack", tool="reads"),
        Map("counts", "hash", "process and its two stacks to number of samples", tool="reads"),
        *processes.MAPS,
    ),
    picture=(
        Flow("a clock interrupts a CPU", {SAMPLE: "handle_sample"}, writes=("stacks", "counts")),
    ),
    columns=(
        Column("count", "SAMPLES", "how often this stack was sampled", width=8, right=True),
        Column("comm", "COMM", "name of the thread", width=16, kernel_bytes=True),
        Column("pid", "PID", "its process, in the initial PID namespace", 7, right=True),
        Column(
            "stack",
            "STACK",
            "functions, innermost first: the kernel's, then the program's",
            text=stacks.stack_lines,
            kernel_bytes=True,
        ),
        Column("truncated", "", "whether the stack has more frames than these"),
    ),
    examples=(
        Example("ebpf-profile --time-limit 10", "what the machine does, for ten seconds"),
        Example("ebpf-profile -p 1 -F 999", "one process, with all its threads"),
        Example("ebpf-profile -c 'make -j2' --flamegraph out.svg", "what a build computes"),
        Example("ebpf-profile --flamegraph out.svg", "a flame graph, for a browser"),
        Example("ebpf-profile --event page-faults", "who touches new memory"),
        Example("ebpf-profile --demo", "watch a child process compute"),
    ),
    keeps=stacks.KEEPS,
    requirements=(
        "Linux 5.8 or newer with CONFIG_PERF_EVENTS, and root. Names come from the symbol tables "
        "of the processes' files, as for ebpf-mallocstacks."
    ),
    see_also=("perf_event_open(2)", "bpf-helpers(7)"),
)

main = cli.command(TOOL, run, options)
