/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What happens at a system call, whichever hook has seen it; libbpf dialect: a part
 * of syscount.bpf.c.
 */
#include "lib/filter.bpf.h"
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

static __always_inline int count_call(struct pt_regs *regs, long number)
{
	struct key key = {};
	__u32 by = count_by;	/* read it once */
	__u64 *counter, zero = 0;

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
	/* Look up the counter; create it with 0 if there is none. */
	counter = bpf_map_lookup_or_try_init(&counts, &key, &zero);
	if (counter)
		*counter += 1;
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
