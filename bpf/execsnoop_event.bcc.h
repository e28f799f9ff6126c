/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The event for a call, BCC dialect: a part of execsnoop.bcc.c. */
#include "lib/scratch.bcc.h"
#include "lib/task.bcc.h"
#include "execsnoop_args.bcc.h"

/* Calls that found a map full, or whose end we missed. */
BPF_ARRAY(lost, u64, 1);

/* Send the event with this many bytes of file name and arguments. */
static __always_inline void send(void *ctx, struct event *event, u64 start,
				 u64 size)
{
	u64 length = sizeof(*event) - sizeof(event->text) + start;
	u64 sent = at_most(ARGS_LEN, size);
	int zero = 0;

	if (sent < size)
		event->incomplete = true;
	event->filename_bytes = start;
	event->args_bytes = sent;
	/* The event ends where its text ends. */
	if (pb.perf_submit(ctx, event, length + sent))
		lost.atomic_increment(zero);
}

static __always_inline void report(void *ctx, struct call *call, int ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct *mm = task->mm;
	struct event *event = scratch_event(call->slot);
	u64 start, size;

	if (!event)
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->ppid = task->real_parent->tgid;
	event->uid = bpf_get_current_uid_gid();
	event->ret = ret;
	event->dirfd = call->dirfd;
	read_names(event);
	event->interpreted = call->interpreted;
	event->keeps_argv0 = call->keeps_argv0;
	if ((u64)mm != call->mm) {
		/* Above the arguments is the environment, then the file name. */
		start = read_filename(event, mm->env_end);
		size = read_new(event, start, mm);
	} else {
		start = read_filename(event, call->filename);
		size = read_old(event, start, (void *)call->argv);
	}
	send(ctx, event, start, size);
}
