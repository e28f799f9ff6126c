/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* System calls by their numbers, where they begin; BCC dialect. */
#pragma once

#include <linux/sched.h>
#include <uapi/linux/ptrace.h>

#define TS_COMPAT 2		/* in thread_info.status: in a 32-bit system call */
#define PSR_MODE32_BIT 16	/* in arm64's pstate: a 32-bit program */

/* A tracepoint also sees 32-bit programs, but number 1 is exit() to them and
 * write() to others. How to tell them apart depends on the architecture: on x86 by
 * the thread, on arm64 by the registers that the raw tracepoint passes.
 */
static __always_inline bool is_32bit(struct pt_regs *regs)
{
#if defined(__x86_64__)
	struct task_struct *task = (void *)bpf_get_current_task();

	return task->thread_info.status & TS_COMPAT;
#else
	u64 pstate = 0;

	/* BCC takes the pointer for a number, and does not write this by itself. */
	bpf_probe_read_kernel(&pstate, sizeof(pstate), &regs->pstate);
	return pstate & PSR_MODE32_BIT;
#endif
}

/* For is_32bit(), where the program does not get the registers. On arm64, this needs
 * commit dd6e10fbd9fb ("bpf: Add bpf_task_pt_regs() helper") (in v5.15).
 */
static __always_inline struct pt_regs *regs_of_caller(void)
{
#if defined(__x86_64__)
	return 0;
#else
	return (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
#endif
}
