"""What this kernel has and what this process may do, found out, not guessed.

Everything here reads files below /proc and /sys; nothing is loaded.
"""

from __future__ import annotations

import functools
import os
import re

from ebpf_tour.base.errors import NotPermitted, Unsupported
from ebpf_tour.base.namespaces import in_first_pid_namespace

KERNEL_BTF = "/sys/kernel/btf/vmlinux"
TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")

# What the verifier says where there is no helper to read memory with.
NO_HELPER = "unknown func bpf_probe_read"

# What is missing where syscall.has_large_keys() says no, and what to do.
NO_LARGE_KEYS = (
    "this kernel has no hashes with keys of more than 512 bytes",
    "boot Linux 5.11 or newer",
)

# Bits of the capability sets, from include/uapi/linux/capability.h.
_CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 21, 38, 39
_NETWORK_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def has_kernel_btf() -> bool:
    """Say whether the kernel describes its own types (CONFIG_DEBUG_INFO_BTF)."""
    return os.access(KERNEL_BTF, os.R_OK)


def kernel_headers() -> str | None:
    """Return the directory with the running kernel's own headers, if there is one.

    Debian and openSUSE split them: what all flavours of a kernel share lies in
    `source` beside `build`, which has only what the configuration made.
    """
    build = f"/lib/modules/{os.uname().release}/build"
    return build if os.path.isfile(f"{build}/include/generated/autoconf.h") else None


@functools.cache
def in_kallsyms(symbol: str) -> bool:
    """Say whether the kernel has a symbol of that name."""
    wanted = re.compile(rb" %s[\n\t]" % re.escape(symbol.encode()))
    before = b""
    try:
        with open("/proc/kallsyms", "rb") as file:
            # The file has several MiB: piece by piece, it costs no memory.
            while piece := file.read(64 << 10):
                if wanted.search(before + piece):
                    return True
                before = piece[-1024:]
    except OSError:
        pass
    return False


def config(option: str) -> str | None:
    """Return the value of CONFIG_`option` in the running kernel.

    "n" where it is not set, None where the kernel does not tell its
    configuration. Source: /proc/config.gz or /boot/config-RELEASE.
    """
    text = _read(f"/boot/config-{os.uname().release}")
    if not text and os.access("/proc/config.gz", os.R_OK):
        import gzip

        with gzip.open("/proc/config.gz", "rt", encoding="utf-8") as file:
            text = file.read()
    if not text:
        return None
    for line in text.splitlines():
        if line.startswith(f"CONFIG_{option}="):
            return line.partition("=")[2]
    return "n"


def without(option: str) -> str:
    """Return ` (its kernel was built without CONFIG_X)` if that is so, else nothing."""
    return f" (built without CONFIG_{option})" if config(option) == "n" else ""


def _status(field: str) -> str:
    for line in _read("/proc/self/status").splitlines():
        if line.startswith(f"{field}:"):
            return line.partition(":")[2].strip()
    return ""


def _has_capability(bit: int) -> bool:
    return bool(int(_status("CapEff") or "0", 16) >> bit & 1)


def has_capabilities() -> bool:
    """Say whether this process has what the kernel asks of who loads a tracer.

    That is CAP_BPF and CAP_PERFMON, since commit a17b53c4a4b5 ("bpf, capability:
    Introduce CAP_BPF") (in v5.8), or CAP_SYS_ADMIN.
    """
    if _has_capability(_CAP_SYS_ADMIN):
        return True
    return _has_capability(_CAP_BPF) and _has_capability(_CAP_PERFMON)


def without_capability(name: str) -> NotPermitted | None:
    """Return the error for a hook that asks for a capability more, if it is not there.

    CAP_SYS_ADMIN does not stand in for those of the network.
    """
    if _has_capability(_NETWORK_CAPABILITIES[name]):
        return None
    return NotPermitted(f"this process has no {name}, which programs for packets need")


def in_user_namespace() -> bool:
    """Say whether this process lives in a user namespace below the first one."""
    fields = _read("/proc/self/uid_map").split()
    return bool(fields) and fields != ["0", "0", "4294967295"]


def lockdown() -> str:
    """Return the kernel's lockdown mode: "none", "integrity", "confidentiality" or ""."""
    _, _, rest = _read("/sys/kernel/security/lockdown").partition("[")
    return rest.partition("]")[0]


def explain_lockdown(action: str) -> NotPermitted | None:
    """Return the error for what a locked-down kernel refuses, None if this one is not so.

    In the mode "confidentiality" programs may not read kernel memory. Since
    commit ff40e51043af ("bpf, lockdown, audit: Fix buggy SELinux lockdown
    permission checks") (in v5.13) the helpers for it are not there then, so the
    kernel's answer is that of the verifier and not EPERM.
    """
    mode = lockdown()
    if mode != "confidentiality":
        return None
    return NotPermitted(
        f"may not {action}: the kernel is locked down ({mode})",
        "boot with lockdown=integrity or lockdown=none; if Secure Boot sets it, turn that off",
    )


def explain_eperm(action: str) -> NotPermitted:
    """Return the error for an EPERM or EACCES from the kernel, with its likeliest cause.

    `action` is what was refused: "load BPF programs".
    """
    if in_user_namespace():
        return NotPermitted(
            f"may not {action}: this is root in a user namespace only (a rootless container?)",
            "run it as root outside the container",
        )
    if not has_capabilities():
        return NotPermitted(
            f"may not {action}: that needs root, or the capabilities CAP_BPF and CAP_PERFMON"
        )
    if locked_down := explain_lockdown(action):
        return locked_down
    if _status("Seccomp") == "2":
        return NotPermitted(
            f"may not {action}: a seccomp filter is in force (a container?)",
            "start the container with a seccomp profile that allows bpf() and perf_event_open()",
        )
    if not _has_capability(_CAP_SYS_ADMIN):
        return NotPermitted(
            f"may not {action}: besides CAP_BPF and CAP_PERFMON, this kernel asks for CAP_SYS_ADMIN"
        )
    mode = lockdown()
    locked = f", lockdown is {mode}" if mode else ""
    return NotPermitted(
        f"may not {action}: the kernel refuses it although the capabilities are there{locked}",
        "see the end of dmesg: a security module or a hardened kernel forbids it",
    )


def require_privileges() -> None:
    """Raise NotPermitted unless this process may load tracing programs.

    Raises Unsupported where nothing says so.
    """
    if not os.path.exists("/proc/self/status"):
        raise Unsupported("/proc is not mounted", "mount it: mount -t proc proc /proc")
    if not has_capabilities() or in_user_namespace():
        raise explain_eperm("load BPF programs")


def tracefs() -> str:
    """Return the directory where tracefs is mounted.

    Raises Unsupported where it is not, NotPermitted where it may not be read.
    """
    for path in TRACEFS:
        if os.path.isdir(f"{path}/events"):
            return path
    for path in TRACEFS:
        try:
            os.listdir(path)
        except PermissionError:
            if f" {path} " in _read("/proc/self/mounts"):
                raise _may_not_read_tracefs(path) from None
        except OSError:
            pass  # not there
    # A kernel that boots so leaves it empty, as if it were not mounted.
    if locked_down := explain_lockdown("read tracefs"):
        raise locked_down
    if "tracefs" not in _read("/proc/filesystems"):
        raise Unsupported(
            "this kernel has no tracefs (built without CONFIG_TRACING)",
            "boot your distribution's stock kernel, which has it",
        )
    raise Unsupported(
        "tracefs is not mounted, so no tracepoint can be found",
        "mount it: mount -t tracefs tracefs /sys/kernel/tracing",
    )


def _may_not_read_tracefs(path: str) -> NotPermitted:
    """Return the error for a tracefs that is not open to this user."""
    cause = f"may not read {path}: only root may, unless others are given access"
    if not has_capabilities():
        return NotPermitted(cause)
    return NotPermitted(
        cause,
        "also give it CAP_DAC_READ_SEARCH, or open tracefs to a group: mount -o "
        f"remount,gid=GROUP,mode=750 {path}",
    )


def kernel_dev(dev: int) -> int:
    """Return a device number as the kernel holds it: 12 bits major, 20 minor."""
    return os.major(dev) << 20 | os.minor(dev)


def pid_namespace(of: os.stat_result | None = None) -> tuple[int, int]:
    """Return device and inode of a PID namespace, for bpf_get_ns_current_pid_tgid().

    `of` is /proc/PID/ns/pid of a process; without it, it is ours.
    """
    status = of or os.stat("/proc/self/ns/pid")
    return kernel_dev(status.st_dev), status.st_ino


def pid_in_first_namespace() -> int:
    """Return our PID as the first PID namespace counts; 0 in a container, where we cannot know."""
    return os.getpid() if in_first_pid_namespace() else 0
