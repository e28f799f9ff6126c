/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens at a system call, whichever hook has seen it; BCC dialect: a part of
 * syscount.bcc.c.
 */
#include "lib/filter.bcc.h"
#include "lib/processes.bcc.h"
#include "lib/syscall.bcc.h"

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

static __always_inline int count_call(struct pt_regs *regs, long number)
{
	struct key key = {};
	u32 by = count_by;	/* read it once */
	u64 *counter, zero = 0;
	int first = 0;

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
	/* Look up the counter; create it with 0 if there is none. */
	counter = counts.lookup_or_try_init(&key, &zero);
	if (counter)
		*counter += 1;
	else
		lost.atomic_increment(first);
	return 0;
}
