"""Iterators: the kernel calls a program for each object while a process reads."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import Error, Unsupported
from ebpf_tour.loader import features
from ebpf_tour.loader.hooks import ByDescriptor, without_btf

if TYPE_CHECKING:
    from ebpf_tour.loader.hooks import Detach
    from ebpf_tour.loader.trial import HookCheck, Trial


class Walk:
    """What an iterator walks through: all tasks, or the threads of a process.

    `link` is for `Program.walk()`, once the program is attached.
    """

    link = -1

    def __init__(self, pid: int | None = None) -> None:
        self.pid = pid

    def __str__(self) -> str:
        return f"of the process {self.pid}" if self.pid else "of all"


class TaskIterator(ByDescriptor):
    """The kernel's threads; the target is a Walk, and `Program.walk()` reads."""

    kind = "iterator"
    about = (
        "A walk through all objects of a kind, such as all tasks: the program runs for each one "
        "while you read."
    )
    rank = 90
    takes = "Walk"
    context = "bpf_iter__task"
    program_type = 26  # BPF_PROG_TYPE_TRACING
    attach_type = 28  # BPF_TRACE_ITER
    name = "task"
    section = "iter/task"
    function = "bpf_iter__task"
    needs_btf = True

    def unsupported(self) -> Error | None:
        if missing := without_btf(self.kind):
            return missing
        if features.in_kallsyms("bpf_iter_task"):
            return None
        return Unsupported("this kernel has no iterators of tasks", "boot Linux 5.8 or newer")

    def attach(self, program: int, walk: Walk) -> Detach:
        from ebpf_tour.loader import syscall

        try:
            link = syscall.create_task_link(program, walk.pid)
        except OSError as error:
            if error.errno not in (errno.E2BIG, errno.EINVAL) or not walk.pid:
                raise
            # Commit f0d74c4da1f0 ("bpf: Parameterize task iterators.") (in v6.1) has
            # brought the filter. Where PIDs are the kernel's, the program has its own.
            if not features.pid_in_first_namespace():
                raise Unsupported(
                    "in a container, this kernel cannot list one process",
                    "leave out PID, or boot Linux 6.1 or newer",
                ) from None
            link = syscall.create_task_link(program, None)
        walk.link = link
        return lambda: os.close(link)

    @classmethod
    def checks(cls) -> list[HookCheck]:
        from ebpf_tour.loader import trial

        return [
            trial.HookCheck(
                *("iterator", "ebpf-task-iter: a list that a program writes"),
                cls().unsupported,
                _trial,
            )
        ]


class FileIterator(TaskIterator):
    """The open files of the kernel's threads, with paths. Those that share them all come once."""

    name = "task_file"
    section = "iter/task_file"
    context = "bpf_iter__task_file"
    function = "bpf_iter__task_file"
    optional = True

    def unsupported(self) -> Error | None:
        if missing := without_btf(self.kind):
            return missing
        from ebpf_tour.loader import syscall
        from ebpf_tour.loader.btf import kernel_function_id

        iterator = kernel_function_id("bpf_iter_task_file")  # raw_btf would walk all of it
        try:
            if iterator and syscall.may_ask_for_paths(iterator):
                return None
        except PermissionError:
            return None  # who loads the program says so
        return Unsupported(
            "this kernel has no iterators of open files that know their paths",
            "boot Linux 5.12 or newer",
        )


def _trial() -> Trial:
    from ebpf_tour.loader import syscall, trial

    links: list[int] = []

    def attach(program: int) -> int:
        links.append(syscall.create_task_link(program, None))
        return links[0]

    def read() -> None:
        for _ in syscall.read_iterator(links[0]):
            pass

    return trial.Trial(
        *("iterator", TaskIterator.program_type, attach, read),
        *(TaskIterator.attach_type, "bpf_iter_task"),
    )
