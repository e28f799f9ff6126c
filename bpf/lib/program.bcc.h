/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which program the current process runs, BCC dialect. An exec replaces it, and
 * then the same addresses are other functions.
 */
#pragma once

#include <linux/mm_types.h>
#include <linux/sched.h>

/* The address where the program's stack begins: a new random number after each exec.
 * User space finds it in /proc/PID/stat, as startstack. 0: a kernel thread.
 */
static __always_inline u64 current_program(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct *mm = task->mm;

	return mm->start_stack;
}
