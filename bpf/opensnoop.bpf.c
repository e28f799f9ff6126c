// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-opensnoop, libbpf dialect: each file that is opened. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "opensnoop.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. "const volatile" puts them into a read-only map, so the
 * verifier knows their values and drops the code that they make unreachable.
 */
const volatile __s32 only_pid;		/* calls of this process; 0: of all */
const volatile __s32 only_tid;		/* calls of this thread; 0: of all */
const volatile __s64 only_uid = -1;	/* calls of this user; -1: of all */
const volatile bool only_failed;	/* calls that fail */

const volatile __s32 own_pid;		/* the tool's process, as it sees itself */
const volatile __u64 pidns_dev;		/* its PID namespace: the device and the */
const volatile __u64 pidns_ino;		/* inode number of /proc/self/ns/pid */

__u64 lost;	/* calls that found no room in calls or in rb */

/* Calls that have begun and not ended: thread -> what is known so far. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

/* Room to put an event together, for it is too long for a program's stack of
 * 512 bytes: on each CPU one for each system call. Linux 7.2 may take the CPU
 * away from a program at a system call's tracepoint. The same one does not run
 * there meanwhile, but that of another call does.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, struct event);
} room SEC(".maps");

/* The way to user space: one buffer that all CPUs share, since Linux 5.8. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

/* Never used: it makes clang describe struct event in the object's BTF, where
 * the Python side reads its layout.
 */
struct event *unused_event __attribute__((unused));

static __always_inline bool wanted(void)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct bpf_pidns_info ns = {};
	__s32 pid = thread >> 32, tid = thread;
	__u32 uid = bpf_get_current_uid_gid();

	if ((only_pid && pid != only_pid) || (only_tid && tid != only_tid) ||
	    (only_uid >= 0 && uid != only_uid))
		return false;
	/* Not what the tool itself opens. The helper fails for a process of
	 * another PID namespace, and that one is not the tool.
	 */
	return bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino,
					   &ns, sizeof(ns)) ||
	       ns.tgid != own_pid;
}

/* A call begins: keep what is known of it until it ends. The key is the
 * thread, for a thread is in one system call at a time.
 */
static __always_inline int begin(struct call *call)
{
	__u64 thread = bpf_get_current_pid_tgid();

	if (!wanted())
		return 0;
	if (bpf_map_update_elem(&calls, &thread, call, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/* openat2() has flags and mode in a structure, in the caller's memory. */
static __always_inline long read_how(struct event *event, __u64 address)
{
	struct open_how how = {};
	long err;

	err = bpf_probe_read_user(&how, sizeof(how), (void *)address);
	event->flags = how.flags;
	event->mode = how.mode;
	return err;
}

/* The path is read here and not on entry: by now the kernel has read it, too,
 * so it is in memory. A program cannot wait for a page that is not.
 */
static __always_inline void send(struct call *call, long ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 thread = bpf_get_current_pid_tgid();
	struct event *event;
	__u64 length = sizeof(*event) - sizeof(event->path);
	long size;

	event = bpf_map_lookup_elem(&room, &call->room);
	if (!event)	/* never so, but the verifier wants to see it */
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->flags = call->flags;
	event->pid = thread >> 32;
	event->tid = thread;
	event->uid = bpf_get_current_uid_gid();
	event->dirfd = call->dirfd;
	event->ret = ret;
	event->mode = call->mode;
	event->flags_error = call->how ? read_how(event, call->how) : 0;
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->process_comm, task, group_leader, comm);

	/* The helper returns the number of bytes, with the 0 at the end. */
	size = bpf_probe_read_user_str(event->path, PATH_LEN,
				       (void *)call->path);
	event->path_length = size > 0 ? size - 1 : size;
	if (size > 0)
		/* & changes nothing: it shows the verifier the bounds. */
		length += (size - 1) & (PATH_LEN - 1);
	/* The buffer is full: say so later rather than lose it in silence. */
	if (bpf_ringbuf_output(&rb, event, length, 0))
		__sync_fetch_and_add(&lost, 1);
}

/* A call ends. This runs for one that is interrupted by a signal, too, even
 * if the thread does not survive it: nothing stays behind in the map.
 */
static __always_inline int end(long ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);

	if (!call)	/* not wanted, or begun before we were attached */
		return 0;
	if (ret < 0 || !only_failed)
		send(call, ret);
	bpf_map_delete_elem(&calls, &thread);
	return 0;
}

SEC("tp/syscalls/sys_enter_open")
int enter_open(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.dirfd = AT_FDCWD,
		.path = ctx->args[0],
		.flags = (__u32)ctx->args[1],
		.mode = ctx->args[2],
	};

	return begin(&call);
}

/* The same with a directory to start from: what the C library calls. */
SEC("tp/syscalls/sys_enter_openat")
int enter_openat(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.dirfd = ctx->args[0],
		.path = ctx->args[1],
		.flags = (__u32)ctx->args[2],
		.mode = ctx->args[3],
		.room = 1,
	};

	return begin(&call);
}

/* And with more to say about how, since Linux 5.6. */
SEC("tp/syscalls/sys_enter_openat2")
int enter_openat2(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.dirfd = ctx->args[0],
		.path = ctx->args[1],
		.how = ctx->args[2],
		.room = 2,
	};

	return begin(&call);
}

SEC("tp/syscalls/sys_exit_open")
int exit_open(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}

SEC("tp/syscalls/sys_exit_openat")
int exit_openat(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}

SEC("tp/syscalls/sys_exit_openat2")
int exit_openat2(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}
