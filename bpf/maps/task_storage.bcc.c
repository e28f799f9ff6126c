// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* ebpf-maps task-storage, BCC dialect: a value for each thread. */
#include <uapi/linux/bpf.h>
#include <linux/sched.h>
#include "lib/errno.h"

BPF_TASK_STORAGE(calls, u64);

/* Not for "tc": on Linux 6.1, only programs that trace may ask for the task. */
int count(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 *value;

	value = calls.task_storage_get(task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!value)
		return -ENOMEM;
	*value += 1;	/* no other thread has this value */
	return *value;
}

int lookup(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u64 *value;

	value = calls.task_storage_get(task, 0, 0);
	return value ? *value : -ENOENT;
}
