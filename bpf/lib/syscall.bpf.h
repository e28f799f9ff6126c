/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* System calls by their numbers, at the raw tracepoint sys_enter; libbpf dialect. */
#pragma once

#include <bpf/bpf_core_read.h>

/* The tracepoint also sees 32-bit programs, but number 1 is exit() to them and
 * write() to others. How to tell them apart depends on the architecture.
 */
static __always_inline bool is_32bit(struct bpf_raw_tracepoint_args *ctx)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
#else
	struct pt_regs *regs = (void *)ctx->args[0];

	return BPF_CORE_READ(regs, pstate) & PSR_MODE32_BIT;
#endif
}
