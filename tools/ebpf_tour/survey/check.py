"""The checks of `ebpf-tour check`: whether this machine has what the tools need.

Each check tries, where that does no harm, and says why it failed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base import packages
from ebpf_tour.base.errors import Error, NotPermitted, Unsupported
from ebpf_tour.loader import features, trial
from ebpf_tour.loader.hooks import kinds
from ebpf_tour.loader.hooks.tracepoint import Tracepoint
from ebpf_tour.loader.program import Options, Program, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ebpf_tour.frame.record import Row
    from ebpf_tour.loader.trial import HookCheck


class Found(NamedTuple):
    """What a check found. `found` is None where only root could find out."""

    found: bool | None
    detail: str
    hint: str = ""


class Check(NamedTuple):
    """Something that a machine has or has not, and what it is for.

    `find` returns a version or the like, or raises Error: it is not there.
    """

    group: str
    name: str
    used_for: str
    find: Callable[[], Found | str]


def rows() -> Iterator[Row]:
    """Yield the result of each check."""
    for check in CHECKS:
        found = found_by(check)
        yield {
            "check": check.name,
            "group": check.group,
            "found": found.found,
            "detail": found.detail,
            "used_for": check.used_for,
            "hint": found.hint or None,
        }


def found_by(check: Check) -> Found:
    """Return what a check finds."""
    try:
        found = check.find()
    except Error as error:
        return Found(False, str(error), error.hint)
    return Found(True, found) if isinstance(found, str) else found


def tried(attempt: Callable[[], object]) -> Found | str:
    """Try something that needs a program or a map in the kernel. Raises Error."""
    if not trial.may_try():
        return Found(None, trial.NOT_TRIED)
    attempt()
    return "tried: it works"


def hook(of: HookCheck) -> Callable[[], Found | str]:
    """Return what finds out whether a hook works: by what the tools ask, and by a trial."""

    def find() -> Found | str:
        if trial.may_try():
            of.run()
            return "attached, run, and detached" if of.make else "the kernel has it"
        missing = None if of.loads else of.missing()
        if isinstance(missing, Unsupported):
            raise missing
        return Found(None, trial.NOT_TRIED)

    return find


def kernel() -> str:
    system = os.uname()
    return f"{system.release} {system.machine}"


def privileges() -> str:
    features.require_privileges()
    return "those of root" if os.geteuid() == 0 else "CAP_BPF and CAP_PERFMON"


def user_namespace() -> str:
    if features.in_user_namespace():
        raise NotPermitted(
            "this is root in a user namespace only (a rootless container?)",
            "run the tools outside the container",
        )
    if not features.pid_in_first_namespace():
        return "the initial one, but PIDs are from another namespace (a container?)"
    return "the initial one"


def lockdown() -> Found | str:
    mode = features.lockdown()
    if not trial.may_try():
        if mode == "confidentiality":
            return Found(False, f"the kernel is locked down ({mode})")
        return Found(None, trial.NOT_TRIED)
    trial.reading_memory()
    return f"allowed; lockdown is {mode}" if mode else "allowed"


def btf() -> str:
    if not features.has_kernel_btf():
        raise Unsupported(
            f"this kernel has no BTF in {features.KERNEL_BTF}{features.without('DEBUG_INFO_BTF')}",
            "boot your distribution's stock kernel, which has it, or install kernel headers for "
            "BCC",
        )
    size = os.stat(features.KERNEL_BTF).st_size / 1e6
    modules = len(os.listdir(os.path.dirname(features.KERNEL_BTF))) - 1
    return f"{size:.1f} MB" + (f", and that of {modules} modules" if modules else "")


def jit() -> Found | str:
    if not trial.may_try():
        return Found(None, trial.NOT_TRIED)
    if trial.is_compiled():
        return "programs are compiled to machine code"
    raise Unsupported(
        f"programs are interpreted{features.without('BPF_JIT')}",
        "sysctl net.core.bpf_jit_enable=1",
    )


def mounted(kind: str, where: str) -> Callable[[], str]:
    """Return what finds out where a file system is mounted."""

    def find() -> str:
        for line in _text("/proc/self/mounts").splitlines():
            _, place, found, *_ = line.split()
            if found == kind:
                return place
        known = re.search(rf"(?m)\t{kind}$", _text("/proc/filesystems"))
        raise Unsupported(
            f"{kind} is not mounted" if known else f"this kernel has no {kind}",
            f"mount it: mount -t {kind} {kind} {where}" if known else "",
        )

    return find


def configuration() -> str:
    for path in (f"/boot/config-{os.uname().release}", "/proc/config.gz"):
        if os.access(path, os.R_OK):
            return path
    raise Unsupported(
        f"neither /boot/config-{os.uname().release} nor /proc/config.gz can be read",
        "load it, if it is a module: modprobe configs",
    )


def libbpf() -> Found | str:
    import ebpf_tour.loader.libbpf as engine

    return _loaded(engine.LibbpfProgram, engine.version())


def bcc() -> Found | str:
    import ebpf_tour.loader.bcc as engine

    version = engine.version()
    try:
        features.tracefs()
    except Error as error:
        # BCC looks up there what the record of a tracepoint has.
        return Found(None, f"{version}; not tried, since {error}")
    return _loaded(engine.BccProgram, version)


def _loaded(engine: type[Program], version: str) -> Found | str:
    """Load the simplest of the programs with an engine. Raises Error."""
    with engine(
        Options("hello", sources(), "", (Tracepoint("syscalls", "sys_enter_execve"),))
    ) as p:
        if not trial.may_try():
            return Found(None, f"{version}; {trial.NOT_TRIED}")
        p.load()
    return f"{version}; it loads ebpf-hello"


def headers() -> str:
    directory = features.kernel_headers()
    if directory:
        return directory
    if os.path.exists("/sys/kernel/kheaders.tar.xz"):
        return "/sys/kernel/kheaders.tar.xz"
    release = os.uname().release
    instead = " (not needed, since there is BTF)" if features.has_kernel_btf() else ""
    raise Unsupported(
        f"there is no /lib/modules/{release}/build{instead}",
        "" if instead else packages.kernel_headers(release),
    )


def clang() -> str:
    path = shutil.which("clang")
    if not path:
        raise Unsupported("there is no clang", packages.install("clang", "llvm"))
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Error(
            f"cannot run {path}: {error.strerror}", "see what it says: clang --version"
        ) from None
    version = re.search(r"version ((\d+)\S*)", done.stdout)
    if not version:
        raise Error(f"{path} does not say its version", "see what it says: clang --version")
    if int(version[2]) < _CLANG_WITH_CO_RE:
        raise Unsupported(
            f"{path} is clang {version[1]}, which does not compile CO-RE programs",
            f"take clang {_CLANG_WITH_CO_RE} or newer: {packages.install('clang', 'llvm')}",
        )
    return f"{version[1]}, {path}; it compiles CO-RE programs"


def _text(path: str) -> str:
    """Return what a file says, "" if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


# What preserve_access_index takes, which vmlinux.h has on each structure.
_CLANG_WITH_CO_RE = 10

CHECKS = (
    Check("kernel", "kernel", "everything", kernel),
    Check(
        "kernel",
        "BTF",
        "CO-RE: compiled programs find the kernel's structures; BCC without headers; fentry",
        btf,
    ),
    Check("kernel", "JIT", "programs that run as fast as kernel code", jit),
    Check("kernel", "tracefs", "tracepoints, and the lines of bpf_printk()", features.tracefs),
    Check(
        *("kernel", "bpffs", "pinned maps and programs, which tools can share"),
        mounted("bpf", "/sys/fs/bpf"),
    ),
    Check(
        *("kernel", "cgroup2", "programs for groups of processes, such as containers"),
        mounted("cgroup2", "/sys/fs/cgroup"),
    ),
    Check(
        *(
            "kernel",
            "configuration",
            "the reasons given here: what options the kernel was built without",
        ),
        configuration,
    ),
    Check("rights", "privileges", "loading and attaching programs", privileges),
    Check(
        "rights",
        "user namespace",
        "loading and attaching programs: a container's root is not enough",
        user_namespace,
    ),
    Check("rights", "reading memory", "programs that follow the kernel's pointers", lockdown),
    *(
        Check("hooks", check.name, check.used_for, hook(check))
        for kind in kinds()
        for check in kind.checks()
    ),
    Check(
        *("maps", "ring buffer", "ebpf-bootstrap: records in order, through one buffer"),
        lambda: tried(trial.ring_buffer),
    ),
    Check(
        *("maps", "perf buffer", "ebpf-bootstrap --transport perf: a buffer for each CPU"),
        lambda: tried(trial.perf_buffer),
    ),
    Check(
        *("maps", "large keys", "ebpf-mallocstacks: a hash whose key is a call stack"),
        lambda: tried(trial.large_keys),
    ),
    Check("engines", "libbpf", "--engine libbpf, the default: loads compiled programs", libbpf),
    Check("engines", "BCC", "--engine bcc: compiles programs when a tool starts", bcc),
    Check("engines", "kernel headers", "BCC, where the kernel has no BTF", headers),
    Check("engines", "clang", "changing the C: make bpf compiles it again", clang),
)
