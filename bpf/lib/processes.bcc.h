/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which processes are wanted, BCC dialect: those of -p and -c, with --follow also those
 * that they start, and those of a cgroup. What is not asked for costs nothing.
 *
 *	-Dby_process=	only those in processes
 *	-Dby_cgroup=	only those in the cgroup of wanted_cgroup, or below it
 */
#pragma once

#include <linux/sched.h>

/* Who uses the loader alone need not say anything. */
#ifndef by_process
#define by_process 0
#endif
#ifndef by_cgroup
#define by_cgroup 0
#endif
#ifndef processes_max_entries
#define processes_max_entries 1
#endif

BPF_ARRAY(not_followed, u64, 1);	/* processes that found the map full */
/* By process ID: its signal_struct, which its threads share; or 0. */
BPF_HASH(processes, u32, u64, processes_max_entries);
BPF_CGROUP_ARRAY(wanted_cgroup, 1);	/* file descriptor of its directory */

static __always_inline bool process_matches(void)
{
	u32 pid;

	if (by_process) {
		pid = bpf_get_current_pid_tgid() >> 32;
		if (!processes.lookup(&pid))
			return false;
	}
	return !by_cgroup || wanted_cgroup.check_current_task(0) == 1;
}

/* With --follow. A new process does not run yet, so nothing that it does is missed. */
RAW_TRACEPOINT_PROBE(sched_process_fork)
{
	struct task_struct *parent = (void *)ctx->args[0];
	struct task_struct *child = (void *)ctx->args[1];
	u32 from = parent->tgid, to = child->tgid;
	u64 process = (u64)child->signal;
	int first = 0;

	if (to == from)	/* a new thread */
		return 0;
	if (!processes.lookup(&from)) {
		/* Its ID may be that of one that has ended: see below. */
		processes.delete(&to);
		return 0;
	}
	if (processes.update(&to, &process))
		not_followed.atomic_increment(first);
	return 0;
}

/* Once nothing of a process is left. Its ID was free a moment earlier, and may be another
 * one's by now.
 */
RAW_TRACEPOINT_PROBE(sched_process_free)
{
	struct task_struct *task = (void *)ctx->args[0];
	u32 pid = task->tgid;
	u64 *process;

	if (task->pid != pid)	/* its first thread goes last */
		return 0;
	process = processes.lookup(&pid);
	if (process && (!*process || *process == (u64)task->signal))
		processes.delete(&pid);
	return 0;
}
