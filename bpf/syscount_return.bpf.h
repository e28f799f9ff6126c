/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens when a system call returns, whichever hook has seen it; libbpf dialect: a part
 * of syscount.bpf.c. Only -L, -x and -e need it.
 */
#include "lib/log2.h"

/* With LATENCY: how many calls took how long. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 10240);
	__type(key, struct slot);
	__type(value, struct time);
} times SEC(".maps");

static __always_inline int forget_call(void)
{
	__u64 thread = bpf_get_current_task();

	bpf_map_delete_elem(&calls, &thread);
	return 0;
}

static __always_inline void add_time(struct key *key, __u64 ns)
{
	struct slot slot = { .key = *key, .slot = log2_of(ns / 1000) };
	struct time *time, zero = {};

	time = bpf_map_lookup_or_try_init(&times, &slot, &zero);
	if (time) {
		time->calls += 1;
		time->ns += ns;
	} else {
		__sync_fetch_and_add(&lost, 1);
	}
}

/* The kernel returns errors as -4095 to -1. */
static __always_inline bool result_matches(long result)
{
	if (!(returns & ONLY_FAILED))
		return true;
	return only_errno ? result == -only_errno : result < 0 && result >= -4095;
}

static __always_inline int end_call(long result)
{
	__u64 thread = bpf_get_current_task();
	struct call *found = bpf_map_lookup_elem(&calls, &thread), call;

	if (!found)	/* not wanted, or it began before us */
		return 0;
	call = *found;
	bpf_map_delete_elem(&calls, &thread);
	if (!result_matches(result))
		return 0;
	if (returns & ONLY_FAILED)
		count(&call.key);
	if (returns & LATENCY)
		add_time(&call.key, bpf_ktime_get_ns() - call.since_ns);
	return 0;
}

SEC("raw_tp/sys_exit")
int handle_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return end_call(ctx->args[1]);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(handle_typed_exit, struct pt_regs *regs, long result)
{
	return end_call(result);
}

SEC("tp/raw_syscalls/sys_exit")
int handle_exit_record(struct trace_event_raw_sys_exit *ctx)
{
	return end_call(ctx->ret);
}

/* A thread that ends does not return from its last call. */
SEC("raw_tp/sched_process_exit")
int handle_thread_exit(void *ctx)
{
	return forget_call();
}
