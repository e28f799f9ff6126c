/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens at a system call, whichever hook has seen it; BCC dialect: a part of
 * syscount.bcc.c.
 */
#include "lib/filter.bcc.h"
#include "lib/processes.bcc.h"
#include "lib/syscall.bcc.h"

/* With BY_ALL: what the process of a counter is called. */
BPF_HASH(process_names, struct key, struct process_name, process_names_max_entries);

/* With `returns`: calls in progress, by thread. */
BPF_HASH(calls, u64, struct call, calls_max_entries);

static __always_inline bool is_wanted(struct pt_regs *regs, long number)
{
	s32 pid = bpf_get_current_pid_tgid() >> 32;

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

	bpf_probe_read_kernel_str(&name.comm, sizeof(name.comm),
				  task->group_leader->comm);
	process_names.update(key, &name);
}

/* Look up the counter; create it with 0 if there is none. */
static __always_inline void count(struct key *key)
{
	u64 *counter, zero = 0;
	int first = 0;

	counter = counts.lookup_or_try_init(key, &zero);
	if (counter)
		*counter += 1;
	else
		lost.atomic_increment(first);
}

/* The address of a thread stays the same when execve() gives it another ID. */
static __always_inline void begin_call(struct key *key)
{
	struct call call = { .since_ns = bpf_ktime_get_ns(), .key = *key };
	u64 thread = bpf_get_current_task();
	int first = 0;

	if (calls.update(&thread, &call))
		lost.atomic_increment(first);
}

static __always_inline int count_call(struct pt_regs *regs, long number)
{
	struct key key = {};
	u32 by = count_by;	/* read it once */
	u32 see = returns;

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
	if (by == BY_ALL && !counts.lookup(&key))
		remember_process(&key);
	if (see)
		begin_call(&key);
	if (!(see & ONLY_FAILED))
		count(&key);
	return 0;
}
