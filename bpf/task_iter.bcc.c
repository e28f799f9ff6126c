// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-task-iter, BCC dialect: list the threads of the machine. */
#include "task_iter.h"

/* The Python side passes a number to the compiler:
 *
 *	-Donly_pid=	the threads of this process; 0: all
 */

/* What the kernel passes: each member has 8 bytes. */
struct bpf_iter_meta {
	void *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

#include "task_iter_files.bcc.h"	/* --files: another iterator */

/* The kernel calls it for each thread while a process reads the iterator. Its name
 * tells BCC what it is.
 */
int bpf_iter__task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	u64 stack[MAX_FRAMES];
	struct event e = {};

	if (!task || (only_pid && only_pid != task->tgid))
		return 0;	/* there is no task after the last one */
	e.pid = task->tgid;
	e.tid = task->pid;
	e.ppid = task->real_parent->tgid;
	e.state = task->__state | task->exit_state;
	e.kstack = bpf_get_task_stack(task, stack, sizeof(stack), 0);
	bpf_probe_read_kernel_str(e.comm, sizeof(e.comm), task->comm);
	bpf_seq_write(ctx->meta->seq, &e, sizeof(e));	/* what the reader gets */
	return 0;
}
