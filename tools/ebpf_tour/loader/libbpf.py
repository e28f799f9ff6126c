"""The libbpf engine: compiled objects, loaded by libbpf.so.1 through ctypes.

The calls are the ones of libbpf's C API, in the order in which libbpf-bootstrap
makes them. clang compiled the C file when the package was built; libbpf
adapts it to the running kernel (CO-RE) by the kernel's BTF.
"""

from __future__ import annotations

import ctypes as ct
import errno
import os
import re
import shlex
import sys
from typing import TYPE_CHECKING

from ebpf_tour.base.errors import EngineUnavailable, Error, NotPermitted, Unsupported
from ebpf_tour.loader import features, origin
from ebpf_tour.loader.btf import Btf, load_libbpf
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
from ebpf_tour.loader.verifier_log import LOG_ALL, log_buffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ebpf_tour.explain.lines import Lines
    from ebpf_tour.loader.btf import Variable
    from ebpf_tour.loader.hooks import Detach, Hook
    from ebpf_tour.loader.layout import Layout
    from ebpf_tour.loader.maps import Map
    from ebpf_tour.loader.reader import Reader

# enum libbpf_print_level
_WARN = 0

_UNSPEC = 0  # BPF_PROG_TYPE_UNSPEC

# The sections that clang makes of global variables.
_SECTIONS = (".data", ".bss", ".rodata")

# The maps that records come through.
_BUFFERS = (PERF_EVENT_ARRAY, RINGBUF)

_OBJECTS = {"x86_64": "x86", "aarch64": "arm64"}


class _OpenOpts(ct.Structure):
    """struct bpf_object_open_opts, up to the field that is used here."""

    _fields_ = [("sz", ct.c_size_t), ("object_name", ct.c_char_p)]


# typedef int (*libbpf_print_fn_t)(enum libbpf_print_level, const char *, va_list).
# A va_list arrives as a pointer on x86-64 and arm64 alike, and vsnprintf takes
# it as it came.
_PrintFn = ct.CFUNCTYPE(ct.c_int, ct.c_int, ct.c_char_p, ct.c_void_p)


# libbpf has one function for its messages, the latest, and may call it after the
# program is closed that gave it: when BCC's engine asks for the kernel's types, say.
_LATEST: list[object] = []


class _Messages:
    """libbpf's own messages: kept, so that a failure can quote them."""

    def __init__(self, say: Callable[[str], None], verbose: bool) -> None:
        self._say = say
        self._verbose = verbose
        self._vsnprintf = ct.CDLL(None).vsnprintf
        self._vsnprintf.argtypes = [ct.c_char_p, ct.c_size_t, ct.c_char_p, ct.c_void_p]
        self.warnings: list[str] = []
        self.callback = _PrintFn(self._receive)

    def _receive(self, level: int, form: bytes, arguments: int) -> int:
        if level != _WARN and not self._verbose:
            return 0
        buffer = ct.create_string_buffer(64 << 10 if level == _WARN else 4 << 10)
        self._vsnprintf(buffer, len(buffer), form, arguments)
        text = buffer.value.decode("utf-8", "backslashreplace")
        if level == _WARN:
            self.warnings.append(text)
        if self._verbose:
            self._say(text)
        return 0

    def take(self) -> str:
        """Return the warnings since the last call."""
        text = "".join(self.warnings)
        self.warnings.clear()
        return text

    def show(self) -> None:
        """Show the warnings of a call that went well all the same."""
        # A pending signal makes libbpf's probe for the newer accounting of memory
        # fail, and it tries to raise a limit that nothing needed after all.
        text = re.sub(r"(?m)^libbpf: Failed to bump RLIMIT_MEMLOCK.*\n", "", self.take())
        if text and not self._verbose:
            self._say(text)


def declared_libbpf() -> ct.CDLL:
    """Return libbpf with the prototypes of libbpf.h. Raises EngineUnavailable."""
    lib = load_libbpf()
    pointer, integer, string, size = ct.c_void_p, ct.c_int, ct.c_char_p, ct.c_size_t
    for name, result, arguments in (
        ("libbpf_set_print", pointer, [_PrintFn]),
        ("bpf_object__open_file", pointer, [string, ct.POINTER(_OpenOpts)]),
        ("bpf_object__load", integer, [pointer]),
        ("bpf_object__close", None, [pointer]),
        ("bpf_object__name", string, [pointer]),
        ("bpf_object__btf", pointer, [pointer]),
        ("bpf_object__next_program", pointer, [pointer, pointer]),
        ("bpf_object__next_map", pointer, [pointer, pointer]),
        ("bpf_object__find_map_by_name", pointer, [pointer, string]),
        ("bpf_program__name", string, [pointer]),
        ("bpf_program__section_name", string, [pointer]),
        ("bpf_program__set_autoload", integer, [pointer, ct.c_bool]),
        ("bpf_program__set_log_level", integer, [pointer, ct.c_uint32]),
        ("bpf_program__set_log_buf", integer, [pointer, string, size]),
        ("bpf_program__fd", integer, [pointer]),
        ("bpf_program__insns", pointer, [pointer]),
        ("bpf_program__insn_cnt", size, [pointer]),
        ("bpf_program__attach", pointer, [pointer]),
        ("bpf_link__destroy", integer, [pointer]),
        ("bpf_program__type", integer, [pointer]),
        ("bpf_program__set_type", integer, [pointer, integer]),
        ("bpf_program__set_expected_attach_type", integer, [pointer, integer]),
        ("bpf_program__set_attach_target", integer, [pointer, integer, string]),
        ("bpf_map__fd", integer, [pointer]),
        ("bpf_map__type", integer, [pointer]),
        ("bpf_map__name", string, [pointer]),
        ("bpf_map__autocreate", ct.c_bool, [pointer]),
        ("bpf_map__set_autocreate", integer, [pointer, ct.c_bool]),
        ("bpf_map__reuse_fd", integer, [pointer, integer]),
        ("libbpf_probe_bpf_map_type", integer, [integer, pointer]),
        ("libbpf_bpf_map_type_str", string, [integer]),
        ("bpf_map__max_entries", ct.c_uint32, [pointer]),
        ("bpf_map__set_max_entries", integer, [pointer, ct.c_uint32]),
        ("bpf_map__set_map_flags", integer, [pointer, ct.c_uint32]),
        ("bpf_map__btf_key_type_id", ct.c_uint32, [pointer]),
        ("bpf_map__btf_value_type_id", ct.c_uint32, [pointer]),
        ("bpf_map__initial_value", pointer, [pointer, ct.POINTER(size)]),
    ):
        function = getattr(lib, name)
        function.restype = result
        function.argtypes = arguments
    return lib


def version() -> str:
    """Return libbpf's version, such as "1.1". Raises EngineUnavailable."""
    lib = load_libbpf()
    lib.libbpf_version_string.restype = ct.c_char_p
    text: bytes = lib.libbpf_version_string()
    return text.decode().removeprefix("v")


class _Globals(Settings):
    """Writes into what libbpf will copy into .data, .bss and .rodata."""

    def __init__(self, lib: ct.CDLL, obj: int, source: str) -> None:
        self._lib = lib
        self._source = source
        self._variables: dict[str, tuple[int, Variable, int]] = {}
        btf = Btf(lib, lib.bpf_object__btf(obj))
        for section in _SECTIONS:
            section_map = lib.bpf_object__find_map_by_name(obj, section.encode())
            if not section_map:
                continue
            start = lib.bpf_map__initial_value(section_map, ct.byref(ct.c_size_t()))
            for name, variable in btf.variables(section).items():
                self._variables[name] = start + variable.offset, variable, section_map

    def __setitem__(self, name: str, value: int) -> None:
        address, variable, _ = self._found(name)
        try:
            raw = value.to_bytes(variable.size, sys.byteorder, signed=variable.signed)
        except OverflowError:
            sign = "signed" if variable.signed else "unsigned"
            raise Error(
                f"{name} of {os.path.basename(self._source)} has {variable.size} bytes, {sign}: "
                f"{value} does not fit",
                "give it a larger type there, such as __s64",
            ) from None
        ct.memmove(address, raw, variable.size)

    def _found(self, name: str) -> tuple[int, Variable, int]:
        if name not in self._variables:
            raise not_there("global variable", name, self._source, self._variables)
        return self._variables[name]

    def read(self, name: str) -> int:
        """Return what the loaded program has made of a variable."""
        from ebpf_tour.loader import syscall

        _, variable, section_map = self._found(name)
        # What we wrote to above was copied at load; the live one is in the map.
        fd = self._lib.bpf_map__fd(section_map)
        raw = syscall.lookup(fd, bytes(4), syscall.map_info(fd).value_bytes) or b""
        live = raw[variable.offset : variable.offset + variable.size]
        return int.from_bytes(live, sys.byteorder, signed=variable.signed)


class _MaxEntries(Settings):
    """Sizes of maps, which libbpf lets us change until the object is loaded."""

    def __init__(self, lib: ct.CDLL, obj: int, source: str) -> None:
        self._lib = lib
        self._object = obj
        self._source = source

    def __setitem__(self, name: str, value: int) -> None:
        found = find_map(self._lib, self._object, name, self._source)
        self._lib.bpf_map__set_max_entries(found, value)


class Function:
    """A program, as a hook prepares and attaches it: see `Hook.attach_libbpf()`.

    `of` is the object that it belongs to.
    """

    def __init__(self, lib: ct.CDLL, program: int, of: LibbpfProgram) -> None:
        self.of = of
        self._lib = lib
        self._program = program

    @property
    def fd(self) -> int:
        """Its file descriptor, for the kernel's own calls."""
        fd: int = self._lib.bpf_program__fd(self._program)
        return fd

    def set_attach_target(self, function: str, program: int = 0) -> None:
        """Before load: have it called at another function than the SEC() says. Raises OSError.

        `program` is the descriptor of the program that has this function, if not the kernel.
        """
        name = function.encode()
        error = self._lib.bpf_program__set_attach_target(self._program, program, name)
        if error:
            raise OSError(-error, os.strerror(-error))

    def set_map_flags(self, name: str, flags: int) -> None:
        """Before load: set the flags (BPF_F_*) of a map of its object. Raises Error."""
        self._lib.bpf_map__set_map_flags(self.of.find_map(name), flags)

    def attach(self) -> Detach:
        """Attach it to what its SEC() names; return what detaches it. Raises OSError."""
        return self.call("attach")

    def call(self, name: str, *arguments: int | str) -> Detach:
        """Attach it by a function of libbpf, bpf_program__NAME(), which takes the rest.

        Raises OSError.
        """
        function = self._lib[f"bpf_program__{name}"]
        function.restype = ct.c_void_p
        # Integers of all sizes are passed in whole registers.
        given = (
            ct.c_char_p(os.fsencode(value)) if isinstance(value, str) else ct.c_long(value)
            for value in arguments
        )
        link = function(ct.c_void_p(self._program), *given)
        if not link:
            number = ct.get_errno()
            raise OSError(number, os.strerror(number))
        return lambda: self._lib.bpf_link__destroy(link)


class LibbpfProgram(Program):
    """A compiled object, open; see `Program`.

    Raises EngineUnavailable where libbpf, kernel BTF or the object is missing.
    """

    engine = "libbpf"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._object = 0
        self._detach: list[Detach] = []
        self._log_buffers: dict[str, ct.Array[ct.c_char]] = {}
        self.source = f"{options.directory}/{options.name}.bpf.c"
        if not features.has_kernel_btf():
            raise EngineUnavailable(
                f"this kernel has no BTF in {features.KERNEL_BTF}"
                f"{features.without('DEBUG_INFO_BTF')}, which CO-RE needs",
                "boot your distribution's stock kernel, which has it",
            )
        self._lib = declared_libbpf()
        self._messages = _Messages(self._say, options.verbose)
        self._lib.libbpf_set_print(self._messages.callback)
        _LATEST[:] = [self._messages.callback]
        self._path = object_path(options.directory, options.name)
        _require_current(self._path, options.directory)
        self._open(self._path)
        self._select_programs()
        self.globals = self._globals = _Globals(self._lib, self._object, self.source)
        self.max_entries = _MaxEntries(self._lib, self._object, self.source)
        self._map_types = map_types(self._lib, self._object)

    def _open(self, path: str) -> None:
        self._object = open_object(self._lib, path, self._options.name)
        if not self._object:
            raise self._error(f"libbpf cannot open {path}", ct.get_errno())

    def _select_programs(self) -> None:
        """Load only the programs of the chosen hooks. Raises Error if a hook has none."""
        self._programs: dict[int, Hook] = {}
        found: list[tuple[str, str]] = []
        program = self._lib.bpf_object__next_program(self._object, None)
        while program:
            section = self._lib.bpf_program__section_name(program).decode()
            found.append((section, self._name(program)))
            hook = self._hook_of(*found[-1])
            self._lib.bpf_program__set_autoload(program, hook is not None)
            if hook:
                self._programs[program] = hook
                self._set_type(program, hook)
            program = self._lib.bpf_object__next_program(self._object, program)
        self._require_programs(found)

    def _require_programs(self, found: list[tuple[str, str]]) -> None:
        """Raise Error where the object's programs (SEC() and name) are not those of the hooks.

        libbpf would attach what a SEC() says, and the tool would wait for rows that
        cannot come.
        """
        file = os.path.basename(self.source)
        for hook in self._options.hooks:
            if hook not in self._programs.values():
                there = ", ".join(f'SEC("{section}")' for section, _ in found)
                raise Error(
                    f'no program in {file} is for {hook}: there is no SEC("{hook.section}")',
                    f"write it, or change the hook in the record, in the tool's Python; {file} has "
                    f"{there or 'no program at all'}",
                )
        for section, function in found if self._options.known else ():
            if section.removeprefix("raw_tp/") not in FOLLOW_EVENTS and not any(
                hook.is_for(section, function) for hook in self._options.known
            ):
                raise Error(
                    f'{function}() in {file} has SEC("{section}"), but no hook in the record is '
                    "for it",
                    "add the hook to the record, or correct the SEC()",
                )

    def _hook_of(self, section: str, function: str) -> Hook | None:
        return next((h for h in self._options.hooks if h.is_for(section, function)), None)

    def _set_type(self, program: int, hook: Hook) -> None:
        """Tell libbpf what a program is, where its SEC() does not say it, or is not to decide."""
        if hook.sets_type:
            self._lib.bpf_program__set_type(program, _UNSPEC)  # forgets what goes with the SEC()
        if self._lib.bpf_program__type(program) == _UNSPEC:
            self._lib.bpf_program__set_type(program, hook.program_type)
            if hook.attach_type >= 0:
                self._lib.bpf_program__set_expected_attach_type(program, hook.attach_type)

    def omit_map(self, name: str) -> None:
        self._lib.bpf_map__set_autocreate(self.find_map(name), False)

    def _reuse_map(self, name: str, path: str, fd: int) -> None:
        error = self._lib.bpf_map__reuse_fd(self.find_map(name), fd)
        if error:
            raise self._error(f"libbpf cannot use the map {path}", -error)

    def _require_event(self) -> None:
        """Raise Error if nothing says what the records look like that a buffer takes."""
        if any(self._lib.bpf_map__type(item) in _BUFFERS for item in self._maps()):
            record_layout(self._lib, self._object)

    def _load(self) -> None:
        self._require_event()
        for program, hook in self._programs.items():
            self._prepare(program, hook)
        # Left at level 0, the log is written only if the kernel refuses a
        # program: libbpf then tries once more. One buffer is enough for that.
        buffer = log_buffer()
        for program in self._programs:
            if self._options.whole_log:
                buffer = log_buffer()
                self._log_buffers[self._name(program)] = buffer
                self._lib.bpf_program__set_log_level(program, LOG_ALL)
            self._lib.bpf_program__set_log_buf(program, buffer, len(buffer))
        error = self._lib.bpf_object__load(self._object)
        if error:
            raise self._load_error(buffer, -error)
        self._messages.show()

    def _prepare(self, program: int, hook: Hook) -> None:
        try:
            hook.prepare_libbpf(Function(self._lib, program, self))
        except OSError as error:
            what = f"libbpf cannot prepare the program for {hook}"
            raise hook.unsupported() or self._error(what, error.errno or 0) from None

    def _load_error(self, buffer: ct.Array[ct.c_char], number: int) -> Error:
        what = f"the kernel refuses to load {self._options.name}.bpf.o"
        said = self._messages.take()
        failed = re.search(r"prog '(\w+)': BPF program load failed", said)
        log = self._log_buffers.get(failed[1], buffer).value if failed else b""
        if failed and log:
            error = self._refused(failed[1], log.decode("utf-8", "backslashreplace"), number)
            return self._unlicensed(error) if "GPL" in str(error) else error
        # An array of programs has one that was not loaded.
        if missing := re.search(r"map '(\w+)': failed to initialize slot .* prog '(\w+)'", said):
            array, function = missing.groups()
            return Error(
                f"{self._options.name}.bpf.c puts {function}() into {array}, but no hook of the "
                "record is for it",
                f'add its hook to the record: TailCall("{function}", "{array}", INDEX)',
                said,
            )
        error = self._error(what, number, said)
        not_created = re.search(r"map '([^']+)': failed to create", said)
        if not_created and not isinstance(error, NotPermitted):
            return self._not_created(not_created[1], number, said)
        return error

    def _unlicensed(self, error: Error) -> Error:
        """Return the error for a program that calls what its licence does not let it call."""
        licence = origin.section(self._path, "license")
        name = (licence or b"").partition(b"\0")[0].decode("utf-8", "backslashreplace")
        says = f"is under {name!r}" if name else "has no licence"
        return Error(
            f"{self._options.name}.bpf.c {says}: {error}",
            "the kernel takes GPL or Dual BSD/GPL, for instance: "
            'char LICENSE[] SEC("license") = "GPL";',
            error.detail,
        )

    def _not_created(self, name: str, number: int, said: str) -> Error:
        """Return the error for a map that the kernel did not create."""
        item, where = self.find_map(name), f"{self._options.name}.bpf.c"
        kind = self._lib.bpf_map__type(item)
        if self._lib.libbpf_probe_bpf_map_type(kind, None) != 1:
            known = self._lib.libbpf_bpf_map_type_str(kind)
            called = f"BPF_MAP_TYPE_{known.decode().upper()}" if known else str(kind)
            return Unsupported(
                f"this kernel has no maps of the type {called}, which {name} in {where} has",
                "see which types it has: bpftool feature probe | grep map_type",
                said,
            )
        hint = (
            f"check its key, value and max_entries in {where}: each type of map has its own rules"
        )
        if number in (errno.ENOMEM, errno.E2BIG):
            hint = f"give it fewer max_entries in {where}"
        elif not self._lib.bpf_map__max_entries(item):
            hint = f"set its number of entries in {where}: __uint(max_entries, 1024);"
        cause = f"the kernel does not create the map {name}: {os.strerror(number)}"
        return Error(cause, hint, said)

    def _attach(self) -> None:
        place = self._options.hooks.index
        for program, hook in sorted(self._programs.items(), key=lambda item: -place(item[1])):
            if not hook.needs_target:
                self._attach_program(program, hook)

    def attach_to(self, hook: Hook, target: Any) -> None:
        program = next(program for program, of in self._programs.items() if of == hook)
        self._attach_program(program, hook, target)

    def _attach_program(self, program: int, hook: Hook, target: Any = None) -> None:
        where = f"{hook}" if target is None else f"{hook} {target}"
        try:
            self._detach.append(hook.attach_libbpf(Function(self._lib, program, self), target))
        except OSError as error:
            raise hook.unsupported() or self._error(
                f"cannot attach to {where}", error.errno or 0, action=f"attach to {where}"
            ) from None
        self._messages.show()

    def detach(self) -> None:
        while self._detach:
            self._detach.pop()()

    def map(self, name: str) -> Map:
        from ebpf_tour.loader import syscall
        from ebpf_tour.loader.maps import Map

        fd = self.map_fd(name)  # raises Error if there is no map of that name
        types = self._map_types[name]
        has_key = syscall.map_info(fd).key_bytes > 0  # a queue, for instance, has none
        if not types[1] or (has_key and not types[0]):
            raise Error(
                f"the map {name} of {self._options.name}.bpf.c does not declare the types of its "
                "key and value",
                "declare them with __type(key, ...) and __type(value, ...) in place of their "
                "sizes; if it is a buffer, read it with events()",
            )
        return Map(fd, *map_layouts(self._lib, self._object, types))

    def fds_by_hook(self) -> dict[Hook, int]:
        """Return the file descriptor of the program of each hook."""
        return dict(self._hooks_and_fds())

    def find_map(self, name: str) -> int:
        """Return libbpf's struct bpf_map. Raises Error if there is none of that name."""
        return find_map(self._lib, self._object, name, self.source)

    def counter(self, name: str) -> int:
        return self._globals.read(name)

    def map_fd(self, name: str) -> int:
        fd: int = self._lib.bpf_map__fd(self.find_map(name))
        return fd

    def _record_layout(self, name: str) -> Layout:
        return record_layout(self._lib, self._object, name)

    def _open_reader(self, fd: int) -> Reader:
        from ebpf_tour.loader import syscall
        from ebpf_tour.loader.reader import open_reader

        info = syscall.map_info(fd)
        if info.type not in _BUFFERS:
            raise Error(
                f"the map {info.name} of {self._options.name}.bpf.c is neither a ring buffer nor "
                "a perf event array, so it has no records",
                f'read its keys and values: program.map("{info.name}").items()',
            )
        return open_reader(self._lib, fd, self._record_layout("event"), self.perf_bytes)

    def _close(self) -> None:
        if self._object:
            self._lib.bpf_object__close(self._object)
            self._object = 0

    def bytecode(self) -> list[tuple[str, bytes]]:
        found = []
        for program in self._programs:
            size = 8 * self._lib.bpf_program__insn_cnt(program)
            insns = ct.string_at(self._lib.bpf_program__insns(program), size)
            found.append((self._name(program), insns))
        return found

    def source_lines(self, function: str) -> Lines:
        from ebpf_tour.explain import lines
        from ebpf_tour.explain.asm import local_functions

        btf, ext = Btf.of_object(self._lib, self._path)
        found = lines.of_object(btf, ext).get(function, {}) if ext else {}
        btf.close()
        # libbpf appends the functions that it calls; the object has them elsewhere.
        for insns in (insns for name, insns in self.bytecode() if name == function):
            found.update(dict.fromkeys(local_functions(insns)))
        return found

    def verifier_logs(self) -> list[tuple[str, str]]:
        return [
            (name, buffer.value.decode("utf-8", "backslashreplace"))
            for name, buffer in self._log_buffers.items()
        ]

    def _hooks_and_fds(self) -> list[tuple[Hook, int]]:
        return [
            (hook, self._lib.bpf_program__fd(program)) for program, hook in self._programs.items()
        ]

    def map_fds(self) -> list[int]:
        return [fd for fd, _ in self._created_maps()]

    def _perf_event_arrays(self) -> list[int]:
        return [fd for fd, kind in self._created_maps() if kind == PERF_EVENT_ARRAY]

    def _created_maps(self) -> Iterator[tuple[int, int]]:
        """Yield file descriptor and type of each map."""
        for item in self._maps():
            yield self._lib.bpf_map__fd(item), self._lib.bpf_map__type(item)

    def _maps(self) -> Iterator[int]:
        """Yield each map that was not left out."""
        item = self._lib.bpf_object__next_map(self._object, None)
        while item:
            # From libbpf 1.4 on, one that was left out has a descriptor all the same.
            if self._lib.bpf_map__autocreate(item):
                yield item
            item = self._lib.bpf_object__next_map(self._object, item)

    def _name(self, program: int) -> str:
        name: bytes = self._lib.bpf_program__name(program)
        return name.decode()

    def _error(
        self, what: str, number: int, said: str = "", action: str = "load BPF programs"
    ) -> Error:
        """Return the error for a call that failed with errno `number`, doing `action`."""
        said = said or self._messages.take()
        if number in (errno.EPERM, errno.EACCES):
            return features.explain_eperm(action)
        error = Error(f"{what}: {os.strerror(number)}", detail=said)
        error.more = "" if self._options.verbose else "libbpf's messages"
        return error


def open_object(lib: ct.CDLL, path: str, name: str) -> int:
    """Open a compiled object; 0 and errno if libbpf cannot."""
    opts = _OpenOpts(sz=ct.sizeof(_OpenOpts), object_name=name.encode())
    return lib.bpf_object__open_file(os.fsencode(path), ct.byref(opts)) or 0


def find_map(lib: ct.CDLL, obj: int, name: str, source: str) -> int:
    """Return a map of an object. Raises Error if the C file declares none of that name."""
    found: int | None = lib.bpf_object__find_map_by_name(obj, name.encode())
    if not found:
        # Those of global variables have names with a point, such as "kills.bss".
        declared = [there for there in map_types(lib, obj) if "." not in there]
        raise not_there("map", name, source, declared)
    return found


def map_types(lib: ct.CDLL, obj: int) -> dict[str, tuple[int, int]]:
    """Return the ids of each map's key and value type in the object's BTF.

    Only before it is loaded: then libbpf forgets them where the kernel wants
    none, as for stack-trace maps.
    """
    found = {}
    item = lib.bpf_object__next_map(obj, None)
    while item:
        ids = lib.bpf_map__btf_key_type_id(item), lib.bpf_map__btf_value_type_id(item)
        found[lib.bpf_map__name(item).decode()] = ids
        item = lib.bpf_object__next_map(obj, item)
    return found


def map_layouts(lib: ct.CDLL, obj: int, types: tuple[int, int]) -> tuple[Layout, Layout]:
    """Return the layouts of a map's keys and values."""
    from ebpf_tour.loader.layout import NO_KEY

    btf = Btf(lib, lib.bpf_object__btf(obj))
    key, value = types
    return btf.layout(key) if key else NO_KEY, btf.layout(value)


def record_layout(lib: ct.CDLL, obj: int, name: str = "event") -> Layout:
    """Return the layout of the record that an object's programs send or write, `struct NAME`."""
    layout = Btf(lib, lib.bpf_object__btf(obj)).struct_layout(name)
    if layout is None:
        stem = lib.bpf_object__name(obj).decode()
        raise Error(
            f"there is no struct {name} in {stem}.bpf.c, which says what a record looks like",
            f"declare a variable with it, or the compiler leaves it out: struct {name} *layout "
            "__attribute__((unused));",
        )
    return layout


def _require_current(path: str, directory: str) -> None:
    """Raise Error if what an object was compiled from is not what is there now."""
    changed = origin.changed(path, (directory, sources()))
    if changed:
        have = "have" if len(changed) > 1 else "has"
        raise Error(
            f"{' and '.join(changed)} {have} changed since {path} was compiled",
            _how_to_compile(directory),
        )


def _how_to_compile(directory: str) -> str:
    if directory == sources() and os.path.islink(directory):
        return "in a checkout, compile it: make bpf"
    python = shlex.quote(sys.executable)
    return f"compile it: {python} -m ebpf_tour.build {shlex.quote(directory)}"


def object_path(directory: str, name: str) -> str:
    """Return the path of a compiled object. Raises Unsupported, EngineUnavailable."""
    machine = os.uname().machine
    if machine not in _OBJECTS:
        raise Unsupported(
            f"there are no compiled objects for {machine}",
            f"run it on {' or '.join(_OBJECTS)}",
        )
    path = f"{directory}/{_OBJECTS[machine]}/{name}.bpf.o"
    if not os.path.exists(path):
        if not os.path.exists(f"{directory}/{name}.bpf.c"):
            raise EngineUnavailable(
                f"there is no {name}.bpf.c in {directory}",
                "check the name and the directory in the tool's record: Tool(NAME, directory=...)",
            )
        raise EngineUnavailable(f"{path} is not there", _how_to_compile(directory))
    return path
