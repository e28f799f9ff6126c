"""The BCC engine: C source, compiled at run time inside this process.

The `bcc` package is imported only when a program is opened. BCC looks for the
kernel's headers, and on most machines there are none; this engine gives it the
few lines in `bpf/include` instead, and the real headers only where the kernel
has no BTF.
"""

from __future__ import annotations

import contextlib
import ctypes as ct
import errno
import functools
import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.base.errors import EngineUnavailable, Error
from ebpf_tour.loader import bcc_functions, c_source, features, syscall
from ebpf_tour.loader.bcc_types import RECORD_H, Types
from ebpf_tour.loader.maps import Map
from ebpf_tour.loader.program import (
    FOLLOW_EVENTS,
    PERF_EVENT_ARRAY,
    RINGBUF,
    Options,
    Program,
    Settings,
    not_there,
    sources,
)
from ebpf_tour.loader.verifier_log import LOG_ALL, LOG_PATH, log_buffer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ebpf_tour.explain.lines import Lines
    from ebpf_tour.loader.hooks import Detach, Hook
    from ebpf_tour.loader.layout import Layout
    from ebpf_tour.loader.reader import Reader

_DEBUG_SOURCE = 0x8  # BCC prints the bytecode with the C that it is from

_ARRAY = 2  # BPF_MAP_TYPE_ARRAY

_KHEADERS = "/sys/kernel/kheaders.tar.xz"

# What BCC says where the kernel answers so. A program that the verifier rejects
# can be an EACCES, too.
_EPERM, _EACCES = "Operation not permitted", "Permission denied"

_STRUCTS = """\
/* Made from the running kernel's BTF, since there are no kernel headers: the
 * structures that this program names, each member at its place. BCC includes
 * them before the first line of the file.
 */
"""

# In the words of clang 14, and of clang 16 and newer.
_UNKNOWN_FUNCTION = re.compile(
    r"(?:implicit declaration of|implicitly declaring library|call to undeclared(?: library)?) "
    r"function '(\w+)'"
)

# Where the compiler says that something is: "own.bcc.c:12:2: ".
_PLACE = re.compile(r"\s*(\S+?):\d+:")

_LEFT_OUT = """\
/* BCC gets the file without these, which are for hooks that were not chosen:
 *
"""


def _install() -> str:
    from ebpf_tour.base import packages

    return f"install it: {packages.install('bcc')}"


class _Defines(Settings):
    """BCC programs have no global variables: the compiler gets numbers instead."""

    def __init__(self, code: str, path: str) -> None:
        self._code = code
        self._file = os.path.basename(path)
        self.flags: list[str] = []

    def __setitem__(self, name: str, value: int) -> None:
        if not self._names(name):
            raise Error(
                f"there is no global variable {name} in {self._file}",
                f"write {name} there where the program needs the number: the compiler gets "
                f"-D{name}=",
            )
        self._define(name, value)

    def _names(self, name: str) -> bool:
        """Say whether the file has that word."""
        return bool(re.search(rf"\b{re.escape(name)}\b", self._code))

    def _define(self, name: str, value: int) -> None:
        self.flags.append(f"-D{name}={value:d}")


class _MaxEntries(_Defines):
    """The size of a map is a number for the compiler, too: NAME_max_entries."""

    def __setitem__(self, name: str, value: int) -> None:
        self.require_map(name)
        size = f"{name}_max_entries"
        if not self._names(size):
            raise Error(
                f"{self._file} does not contain {size}, so the size of the map {name} is fixed",
                f"write {size} where {name} is declared: the compiler gets -D{size}=",
            )
        self._define(size, value)

    def require_map(self, name: str) -> None:
        """Raise Error if the file cannot have a map of that name."""
        if not self._names(name):
            raise Error(
                f"there is no map {name} in {self._file}",
                f"declare {name} there, or name a map that it has",
            )


class _Table(NamedTuple):
    """A map: its name in the C source, its file descriptor, and BPF_MAP_TYPE_*."""

    name: str
    fd: int
    type: int


class Function(NamedTuple):
    """A loaded program, as a hook attaches it: see `Hook.attach_bcc()`.

    `bpf` is BCC's object that it belongs to, `lib` is libbcc, `name` its C
    function, `fd` its file descriptor, for the kernel's own calls.
    """

    bpf: Any
    lib: Any
    name: bytes
    fd: int


class BccProgram(Program):
    """A C file in the BCC dialect, open; see `Program`.

    Raises EngineUnavailable where BCC is missing, or BTF and headers are.
    """

    engine = "bcc"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._bpf: Any = None
        self._loaded: list[tuple[Hook, Any]] = []
        self._logs: list[tuple[str, str]] = []
        self._lines: dict[str, Lines] | None = None
        self._directory = sources()
        self.source = f"{options.directory}/{options.name}.bcc.c"
        self._source = self._read_source()
        self._functions = bcc_functions.functions(self._source.text)
        self._left_out = list(filter(self._is_for_another_hook, self._functions))
        # What is compiled: all else, in its place.
        self._text = bcc_functions.without(self._source.text, self._left_out)
        self._header = RECORD_H if re.search(r"\bstruct event\b", self._text) else ""
        # A call of what is not declared would otherwise be a jump to nowhere.
        self._flags = ["-Werror=implicit-function-declaration"]
        self._flags += [f"-I{directory}" for directory in (options.directory, self._directory)]
        self._cleanup = contextlib.ExitStack()
        self._choose_headers()
        self._bpf_class, self._lib = _import_bcc()
        self._include(self._header)
        code = c_source.code_of(self._source.text)
        self.globals = self._defines = _Defines(code, self.source)
        self.max_entries = self._sizes = _MaxEntries(code, self.source)
        self._detach: list[Detach] = []

    def _read_source(self) -> c_source.Source:
        """Read the C file, and the headers of ours that it includes, each in its place."""
        try:
            return c_source.read(self.source, (self._options.directory, self._directory))
        except FileNotFoundError:
            raise EngineUnavailable(
                f"{self.source} is not there", "write it, or use --engine libbpf"
            ) from None

    def _is_for_another_hook(self, function: bcc_functions.CFunction) -> bool:
        if function.is_among(hook.function for hook in self._options.hooks):
            return False
        known = [hook.function for hook in self._options.known]
        known += [f"raw_tracepoint__{event}" for event in FOLLOW_EVENTS] if known else []
        return not known or function.is_among(known)

    def _require_functions(self) -> None:
        """Raise Error where the programs of the file are not those of the hooks."""
        file, functions = os.path.basename(self.source), self._functions
        for hook in self._options.hooks:
            if not any(function.is_among([hook.function]) for function in functions):
                there = ", ".join(function.written for function in functions)
                raise Error(
                    f"no program in {file} is for {hook}: there is no "
                    f"{bcc_functions.spelled(hook.function)}",
                    f"write it, or change the hook in the record, in the tool's Python; {file} has "
                    f"{there or 'no program at all'}",
                )
        chosen = [hook.function for hook in self._options.hooks]
        for function in functions:
            if function not in self._left_out and not function.is_among(chosen):
                raise Error(
                    f"{function.written} in {file} is a program, but no hook in the record is "
                    "for it",
                    "add its hook to the record; if it is no program, declare it static",
                )

    def _choose_headers(self) -> None:
        """Point BCC at headers that are right for the running kernel.

        BCC reads these variables from the environment when it compiles.
        """
        if features.has_kernel_btf():
            os.environ["BCC_KERNEL_SOURCE"] = self._directory
            self._header = self._kernel_structs() + self._header
            self._flags.append(f"-DPAGE_SIZE={os.sysconf('SC_PAGE_SIZE')}")
            return
        # Linux 7.2 is compiled so: its struct ns_common has a struct ns_tree without a name.
        self._flags.append("-fms-extensions")
        if features.kernel_headers():
            os.environ.pop("BCC_KERNEL_SOURCE", None)
        elif os.path.exists(_KHEADERS):
            # BCC unpacks the archive below TMPDIR. In /tmp, another user could
            # have made that directory before (CVE-2024-2314).
            import tempfile

            os.environ.pop("BCC_KERNEL_SOURCE", None)
            os.environ["TMPDIR"] = self._cleanup.enter_context(
                tempfile.TemporaryDirectory(prefix="ebpf-tour-")
            )
        else:
            from ebpf_tour.base import packages

            release = os.uname().release
            raise EngineUnavailable(
                f"BCC needs kernel BTF or kernel headers: {features.KERNEL_BTF} and "
                f"/lib/modules/{release}/build are both missing",
                f"install the headers: {packages.kernel_headers(release)}",
            )

    def _kernel_structs(self) -> str:
        """Return what stands in for <linux/sched.h> and its like."""
        from ebpf_tour.loader.btf import Btf, load_libbpf
        from ebpf_tour.loader.kernel_structs import definitions, structs_of

        with open(f"{self._directory}/vmlinux.h", encoding="utf-8") as file:
            structs = structs_of(file.read())
        if not any(re.search(rf"\bstruct {name}\b", self._text) for name in structs):
            return ""
        btf = Btf.of_kernel(load_libbpf())
        try:
            return f"{_STRUCTS}{definitions(btf, structs, self._text)}\n"
        finally:
            btf.close()

    def _include(self, text: str) -> None:
        """Have the compiler read a text before the file, whose lines keep their numbers.

        In front of the first line itself, two such programs made libbcc 0.26 crash.
        """
        if not text:
            return
        fd = os.memfd_create("header")
        self._cleanup.callback(os.close, fd)
        with open(fd, "w", encoding="utf-8", closefd=False) as file:
            file.write(text)
        self._flags += ["-include", f"/proc/self/fd/{fd}"]

    def omit_map(self, name: str) -> None:
        """The C file leaves the map out by itself, with #if."""
        self._sizes.require_map(name)

    def _reuse_map(self, name: str, path: str, fd: int) -> None:  # noqa: ARG002
        """BCC wants the path in the C source; a number leads it there, too.

        The source says "/proc/self/fd/" and NAME_fd.
        """
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        self._cleanup.callback(os.close, place)
        self._defines[f"{name}_fd"] = place

    def _load(self) -> None:
        self._require_functions()
        self._bpf, said = self._compile(self._text)
        if self._bpf is None and _EPERM in said:  # for its maps
            raise features.explain_eperm("load BPF programs")
        if said and (self._bpf is None or self._options.verbose):
            said = self._with_places() or said
        if self._options.verbose:
            self._say(said)
        if self._bpf is None:
            raise self._compile_error(said)
        for hook in self._options.hooks:
            self._loaded.append((hook, self._load_function(hook)))
        for table in self._tables():
            if table.type in {PERF_EVENT_ARRAY, RINGBUF}:
                self._record_layout("event", table.name)

    def _with_places(self) -> str:
        """Return what the compiler says when it knows which lines are from which file.

        Only for its messages: with the numbers, the verifier's log would show the wrong C.
        """
        from ebpf_tour.explain.lines import numbered

        program, said = self._compile(numbered(self._text, self._source.places))
        if program is not None:
            program.cleanup()
        return said

    def _compile_error(self, said: str) -> Error:
        for hook in self._options.hooks:
            if missing := hook.unsupported():
                return missing
        first = next((line for line in said.splitlines() if " error: " in line), "")
        if unknown := _UNKNOWN_FUNCTION.search(first):
            place = _PLACE.match(first)
            file = place[1] if place else self.source
            return Error(
                f"there is no function {unknown[1]}, which {os.path.basename(file)} calls",
                "look for the helper in bpf-helpers(7); declare a function of your own static",
                said,
            )
        error = Error(f"BCC cannot compile {self.source}", detail=said)
        error.more = "" if self._options.verbose else "all that it says"
        return error

    def _compile(self, text: str, debug: int = 0) -> tuple[Any, str]:
        """Return a BPF object, None if BCC refuses, and what BCC said."""
        with self._capture(quiet=True) as said, _in_a_directory():
            try:
                flags = self._flags + self._defines.flags + self._sizes.flags
                program = self._bpf_class(text=text.encode(), cflags=flags, debug=debug)
            except Exception:  # noqa: BLE001 - bcc raises nothing narrower
                program = None
        return program, said[0]

    def _compiled(self, hook: Hook) -> bytes:
        """Return the name of a hook's function: what this version's macros have made of it."""
        written = next(item for item in self._functions if item.is_among([hook.function]))
        names = [name.encode() for name in written.names]
        start = self._lib.bpf_function_start
        return next((name for name in names if start(self._bpf.module, name)), names[0])

    def _load_function(self, hook: Hook) -> Any:
        name = self._compiled(hook)
        whole = self._options.whole_log
        fd, log, said = self._load_logged(hook, LOG_ALL if whole else 0)
        number = ct.get_errno()
        if fd < 0 and not log:
            # For one that is too complex (E2BIG), BCC does not ask for the log.
            _, log, _ = self._load_logged(hook, LOG_PATH)
        if whole:
            self._logs.append((hook.function, log))
        if fd < 0:
            raise self._load_error(hook, log, number, said)
        function = self._bpf_class.Function(self._bpf, name, fd)
        self._bpf.funcs[name] = function  # BCC closes those
        return function

    def _load_logged(self, hook: Hook, level: int) -> tuple[int, str, str]:
        """Load a program; return its file descriptor or -1, the log, and what BCC says.

        Like BCC's load_func(), which would print the log among its own words,
        after it has tried with a larger buffer again and again. At level 0 there
        is a log only if the kernel refuses.
        """
        lib, module, name = self._lib, self._bpf.module, self._compiled(hook)
        buffer = log_buffer()
        with self._capture(quiet=True) as said:
            fd: int = lib.bcc_func_load(
                *(module, hook.program_type, hook.name_for_bcc(name.decode()).encode()),
                *(lib.bpf_function_start(module, name), lib.bpf_function_size(module, name)),
                *(lib.bpf_module_license(module), lib.bpf_module_kern_version(module)),
                *(level, buffer, len(buffer), None, hook.attach_type),
            )
        return fd, buffer.value.decode("utf-8", "backslashreplace"), said[0]

    def _load_error(self, hook: Hook, log: str, number: int, said: str) -> Error:
        if log:
            return self._refused(hook.function, log, number)
        if number in {errno.EPERM, errno.EACCES}:
            return features.explain_eperm("load BPF programs")
        name = os.path.basename(self.source)
        return Error(f"the kernel refuses to load {name}: {os.strerror(number)}", detail=said)

    def _attach(self) -> None:
        for hook, function in reversed(self._loaded):
            if not hook.needs_target:
                self._attach_function(hook, function)

    def attach_to(self, hook: Hook, target: Any) -> None:
        function = next(function for of, function in self._loaded if of == hook)
        self._attach_function(hook, function, target)

    def _attach_function(self, hook: Hook, loaded: Any, target: Any = None) -> None:
        function = Function(self._bpf, self._lib, self._compiled(hook), loaded.fd)
        number = 0
        with self._capture() as said:
            try:
                self._detach.append(hook.attach_bcc(function, target))
                failed = False
            except Error:
                raise
            except OSError as error:
                failed, number = True, error.errno or 0
            except Exception:  # noqa: BLE001 - bcc raises nothing narrower
                failed = True
        if failed:
            where = f"{hook}" if target is None else f"{hook} {target}"
            raise self._attach_error(hook, where, number, said[0])

    def _attach_error(self, hook: Hook, where: str, number: int, said: str) -> Error:
        if missing := hook.unsupported():
            return missing
        if number in {errno.EPERM, errno.EACCES} or _EPERM in said or _EACCES in said:
            return features.explain_eperm(f"attach to {where}")
        because = f": {os.strerror(number)}" if number else ""
        error = Error(f"cannot attach to {where}{because}", detail=said)
        error.more = "" if self._options.verbose else "what BCC says"
        return error

    def detach(self) -> None:
        if self._detach:
            with self._capture():
                while self._detach:
                    self._detach.pop()()

    def map_fd(self, name: str) -> int:
        return self._table(name).fd

    def _table(self, name: str) -> _Table:
        tables = {table.name: table for table in self._tables()}
        if name not in tables:
            raise not_there("map", name, self.source, tables)
        return tables[name]

    def map(self, name: str) -> Map:
        fd = self.map_fd(name)
        return Map(fd, *self._types.of_map(name, fd))

    def counter(self, name: str) -> int:
        table = self._table(name)
        info = syscall.map_info(table.fd)
        if (info.type, info.value_bytes, info.max_entries) != (_ARRAY, 8, 1):
            raise Error(
                f"the map {name} in {os.path.basename(self.source)} is not a counter",
                f"declare it as an array with one u64: BPF_ARRAY({name}, u64, 1);",
            )
        raw = syscall.lookup(table.fd, bytes(4), 8) or bytes(8)
        return int.from_bytes(raw, sys.byteorder)

    @functools.cached_property
    def _types(self) -> Types:
        """The types of what is loaded."""
        types_h = f"{self._directory}/include/linux/types.h"
        types = Types(self._lib, self._bpf.module, self.program_fds(), self.map_fds(), types_h)
        self._cleanup.callback(types.close)
        return types

    def _open_reader(self, fd: int) -> Reader:
        from ebpf_tour.loader.btf import load_libbpf
        from ebpf_tour.loader.reader import open_reader

        table = next(table for table in self._tables() if table.fd == fd)
        layout = self._record_layout("event", table.name)
        return open_reader(load_libbpf(), fd, layout, self.perf_bytes)

    def _record_layout(self, name: str, through: str = "") -> Layout:
        """Return the layout of a record; `through` is the map that takes it to user space."""
        layout = self._types.of_record(through, name)
        if layout is None:
            raise Error(
                f"there is no struct {name} in {os.path.basename(self.source)}, which says what a "
                "record looks like",
                f"give this name to the structure that goes through {through or 'the iterator'}",
            )
        return layout

    def _close(self) -> None:
        if self._bpf is not None:
            self._bpf.cleanup()
            self._bpf = None
        self._cleanup.close()

    def source_text(self) -> str:
        above = self._header
        if self._left_out:
            written = dict.fromkeys(function.written for function in self._left_out)
            listed = "".join(f" *\t{name}\n" for name in written)
            above = f"{_LEFT_OUT}{listed} */\n{above}"
        return f"{above}\n{self._source.shown()}" if above else self._source.shown()

    def bytecode(self) -> list[tuple[str, bytes]]:
        return [
            (hook.function, self._bpf.dump_func(self._compiled(hook))) for hook, _ in self._loaded
        ]

    def source_lines(self, function: str) -> Lines:
        if self._lines is None:
            from ebpf_tour.explain import lines

            # Compiled once more, with line numbers and the listing.
            places = lines.in_one_file(self._text, lines.BCC_MAIN)
            text = lines.numbered(self._text, places)
            program, said = self._compile(text, _DEBUG_SOURCE)
            self._lines = {}
            if program is not None:
                found = lines.of_bcc(said, self._text, self._source.places)
                self._lines = {
                    hook.function: found[name.decode()]
                    for hook, name in ((h, self._compiled(h)) for h in self._options.hooks)
                    if _same_code(program.dump_func(name), self._bpf.dump_func(name))
                }
                program.cleanup()
        return self._lines.get(function, {})

    def verifier_logs(self) -> list[tuple[str, str]]:
        from ebpf_tour.explain.verifier import with_places

        return [(name, with_places(log, self.source_lines(name))) for name, log in self._logs]

    def _hooks_and_fds(self) -> list[tuple[Hook, int]]:
        return [(hook, function.fd) for hook, function in self._loaded]

    def map_fds(self) -> list[int]:
        return [table.fd for table in self._tables()]

    def _perf_event_arrays(self) -> list[int]:
        return [table.fd for table in self._tables() if table.type == PERF_EVENT_ARRAY]

    def _tables(self) -> list[_Table]:
        """Return the maps, as libbcc calls them."""
        lib, module = self._lib, self._bpf.module
        lib.bpf_num_tables.argtypes, lib.bpf_num_tables.restype = [ct.c_void_p], ct.c_size_t
        lib.bpf_table_name.restype = ct.c_char_p
        for function in (lib.bpf_table_name, lib.bpf_table_fd_id, lib.bpf_table_type_id):
            function.argtypes = [ct.c_void_p, ct.c_size_t]
        return [
            _Table(
                lib.bpf_table_name(module, number).decode(),
                lib.bpf_table_fd_id(module, number),
                lib.bpf_table_type_id(module, number),
            )
            for number in range(lib.bpf_num_tables(module))
        ]

    @contextlib.contextmanager
    def _capture(self, *, quiet: bool = False) -> Iterator[list[str]]:
        """Catch what libbcc writes to stderr from C++, for the error message.

        With --verbose it is shown all the same, unless it is to be `quiet`.
        """
        said = [""]
        sys.stderr.flush()
        saved = os.dup(2)
        with open(os.memfd_create("stderr"), "r+b") as file:
            os.dup2(file.fileno(), 2)
            try:
                yield said
            finally:
                os.dup2(saved, 2)
                os.close(saved)
                file.seek(0)
                said[0] = file.read().decode("utf-8", "backslashreplace")
        if self._options.verbose and not quiet:
            self._say(said[0])


@contextlib.contextmanager
def _in_a_directory() -> Iterator[None]:
    """Be in a directory that is there: in one that was removed, BCC compiles nothing."""
    try:
        os.getcwd()
    except FileNotFoundError:
        removed = os.open(".", os.O_PATH | os.O_CLOEXEC)
        os.chdir("/")
        try:
            yield
        finally:
            os.fchdir(removed)
            os.close(removed)
    else:
        yield


def _same_code(one: bytes, other: bytes) -> bool:
    """Say whether two programs have the same instructions, apart from what they name."""
    return one[::8] == other[::8]


def _import_bcc() -> tuple[Any, Any]:
    """Return a BPF class that attaches nothing by itself, and libbcc.

    Raises EngineUnavailable.
    """
    try:
        import bcc
    except ImportError as error:
        if error.name not in (None, "bcc"):
            raise EngineUnavailable(
                f"BCC's Python package is broken: {error}", _install()
            ) from None
        hidden = sys.prefix != sys.base_prefix and bool(_distribution_bcc())
        hint = (
            "make this virtual environment again with --system-site-packages: now it hides the "
            "package"
            if hidden
            else _install()
        )
        raise EngineUnavailable("BCC's Python package is not installed", hint) from None
    except OSError as error:
        if "failed to map segment" in str(error):  # the dynamic linker's words
            raise MemoryError from None
        raise EngineUnavailable(f"BCC's library cannot be loaded: {error}", _install()) from None
    if bcc.__file__ is None:  # a directory that Python takes for a package all the same
        raise EngineUnavailable("BCC's Python package is not installed", _install())
    if not hasattr(bcc, "BPF"):
        raise EngineUnavailable(
            f"{os.path.dirname(bcc.__file__)} is not BCC but a lattice package of the same "
            "name from PyPI",
            "pip uninstall bcc, then " + _install(),
        )

    class Bpf(bcc.BPF):  # type: ignore[misc]
        """BCC attaches tracepoint__* and kprobe__* when it opens; we do later."""

        def _trace_autoload(self) -> None:
            pass

    return Bpf, bcc.lib


def version() -> str:
    """Return BCC's version and that of its LLVM: "0.26.0, LLVM 14". Raises EngineUnavailable."""
    _import_bcc()
    import bcc

    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        llvm = llvm_version(file.read())
    return f"{bcc.__version__}, LLVM {llvm}" if llvm else str(bcc.__version__)


def llvm_version(maps: str) -> str:
    """Return the version of the LLVM that a process has mapped, "" if none is to be seen.

    The name of its file has it (libLLVM-14.so.1, libLLVM.so.19.1), or that of its
    directory (llvm-18/lib/libLLVM.so.1). It is not there if it is linked into libbcc.
    """
    found = re.search(r"/(?:llvm-|libLLVM-|libLLVM\.so\.)([\d.]*\d)", maps)
    return found[1] if found else ""


def _distribution_bcc() -> str:
    """Return where a distribution's package puts BCC, "" if it is not there."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for path in ("/usr/lib/python3/dist-packages", f"/usr/lib/python{version}/site-packages"):
        if os.path.isfile(f"{path}/bcc/__init__.py"):
            return f"{path}/bcc"
    return ""
