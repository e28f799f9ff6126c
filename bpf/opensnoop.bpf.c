// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-opensnoop, libbpf dialect: each file that is opened. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "opensnoop.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Calls in progress: thread -> what we know so far. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

/* Records for user space: one buffer that all CPUs share, since Linux 5.8. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1024 * 1024);	/* bytes; --buffer changes it */
} rb SEC(".maps");

#include "opensnoop_event.bpf.h"	/* is_wanted(), send() */

/* A call begins: remember it until it ends. The key is the thread, since a thread
 * is in one system call at a time.
 */
static __always_inline int begin(struct call *call)
{
	__u64 thread = bpf_get_current_pid_tgid();

	if (is_wanted() && bpf_map_update_elem(&calls, &thread, call, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

/* A call ends. A signal ends it, too, even one that kills the thread, so nothing
 * stays behind in the map.
 */
static __always_inline int end(long ret)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct call *call = bpf_map_lookup_elem(&calls, &thread);

	if (!call)	/* filtered out, or it began before we were attached */
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
		.kind = CALL_OPEN,
		.dirfd = AT_FDCWD,
		.path = ctx->args[0],
		.flags = (__u32)ctx->args[1],
		.mode = ctx->args[2],
	};

	return begin(&call);
}

SEC("tp/syscalls/sys_exit_open")
int exit_open(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}

/* The same with a directory to start from: what the C library calls. */
SEC("tp/syscalls/sys_enter_openat")
int enter_openat(struct trace_event_raw_sys_enter *ctx)
{
	struct call call = {
		.kind = CALL_OPENAT,
		.dirfd = ctx->args[0],
		.path = ctx->args[1],
		.flags = (__u32)ctx->args[2],
		.mode = ctx->args[3],
	};

	return begin(&call);
}

SEC("tp/syscalls/sys_exit_openat")
int exit_openat(struct trace_event_raw_sys_exit *ctx)
{
	return end(ctx->ret);
}

#include "opensnoop_others.bpf.h"	/* openat2(), creat(), open_by_handle_at() */
