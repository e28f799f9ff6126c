/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens at a system call, whichever hook has seen it; libbpf dialect: a part
 * of syscount.bpf.c.
 */
#include "lib/filter.bpf.h"
#include "lib/maps.bpf.h"
#include "lib/processes.bpf.h"
#include "lib/syscall.bpf.h"

/* With BY_ALL: what the process of a counter is called. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct key);
	__type(value, struct process_name);
} process_names SEC(".maps");

/* With `returns`: calls in progress, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

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
