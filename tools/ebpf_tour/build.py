"""Compile NAME.bpf.c with clang: the one place that knows how.

`make bpf`, the build of the wheel and the tests all come here, and so do
programs of your own in any directory:

    python3 -m ebpf_tour.build bpf
"""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ebpf_tour.base import packages
from ebpf_tour.base.errors import Error, Unsupported, UsageError
from ebpf_tour.loader import origin

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the objects are called for, and clang's __TARGET_ARCH_ for bpf_tracing.h.
ARCHITECTURES = ("x86", "arm64")

# Where vmlinux.h is, for programs in other directories.
PACKAGE = (Path(__file__).parent / "bpf").resolve()

_COMMAND = "python3 -m ebpf_tour.build"  # the name in messages
# What to run again: another Python does not have this package.
_AGAIN = f"{shlex.quote(sys.executable)} -m ebpf_tour.build"


def compile_object(source: Path, target: Path, architecture: str) -> None:
    """Compile one C file into an object with BTF. Raises Error, Unsupported.

    The object has a section that says what it was made from; see loader/origin.py.
    """
    try:
        _compile(source, target, architecture)
    except OSError as error:
        raise Error(
            f"cannot write {target}: {error.strerror}",
            f"name another directory for the objects: {_AGAIN} {source.parent} TARGET",
        ) from None


def _compile(source: Path, target: Path, architecture: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # A build that is interrupted or fails leaves no half of an object.
    with tempfile.TemporaryDirectory(prefix=".build-", dir=target.parent.resolve()) as scratch:
        made = Path(scratch, target.name)
        listed = Path(scratch, "included")
        # Relative names go into the debug information, so that two checkouts build
        # the same bytes.
        clang = [
            "clang", "-target", "bpf", "-g", "-O2", "-Wall", "-Werror",
            "-fdebug-compilation-dir=.", f"-fdebug-prefix-map={PACKAGE}/=",
            f"-I{PACKAGE}", f"-D__TARGET_ARCH_{architecture}",
            "-MD", "-MF", str(listed), "-c", source.name, "-o", str(made),
        ]  # fmt: skip
        _run(clang, source)
        recorded = Path(scratch, "sources")
        names = _included(listed.read_text(encoding="utf-8", errors="surrogateescape"))
        recorded.write_bytes(origin.record(names, _directories(source.parent)))
        # libbpf needs the BTF, nobody the DWARF that it was made from.
        add = f"--add-section={origin.SECTION}={recorded}"
        _run(["llvm-objcopy", "--strip-debug", add, str(made)], source)
        made.replace(target)


def _included(rule: str) -> Iterator[str]:
    r"""Yield the files that an object was compiled from, by clang's rule for make.

    It is "x.o: x.bpf.c x.h \", with a backslash before a blank or # of a name, and $$
    for $.
    """
    _, _, files = rule.replace("\\\n", " ").partition(": ")
    for word in re.findall(r"(?:\\.|\S)+", files):
        name = re.sub(r"\\([ #])", r"\1", word).replace("$$", "$")
        yield name.removeprefix(f"{PACKAGE}/")


def _directories(sources: Path) -> tuple[str, str]:
    """Return where the compiler looks for headers that are not the system's, in its order."""
    return str(sources), str(PACKAGE)


def compile_all(sources: Path, target: Path) -> list[Path]:
    """Compile every NAME.bpf.c of `sources` that has changed, or a header of it.

    The objects are TARGET/x86/NAME.bpf.o and TARGET/arm64/NAME.bpf.o. The paths of
    those that were made are returned. Raises Error, Unsupported.
    """
    return list(_compile_each(sources, target))


def _compile_each(sources: Path, target: Path) -> Iterator[Path]:
    """Do what `compile_all()` is for; yield each object when it is made."""
    for source in sorted(sources.glob("*.bpf.c")):
        for architecture in ARCHITECTURES:
            path = target / architecture / source.name.replace(".bpf.c", ".bpf.o")
            if not origin.is_current(str(path), _directories(sources)):
                compile_object(source, path, architecture)
                yield path
    if sources.resolve() == PACKAGE:  # it has the lessons on maps in a directory of their own
        yield from _compile_each(sources / "maps", target / "maps")


def _run(command: list[str], source: Path) -> None:
    """Run one step of compiling a file, in its directory. Raises Error, Unsupported."""
    try:
        done = subprocess.run(
            command, cwd=source.parent, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Unsupported(
            f"{command[0]} is not installed", packages.install("clang", "llvm", "headers")
        ) from None
    if done.returncode == 0:
        return
    if missing := re.search(r"fatal error: '(bpf/\S+)' file not found", done.stderr):
        raise Unsupported(
            f"clang cannot find {missing[1]}",
            f"libbpf's headers are in a package of their own: {packages.install('headers')}",
            done.stderr,
        )
    raise Error(f"{command[0]} cannot compile {source}", _what_to_fix(done.stderr), done.stderr)


def _what_to_fix(said: str) -> str:
    """Return the hint for what the compiler says."""
    undeclared = re.search(r"error: use of undeclared identifier '([A-Z][A-Z0-9_]*)'", said)
    if undeclared:
        return (
            f"vmlinux.h has no macros: define {undeclared[1]} in your own header (see 'Common "
            "mistakes' in examples/reference.md)"
        )
    return "fix the first of these errors, then try again: the others may follow from it"


def explained(error: Error) -> str:
    """Return what is said of an error: the compiler's own lines, the cause, the hint."""
    detail = f"{error.detail.rstrip()}\n" if error.detail else ""
    return f"{detail}{_COMMAND}: error: {error}\nhint: {error.hint}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_COMMAND,
        description="Compile each NAME.bpf.c of a directory if it or a header that it includes "
        "changed. NAME.bcc.c is not compiled here: BCC compiles it at each start.",
    )
    parser.add_argument("sources", metavar="DIRECTORY", type=Path, help="where the C files are")
    parser.add_argument(
        "target",
        metavar="TARGET",
        type=Path,
        nargs="?",
        help="where the objects go, into x86/ and arm64/ (default: DIRECTORY)",
    )
    return parser


def _check(sources: Path) -> None:
    """Raise UsageError if there is nothing to compile in a directory."""
    if sources.is_file():
        again = f"{_AGAIN} {shlex.quote(str(sources.parent))}"
        raise UsageError(
            f"{sources} is a file, not a directory", f"compile the files beside it: {again}"
        )
    if not sources.is_dir():
        raise UsageError(
            f"there is no directory {sources}", f"name the one with your NAME.bpf.c: {_AGAIN} ."
        )
    if not any(sources.glob("*.bpf.c")):
        raise UsageError(
            f"{sources} has no NAME.bpf.c",
            "name the C file of the tool NAME like that, and give its directory",
        )


def main() -> int:
    """Compile the sources of a directory, in place unless a second one is named."""
    args = _parser().parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # "| head" is no error
    made = 0
    try:
        _check(args.sources)
        for path in _compile_each(args.sources, args.target or args.sources):
            print(f"compiled {path}", flush=True)
            made += 1
    except Error as error:
        print(explained(error), end="", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if not made:
        print(f"{args.sources}: all objects are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
