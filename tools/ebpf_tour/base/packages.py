"""What the suite needs of a distribution, and what the distributions call it.

What is there is found by files, whatever has put it there. tools/setup.sh runs this file as
a script, before anything of ours can be imported.
"""

from __future__ import annotations

import glob
import os
import shutil
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS = {
    "apt-get": "apt",
    "dnf": "dnf",
    "zypper": "zypper",
    "pacman": "pacman -S",
    "apk": "apk",
}
"""The programs that install packages, and how a person calls them."""


class Needed(NamedTuple):
    """Something that is needed: how it is found, and its packages in the order of CLIENTS.

    A package is "" where we do not know its name.
    """

    is_there: Callable[[], bool]
    packages: tuple[str, ...]


def command(*names: str) -> Callable[[], bool]:
    """Return what says whether all these commands are there."""
    return lambda: all(map(shutil.which, names))


def file(*patterns: str) -> Callable[[], bool]:
    """Return what says whether there is a file of one of these names."""
    return lambda: any(map(glob.glob, patterns))


def module(name: str, *, with_file: str = "") -> Callable[[], bool]:
    """Return what says whether Python has a module. It is not imported."""

    def is_there() -> bool:
        spec = find_spec(name)
        places = (spec.submodule_search_locations or []) if spec else []
        return bool(spec) and (not with_file or any(map(os.path.exists, _in(places, with_file))))

    return is_there


def _in(places: list[str], name: str) -> list[str]:
    return [os.path.join(place, name) for place in places]


def library(name: str) -> Callable[[], bool]:
    """Return what says whether the dynamic linker has a library."""
    places = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/lib/*-linux-gnu")
    return file(*(f"{place}/{name}" for place in places))


NEEDED = {
    "venv": Needed(
        module("ensurepip"), ("python3-venv", "python3", "python3", "python", "python3")
    ),
    # PyPI's bcc is another thing, without this file.
    "bcc": Needed(
        module("bcc", with_file="libbcc.py"),
        ("python3-bpfcc", "python3-bcc", "python3-bcc", "python-bcc", "py3-bcc"),
    ),
    "libbpf": Needed(library("libbpf.so.1"), ("libbpf1", "libbpf", "libbpf1", "libbpf", "libbpf")),
    "headers": Needed(
        file("/usr/include/bpf/bpf_helpers.h", "/usr/local/include/bpf/bpf_helpers.h"),
        ("libbpf-dev", "libbpf-devel", "libbpf-devel", "libbpf", "libbpf-dev"),
    ),
    "clang": Needed(command("clang"), ("clang",) * 5),
    "llvm": Needed(command("llvm-objcopy"), ("llvm",) * 5),
}
"""What running the tools takes. The names are from the distributions' lists of files."""

FOR_TESTS = {
    "man": Needed(command("man", "mandb"), ("man-db", "", "", "", "")),
    "gcc": Needed(command("gcc"), ("gcc",) * 5),
    "libc": Needed(file("/usr/include/stdio.h"), ("libc6-dev", "", "", "", "")),
    "musl": Needed(command("musl-gcc"), ("musl-tools", "", "", "", "")),
    "unshare": Needed(command("unshare", "setpriv"), ("util-linux",) * 5),
    "ps": Needed(command("ps", "pgrep"), ("procps", "", "", "", "")),
    "locales": Needed(file("/usr/share/i18n/SUPPORTED"), ("locales", "", "", "", "")),
    "jemalloc": Needed(library("libjemalloc.so.2"), ("libjemalloc2", "", "", "", "")),
    "systemd": Needed(command("systemd-analyze"), ("systemd",) * 5),
}

FOR_KERNELS = {
    "qemu": Needed(command("qemu-system-x86_64"), ("qemu-system-x86", "", "", "", "")),
    "busybox": Needed(command("busybox"), ("busybox-static", "", "", "", "")),
    "depmod": Needed(command("depmod"), ("kmod",) * 5),
    "file": Needed(command("file"), ("file",) * 5),
    # Of arm64.
    "qemu-arm": Needed(command("qemu-system-aarch64"), ("qemu-system-arm", "", "", "", "")),
    "mke2fs": Needed(command("mke2fs"), ("e2fsprogs",) * 5),
    "cpio": Needed(command("cpio"), ("cpio",) * 5),
    "xz": Needed(command("xz"), ("xz-utils", "xz", "xz", "xz", "xz")),
}

FOR_PACKAGE = {
    # Other distributions have it, too, but we do not know their names for it.
    "dpkg": Needed(command("dpkg-deb"), ("dpkg", "", "", "", "")),
}

SETS = {
    "demo": NEEDED,
    "check": NEEDED,
    "deb": NEEDED | FOR_PACKAGE,
    "test": NEEDED | FOR_TESTS,
    "kernels": NEEDED | FOR_TESTS | FOR_KERNELS,
}


def client() -> str:
    """Return the program that installs packages here, "" if there is none that we know."""
    return next(filter(shutil.which, CLIENTS), "")


def install(*names: str) -> str:
    """Return how to install some of NEEDED here: "apt install clang llvm"."""
    return install_packages({name: NEEDED[name].packages for name in names})


def install_packages(packages: dict[str, tuple[str, ...]]) -> str:
    """Return how to install packages, each by its names in the order of CLIENTS.

    Where no client is known, the names are Debian's.
    """
    program = client()
    number = [*CLIENTS].index(program) if program else 0
    words = " ".join(dict.fromkeys(names[number] for names in packages.values()))
    if not program:
        return f"install what Debian calls {words}"
    verb = {"pacman -S": "", "apk": " add"}.get(CLIENTS[program], " install")
    return f"{CLIENTS[program]}{verb} {words}"


def kernel_headers(release: str) -> str:
    """Return how to install the headers of a kernel."""
    names = (
        *(f"linux-headers-{release}", f"kernel-devel-{release}", "kernel-default-devel"),
        *("linux-headers", "linux-lts-dev"),
    )
    return install_packages({"headers": names})


def main() -> None:
    """Print which packages are missing, for a set and a client: demo apt-get."""
    wanted, program = sys.argv[1:]
    missing = [needed for needed in SETS[wanted].values() if not needed.is_there()]
    number = [*CLIENTS].index(program) if program in CLIENTS else 0
    # Where a name is not known, Debian's says what is meant.
    print(*dict.fromkeys(n.packages[number] or f"({n.packages[0]})" for n in missing))


if __name__ == "__main__":
    main()
