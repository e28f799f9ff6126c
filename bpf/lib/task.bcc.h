/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The current task, BCC dialect. */
#pragma once

/* The name of the thread, and the name of its process: the leader's. */
static __always_inline void read_names(struct event *event)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct task_struct *leader = task->group_leader;

	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	bpf_probe_read_kernel_str(&event->process_comm,
				  sizeof(event->process_comm), leader->comm);
}
