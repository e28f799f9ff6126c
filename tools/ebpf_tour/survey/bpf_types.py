"""The types of programs and maps that Linux has, as people wrote them down: one line for each.

What a running kernel has comes from its BTF, and which tool shows a type from the tools'
records: see territory.py. This is what neither of them says. The SEC() are those of
section_defs in libbpf.c. The versions are those in which Linux got the type, or where a line
names attach types, those; the tests compare them with what kernels have.
"""

from __future__ import annotations

from typing import NamedTuple


class HookLine(NamedTuple):
    """A program type with some of its attach types, which came together, or with none.

    `program` and `attach` are the kernel's names, without BPF_PROG_TYPE_ and BPF_; `sec` is
    what SEC() says, without a place and without `.s`, which lets a program sleep. Several names
    have a space between them. `bcc` is the macro, or what the function's name begins with, or
    what `b.load_func()` takes; "" where BCC has no name for it. `why` says why no tool of ours
    shows it, `teacher` which one does if that is not the first one that has such a hook.
    """

    program: str
    attach: str
    sec: str
    bcc: str
    since: str
    what: str
    why: str = ""
    teacher: str = ""


class MapLine(NamedTuple):
    """A type of maps: `type` is the kernel's name, without BPF_MAP_TYPE_.

    `name` is what the tools' records call it. `lesson` is the word behind `ebpf-maps` that
    shows it, "" if there is none. `section` is the SEC() of the programs that it is made for
    without being declared.
    """

    type: str
    name: str
    bcc: str
    since: str
    what: str
    why: str = ""
    lesson: str = ""
    section: str = ""


_ONE_FUNCTION = "the tools look at one function at a time"
_ROUTE = "it needs a route with a tunnel: ip route add ... encap bpf"
_CONNECT = "ebpf-cgroup shows such a program at connect(2)"
_REDIRECT = "it runs from an entry of a map to which another XDP program has redirected"
_STORAGE = "it works as task storage does, for another object"

HOOKS = (
    HookLine(
        *("SOCKET_FILTER", "", "socket", "BPF.SOCKET_FILTER", "3.19"),
        "each packet for a socket: how many bytes of it the socket gets",
    ),
    HookLine(
        *("KPROBE", "", "kprobe kretprobe", "kprobe__, kretprobe__", "4.1"),
        "entry to a function of the kernel, and its return",
    ),
    HookLine(
        *("KPROBE", "", "ksyscall kretsyscall", "syscall__", "4.1"),
        "the same for a system call, whose function has a name for each architecture",
    ),
    HookLine(
        *("KPROBE", "", "uprobe uretprobe", "any name", "4.3"),
        "entry to a function of a program or library, and its return",
    ),
    HookLine(
        *("KPROBE", "", "usdt", "any name", "4.3"),
        "a place that a program's author marked for tracers",
    ),
    HookLine(
        *("KPROBE", "TRACE_KPROBE_MULTI", "kprobe.multi kretprobe.multi", "", "5.18"),
        "many functions of the kernel, by one link",
        _ONE_FUNCTION,
    ),
    HookLine(
        *("KPROBE", "TRACE_UPROBE_MULTI", "uprobe.multi uretprobe.multi", "", "6.6"),
        "many functions of a program or library, by one link",
        _ONE_FUNCTION,
    ),
    HookLine(
        *("KPROBE", "TRACE_KPROBE_SESSION", "kprobe.session", "", "6.10"),
        "one program at entry and return, which can leave out the return",
        "ebpf-kprobe does the same with two programs and a map, on older kernels, too",
    ),
    HookLine(
        *("KPROBE", "TRACE_UPROBE_SESSION", "uprobe.session", "", "6.13"),
        "the same for a program or library",
        "ebpf-uprobe does the same with two programs, on older kernels, too",
    ),
    HookLine(
        *("SCHED_CLS", "", "tc classifier", "BPF.SCHED_CLS", "4.1"),
        "each packet that an interface receives or sends, as a filter of its qdisc",
    ),
    HookLine(
        *("SCHED_CLS", "TCX_INGRESS TCX_EGRESS", "tcx/ingress tcx/egress tc"),
        *("BPF.SCHED_CLS", "6.6"),
        "the same by a link, without a qdisc",
    ),
    HookLine(
        *("SCHED_CLS", "NETKIT_PRIMARY NETKIT_PEER", "netkit/primary netkit/peer"),
        *("BPF.SCHED_CLS", "6.7"),
        "each packet that an end of a netkit device sends",
        "it needs a netkit device, which joins a container to the host as a veth pair does",
    ),
    HookLine(
        *("SCHED_ACT", "", "action", "BPF.SCHED_ACT", "4.1"),
        "each packet that a filter of tc has matched",
        "a filter such as that of ebpf-tc can decide by itself (direct action)",
    ),
    HookLine(
        *("TRACEPOINT", "", "tp tracepoint", "TRACEPOINT_PROBE", "4.7"),
        "a place that the kernel's developers marked, with a record of its arguments",
    ),
    HookLine(
        *("XDP", "", "xdp", "BPF.XDP", "4.8"),
        "each packet that an interface receives, before the kernel looks at it",
    ),
    HookLine(
        *("XDP", "XDP", "xdp", "BPF.XDP", "5.9"),
        "the same by a link, which ends with its process",
    ),
    HookLine(
        *("XDP", "XDP_DEVMAP", "xdp/devmap", "BPF.XDP", "5.8"),
        "each packet that a device map sends, at the interface that it goes to",
        _REDIRECT,
    ),
    HookLine(
        *("XDP", "XDP_CPUMAP", "xdp/cpumap", "BPF.XDP", "5.9"),
        "each packet that a CPU map hands to another CPU, on that CPU",
        _REDIRECT,
    ),
    HookLine(
        *("PERF_EVENT", "", "perf_event", "BPF.PERF_EVENT", "4.9"),
        "a clock or a counter of the processor, at regular intervals",
    ),
    HookLine(
        *("PERF_EVENT", "PERF_EVENT", "perf_event", "BPF.PERF_EVENT", "5.15"),
        "the same by a link; kprobes, uprobes and tracepoints have it, too",
    ),
    HookLine(
        *("CGROUP_SKB", "CGROUP_INET_INGRESS CGROUP_INET_EGRESS"),
        *("cgroup_skb/ingress cgroup_skb/egress", "BPF.CGROUP_SKB", "4.10"),
        "each packet that the sockets of a cgroup receive or send; it can be dropped",
    ),
    HookLine(
        *("CGROUP_SOCK", "CGROUP_INET_SOCK_CREATE", "cgroup/sock_create cgroup/sock"),
        *("BPF.CGROUP_SOCK", "4.10"),
        "a process in a cgroup makes a socket; it can be refused",
        _CONNECT,
    ),
    HookLine(
        *("CGROUP_SOCK", "CGROUP_INET4_POST_BIND CGROUP_INET6_POST_BIND"),
        *("cgroup/post_bind4 cgroup/post_bind6", "BPF.CGROUP_SOCK", "4.17"),
        "bind(2) has given a socket its address; it can be refused",
        _CONNECT,
    ),
    HookLine(
        *("CGROUP_SOCK", "CGROUP_INET_SOCK_RELEASE", "cgroup/sock_release"),
        *("BPF.CGROUP_SOCK", "5.9"),
        "a socket of a process in a cgroup is closed",
        "it is for programs that count at cgroup/sock_create",
    ),
    HookLine(
        *("LWT_IN", "", "lwt_in", "BPF.LWT_IN", "4.10"),
        "each packet that a route with a tunnel receives",
        _ROUTE,
    ),
    HookLine(
        *("LWT_OUT", "", "lwt_out", "BPF.LWT_OUT", "4.10"),
        "each packet that a route with a tunnel sends",
        _ROUTE,
    ),
    HookLine(
        *("LWT_XMIT", "", "lwt_xmit", "BPF.LWT_XMIT", "4.10"),
        "the same right before the device; it can put a header in front",
        _ROUTE,
    ),
    HookLine(
        *("SOCK_OPS", "CGROUP_SOCK_OPS", "sockops", "BPF.SOCK_OPS", "4.13"),
        "changes of state of a cgroup's TCP connections",
    ),
    HookLine(
        *("SK_SKB", "SK_SKB_STREAM_PARSER SK_SKB_STREAM_VERDICT"),
        *("sk_skb/stream_parser sk_skb/stream_verdict", "BPF.SK_SKB", "4.14"),
        "what the sockets in a sockmap receive: where a message ends, and where it goes",
        "ebpf-sockops shows the other direction: what the sockets send",
    ),
    HookLine(
        *("SK_SKB", "SK_SKB_VERDICT", "sk_skb/verdict sk_skb", "BPF.SK_SKB", "5.13"),
        "the same without a parser, for UDP and Unix sockets, too",
        "ebpf-sockops shows the other direction: what the sockets send",
    ),
    HookLine(
        *("CGROUP_DEVICE", "CGROUP_DEVICE", "cgroup/dev", "BPF.CGROUP_DEVICE", "4.15"),
        "a process in a cgroup opens or makes a device file; it can be refused",
        "container runtimes and systemd use it; ebpf-lsm shows how a program refuses",
    ),
    HookLine(
        *("SK_MSG", "SK_MSG_VERDICT", "sk_msg", "BPF.SK_MSG", "4.17"),
        "each message that a socket in a sockmap sends; it can go to another socket",
    ),
    HookLine(
        *("RAW_TRACEPOINT", "", "raw_tp raw_tracepoint", "RAW_TRACEPOINT_PROBE", "4.17"),
        "a tracepoint without its record: the arguments as the kernel passes them",
        teacher="ebpf-syscount",
    ),
    HookLine(
        *("CGROUP_SOCK_ADDR", "CGROUP_INET4_BIND CGROUP_INET6_BIND"),
        *("cgroup/bind4 cgroup/bind6", "BPF.CGROUP_SOCK_ADDR", "4.17"),
        "bind(2) of a process in a cgroup; it can be refused, or the address changed",
        _CONNECT,
    ),
    HookLine(
        *("CGROUP_SOCK_ADDR", "CGROUP_INET4_CONNECT CGROUP_INET6_CONNECT"),
        *("cgroup/connect4 cgroup/connect6", "BPF.CGROUP_SOCK_ADDR", "4.17"),
        "connect(2) of a process in a cgroup; it can be refused, or the address changed",
    ),
    HookLine(
        *("CGROUP_SOCK_ADDR", "CGROUP_UDP4_SENDMSG CGROUP_UDP6_SENDMSG"),
        *("cgroup/sendmsg4 cgroup/sendmsg6", "BPF.CGROUP_SOCK_ADDR", "4.18"),
        "a datagram that is sent to an address, without connect(2)",
        _CONNECT,
    ),
    HookLine(
        *("CGROUP_SOCK_ADDR", "CGROUP_UDP4_RECVMSG CGROUP_UDP6_RECVMSG"),
        *("cgroup/recvmsg4 cgroup/recvmsg6", "BPF.CGROUP_SOCK_ADDR", "5.2"),
        "the sender's address that a process gets with a datagram; it can be changed",
        "it undoes for the answer what cgroup/sendmsg4 has changed",
    ),
    HookLine(
        *("CGROUP_SOCK_ADDR", "CGROUP_INET4_GETPEERNAME CGROUP_INET6_GETPEERNAME"),
        *("cgroup/getpeername4 cgroup/getpeername6", "BPF.CGROUP_SOCK_ADDR", "5.8"),
        "the address that getpeername(2) returns; it can be changed",
        "it hides from a process what cgroup/connect4 has changed",
    ),
    HookLine(
        *("CGROUP_SOCK_ADDR", "CGROUP_INET4_GETSOCKNAME CGROUP_INET6_GETSOCKNAME"),
        *("cgroup/getsockname4 cgroup/getsockname6", "BPF.CGROUP_SOCK_ADDR", "5.8"),
        "the address that getsockname(2) returns; it can be changed",
        "it hides from a process what cgroup/bind4 has changed",
    ),
    HookLine(
        "CGROUP_SOCK_ADDR",
        "CGROUP_UNIX_CONNECT CGROUP_UNIX_SENDMSG CGROUP_UNIX_RECVMSG CGROUP_UNIX_GETPEERNAME "
        "CGROUP_UNIX_GETSOCKNAME",
        "cgroup/connect_unix cgroup/sendmsg_unix cgroup/recvmsg_unix cgroup/getpeername_unix "
        "cgroup/getsockname_unix",
        *("BPF.CGROUP_SOCK_ADDR", "6.7"),
        "the same places for Unix sockets, whose addresses are paths",
        _CONNECT,
    ),
    HookLine(
        *("LWT_SEG6LOCAL", "", "lwt_seg6local", "type 19", "4.18"),
        "each packet at a segment of an IPv6 segment route",
        "it needs segment routing: ip -6 route add ... encap seg6local action End.BPF",
    ),
    HookLine(
        *("LIRC_MODE2", "LIRC_MODE2", "lirc_mode2", "type 20", "4.18"),
        "each pulse and space that an infrared receiver sees, to decode the key",
        "it needs an infrared receiver, /dev/lirc0",
    ),
    HookLine(
        *("SK_REUSEPORT", "", "sk_reuseport", "type 21", "4.19"),
        "which of the sockets that share a port gets a connection or datagram",
        "ebpf-sklookup shows a more general choice of a socket",
    ),
    HookLine(
        *("SK_REUSEPORT", "SK_REUSEPORT_SELECT SK_REUSEPORT_SELECT_OR_MIGRATE"),
        *("sk_reuseport sk_reuseport/migrate", "type 21", "5.14"),
        "the same, also for connections of a listening socket that is closed",
        "ebpf-sklookup shows a more general choice of a socket",
    ),
    HookLine(
        *("FLOW_DISSECTOR", "FLOW_DISSECTOR", "flow_dissector", "type 22", "4.20"),
        "the search for addresses and ports in a packet, to tell flows apart",
        "it replaces the kernel's own parser in a whole network namespace",
    ),
    HookLine(
        *("CGROUP_SYSCTL", "CGROUP_SYSCTL", "cgroup/sysctl", "type 23", "5.2"),
        "a process in a cgroup reads or writes below /proc/sys; it can be refused",
        "ebpf-cgroup and ebpf-lsm show how a program refuses in one cgroup",
    ),
    HookLine(
        *("RAW_TRACEPOINT_WRITABLE", "", "raw_tp.w raw_tracepoint.w", "type 24", "5.2"),
        "a raw tracepoint whose first argument the program may write",
        "only a few tracepoints allow it, in nbd and in BPF's own test runs",
    ),
    HookLine(
        *("CGROUP_SOCKOPT", "CGROUP_GETSOCKOPT CGROUP_SETSOCKOPT"),
        *("cgroup/getsockopt cgroup/setsockopt", "type 25", "5.3"),
        "getsockopt(2) and setsockopt(2) in a cgroup; they can be refused or changed",
        _CONNECT,
    ),
    HookLine(
        *("TRACING", "TRACE_RAW_TP", "tp_btf", "", "5.5"),
        "a raw tracepoint whose arguments have types, from BTF",
    ),
    HookLine(
        *("TRACING", "TRACE_FENTRY TRACE_FEXIT", "fentry fexit"),
        *("KFUNC_PROBE, KRETFUNC_PROBE", "5.5"),
        "entry to a function of the kernel, and its return with the arguments, cheaply",
    ),
    HookLine(
        *("TRACING", "MODIFY_RETURN", "fmod_ret", "KMOD_RET", "5.7"),
        "a call whose result the program can replace, so that it does not happen",
        "only functions that are marked for it allow it; ebpf-lsm refuses calls",
    ),
    HookLine(
        *("TRACING", "TRACE_ITER", "iter", "bpf_iter__", "5.8"),
        "each object of a kind, such as each task, while a process reads",
    ),
    HookLine(
        *("TRACING", "TRACE_FSESSION", "fsession", "", "7.0"),
        "one program at entry and return, which can leave out the return",
        "ebpf-fentry does the same with two programs, on older kernels, too",
    ),
    HookLine(
        *("TRACING", "TRACE_FENTRY_MULTI TRACE_FEXIT_MULTI TRACE_FSESSION_MULTI"),
        *("fentry.multi fexit.multi fsession.multi", "", "7.2"),
        "the same for many functions, by one link",
        _ONE_FUNCTION,
    ),
    HookLine(
        *("STRUCT_OPS", "", "struct_ops", "", "5.6"),
        "a function that the kernel calls through a structure, such as tcp_congestion_ops",
    ),
    HookLine(
        *("STRUCT_OPS", "STRUCT_OPS", "struct_ops", "", "6.4"),
        "the same by a link of the map, which ends with its process",
    ),
    HookLine(
        *("EXT", "", "freplace", "", "5.6"),
        "a function of another program that is loaded; the program runs in its place",
    ),
    HookLine(
        *("LSM", "LSM_MAC", "lsm", "LSM_PROBE", "5.7"),
        "a question that the kernel asks its security modules: whether a call is allowed",
    ),
    HookLine(
        *("LSM", "LSM_CGROUP", "lsm_cgroup", "", "6.0"),
        "the same for the processes of one cgroup",
        "ebpf-lsm asks for the cgroup in its program, on older kernels, too",
    ),
    HookLine(
        *("SK_LOOKUP", "SK_LOOKUP", "sk_lookup", "type 30", "5.9"),
        "the search for the socket of a new connection or datagram",
    ),
    HookLine(
        *("SYSCALL", "", "syscall", "", "5.14"),
        "a program that user space runs and that calls bpf(2), to load other programs",
        "it has no hook; light skeletons load with it",
    ),
    HookLine(
        *("NETFILTER", "NETFILTER", "netfilter", "type 32", "6.4"),
        "the places of the firewall on a packet's way, before or after its tables",
    ),
)

MAPS = (
    MapLine(
        *("HASH", "hash", "BPF_HASH", "3.19"),
        "any key to a value; when it is full, a new key is refused",
        lesson="hash",
    ),
    MapLine(
        *("ARRAY", "array", "BPF_ARRAY", "3.19"),
        "a number from 0 up to a value; global variables are one",
        lesson="array",
    ),
    MapLine(
        *("PROG_ARRAY", "program array", "BPF_PROG_ARRAY", "4.2"),
        "a number to a program, for tail calls",
        lesson="program-array",
    ),
    MapLine(
        *("PERF_EVENT_ARRAY", "perf event array", "BPF_PERF_OUTPUT", "4.3"),
        "a buffer of records for each CPU; or counters for programs to read",
    ),
    MapLine(
        *("PERCPU_HASH", "per-CPU hash", "BPF_PERCPU_HASH", "4.6"),
        "a hash with a value for each CPU, so that no update is lost",
        lesson="percpu-hash",
    ),
    MapLine(
        *("PERCPU_ARRAY", "per-CPU array", "BPF_PERCPU_ARRAY", "4.6"),
        "an array with a value for each CPU; scratch space, too",
        lesson="percpu-array",
    ),
    MapLine(
        *("STACK_TRACE", "stack trace", "BPF_STACK_TRACE", "4.6"),
        "a number to the call stack that the kernel has stored under it",
    ),
    MapLine(
        *("CGROUP_ARRAY", "cgroup array", "BPF_CGROUP_ARRAY", "4.8"),
        "a number to a cgroup, to ask whether a packet or task belongs to it",
    ),
    MapLine(
        *("LRU_HASH", "LRU hash", 'BPF_TABLE("lru_hash")', "4.10"),
        "a hash that makes room by dropping what was not used for longest",
        lesson="lru-hash",
    ),
    MapLine(
        *("LRU_PERCPU_HASH", "LRU per-CPU hash", 'BPF_TABLE("lru_percpu_hash")', "4.10"),
        "the same with a value for each CPU",
        "it is the LRU hash and the per-CPU hash in one",
    ),
    MapLine(
        *("LPM_TRIE", "LPM trie", "BPF_LPM_TRIE", "4.11"),
        "an address to the value of the longest prefix that matches, as routes are found",
        lesson="lpm-trie",
    ),
    MapLine(
        *("ARRAY_OF_MAPS", "array of maps", "BPF_ARRAY_OF_MAPS", "4.12"),
        "a number to a map, which user space can exchange as a whole",
        lesson="array-of-maps",
    ),
    MapLine(
        *("HASH_OF_MAPS", "hash of maps", "BPF_HASH_OF_MAPS", "4.12"),
        "any key to a map",
        "it is like the array of maps, with the keys of a hash",
    ),
    MapLine(
        *("DEVMAP", "device map", "BPF_DEVMAP", "4.14"),
        "a number to a network interface, to which XDP can redirect a packet",
        lesson="device-map",
    ),
    MapLine(
        *("SOCKMAP", "sockmap", "BPF_SOCKMAP", "4.14"),
        "a number to a socket, which programs can choose or redirect to",
    ),
    MapLine(
        *("CPUMAP", "CPU map", "BPF_CPUMAP", "4.15"),
        "a number to a CPU, to which XDP can hand a packet",
        "it spreads the load of fast network cards; the device map shows how to redirect",
    ),
    MapLine(
        *("XSKMAP", "XSK map", "BPF_XSKMAP", "4.18"),
        "a number to an AF_XDP socket, which gives a packet to user space",
        "AF_XDP needs rings and memory that user space sets up: a library of its own",
    ),
    MapLine(
        *("SOCKHASH", "sockhash", "BPF_SOCKHASH", "4.18"),
        "any key to a socket, as a sockmap",
    ),
    MapLine(
        *("CGROUP_STORAGE", "old cgroup storage", "BPF_CGROUP_STORAGE", "4.19"),
        "a value for each cgroup and attach type, for programs of a cgroup",
        "the kernel calls it deprecated: CGRP_STORAGE has taken its place",
    ),
    MapLine(
        *("REUSEPORT_SOCKARRAY", "reuseport array", "", "4.19"),
        "a number to one of the sockets that share a port",
        "it is for programs of the type sk_reuseport, which no tool has",
    ),
    MapLine(
        *("PERCPU_CGROUP_STORAGE", "old per-CPU cgroup storage", "BPF_PERCPU_CGROUP_STORAGE"),
        "4.20",
        "the same as the old cgroup storage, with a value for each CPU",
        "the kernel calls it deprecated: CGRP_STORAGE has taken its place",
    ),
    MapLine(
        *("QUEUE", "queue", "BPF_QUEUE", "4.20"),
        "values without keys: first in, first out",
        lesson="queue",
    ),
    MapLine(
        *("STACK", "stack", "BPF_STACK", "4.20"),
        "values without keys: last in, first out",
        lesson="stack",
    ),
    MapLine(
        *("SK_STORAGE", "socket storage", "BPF_SK_STORAGE", "5.2"),
        "a value for each socket, which goes when the socket goes",
        _STORAGE,
    ),
    MapLine(
        *("DEVMAP_HASH", "device hash", "", "5.4"),
        "any number to a network interface, as a device map",
        "it is the device map with the keys of a hash",
    ),
    MapLine(
        *("STRUCT_OPS", "struct_ops", "", "5.6"),
        "a structure of functions that the kernel calls: its value registers them",
        section="struct_ops",
    ),
    MapLine(
        *("RINGBUF", "ring buffer", "BPF_RINGBUF_OUTPUT", "5.8"),
        "one buffer of records for all CPUs, in order, to user space",
        lesson="ring-buffer",
    ),
    MapLine(
        *("INODE_STORAGE", "inode storage", "BPF_INODE_STORAGE", "5.10"),
        "a value for each file, which goes when its inode goes",
        _STORAGE,
    ),
    MapLine(
        *("TASK_STORAGE", "task storage", "BPF_TASK_STORAGE", "5.11"),
        "a value for each thread, which goes when the thread ends",
        lesson="task-storage",
    ),
    MapLine(
        *("BLOOM_FILTER", "bloom filter", "", "5.16"),
        "whether a value was put in: no is certain, yes is not",
        lesson="bloom-filter",
    ),
    MapLine(
        *("USER_RINGBUF", "user ring buffer", "", "6.1"),
        "a buffer of records from user space to programs",
        lesson="user-ring-buffer",
    ),
    MapLine(
        *("CGRP_STORAGE", "cgroup storage", "", "6.2"),
        "a value for each cgroup, which goes when the cgroup goes",
        lesson="cgroup-storage",
    ),
    MapLine(
        *("ARENA", "arena", "", "6.9"),
        "memory that programs and user space share, with pointers inside",
        "C needs a newer compiler for its pointers than these tools ask for",
    ),
    MapLine(
        *("INSN_ARRAY", "instruction array", "", "6.19"),
        "a number to an instruction of the program, for jumps through a table",
        "compilers make it for switch statements; a program does not name it",
    ),
    MapLine(
        *("RHASH", "resizable hash", "", "7.2"),
        "a hash whose table grows and shrinks with what is in it",
        "it is newer than the kernels of the course, which the hash is for",
    ),
)
