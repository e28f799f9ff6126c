/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens when a system call returns, whichever hook has seen it; BCC dialect: a part
 * of syscount.bcc.c. Only -L, -x and -e need it.
 */
#include "lib/log2.h"

/* With LATENCY: how many calls took how long. */
BPF_PERCPU_HASH(times, struct slot, struct time, times_max_entries);

static __always_inline int forget_call(void)
{
	u64 thread = bpf_get_current_task();

	calls.delete(&thread);
	return 0;
}

static __always_inline void add_time(struct key *key, u64 ns)
{
	struct slot slot = { .key = *key, .slot = log2_of(ns / 1000) };
	struct time *time, zero = {};
	int first = 0;

	time = times.lookup_or_try_init(&slot, &zero);
	if (time) {
		time->calls += 1;
		time->ns += ns;
	} else {
		lost.atomic_increment(first);
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
	u64 thread = bpf_get_current_task();
	struct call *found = calls.lookup(&thread), call;

	if (!found)	/* not wanted, or it began before us */
		return 0;
	call = *found;
	calls.delete(&thread);
	if (!result_matches(result))
		return 0;
	if (returns & ONLY_FAILED)
		count(&call.key);
	if (returns & LATENCY)
		add_time(&call.key, bpf_ktime_get_ns() - call.since_ns);
	return 0;
}

RAW_TRACEPOINT_PROBE(sys_exit)
{
	return end_call(ctx->args[1]);
}

TRACEPOINT_PROBE(raw_syscalls, sys_exit)
{
	return end_call(args->ret);
}

/* A thread that ends does not return from its last call. */
RAW_TRACEPOINT_PROBE(sched_process_exit)
{
	return forget_call();
}
