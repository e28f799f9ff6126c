/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The beginning and the end of a wait, BCC dialect. */
#pragma once

/* Neither asleep nor ending: TASK_RUNNING is 0. */
static __always_inline bool is_running(struct task_struct *task)
{
	return !task->__state;
}

static __always_inline int begin(struct task_struct *task)
{
	u64 now = bpf_ktime_get_ns();
	u32 tid = task->pid;	/* what the kernel calls pid is the thread */
	int first = 0;

	/* 0 is what a CPU runs that has nothing to do. */
	if (!tid || (only_pid && task->tgid != only_pid))
		return 0;
	if (waiting.update(&tid, &now))
		lost.atomic_increment(first);
	return 0;
}

static __always_inline struct histogram *histogram_of(struct task_struct *task)
{
	u32 key = count_by == BY_PID ? task->tgid :
		  count_by == BY_TID ? task->pid : 0;
	struct histogram *found = histograms.lookup(&key);
	struct histogram empty = {};

	if (found)
		return found;
	empty.pid = task->tgid;
	bpf_probe_read_kernel_str(empty.comm, sizeof(empty.comm), task->comm);
	return histograms.lookup_or_try_init(&key, &empty);
}

static __always_inline int end(struct task_struct *task)
{
	u64 now = bpf_ktime_get_ns(), *since;
	struct histogram *histogram;
	u32 tid = task->pid, slot;
	int first = 0;

	since = waiting.lookup(&tid);
	if (!since)
		return 0;	/* it was waiting before the tool was attached */
	slot = log2_of((now - *since) / unit_ns);
	waiting.delete(&tid);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	histogram = histogram_of(task);
	if (histogram)
		lock_xadd(&histogram->slots[slot], 1);
	else
		lost.atomic_increment(first);
	return 0;
}
