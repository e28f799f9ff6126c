// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Broken on purpose, BCC dialect: a loop without a bound. */
#include <linux/sched.h>

/* How far below process 1 the process is that executes a program. */
TRACEPOINT_PROBE(syscalls, sys_enter_execve)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	int depth = 0;

	/* Broken: every process has 1 among its ancestors, but the verifier
	 * does not know that. The mended loop has a bound, too:
	 * while (depth < 64 && ...).
	 */
	while (task->tgid != 1) {
		task = task->real_parent;
		depth++;
	}
	bpf_trace_printk("%d processes below 1", depth);
	return 0;
}
