/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The current task, libbpf dialect. */
#pragma once

/* The name of the thread, and the name of its process: the leader's. */
static __always_inline void read_names(struct event *event)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->process_comm, task, group_leader, comm);
}
