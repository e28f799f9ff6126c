"""Compile NAME.bpf.c with clang: the one place that knows how.

`make bpf`, the build of the wheel and the tests all come here, and so do
programs of your own in any directory:

    python -m ebpf_tour.build bpf
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ebpf_tour.errors import Error, Unsupported

# What the objects are called for, and clang's __TARGET_ARCH_ for bpf_tracing.h.
ARCHITECTURES = ("x86", "arm64")

# Where vmlinux.h is, for programs in other directories.
PACKAGE = Path(__file__).parent / "bpf"


def compile_object(source: Path, target: Path, architecture: str) -> None:
    """Compile one C file into an object with BTF. Raises Error, Unsupported."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Relative names go into the debug information, so that two checkouts build
    # the same bytes.
    clang = [
        "clang", "-target", "bpf", "-g", "-O2", "-Wall", "-Werror",
        "-fdebug-compilation-dir=.", f"-I{PACKAGE}",
        f"-D__TARGET_ARCH_{architecture}", "-c", source.name, "-o", str(target.resolve()),
    ]  # fmt: skip
    _run(clang, source.parent)
    # libbpf needs the BTF, nobody the DWARF that it was made from.
    _run(["llvm-strip", "-g", str(target.resolve())], source.parent)


def compile_all(sources: Path, target: Path) -> list[Path]:
    """Compile every NAME.bpf.c below `sources` that is newer than its objects.

    The objects go to TARGET/x86/NAME.bpf.o and TARGET/arm64/NAME.bpf.o; their
    paths are returned.
    """
    headers = max(path.stat().st_mtime for path in [*PACKAGE.glob("*.h"), *sources.glob("*.h")])
    objects = []
    for source in sorted(sources.glob("*.bpf.c")):
        for architecture in ARCHITECTURES:
            path = target / architecture / source.name.replace(".bpf.c", ".bpf.o")
            newest = max(headers, source.stat().st_mtime)
            if not path.exists() or path.stat().st_mtime < newest:
                compile_object(source, path, architecture)
            objects.append(path)
    return objects


def _run(command: list[str], directory: Path) -> None:
    try:
        subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise Unsupported(
            f"{command[0]} is not installed",
            "apt install clang llvm libbpf-dev (Debian, Ubuntu)",
        ) from None
    except subprocess.CalledProcessError as error:
        raise Error(f"{command[0]} fails:\n{error.stderr}") from None


def main() -> int:
    """Compile the sources of a directory, in place unless a second one is named."""
    sources = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else sources
    try:
        for path in compile_all(sources, target):
            print(path)
    except Error as error:
        print(f"{error}\nhint: {error.hint}", file=sys.stderr)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
