/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* System calls by their numbers, at the raw tracepoint sys_enter; BCC dialect. */
#pragma once

#include <linux/sched.h>
#include <uapi/linux/ptrace.h>

#define TS_COMPAT 2		/* in thread_info.status: in a 32-bit system call */
#define PSR_MODE32_BIT 16	/* in arm64's pstate: a 32-bit program */

/* The tracepoint also sees 32-bit programs, but number 1 is exit() to them and
 * write() to others. How to tell them apart depends on the architecture.
 */
static __always_inline bool is_32bit(struct bpf_raw_tracepoint_args *ctx)
{
#if defined(__x86_64__)
	struct task_struct *task = (void *)bpf_get_current_task();

	return task->thread_info.status & TS_COMPAT;
#else
	struct pt_regs *regs = (void *)ctx->args[0];

	return regs->pstate & PSR_MODE32_BIT;
#endif
}
