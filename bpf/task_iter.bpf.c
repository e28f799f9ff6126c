// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-task-iter, libbpf dialect: list the threads of the machine. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "task_iter.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile int only_pid;	/* the threads of this process; 0: all */

/* It makes clang describe struct event in the object's BTF, where Python reads it. */
struct event *unused_event __attribute__((unused));

/* Linux 5.14 renamed it. CO-RE ignores ___old in the name. */
struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

#include "task_iter_files.bpf.h"	/* list_file(): --files */

/* The kernel calls it for each thread while a process reads the iterator. */
SEC("iter/task")
int list_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	__u64 stack[MAX_FRAMES];
	struct event e = {};

	if (!task || (only_pid && only_pid != task->tgid))
		return 0;	/* there is no task after the last one */
	e.pid = task->tgid;
	e.tid = task->pid;
	e.ppid = task->real_parent->tgid;
	if (bpf_core_field_exists(task->__state))
		e.state = task->__state | task->exit_state;
	else
		e.state = ((struct task_struct___old *)task)->state | task->exit_state;
	e.kstack = bpf_get_task_stack(task, stack, sizeof(stack), 0);
	bpf_probe_read_kernel_str(e.comm, sizeof(e.comm), task->comm);
	bpf_seq_write(ctx->meta->seq, &e, sizeof(e));	/* what the reader gets */
	return 0;
}
