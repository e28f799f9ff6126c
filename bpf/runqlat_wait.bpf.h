/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The beginning and the end of a wait, libbpf dialect. */
#pragma once

/* Before commit 2f064a59a11f ("sched: Change task_struct::state") (in v5.14). */
struct task_struct___old {
	long state;
};

/* Neither asleep nor ending: TASK_RUNNING is 0. */
static __always_inline bool is_running(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return !task->__state;
	return !BPF_CORE_READ((struct task_struct___old *)task, state);
}

static __always_inline int begin(struct task_struct *task)
{
	__u64 now = bpf_ktime_get_ns();
	__u32 tid = task->pid;	/* what the kernel calls pid is the thread */

	/* 0 is what a CPU runs that has nothing to do. */
	if (!tid || (only_pid && task->tgid != only_pid))
		return 0;
	if (bpf_map_update_elem(&waiting, &tid, &now, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

static __always_inline struct histogram *histogram_of(struct task_struct *task)
{
	__u32 key = count_by == BY_PID ? task->tgid :
		    count_by == BY_TID ? task->pid : 0;
	struct histogram *found = bpf_map_lookup_elem(&histograms, &key);
	struct histogram empty = {};

	if (found)
		return found;
	empty.pid = task->tgid;
	bpf_probe_read_kernel_str(empty.comm, sizeof(empty.comm), task->comm);
	return bpf_map_lookup_or_try_init(&histograms, &key, &empty);
}

static __always_inline int end(struct task_struct *task)
{
	__u64 now = bpf_ktime_get_ns(), *since;
	struct histogram *histogram;
	__u32 tid = task->pid, slot;

	since = bpf_map_lookup_elem(&waiting, &tid);
	if (!since)
		return 0;	/* it was waiting before the tool was attached */
	slot = log2_of((now - *since) / unit_ns);
	bpf_map_delete_elem(&waiting, &tid);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	histogram = histogram_of(task);
	if (histogram)
		__sync_fetch_and_add(&histogram->slots[slot], 1);
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}
