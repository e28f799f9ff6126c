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

static __always_inline int count_call(struct pt_regs *regs, long number)
{
	struct key key = {};
	u64 *counter, zero = 0;
	int first = 0;

	if (!is_wanted(regs, number))
		return 0;
	if (count_by == BY_SYSCALL) {
		key.number = number;
		key.is_32bit = is_32bit(regs);
	} else {
		bpf_get_current_comm(&key.comm, sizeof(key.comm));
	}
	if (count_by == BY_PID)
		key.pid = bpf_get_current_pid_tgid() >> 32;
	/* Look up the counter; create it with 0 if there is none. */
	counter = counts.lookup_or_try_init(&key, &zero);
	if (counter)
		*counter += 1;
	else
		lost.atomic_increment(first);
	return 0;
}
