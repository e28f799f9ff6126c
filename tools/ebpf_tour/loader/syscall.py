"""bpf(2) and perf_event_open(2) themselves.

Both engines use them to ask the kernel about what they loaded. So do the trivial
programs that `ebpf-tour check` tries.
"""

from __future__ import annotations

import ctypes as ct
import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from ebpf_tour.loader import features

if TYPE_CHECKING:
    from collections.abc import Iterator

# The system calls' numbers, from the kernel's system call tables.
_NR_BPF = {"x86_64": 321, "aarch64": 280}
_NR_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}

# enum bpf_cmd, from include/uapi/linux/bpf.h.
_MAP_CREATE = 0
_MAP_LOOKUP_ELEM, _MAP_UPDATE_ELEM, _MAP_DELETE_ELEM, _MAP_GET_NEXT_KEY = 1, 2, 3, 4
_PROG_LOAD = 5
_OBJ_GET = 7
_PROG_ATTACH, _PROG_DETACH = 8, 9
_PROG_RUN = 10
_MAP_GET_NEXT_ID, _PROG_GET_FD_BY_ID, _MAP_GET_FD_BY_ID = 12, 13, 14
_MAP_GET_NEXT_ID, _PROG_GET_FD_BY_ID, _MAP_GET_FD_BY_ID = 12, 13, 14
_OBJ_GET_INFO_BY_FD = 15
_PROG_QUERY = 16
_RAW_TRACEPOINT_OPEN = 17
_MAP_LOOKUP_AND_DELETE_ELEM = 21
_LINK_CREATE = 28
_ENABLE_STATS, _ITER_CREATE = 32, 33

_TEST_XDP_LIVE_FRAMES = 1 << 1

_libc = ct.CDLL(None, use_errno=True)
_libc.syscall.restype = ct.c_long


def bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    """Make the system call; return its result and the union bpf_attr as it came back.

    Raises OSError.
    """
    buffer = ct.create_string_buffer(attr, len(attr))
    nr = ct.c_long(_NR_BPF[os.uname().machine])
    result: int = _libc.syscall(nr, ct.c_int(command), buffer, ct.c_uint(len(attr)))
    if result < 0:
        number = ct.get_errno()
        raise OSError(number, f"bpf(2) command {command}: {os.strerror(number)}")
    return result, buffer.raw


def _element(command: int, fd: int, key: bytes | None, value: ct.Array[ct.c_char]) -> bool:
    """Call one of the commands on a map's element; False if there is none (ENOENT).

    The address of the key is 0 if there is no key, as in a queue, which has none.
    """
    key_buffer = ct.create_string_buffer(key, len(key)) if key else None
    key_address = ct.addressof(key_buffer) if key_buffer else 0
    try:
        # map_fd, key, value or next_key, flags
        bpf(command, struct.pack("=I4xQQQ", fd, key_address, ct.addressof(value), 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def lookup(fd: int, key: bytes, value_bytes: int) -> bytes | None:
    """Return the value of a key, or None. Raises OSError."""
    value = ct.create_string_buffer(value_bytes)
    return value.raw if _element(_MAP_LOOKUP_ELEM, fd, key, value) else None


def update(fd: int, key: bytes, value: bytes) -> None:
    """Create or replace an element. Raises OSError."""
    _element(_MAP_UPDATE_ELEM, fd, key, ct.create_string_buffer(value, len(value)))


def take(fd: int, value_bytes: int) -> bytes | None:
    """Take the next value out of a queue or a stack; None if it is empty. Raises OSError."""
    value = ct.create_string_buffer(value_bytes)
    return value.raw if _element(_MAP_LOOKUP_AND_DELETE_ELEM, fd, b"", value) else None


def may_have(fd: int, value: bytes) -> bool:
    """Return what a bloom filter says of a value. Raises OSError."""
    return _element(_MAP_LOOKUP_ELEM, fd, b"", ct.create_string_buffer(value, len(value)))


def delete(fd: int, key: bytes) -> None:
    """Delete an element. Raises OSError."""
    key_buffer = ct.create_string_buffer(key, len(key))
    # map_fd, key
    bpf(_MAP_DELETE_ELEM, struct.pack("=I4xQ", fd, ct.addressof(key_buffer)))


def keys(fd: int, key_bytes: int, most: int) -> Iterator[bytes]:
    """Yield the keys of a map, `most` at the most. Raises OSError.

    The limit matters: when a key is deleted meanwhile, the kernel begins anew.
    """
    key: bytes | None = None
    following = ct.create_string_buffer(key_bytes)
    for _ in range(most):
        if not _element(_MAP_GET_NEXT_KEY, fd, key, following):
            return
        key = following.raw
        yield key


def open_maps(kind: int) -> Iterator[int]:
    """Yield a file descriptor of each map of a type that there is, whoever made it.

    It is closed afterwards. Raises OSError.
    """
    number = 0
    while number := _next_map(number):
        try:
            fd, _ = bpf(_MAP_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))
        except FileNotFoundError:  # gone meanwhile
            continue
        try:
            if map_info(fd).type == kind:
                yield fd
        finally:
            os.close(fd)


def _next_map(number: int) -> int:
    """Return the id of the map after this one, or 0. Raises OSError."""
    try:
        # start_id, next_id, open_flags
        _, answer = bpf(_MAP_GET_NEXT_ID, struct.pack("=III", number, 0, 0))
    except FileNotFoundError:
        return 0
    return int(struct.unpack("=III", answer)[1])


def open_pinned_map(path: str) -> int:
    """Return a file descriptor of the map that is pinned at a path in bpffs.

    Raises OSError; EINVAL if it is a program or a link that is pinned there.
    """
    name = ct.create_string_buffer(os.fsencode(path))
    # pathname, bpf_fd, file_flags
    fd, _ = bpf(_OBJ_GET, struct.pack("=QII", ct.addressof(name), 0, 0))
    if os.readlink(f"/proc/self/fd/{fd}") != "anon_inode:bpf-map":
        os.close(fd)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return fd


def has_ring_buffer() -> bool:
    """Say whether the kernel has ring buffers, by creating a small one.

    commit 457f44363a88 ("bpf: Implement BPF ring buffer and verifier support
    for it") (in v5.8). Raises NotPermitted if it may not create maps, OSError.
    """
    ringbuf = 27  # BPF_MAP_TYPE_RINGBUF
    return _can_create(errno.EINVAL, ringbuf, 0, 0, os.sysconf("SC_PAGE_SIZE"))


def has_large_keys() -> bool:
    """Say whether a hash may have keys of more than 512 bytes, by creating one.

    commit c6bde958a62b ("bpf: Lift hashtab key_size limit") (in v5.11).
    Raises NotPermitted if it may not create maps, OSError.
    """
    hash_map = 1  # BPF_MAP_TYPE_HASH
    return _can_create(errno.E2BIG, hash_map, 1024, 8, 1)


def _can_create(refusal: int, kind: int, key_bytes: int, value_bytes: int, entries: int) -> bool:
    """Say whether the kernel creates such a map; `refusal` is the errno if it has none."""
    try:
        fd = create_map(kind, key_bytes, value_bytes, entries)
    except OSError as error:
        if error.errno == refusal:
            return False
        if error.errno == errno.EPERM:
            raise features.explain_eperm("create maps") from None
        raise
    os.close(fd)
    return True


def create_map(kind: int, key_bytes: int, value_bytes: int, entries: int) -> int:
    """Create a map (BPF_MAP_TYPE_*) and return its file descriptor. Raises OSError."""
    # map_type, key_size, value_size, max_entries, map_flags
    fd, _ = bpf(_MAP_CREATE, struct.pack("=IIIII", kind, key_bytes, value_bytes, entries, 0))
    return fd


class ProgramRefused(OSError):  # noqa: N818 - reads better where it is raised
    """The kernel does not load a program; `log` is what the verifier says, if it came so far."""

    log = ""


def load_program(kind: int, code: bytes, attach_type: int = 0, btf_id: int = 0) -> int:
    """Load a program (BPF_PROG_TYPE_*) and return its file descriptor.

    `attach_type` (BPF_*) and `btf_id`, of a function or typedef of the kernel,
    are for the types that need them. Raises ProgramRefused.
    """
    code_buffer = ct.create_string_buffer(code, len(code))
    license_buffer = ct.create_string_buffer(b"GPL")  # which many helpers demand
    log = ct.create_string_buffer(64 << 10)
    attr = bytearray(120)
    # prog_type, insn_cnt, insns, license, log_level, log_size, log_buf
    struct.pack_into(
        *("=IIQQIIQ", attr, 0, kind, len(code) // 8),
        *(ct.addressof(code_buffer), ct.addressof(license_buffer)),
        *(1, len(log), ct.addressof(log)),
    )
    struct.pack_into("=16s", attr, 48, b"ebpf_tour_trial")  # prog_name
    struct.pack_into("=I", attr, 68, attach_type)  # expected_attach_type
    struct.pack_into("=I", attr, 108, btf_id)  # attach_btf_id
    try:
        fd, _ = bpf(_PROG_LOAD, bytes(attr))
    except OSError as error:
        refused = ProgramRefused(error.errno, error.strerror)
        refused.log = log.value.decode("utf-8", "backslashreplace")
        raise refused from None
    return fd


class Ran(NamedTuple):
    """What a program has returned, and how many ns each run took (0 where nobody measures)."""

    result: int
    ns: int


def run_program(
    program: int, packet: bytes, context: bytes = b"", repeat: int = 0, *, live: bool = False
) -> Ran:
    """Run a program, and return what the last of its runs returned. Raises OSError.

    A program for packets wants a packet: 14 bytes or more, an Ethernet header. One for
    raw tracepoints wants none, and is run once. `context` is the beginning of the structure
    that the program gets; zeros follow.

    `live` is for XDP: `repeat` packets go where the program sends them, and the result is
    always 0. commit b530e9e1063e ("bpf: Add "live packet" mode for XDP in BPF_PROG_RUN")
    (in v5.18).
    """
    data = ct.create_string_buffer(packet, len(packet))
    given = ct.create_string_buffer(context, len(context))
    attr = bytearray(80)
    # prog_fd, retval, data_size_in, data_size_out, data_in
    data_in = ct.addressof(data) if packet else 0
    struct.pack_into("=IIIIQ", attr, 0, program, 0, len(packet), 0, data_in)
    # repeat, duration, ctx_size_in, ctx_size_out, ctx_in
    context_in = ct.addressof(given) if context else 0
    struct.pack_into("=IIIIQ", attr, 32, repeat, 0, len(context), 0, context_in)
    struct.pack_into("=I", attr, 64, _TEST_XDP_LIVE_FRAMES if live else 0)  # flags
    _, answer = bpf(_PROG_RUN, bytes(attr))
    (result,) = struct.unpack_from("=i", answer, 4)
    (ns,) = struct.unpack_from("=I", answer, 36)
    return Ran(result, ns)


def load_pid_program() -> int:
    """Load a program that returns its process's ID in the first PID namespace.

    `run_program(fd, b"")` runs it: a program sees the kernel's own number, which a process in
    a container cannot know otherwise. Raises OSError.
    """
    raw_tracepoint = 17  # BPF_PROG_TYPE_RAW_TRACEPOINT
    call = struct.pack("=BBhi", 0x85, 0, 0, 14)  # call bpf_get_current_pid_tgid
    shift = struct.pack("=BBhi", 0x77, 0, 0, 32)  # r0 >>= 32
    leave = struct.pack("=BBhi", 0x95, 0, 0, 0)  # exit
    return load_program(raw_tracepoint, call + shift + leave)


def has_attach_cookies() -> bool:
    """Say whether a program at a probe can ask for its cookie, by loading one that does.

    A cookie is a number that says which attachment it is. commit 7adfc6c9b315 ("bpf: Add
    bpf_get_attach_cookie() BPF helper to access bpf_cookie value") (in v5.15). Raises OSError.
    """
    kprobe = 2  # BPF_PROG_TYPE_KPROBE
    call = struct.pack("=BBhi", 0x85, 0, 0, 174)  # call bpf_get_attach_cookie
    leave = struct.pack("=BBhi", 0x95, 0, 0, 0)  # exit
    try:
        os.close(load_program(kprobe, call + leave))
    except ProgramRefused as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def open_raw_tracepoint(name: bytes | None, program: int) -> int:
    """Attach a program to a raw tracepoint; closing what this returns detaches it.

    Without a name, to what it was loaded for: fentry, fexit or LSM. Raises OSError.
    """
    buffer = ct.create_string_buffer(name) if name else None
    address = ct.addressof(buffer) if buffer else 0
    fd, _ = bpf(_RAW_TRACEPOINT_OPEN, struct.pack("=QI4x", address, program))
    return fd


def may_use_maps() -> bool:
    """Say whether a map that is open can be used as we are.

    Before commit c8644cd0efe7 ("bpf: refine kernel.unprivileged_bpf_disabled behaviour")
    (in v5.19) that took CAP_BPF, where the setting of that name is not 0.
    """
    try:
        bpf(_MAP_GET_NEXT_KEY, struct.pack("=i28x", -1))  # no map is open as -1
    except OSError as error:
        return error.errno != errno.EPERM
    return True


def create_link(
    program: int, target: int, attach_type: int, extra: bytes = b"", flags: int = 0
) -> int:
    """Attach a program to a target; closing what this returns detaches it.

    `target` is a file descriptor (of a cgroup, a network namespace), the index of
    a network interface, or 0; `attach_type` is BPF_*. `extra` is what the union
    link_create of bpf_attr has behind its flags. Raises OSError.
    """
    # prog_fd, target_fd or target_ifindex, attach_type, flags
    attr = struct.pack("=IIII", program, target, attach_type, flags) + extra
    fd, _ = bpf(_LINK_CREATE, attr.ljust(64, b"\0"))
    return fd


def attach(program: int, target: int, attach_type: int) -> None:
    """Attach a program to a map of sockets, by its file descriptor; no link can. Raises OSError.

    It is attached until `detach()`, or until the map is gone.
    """
    # target_fd, attach_bpf_fd, attach_type, attach_flags
    bpf(_PROG_ATTACH, struct.pack("=IIII", target, program, attach_type, 0))


def detach(program: int, target: int, attach_type: int) -> None:
    """Detach what `attach()` has attached. Raises OSError."""
    bpf(_PROG_DETACH, struct.pack("=IIII", target, program, attach_type, 0))


def has_helper(kind: int, number: int) -> bool:
    """Say whether programs of a type (BPF_PROG_TYPE_*) can call a helper, with the context alone.

    By loading one that does. Raises OSError.
    """
    call = struct.pack("=BBhi", 0x85, 0, 0, number)
    leave = struct.pack("=BBhiBBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0)  # r0 = 1; exit
    try:
        os.close(load_program(kind, call + leave))
    except ProgramRefused as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def has_attach_type(target: int, attach_type: int) -> bool:
    """Say whether the kernel knows an attach type (BPF_*), by asking what is attached there.

    `target` is as in `create_link()`. Raises OSError where it does not let us ask.
    """
    # target, attach_type, query_flags, attach_flags, prog_ids, count
    attr = struct.pack("=IIIIQI", target, attach_type, 0, 0, 0, 0)
    try:
        bpf(_PROG_QUERY, attr.ljust(64, b"\0"))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    return True


def create_task_link(program: int, pid: int | None) -> int:
    """Attach an iterator's program to all tasks, or to those of a process. Raises OSError.

    `pid` is as our PID namespace counts. Closing what this returns detaches it.
    """
    task, iterator = 0, 28  # no target, BPF_TRACE_ITER
    if pid is None:
        return create_link(program, task, iterator)
    # union bpf_iter_link_info: tid, pid, pid_fd
    info = ct.create_string_buffer(struct.pack("=III", 0, pid, 0), 16)
    return create_link(program, task, iterator, struct.pack("=QI", ct.addressof(info), 16))


def read_iterator(link: int) -> Iterator[bytes]:
    """Let the program of an iterator run for each object; yield what it writes, piece by piece.

    A record may begin in one piece and end in the next. Raises OSError.
    """
    fd, _ = bpf(_ITER_CREATE, struct.pack("=II", link, 0))
    with open(fd, "rb", buffering=0) as file:
        while piece := file.read(64 << 10):
            yield piece


def may_ask_for_paths(iterator: int) -> bool:
    """Say whether the program of an iterator may call bpf_d_path(). Raises OSError.

    `iterator` is the kernel's function for it, by its BTF. commit 3d06f34aa89e ("bpf: Allow
    bpf_d_path in bpf_iter program") (in v5.12)
    """
    tracing, trace_iter = 26, 28  # BPF_PROG_TYPE_TRACING, BPF_TRACE_ITER
    call = struct.pack("=BBhi", 0x85, 0, 0, 147)  # call bpf_d_path, without an argument
    leave = struct.pack("=BBhi", 0x95, 0, 0, 0)  # exit
    try:
        os.close(load_program(tracing, call + leave, trace_iter, iterator))
    except ProgramRefused as error:
        # EINVAL: the helper is not for it. EACCES: it is, and the arguments are wrong.
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise
        return error.errno == errno.EACCES
    return True


class PerfEvent(NamedTuple):
    """What perf_event_open(2) is asked for.

    `text` and `number` are config1 and config2: function or path, and offset, of
    a probe. `pid` is a thread, -1 all of them, then on the CPU `cpu`; with `inherit`,
    what the thread starts from now on is meant, too. `period` is how many events to
    wait for each time, `frequency` how often in a second to sample in its place. With
    `on_exec`, it begins when the thread executes a program.
    """

    type: int
    config: int
    text: bytes = b""
    number: int = 0
    pid: int = -1
    period: int = 0
    cpu: int = 0
    frequency: int = 0
    inherit: bool = False
    on_exec: bool = False

    def __str__(self) -> str:
        return f"of type {self.type}, number {self.config}"


def open_perf_event(event: PerfEvent) -> int:
    """Return the file descriptor of a perf event. Raises OSError."""
    text = ct.create_string_buffer(event.text) if event.text else None
    attr = bytearray(112)  # PERF_ATTR_SIZE_VER5
    # type, size, config, sample_period or sample_freq
    often = event.frequency or event.period
    struct.pack_into("=IIQQ", attr, 0, event.type, len(attr), event.config, often)
    # bits: disabled, inherit, freq, enable_on_exec
    bits = event.on_exec | event.inherit << 1 | bool(event.frequency) << 10 | event.on_exec << 12
    struct.pack_into("=Q", attr, 40, bits)
    # config1, config2
    struct.pack_into("=QQ", attr, 56, ct.addressof(text) if text else 0, event.number)
    attr_buffer = ct.create_string_buffer(bytes(attr), len(attr))
    cpu = event.cpu if event.pid == -1 else -1
    close_on_exec = 8  # PERF_FLAG_FD_CLOEXEC
    fd: int = _libc.syscall(
        ct.c_long(_NR_PERF_EVENT_OPEN[os.uname().machine]),
        attr_buffer,
        ct.c_int(event.pid),
        ct.c_int(cpu),
        ct.c_int(-1),  # no group
        ct.c_ulong(close_on_exec),
    )
    if fd < 0:
        number = ct.get_errno()
        raise OSError(number, f"perf_event_open(2): {os.strerror(number)}")
    return fd


def leave_network() -> None:
    """Move this thread into a network namespace of its own, which has `lo` alone.

    It is gone with the last process in it. Python has os.unshare() since 3.12. Raises OSError.
    """
    new_network = 0x40000000  # CLONE_NEWNET
    if _libc.unshare(ct.c_int(new_network)):
        number = ct.get_errno()
        raise OSError(number, f"unshare(2): {os.strerror(number)}")


def enter_network(fd: int) -> None:
    """Move this thread into a network namespace, by a descriptor of it.

    Python has os.setns() since 3.12. Raises OSError.
    """
    network = 0x40000000  # CLONE_NEWNET
    if _libc.setns(ct.c_int(fd), ct.c_int(network)):
        number = ct.get_errno()
        raise OSError(number, f"setns(2): {os.strerror(number)}")


def bind_packets(fd: int, ifindex: int) -> None:
    """Let a packet socket get every packet of an interface; see packet(7).

    Python wants its name, which may be no text, and may be another's by now. Raises OSError.
    """
    every_protocol = 3  # ETH_P_ALL
    # struct sockaddr_ll: sll_family (AF_PACKET), sll_protocol, sll_ifindex, what it ignores
    address = (
        struct.pack("=H", 17) + struct.pack("!H", every_protocol) + struct.pack("=i12x", ifindex)
    )
    if _libc.bind(ct.c_int(fd), address, ct.c_uint(len(address))):
        number = ct.get_errno()
        raise OSError(number, f"bind(2): {os.strerror(number)}")


def attach_classic_filter(fd: int, instructions: bytes) -> None:
    """Give a socket a filter in the old instructions: struct sock_filter. Raises OSError."""
    code = ct.create_string_buffer(instructions, len(instructions))
    # struct sock_fprog: len, filter
    program = struct.pack("=H6xQ", len(instructions) // 8, ct.addressof(code))
    socket_level, attach_filter = 1, 26  # SOL_SOCKET, SO_ATTACH_FILTER
    if _libc.setsockopt(
        *(ct.c_int(fd), ct.c_int(socket_level), ct.c_int(attach_filter)),
        *(program, ct.c_uint(len(program))),
    ):
        number = ct.get_errno()
        raise OSError(number, f"setsockopt(2): {os.strerror(number)}")


def online_cpus() -> list[int]:
    """Return the numbers of the CPUs that run."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        ranges = [part.split("-") for part in file.read().strip().split(",")]
    return [cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1)]


def address_in_libc(function: str) -> int:
    """Return where a function of the C library is in this process."""
    return ct.cast(_libc[function], ct.c_void_p).value or 0


def call_in_libc(function: str, argument: int) -> int:
    """Call a function of the C library, from long to long, in this process."""
    called = _libc[function]
    called.restype = ct.c_long
    return int(called(ct.c_long(argument)))


def possible_cpus() -> int:
    """Return how many CPUs the kernel has room for, as per-CPU maps count them."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        return int(file.read().replace(",", "-").split("-")[-1]) + 1


def _info(fd: int, size: int) -> bytes:
    info = ct.create_string_buffer(size)
    bpf(_OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", fd, size, ct.addressof(info)))
    return info.raw


class ProgramInfo(NamedTuple):
    """A loaded program; sizes in bytes. Source: struct bpf_prog_info.

    `runs` says how often it ran while a descriptor of `count_runs()` was open.
    `missed` says how often it did not run, since a BPF program was running on
    that CPU already; 0 before commit 9ed9e9ba2337 ("bpf: Count the number of
    times recursion was prevented") (in v5.12).
    """

    type: int
    id: int
    name: str
    jited_bytes: int
    xlated_bytes: int
    runs: int
    missed: int


class MapInfo(NamedTuple):
    """A map; sizes in bytes. Source: struct bpf_map_info."""

    type: int
    id: int
    name: str
    key_bytes: int
    value_bytes: int
    max_entries: int


def _name(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("ascii", "replace")


def program_info(fd: int) -> ProgramInfo:
    """Ask the kernel about the program behind `fd`. Raises OSError."""
    # type, id, tag[8], jited_len, xlated_len, two pointers, load_time, uid,
    # nr_map_ids, map_ids, name[16], more of the kind, run_cnt, recursion_misses
    form = "=II8xII16x8x8x8x16s120xQQ"
    kind, number, jited, xlated, name, runs, missed = struct.unpack(form, _info(fd, 216))
    return ProgramInfo(kind, number, _name(name), jited, xlated, runs, missed)


def program_name(number: int) -> str:
    """Return the name of the program with an id; "?" if nobody knows, or we may not ask."""
    try:
        fd, _ = bpf(_PROG_GET_FD_BY_ID, struct.pack("=III", number, 0, 0))
    except OSError:
        return "?"
    try:
        return program_info(fd).name or "?"
    finally:
        os.close(fd)


def count_runs() -> int:
    """Return a file descriptor; while it is open, the kernel counts how often programs run.

    commit d46edd671a14 ("bpf: Sharing bpf runtime stats with BPF_ENABLE_STATS") (in
    v5.8). It needs CAP_SYS_ADMIN. Raises OSError.
    """
    run_time = 0  # BPF_STATS_RUN_TIME
    fd, _ = bpf(_ENABLE_STATS, struct.pack("=I", run_time))
    return fd


def map_info(fd: int) -> MapInfo:
    """Ask the kernel about the map behind `fd`. Raises OSError."""
    # type, id, key_size, value_size, max_entries, map_flags, name[16]
    kind, number, key, value, entries, name = struct.unpack("=IIIII4x16s", _info(fd, 40))
    return MapInfo(kind, number, _name(name), key, value, entries)
