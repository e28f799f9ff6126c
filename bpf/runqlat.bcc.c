// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-runqlat, BCC dialect: how long threads wait for a CPU. */
#include "runqlat.h"
#include "lib/log2.h"

/* The Python side passes these to the compiler as numbers:
 *
 *	-Dcount_by=	enum by: a histogram for each, or one for all
 *	-Donly_pid=	the threads of this process; 0: of all
 *	-Dunit_ns=	what the slots count: 1000 for microseconds
 *	-Dhistograms_max_entries=	how many histograms there can be
 */

BPF_ARRAY(lost, u64, 1);	/* waits that found one of the maps full */

/* Since when each thread waits. */
BPF_HASH(waiting, u32, u64, 16384);

BPF_HASH(histograms, u32, struct histogram, histograms_max_entries);

#include "runqlat_wait.bcc.h"	/* is_running(), begin(), end() */

/* BCC has no tp_btf, so this is a raw tracepoint: its arguments are numbers. The
 * first one here is the address of the thread's task_struct. BCC reads what a
 * pointer leads to by bpf_probe_read_kernel().
 */
RAW_TRACEPOINT_PROBE(sched_wakeup)
{
	struct task_struct *task = (void *)ctx->args[0];

	return begin(task);
}

/* The first time. */
RAW_TRACEPOINT_PROBE(sched_wakeup_new)
{
	struct task_struct *task = (void *)ctx->args[0];

	return begin(task);
}

/* A CPU goes from one thread to the next. A thread that could go on, but must
 * leave the CPU to another one, waits from now on. The first argument says whether
 * the CPU was taken from it.
 */
RAW_TRACEPOINT_PROBE(sched_switch)
{
	bool preempted = ctx->args[0];
	struct task_struct *previous = (void *)ctx->args[1];
	struct task_struct *next = (void *)ctx->args[2];

	if (preempted || is_running(previous))
		begin(previous);
	return end(next);
}
