/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens at a system call, whichever hook has seen it; libbpf dialect: a part
 * of syscount.bpf.c.
 */
#include "lib/filter.bpf.h"
#include "lib/log2.h"
#include "lib/maps.bpf.h"
#include "lib/processes.bpf.h"
#include "lib/syscall.bpf.h"

static __always_inline bool is_wanted(struct pt_regs *regs, long number)
{
	__s32 pid = bpf_get_current_pid_tgid() >> 32;

	if (pid == own_pid || !process_matches() ||
	    !tid_matches(only_tid) || !uid_matches(only_uid))
		return false;
	if (only_number >= 0 && (number != only_number || is_32bit(regs)))
		return false;
	return true;
}

static __always_inline void remember_process(struct key *key)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct process_name name = {};

	BPF_CORE_READ_STR_INTO(&name.comm, task, group_leader, comm);
	bpf_map_update_elem(&process_names, key, &name, BPF_NOEXIST);
}

/* Look up the counter; create it with 0 if there is none. */
static __always_inline void count(struct key *key)
{
	__u64 *counter, zero = 0;

	counter = bpf_map_lookup_or_try_init(&counts, key, &zero);
	if (counter)
		*counter += 1;
	else
		__sync_fetch_and_add(&lost, 1);
}

/* The address of a thread stays the same when execve() gives it another ID. */
static __always_inline void begin_call(struct key *key)
{
	struct call call = { .since_ns = bpf_ktime_get_ns(), .key = *key };
	__u64 thread = bpf_get_current_task();

	if (bpf_map_update_elem(&calls, &thread, &call, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
}

static __always_inline int count_call(struct pt_regs *regs, long number)
{
	struct key key = {};
	__u32 by = count_by;	/* read it once */
	__u32 see = returns;

	if (!is_wanted(regs, number))
		return 0;
	if (by == BY_SYSCALL || by == BY_ALL) {
		key.number = number;
		key.is_32bit = is_32bit(regs);
	}
	if (by != BY_SYSCALL)
		bpf_get_current_comm(&key.comm, sizeof(key.comm));
	if (by == BY_PID || by == BY_ALL)
		key.pid = bpf_get_current_pid_tgid() >> 32;
	if (by == BY_ALL && !bpf_map_lookup_elem(&counts, &key))
		remember_process(&key);
	if (see)
		begin_call(&key);
	if (!(see & ONLY_FAILED))
		count(&key);
	return 0;
}

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
